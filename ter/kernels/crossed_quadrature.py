"""Passes over rows for quadrature over one factor and Laplace's method over the other.

With H the negative Hessian in v of sum_j log L_j - v'v / (2 sigma_v^2) and Q its inverse, the marginal
log-likelihood holds -1/2 log det H, whose derivatives are those of -1/2 tr(Q H) with Q held. At a point the
first pass finds the nodes and H, the second how tr(Q H) moves with the rows' linear predictors, the third the
gradient. What the first leaves of the nodes serves the others: one division for each row and node, and no
search for modes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.products import BLOCK
from ter.kernels.quadrature import node_weights, unit_mode
from ter.kernels.rows import FloatArray, Rows, load_predictors, most_cells, most_rows


class Nodes(NamedTuple):
    """What the first pass leaves of each therapist.

    Attributes
    ----------
    odds : ndarray, shape (N,)
        exp(x_i'beta + v).
    u, w : ndarray, shape (J, K)
        Nodes, and their posterior weights, which sum to 1.
    score : ndarray, shape (C, K)
        Sums of a cell's residuals at each node, less their mean over the nodes.
    """

    odds: FloatArray
    u: FloatArray
    w: FloatArray
    score: FloatArray


@njit(**FAST)
def outer_information(
    lo: int,
    hi: int,
    rows: Rows,
    fixed: FloatArray,
    v: FloatArray,
    sigma: float,
    z: FloatArray,
    log_w: FloatArray,
    mode: FloatArray,
    nodes: Nodes,
    gradient: FloatArray,
    hessian: FloatArray,
) -> float:
    """Sum over therapists lo to hi of log L_j, with derivatives in v; fixed (N,) holds x_i'beta.

    gradient (S,) and the lower triangle of hessian (S, S), the negative second derivatives by Louis'
    identity, are added to; `nodes` is written.
    """
    K = z.size
    kept = np.empty(most_rows(lo, hi, rows))
    spread = np.empty(kept.size)
    scaled = np.empty(K)
    total = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        if a == b:
            continue
        n = b - a
        odds = nodes.odds[a:b]
        y = rows.y[a:b]
        trials = rows.trials[a:b]
        u = nodes.u[j]
        w = nodes.w[j]
        largest, successes, linear = load_predictors(j, rows, fixed, v, odds)
        mode[j], precision = unit_mode(odds, trials, successes, sigma, mode[j])
        total += linear + node_weights(
            odds, trials, successes, rows.binary, largest, sigma, mode[j], precision, z, log_w, u, w
        )
        first = rows.unit_cells[j]
        last = rows.unit_cells[j + 1]
        # Sums of n (1 - p): residuals but for what is the same at all nodes.
        spread[:n] = 0.0
        for k in range(K):
            f = math.exp(u[k])
            g = w[k]
            for i in range(n):
                q = 1.0 / (1.0 + odds[i] * f)
                kept[i] = trials[i] * q
                spread[i] += g * (kept[i] * (1.0 - q))
            for c in range(first, last):
                s = 0.0
                for i in range(rows.cell_ptr[c] - a, rows.cell_ptr[c + 1] - a):
                    s += kept[i]
                nodes.score[c, k] = s
        for c in range(first, last):
            score = nodes.score[c]
            mean = 0.0
            for k in range(K):
                mean += w[k] * score[k]
            for k in range(K):
                score[k] -= mean
                scaled[k] = w[k] * score[k]
            weight = 0.0
            for i in range(rows.cell_ptr[c] - a, rows.cell_ptr[c + 1] - a):
                mean += y[i] - trials[i]
                weight += spread[i]
            s = rows.cell_outer[c]
            gradient[s] += mean
            hessian[s, s] += weight
            for d in range(first, c + 1):
                covariance = 0.0
                for k in range(K):
                    covariance += scaled[k] * nodes.score[d, k]
                hessian[s, rows.cell_outer[d]] -= covariance
    return total


@njit(**FAST)
def outer_curvature(
    lo: int,
    hi: int,
    rows: Rows,
    nodes: Nodes,
    sigma: float,
    inverse: FloatArray,
    slope: FloatArray,
    outer: FloatArray,
) -> float:
    """How tr(Q H) moves, Q a constant `inverse` (S, S).

    H is E[diag w] - Var[s] over the nodes, with s the cells' sums of residuals and w those of weights, so
    that tr(Q H) = E[g] with g = sum_c Q_cc w_c - (s - E s)' Q (s - E s). Written: slope (N,), the derivative
    in the linear predictor of each row, E[Q_cc k + 2 (Q (s - E s))_c w + (g - E g) r]; its sums by outer
    level are added to outer (S,). Returned: the derivative in log sigma, E[(g - E g) u^2] / sigma^2.
    """
    K = nodes.u.shape[1]
    most = most_rows(lo, hi, rows)
    kept = np.empty((K, most))
    own = np.empty(most)
    place = np.empty(most, np.int64)
    pulled = np.empty((K, most_cells(lo, hi, rows)))
    row = np.empty(K)
    g = np.empty(K)
    by_log_sigma = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        if a == b:
            continue
        n = b - a
        odds = nodes.odds[a:b]
        y = rows.y[a:b]
        trials = rows.trials[a:b]
        u = nodes.u[j]
        w = nodes.w[j]
        first = rows.unit_cells[j]
        last = rows.unit_cells[j + 1]
        g[:] = 0.0
        for c in range(first, last):
            s = rows.cell_outer[c]
            row[:] = 0.0
            for d in range(first, last):
                f = inverse[s, rows.cell_outer[d]]
                for k in range(K):
                    row[k] += f * nodes.score[d, k]
            for k in range(K):
                pulled[k, c - first] = row[k]
                g[k] -= row[k] * nodes.score[c, k]
            for i in range(rows.cell_ptr[c] - a, rows.cell_ptr[c + 1] - a):
                own[i] = inverse[s, s]
                place[i] = c - first
        mean = 0.0
        for k in range(K):
            f = math.exp(u[k])
            q = kept[k]
            total = 0.0
            for i in range(n):
                q[i] = 1.0 / (1.0 + odds[i] * f)
                total += own[i] * trials[i] * q[i] * (1.0 - q[i])
            g[k] += total
            mean += w[k] * g[k]
        moves = slope[a:b]
        moves[:] = 0.0
        for k in range(K):
            share = w[k]
            f = share * (g[k] - mean)
            r = u[k] / sigma
            by_log_sigma += f * r * r
            q = kept[k]
            pull = pulled[k]
            for i in range(n):
                weight = trials[i] * q[i] * (1.0 - q[i])
                moves[i] += share * weight * (own[i] * (2.0 * q[i] - 1.0) + 2.0 * pull[place[i]])
                moves[i] += f * (y[i] - trials[i] * (1.0 - q[i]))
        for c in range(first, last):
            s = 0.0
            for i in range(rows.cell_ptr[c] - a, rows.cell_ptr[c + 1] - a):
                s += moves[i]
            outer[rows.cell_outer[c]] += s
    return by_log_sigma


@njit(**FAST)
def fixed_gradient(
    lo: int,
    hi: int,
    rows: Rows,
    nodes: Nodes,
    sigma: float,
    slope: FloatArray,
    direction: FloatArray,
    gradient: FloatArray,
) -> float:
    """Gradient in (beta, log sigma) of sum_j log L_j - 1/2 tr(Q H), plus B d, where d is `direction` (S,).

    B holds the negative second derivatives of sum_j log L_j in (beta, log sigma) and v. Read: slope (N,), of
    tr(Q H). The part in beta is added to gradient (P,); the part in log sigma is returned, without what
    tr(Q H) itself adds to it.
    """
    K = nodes.u.shape[1]
    columns = rows.X.T
    base = rows.row_ptr[lo]
    stop = rows.row_ptr[hi]
    rho = np.empty(stop - base)
    moved = np.empty(most_rows(lo, hi, rows))
    t = np.empty(K)
    by_log_sigma = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        if a == b:
            continue
        n = b - a
        odds = nodes.odds[a:b]
        y = rows.y[a:b]
        trials = rows.trials[a:b]
        u = nodes.u[j]
        w = nodes.w[j]
        own = rho[a - base : b - base]
        t[:] = 0.0
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            f = direction[rows.cell_outer[c]]
            for k in range(K):
                t[k] += f * nodes.score[c, k]
            for i in range(rows.cell_ptr[c] - a, rows.cell_ptr[c + 1] - a):
                own[i] = f
        moved[:n] = 0.0
        for k in range(K):
            f = math.exp(u[k])
            g = w[k]
            for i in range(n):
                q = 1.0 / (1.0 + odds[i] * f)
                moved[i] += g * (trials[i] * q * (own[i] * (1.0 - q) + (1.0 - t[k])))
            r = u[k] / sigma
            by_log_sigma += g * (r * r * (1.0 - t[k]) - 1.0)
        for i in range(n):
            own[i] = moved[i] + y[i] - trials[i] - 0.5 * slope[a + i]
    for start in range(base, stop, BLOCK):
        end = min(start + BLOCK, stop)
        part = rho[start - base : end - base]
        for p in range(columns.shape[0]):
            column = columns[p][start:end]
            s = 0.0
            for i in range(end - start):
                s += part[i] * column[i]
            gradient[p] += s
    return by_log_sigma
