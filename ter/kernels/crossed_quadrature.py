"""Passes over rows for quadrature over one factor and Laplace's method over the other.

With H the negative Hessian in v of sum_j log L_j - v'v / (2 sigma_v^2) and Q its inverse, the marginal
log-likelihood holds -1/2 log det H, whose derivatives are those of -1/2 tr(Q H) with Q held. At a point the
first pass finds the nodes and H, the second how tr(Q H) moves with the rows' linear predictors, the third the
gradient. What the first leaves of the nodes serves the others: one division for each row and node, and no
search for modes.

A therapist may have a row or two in a cell, so that loops over nodes are the innermost. They take LANES at a
time, the last of which may be no nodes, but have no weight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.elementary import exponentials
from ter.kernels.lanes import LANES
from ter.kernels.products import BLOCK
from ter.kernels.quadrature import node_weights, unit_mode
from ter.kernels.rows import FloatArray, Rows, load_predictors, most_cells, most_rows


class Nodes(NamedTuple):
    """What the first pass leaves of each therapist.

    Attributes
    ----------
    odds : ndarray, shape (N,)
        exp(x_i'beta + v).
    u, w : ndarray, shape (J, L)
        Nodes, and their posterior weights, which sum to 1; both 0 beyond the nodes.
    score : ndarray, shape (C, L)
        Sums of a cell's residuals at each node, less their mean over the nodes.
    """

    odds: FloatArray
    u: FloatArray
    w: FloatArray
    score: FloatArray


def room_for_nodes(rows: Rows, nodes: int) -> Nodes:
    """Arrays for the first pass to fill, with a multiple of LANES for the nodes."""
    J, C, L = rows.row_ptr.size - 1, rows.cell_outer.size, -(-nodes // LANES) * LANES
    return Nodes(np.empty(rows.y.size), np.zeros((J, L)), np.zeros((J, L)), np.empty((C, L)))


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
    L = nodes.score.shape[1]
    f = np.empty(L)
    scratch = np.empty(L)
    scaled = np.empty(L)
    total = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        if a == b:
            continue
        odds = nodes.odds[a:b]
        trials = rows.trials[a:b]
        u = nodes.u[j]
        w = nodes.w[j]
        largest, successes, linear = load_predictors(j, rows, fixed, v, odds)
        mode[j], precision = unit_mode(odds, trials, successes, sigma, mode[j])
        total += linear + node_weights(
            odds, trials, successes, rows.binary, largest, sigma, mode[j], precision, z, log_w, u[:K], w[:K]
        )
        exponentials(u, f, scratch)
        first = rows.unit_cells[j]
        for c in range(first, rows.unit_cells[j + 1]):
            # Sums of n (1 - p): residuals but for what is the same at all nodes.
            score = nodes.score[c]
            score[:] = 0.0
            weight = 0.0
            residual = 0.0
            for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1]):
                n = rows.trials[i]
                odds_at_0 = nodes.odds[i]
                each = 0.0
                for k in range(L):
                    q = 1.0 / (1.0 + odds_at_0 * f[k])
                    score[k] += n * q
                    each += w[k] * (q * (1.0 - q))
                weight += n * each
                residual += rows.y[i] - n
            mean = 0.0
            for k in range(L):
                mean += w[k] * score[k]
            for k in range(L):
                score[k] -= mean
                scaled[k] = w[k] * score[k]
            s = rows.cell_outer[c]
            gradient[s] += residual + mean
            hessian[s, s] += weight
            for d in range(first, c + 1):
                other = nodes.score[d]
                covariance = 0.0
                for k in range(L):
                    covariance += scaled[k] * other[k]
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
    L = nodes.score.shape[1]
    kept = np.empty((most_rows(lo, hi, rows), L))
    pulled = np.empty((most_cells(lo, hi, rows), L))
    f = np.empty(L)
    scratch = np.empty(L)
    g = np.empty(L)
    lift = np.empty(L)
    by_log_sigma = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        u = nodes.u[j]
        w = nodes.w[j]
        first = rows.unit_cells[j]
        last = rows.unit_cells[j + 1]
        exponentials(u, f, scratch)
        g[:] = 0.0
        for c in range(first, last):
            s = rows.cell_outer[c]
            pull = pulled[c - first]
            score = nodes.score[c]
            pull[:] = 0.0
            for d in range(first, last):
                h = inverse[s, rows.cell_outer[d]]
                other = nodes.score[d]
                for k in range(L):
                    pull[k] += h * other[k]
            for k in range(L):
                g[k] -= pull[k] * score[k]
            for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1]):
                h = inverse[s, s] * rows.trials[i]
                odds = nodes.odds[i]
                q = kept[i - a]
                for k in range(L):
                    q[k] = 1.0 / (1.0 + odds * f[k])
                    g[k] += h * (q[k] * (1.0 - q[k]))
        mean = 0.0
        for k in range(L):
            mean += w[k] * g[k]
        for k in range(L):
            # These sum to zero, so that a residual may lack what is the same at all nodes.
            lift[k] = w[k] * (g[k] - mean)
            r = u[k] / sigma
            by_log_sigma += lift[k] * r * r
        for c in range(first, last):
            s = rows.cell_outer[c]
            own = inverse[s, s]
            pull = pulled[c - first]
            moved = 0.0
            for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1]):
                q = kept[i - a]
                total = 0.0
                for k in range(L):
                    x = q[k]
                    total += w[k] * (x * (1.0 - x)) * (own * (2.0 * x - 1.0) + 2.0 * pull[k]) + lift[k] * x
                slope[i] = rows.trials[i] * total
                moved += slope[i]
            outer[s] += moved
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
    L = nodes.score.shape[1]
    columns = rows.X.T
    base = rows.row_ptr[lo]
    stop = rows.row_ptr[hi]
    rho = np.empty(stop - base)
    f = np.empty(L)
    scratch = np.empty(L)
    share = np.empty(L)
    by_log_sigma = 0.0
    for j in range(lo, hi):
        u = nodes.u[j]
        w = nodes.w[j]
        first = rows.unit_cells[j]
        last = rows.unit_cells[j + 1]
        exponentials(u, f, scratch)
        share[:] = 1.0
        for c in range(first, last):
            h = direction[rows.cell_outer[c]]
            score = nodes.score[c]
            for k in range(L):
                share[k] -= h * score[k]
        for k in range(L):
            r = u[k] / sigma
            by_log_sigma += w[k] * (r * r * share[k] - 1.0)
        for c in range(first, last):
            h = direction[rows.cell_outer[c]]
            for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1]):
                odds = nodes.odds[i]
                moved = 0.0
                for k in range(L):
                    q = 1.0 / (1.0 + odds * f[k])
                    moved += w[k] * q * (h * (1.0 - q) + share[k])
                rho[i - base] = rows.trials[i] * (moved - 1.0) + rows.y[i] - 0.5 * slope[i]
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
