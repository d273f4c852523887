"""Sums over rows for the joint Laplace approximation with two crossed factors.

At eta_i = x_i'beta + u_j(i) + v_s(i) each row has a residual r = y - n p, a weight w = n p (1 - p) and its
derivatives k = w (1 - 2p) and m = w (1 - 6 p (1 - p)). All that the algebra between passes (`crossed.py`)
needs are their sums over therapist-service cells, and over rows with X.

Rows are taken in blocks that fit the cache, column by column, so that every loop over patients vectorises.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST, LEAN
from ter.kernels.elementary import exponentials
from ter.kernels.products import BLOCK, add_products, turn
from ter.kernels.rows import ETA_MAX, FloatArray, Rows, add_columns, clamp


@njit(**FAST)
def linear_predictor(lo: int, hi: int, rows: Rows, beta: FloatArray, out: FloatArray) -> None:
    """out[i] = x_i'beta for the rows of inner levels lo to hi."""
    columns = rows.X.T
    stop = rows.row_ptr[hi]
    for start in range(rows.row_ptr[lo], stop, BLOCK):
        eta = out[start : min(start + BLOCK, stop)]
        eta[:] = 0.0
        add_columns(columns, start, beta, eta)


@njit(**FAST)
def block_terms(
    start: int,
    n: int,
    rows: Rows,
    fixed: FloatArray,
    offset: FloatArray,
    eta: FloatArray,
    odds: FloatArray,
    scratch: FloatArray,
    p: FloatArray,
    w: FloatArray,
) -> None:
    """Probabilities p and weights w of the n rows from `start`; eta, and odds = exp(-|eta|), are left too."""
    mine = fixed[start : start + n]
    cell = rows.row_cell[start : start + n]
    for i in range(n):
        x = clamp(mine[i] + offset[cell[i]], -ETA_MAX, ETA_MAX)
        eta[i] = x
        odds[i] = -abs(x)
    exponentials(odds[:n], odds[:n], scratch)
    trials = rows.trials[start : start + n]
    for i in range(n):
        e = odds[i]
        d = 1.0 / (1.0 + e)
        p[i] = d if eta[i] >= 0.0 else e * d
        w[i] = trials[i] * e * d * d


@njit(**FAST)
def cell_sums(
    lo: int,
    hi: int,
    rows: Rows,
    fixed: FloatArray,
    u: FloatArray,
    v: FloatArray,
    offset: FloatArray,
    residual: FloatArray,
    weight: FloatArray,
    third: FloatArray,
    fourth: FloatArray,
) -> float:
    """Log-likelihood (without binomial constants), and by cell (C,): u + v, and sums of r, w, k and m."""
    for j in range(lo, hi):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            offset[c] = u[j] + v[rows.cell_outer[c]]
            residual[c] = 0.0
            weight[c] = 0.0
            third[c] = 0.0
            fourth[c] = 0.0
    eta = np.empty(BLOCK)
    odds = np.empty(BLOCK)
    scratch = np.empty(BLOCK)
    p = np.empty(BLOCK)
    w = np.empty(BLOCK)
    r = np.empty(BLOCK)
    k = np.empty(BLOCK)
    m = np.empty(BLOCK)
    total = 0.0
    stop = rows.row_ptr[hi]
    for start in range(rows.row_ptr[lo], stop, BLOCK):
        n = min(BLOCK, stop - start)
        y = rows.y[start : start + n]
        trials = rows.trials[start : start + n]
        block_terms(start, n, rows, fixed, offset, eta, odds, scratch, p, w)
        linear = 0.0
        for i in range(n):
            r[i] = y[i] - trials[i] * p[i]
            k[i] = w[i] * (1.0 - 2.0 * p[i])
            m[i] = w[i] * (1.0 - 6.0 * p[i] * (1.0 - p[i]))
            linear += y[i] * eta[i] - trials[i] * max(eta[i], 0.0)
        if rows.binary:
            # At most 2^256.
            product = 1.0
            for i in range(n):
                product *= 1.0 + odds[i]
            linear -= math.log(product)
        else:
            for i in range(n):
                linear -= trials[i] * math.log1p(odds[i])
        total += linear
        for d in range(rows.row_cell[start], rows.row_cell[start + n - 1] + 1):
            sum_r = 0.0
            sum_w = 0.0
            sum_k = 0.0
            sum_m = 0.0
            for i in range(max(rows.cell_ptr[d] - start, 0), min(rows.cell_ptr[d + 1] - start, n)):
                sum_r += r[i]
                sum_w += w[i]
                sum_k += k[i]
                sum_m += m[i]
            residual[d] += sum_r
            weight[d] += sum_w
            third[d] += sum_k
            fourth[d] += sum_m
    return total


@njit(**FAST)
def row_gradient(
    lo: int,
    hi: int,
    rows: Rows,
    fixed: FloatArray,
    offset: FloatArray,
    leverage: FloatArray,
    shift_of_modes: FloatArray,
    gradient: FloatArray,
) -> None:
    """The gradient that `row_sums` adds to, and nothing else."""
    P = rows.X.shape[1]
    columns = rows.X.T
    eta = np.empty(BLOCK)
    odds = np.empty(BLOCK)
    scratch = np.empty(BLOCK)
    p = np.empty(BLOCK)
    w = np.empty(BLOCK)
    rho = np.empty(BLOCK)
    stop = rows.row_ptr[hi]
    for start in range(rows.row_ptr[lo], stop, BLOCK):
        n = min(BLOCK, stop - start)
        y = rows.y[start : start + n]
        trials = rows.trials[start : start + n]
        cell = rows.row_cell[start : start + n]
        block_terms(start, n, rows, fixed, offset, eta, odds, scratch, p, w)
        for i in range(n):
            c = cell[i]
            k = 1.0 - 2.0 * p[i]
            rho[i] = y[i] - trials[i] * p[i] - 0.5 * w[i] * (leverage[c] * k - shift_of_modes[c])
        for a in range(P):
            column = columns[a][start : start + n]
            g = 0.0
            for i in range(n):
                g += rho[i] * column[i]
            gradient[a] += g


@njit(**LEAN)
def add_cell(
    turned: FloatArray,
    first: int,
    end: int,
    w: FloatArray,
    omega: FloatArray,
    k: FloatArray,
    j: int,
    t: int,
    c: int,
    sums: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    inner_omega: FloatArray,
    outer_omega: FloatArray,
    cell_k: FloatArray,
) -> None:
    """Add the sums of w x, omega x and k x over a block's rows first to end, those of cell c at (j, t).

    turned (BLOCK, P) holds their x; sums (3, P) is scratch.
    """
    P = turned.shape[1]
    for a in range(P):
        sums[0, a] = 0.0
        sums[1, a] = 0.0
        sums[2, a] = 0.0
    for i in range(first, end):
        wi = w[i]
        oi = omega[i]
        ki = k[i]
        for a in range(P):
            xi = turned[i, a]
            sums[0, a] += wi * xi
            sums[1, a] += oi * xi
            sums[2, a] += ki * xi
    for a in range(P):
        inner[j, a] += sums[0, a]
        outer[t, a] += sums[0, a]
    for a in range(P):
        inner_omega[j, a] += sums[1, a]
        outer_omega[t, a] += sums[1, a]
        cell_k[c, a] += sums[2, a]


@njit(**FAST)
def row_sums(
    lo: int,
    hi: int,
    rows: Rows,
    fixed: FloatArray,
    offset: FloatArray,
    leverage: FloatArray,
    shift_of_modes: FloatArray,
    exact: float,
    joint: float,
    gradient: FloatArray,
    information: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    inner_omega: FloatArray,
    outer_omega: FloatArray,
    cell_k: FloatArray,
    cell_omega: FloatArray,
) -> None:
    """Sums with X at the modes. q is the cells' `leverage` (C,), s their `shift_of_modes` (C,).

    Added to: gradient (P,), the sum of rho x with rho = r - (q k - s w) / 2; the lower triangle of
    information (P, P), the sum of omega x x' with omega = joint w + exact (q m - s k) / 2; inner (J, P) and
    outer (S, P), sums of w x by level, inner_omega and outer_omega the same of omega x; by cell, cell_k
    (C, P) the sums of k x and cell_omega (C,) of omega.
    """
    P = rows.X.shape[1]
    columns = rows.X.T
    # Rows of 2,048 bytes would all fall on the same few lines of the cache.
    x = np.zeros((P, BLOCK + 8))
    turned = np.empty((BLOCK, P))
    sums = np.empty((3, P))
    wx = np.empty((2, BLOCK))
    eta = np.empty(BLOCK)
    odds = np.empty(BLOCK)
    scratch = np.empty(BLOCK)
    p = np.empty(BLOCK)
    w = np.empty(BLOCK)
    k = np.empty(BLOCK)
    rho = np.empty(BLOCK)
    omega = np.zeros(BLOCK)
    j = lo
    stop = rows.row_ptr[hi]
    for start in range(rows.row_ptr[lo], stop, BLOCK):
        n = min(BLOCK, stop - start)
        y = rows.y[start : start + n]
        trials = rows.trials[start : start + n]
        cell = rows.row_cell[start : start + n]
        block_terms(start, n, rows, fixed, offset, eta, odds, scratch, p, w)
        for i in range(n):
            q = leverage[cell[i]]
            s = shift_of_modes[cell[i]]
            k[i] = w[i] * (1.0 - 2.0 * p[i])
            rho[i] = y[i] - trials[i] * p[i] - 0.5 * (q * k[i] - s * w[i])
            m = w[i] * (1.0 - 6.0 * p[i] * (1.0 - p[i]))
            omega[i] = joint * w[i] + 0.5 * exact * (q * m - s * k[i])
        if n < BLOCK:
            omega[n:] = 0.0
            rho[n:] = 0.0
        for a in range(P):
            column = columns[a][start : start + n]
            g = 0.0
            for i in range(n):
                x[a, i] = column[i]
                g += rho[i] * column[i]
            gradient[a] += g
        turn(x, n, turned)
        for d in range(cell[0], cell[n - 1] + 1):
            first = max(rows.cell_ptr[d] - start, 0)
            end = min(rows.cell_ptr[d + 1] - start, n)
            while rows.unit_cells[j + 1] <= d:
                j += 1
            t = rows.cell_outer[d]
            for i in range(first, end):
                cell_omega[d] += omega[i]
            add_cell(
                turned, first, end, w, omega, k, j, t, d, sums, inner, outer, inner_omega, outer_omega, cell_k
            )
        add_products(x, omega, wx, information)
