"""Sums over rows for the joint Laplace approximation with two crossed factors.

At eta_i = x_i'beta + u_j(i) + v_s(i) each row has a residual r = y - n p, a weight w = n p (1 - p) and its
derivative k = w (1 - 2p). All that the algebra between passes needs are their sums over therapist-service
cells, and over rows with X.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.rows import ETA_MAX, FloatArray, Rows, clamp, expit


@njit(**FAST)
def linear_predictor(lo: int, hi: int, rows: Rows, beta: FloatArray, out: FloatArray) -> None:
    """out[i] = x_i'beta for the rows of inner levels lo to hi."""
    for i in range(rows.row_ptr[lo], rows.row_ptr[hi]):
        eta = 0.0
        for p in range(beta.size):
            eta += rows.X[i, p] * beta[p]
        out[i] = eta


@njit(**FAST)
def cell_sums(
    lo: int,
    hi: int,
    rows: Rows,
    fixed: FloatArray,
    u: FloatArray,
    v: FloatArray,
    residual: FloatArray,
    weight: FloatArray,
) -> float:
    """Log-likelihood (without binomial constants), and sums of residuals and weights by cell (C,)."""
    total = 0.0
    for j in range(lo, hi):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            offset = u[j] + v[rows.cell_outer[c]]
            r = 0.0
            w = 0.0
            for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1]):
                eta = clamp(fixed[i] + offset, -ETA_MAX, ETA_MAX)
                e = math.exp(-abs(eta))
                d = 1.0 / (1.0 + e)
                p = d if eta >= 0.0 else e * d
                n = rows.trials[i]
                r += rows.y[i] - n * p
                w += n * e * d * d
                total += rows.y[i] * eta - n * (max(eta, 0.0) + math.log1p(e))
            residual[c] = r
            weight[c] = w
    return total


@njit(**FAST)
def row_sums(
    lo: int,
    hi: int,
    rows: Rows,
    fixed: FloatArray,
    u: FloatArray,
    v: FloatArray,
    leverage: FloatArray,
    third: FloatArray,
    weighted: FloatArray,
    gradient: FloatArray,
    third_x: FloatArray,
    information: FloatArray,
    with_information: bool,
) -> None:
    """Sums with X at the modes.

    Written by cell: third (C,), the sum of k; weighted (C, P), the sum of w x. Added to: gradient (P,), the
    sum of r x; third_x (P,), the sum of leverage k x; and, if asked for, which takes most of the time, the
    lower triangle of information (P, P), the sum of w x x'.
    """
    P = rows.X.shape[1]
    wx = np.empty(P)
    for j in range(lo, hi):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            offset = u[j] + v[rows.cell_outer[c]]
            sum_k = 0.0
            q = leverage[c]
            for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1]):
                p = expit(clamp(fixed[i] + offset, -ETA_MAX, ETA_MAX))
                r = rows.y[i] - rows.trials[i] * p
                w = rows.trials[i] * p * (1.0 - p)
                k = w * (1.0 - 2.0 * p)
                sum_k += k
                for a in range(P):
                    x = rows.X[i, a]
                    wx[a] = w * x
                    gradient[a] += r * x
                    third_x[a] += q * k * x
                    weighted[c, a] += wx[a]
                if with_information:
                    for a in range(P):
                        for b in range(a + 1):
                            information[a, b] += wx[a] * rows.X[i, b]
            third[c] = sum_k


@njit(**FAST)
def fold_cells(rows: Rows, weighted: FloatArray, inner: FloatArray, outer: FloatArray) -> None:
    """Add the cells' sums of w x (C, P) to those of the inner (J, P) and of the outer levels (S, P)."""
    for j in range(rows.unit_cells.size - 1):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            s = rows.cell_outer[c]
            for p in range(weighted.shape[1]):
                inner[j, p] += weighted[c, p]
                outer[s, p] += weighted[c, p]


@njit(**FAST)
def eliminate(
    rows: Rows, weight: FloatArray, inverse: FloatArray, inner: FloatArray, outer: FloatArray
) -> None:
    """Take C' D^-1 inner from the outer levels' sums (S, P): what is left once the inner effects are gone."""
    for j in range(rows.unit_cells.size - 1):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            f = inverse[j] * weight[c]
            for p in range(inner.shape[1]):
                outer[rows.cell_outer[c], p] -= f * inner[j, p]


@njit(**FAST)
def schur_complement(rows: Rows, weight: FloatArray, inverse: FloatArray, out: FloatArray) -> None:
    """Out -= C' D^-1 C: C holds the cells' weights (inner x outer), D^-1 is the diagonal `inverse`."""
    for j in range(rows.unit_cells.size - 1):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            f = inverse[j] * weight[c]
            s = rows.cell_outer[c]
            for d in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
                out[s, rows.cell_outer[d]] -= f * weight[d]


@njit(**FAST)
def variances(
    rows: Rows,
    weight: FloatArray,
    inverse: FloatArray,
    outer_inverse: FloatArray,
    inner_variance: FloatArray,
    leverage: FloatArray,
) -> None:
    """Variances under the inverse of the joint Hessian: of u_j (J,), and of u_j + v_s for each cell (C,).

    outer_inverse (S, S) is the inverse of the Schur complement.
    """
    S = outer_inverse.shape[0]
    row = np.empty(S)
    for j in range(rows.unit_cells.size - 1):
        row[:] = 0.0
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            f = weight[c] * inverse[j]
            for m in range(S):
                row[m] += f * outer_inverse[rows.cell_outer[c], m]
        h = inverse[j]
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            h += inverse[j] * weight[c] * row[rows.cell_outer[c]]
        inner_variance[j] = h
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            s = rows.cell_outer[c]
            leverage[c] = h - 2.0 * row[s] + outer_inverse[s, s]
