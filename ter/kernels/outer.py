"""Other factors around therapists that are integrated by quadrature: how log L curves in their effects.

Each row has T outer levels, one of each factor, numbered together. Those that a therapist's rows have are the
therapist's columns; place (N, T) says which of them a row has (`ter.kernels.mixed.local_columns`). At each
node of the integral over (u, w) a row has a residual r = y - n p and a weight w = n p (1 - p); R are the sums
of residuals by column. With E and Cov over the nodes' posterior weights,

    d^2 log L / dv dv' = Cov(R, R) - E[w by pairs of columns].
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ter.kernels._jit import FAST, LEAN
from ter.kernels.rows import FloatArray, IntArray, Rows, most_rows
from ter.kernels.slope import integrate_unit, room


@njit(**LEAN)
def rows_at(
    y: FloatArray,
    trials: FloatArray,
    odds: FloatArray,
    factor: float,
    r: FloatArray,
    w: FloatArray,
    k: FloatArray,
) -> None:
    """Residuals, weights and w (1 - 2 p) of a therapist's rows at a node."""
    for i in range(y.size):
        q = 1.0 / (1.0 + odds[i] * factor)
        r[i] = y[i] - trials[i] * (1.0 - q)
        w[i] = trials[i] * q * (1.0 - q)
        k[i] = w[i] * (2.0 * q - 1.0)


@njit(**FAST)
def outer_information(
    lo: int,
    hi: int,
    rows: Rows,
    eta: FloatArray,
    direction: FloatArray,
    s: float,
    z_t: FloatArray,
    log_w_t: FloatArray,
    z: FloatArray,
    log_w: FloatArray,
    start: FloatArray,
    levels: IntArray,
    place: IntArray,
    column_ptr: IntArray,
    columns: IntArray,
    residual: FloatArray,
    curvature: FloatArray,
) -> float:
    """Sum over therapists lo to hi of log L_j, with its curvature in the outer effects.

    Read: eta (N,), the linear predictor without therapists; direction (N,) as in `ter.kernels.slope`.
    Updated: start (J, 2). Written: residual (N,), posterior means of y - n p. Added to: curvature (S, S).
    """
    T = z_t.size
    most = most_rows(lo, hi, rows)
    odds, f, product, scratch = room(lo, hi, rows, T, z.size)
    t = np.empty(T)
    weight = np.empty(T)
    e = np.empty((T, z.size))
    share = np.empty((T, z.size))
    r = np.empty(most)
    w = np.empty(most)
    k3 = np.empty(most)
    spread = np.empty(most)
    total = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        n = b - a
        y = rows.y[a:b]
        trials = rows.trials[a:b]
        total += integrate_unit(
            eta[a:b], direction[a:b], y, trials, rows.binary, s, z_t, log_w_t, z, log_w, start[j],
            odds, f, product, scratch, t, weight, e, share,
        )  # fmt: skip
        mine = columns[column_ptr[j] : column_ptr[j + 1]]
        C = mine.size
        R = np.empty(C)
        mean = np.zeros(C)
        second = np.zeros((C, C))
        residual[a:b] = 0.0
        spread[:n] = 0.0
        for k in range(T):
            for m in range(z.size):
                x = weight[k] * share[k, m]
                rows_at(y, trials, odds[k, :n], f[k, m], r[:n], w[:n], k3[:n])
                R[:] = 0.0
                for i in range(n):
                    residual[a + i] += x * r[i]
                    spread[i] += x * w[i]
                    for h in range(place.shape[1]):
                        R[place[a + i, h]] += r[i]
                for c in range(C):
                    mean[c] += x * R[c]
                    for d in range(C):
                        second[c, d] += x * R[c] * R[d]
        for c in range(C):
            for d in range(C):
                curvature[mine[c], mine[d]] += second[c, d] - mean[c] * mean[d]
        for i in range(n):
            for h in range(levels.shape[1]):
                for g in range(levels.shape[1]):
                    curvature[levels[a + i, h], levels[a + i, g]] -= spread[i]
    return total


@njit(**FAST)
def outer_changes(
    lo: int,
    hi: int,
    rows: Rows,
    eta: FloatArray,
    direction: FloatArray,
    kappa: float,
    s: float,
    sigma_w: float,
    z_t: FloatArray,
    log_w_t: FloatArray,
    z: FloatArray,
    log_w: FloatArray,
    start: FloatArray,
    place: IntArray,
    column_ptr: IntArray,
    columns: IntArray,
    outer: FloatArray,
    by_row: FloatArray,
    by_moment: FloatArray,
    moments: FloatArray,
) -> None:
    """How tr(outer d^2 log L / dv dv') changes, for therapists lo to hi and a fixed matrix outer (S, S).

    It is E[g] with g = (R - E R)' outer (R - E R) - sum_i w_i outer_ii at each node: its derivatives are
    covariances with g, and means of the derivatives of g. Read: as in `outer_information`. Written: by_row
    (N,), the derivative in each row's linear predictor; by_moment (J, 3), Cov(g, u^2), Cov(g, u w), Cov(g,
    w^2), from which those in Sigma follow; moments (J, 5): E u, E w, Var u, Cov(u, w), Var w, to which outer
    effects of covariance `outer` add.
    """
    T = z_t.size
    K = z.size
    most = most_rows(lo, hi, rows)
    odds, f, product, scratch = room(lo, hi, rows, T, K)
    t = np.empty(T)
    weight = np.empty(T)
    e = np.empty((T, K))
    share = np.empty((T, K))
    r = np.empty(most)
    w = np.empty(most)
    k3 = np.empty(most)
    own = np.empty(most)
    mean_r = np.empty(most)
    with_g = np.empty(most)
    inner = np.empty((2, 5))
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        n = b - a
        y = rows.y[a:b]
        trials = rows.trials[a:b]
        integrate_unit(
            eta[a:b], direction[a:b], y, trials, rows.binary, s, z_t, log_w_t, z, log_w, start[j],
            odds, f, product, scratch, t, weight, e, share,
        )  # fmt: skip
        mine = columns[column_ptr[j] : column_ptr[j + 1]]
        C = mine.size
        R = np.zeros((T, K, C))
        mean = np.zeros(C)
        by_u = np.zeros(C)
        by_w = np.zeros(C)
        turned = np.empty(C)
        for i in range(n):
            own[i] = 0.0
            for h in range(place.shape[1]):
                for g in range(place.shape[1]):
                    own[i] += outer[mine[place[a + i, h]], mine[place[a + i, g]]]
        for k in range(T):
            for m in range(K):
                x = weight[k] * share[k, m]
                rows_at(y, trials, odds[k, :n], f[k, m], r[:n], w[:n], k3[:n])
                for i in range(n):
                    for h in range(place.shape[1]):
                        R[k, m, place[a + i, h]] += r[i]
                for c in range(C):
                    mean[c] += x * R[k, m, c]
        mean_r[:n] = 0.0
        with_g[:n] = 0.0
        by_row[a:b] = 0.0
        inner[:] = 0.0
        mean_g = 0.0
        for k in range(T):
            for m in range(K):
                x = weight[k] * share[k, m]
                rows_at(y, trials, odds[k, :n], f[k, m], r[:n], w[:n], k3[:n])
                at_node = 0.0
                for c in range(C):
                    turned[c] = 0.0
                    for d in range(C):
                        turned[c] += outer[mine[c], mine[d]] * (R[k, m, d] - mean[d])
                    at_node += turned[c] * (R[k, m, c] - mean[c])
                for i in range(n):
                    at_node -= w[i] * own[i]
                    along = 0.0
                    for h in range(place.shape[1]):
                        along += turned[place[a + i, h]]
                    by_row[a + i] -= x * (2.0 * w[i] * along + own[i] * k3[i])
                mean_g += x * at_node
                for i in range(n):
                    mean_r[i] += x * r[i]
                    with_g[i] += x * at_node * r[i]
                v = sigma_w * t[k]
                u = kappa * t[k] + e[k, m]
                for c in range(C):
                    by_u[c] += x * u * (R[k, m, c] - mean[c])
                    by_w[c] += x * v * (R[k, m, c] - mean[c])
                inner[0, 0] += x * u
                inner[0, 1] += x * v
                inner[0, 2] += x * u * u
                inner[0, 3] += x * u * v
                inner[0, 4] += x * v * v
                inner[1, 2] += x * at_node * u * u
                inner[1, 3] += x * at_node * u * v
                inner[1, 4] += x * at_node * v * v
        for i in range(n):
            by_row[a + i] += with_g[i] - mean_g * mean_r[i]
        for h in range(3):
            by_moment[j, h] = inner[1, 2 + h] - mean_g * inner[0, 2 + h]
        moments[j, 0] = inner[0, 0]
        moments[j, 1] = inner[0, 1]
        moments[j, 2] = inner[0, 2] - inner[0, 0] * inner[0, 0]
        moments[j, 3] = inner[0, 3] - inner[0, 0] * inner[0, 1]
        moments[j, 4] = inner[0, 4] - inner[0, 1] * inner[0, 1]
        for c in range(C):
            for d in range(C):
                x = outer[mine[c], mine[d]]
                moments[j, 2] += x * by_u[c] * by_u[d]
                moments[j, 3] += x * by_u[c] * by_w[d]
                moments[j, 4] += x * by_w[c] * by_w[d]
