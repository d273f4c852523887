"""Adaptive Gauss-Hermite quadrature over each therapist's effect.

For therapist j,

    L_j = integral of prod_i Binomial(y_i | n_i, expit(eta_i + u)) N(u; 0, sigma^2) du,

and the nodes are placed at the mode of the integrand and scaled by its curvature there (Pinheiro and Bates
1995). Derivatives are posterior expectations over the nodes: the gradient by Fisher's identity, the Hessian
by that of Louis (1982).

One exp a patient serves all nodes, since exp(eta + u) = exp(eta) exp(u), and one log serves many patients,
since logs of 1 + exp(eta + u) add up to the log of their product.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.rows import ETA_MAX, FloatArray, Rows, clamp, most_rows, odds_of_unit, row_terms

LOG_2PI = 1.8378770664093453
MODE_STEPS = 100
MODE_TOLERANCE = 1e-9
#: Logarithm of the largest product that is let grow before its log is taken.
LOG_LARGEST_PRODUCT = 690.0
LOG_2 = 0.6931471805599453


@njit(**FAST)
def unit_mode(
    odds: FloatArray, trials: FloatArray, successes: float, sigma: float, u: float
) -> tuple[float, float]:
    """Mode of u and the precision there: Newton from u, kept within a bracket by bisection."""
    tau = 1.0 / (sigma * sigma)
    low = -ETA_MAX
    high = ETA_MAX
    u = clamp(u, low, high)
    precision = tau
    for _ in range(MODE_STEPS):
        f = math.exp(u)
        mean = 0.0
        weight = 0.0
        for i in range(odds.size):
            q = 1.0 / (1.0 + odds[i] * f)
            mean += trials[i] * (1.0 - q)
            weight += trials[i] * q * (1.0 - q)
        precision = weight + tau
        slope = successes - mean - u * tau
        if slope > 0.0:
            low = u
        else:
            high = u
        step = slope / precision
        if abs(step) < MODE_TOLERANCE * (1.0 + abs(u)):
            break
        # The density is log-concave: its mode lies between any point that rises and any that falls.
        following = u + step
        u = following if low < following < high else 0.5 * (low + high)
    return u, precision


@njit(**FAST)
def log_partition(
    odds: FloatArray, trials: FloatArray, binary: bool, largest: float, u: FloatArray, out: FloatArray
) -> None:
    """out[k] = sum_i n_i log(1 + odds_i exp(u_k)) for every node."""
    K = u.size
    f = np.exp(u)
    out[:] = 0.0
    if not binary:
        for i in range(odds.size):
            for k in range(K):
                out[k] += trials[i] * math.log1p(odds[i] * f[k])
        return
    # As many factors as can be multiplied before the product might overflow.
    run = max(1, int(LOG_LARGEST_PRODUCT / (max(largest + u.max(), 0.0) + LOG_2)))
    product = np.empty(K)
    i = 0
    while i < odds.size:
        stop = min(i + run, odds.size)
        product[:] = 1.0
        for m in range(i, stop):
            e = odds[m]
            for k in range(K):
                product[k] *= 1.0 + e * f[k]
        for k in range(K):
            out[k] += math.log(product[k])
        i = stop


@njit(**FAST)
def node_weights(
    odds: FloatArray,
    trials: FloatArray,
    successes: float,
    binary: bool,
    largest: float,
    sigma: float,
    mode: float,
    precision: float,
    z: FloatArray,
    log_w: FloatArray,
    u: FloatArray,
    w: FloatArray,
) -> float:
    """Nodes u and their posterior weights w (summing to 1); returns log L_j without its `linear` part."""
    K = z.size
    scale = 1.0 / math.sqrt(precision)
    for k in range(K):
        u[k] = clamp(mode + scale * z[k], -ETA_MAX, ETA_MAX)
    log_partition(odds, trials, binary, largest, u, w)
    top = -np.inf
    for k in range(K):
        r = u[k] / sigma
        w[k] = successes * u[k] - w[k] - 0.5 * r * r + log_w[k]
        top = max(top, w[k])
    total = 0.0
    for k in range(K):
        w[k] = math.exp(w[k] - top)
        total += w[k]
    for k in range(K):
        w[k] /= total
    return top + math.log(total) + math.log(scale) - math.log(sigma) - 0.5 * LOG_2PI


@njit(**FAST)
def log_likelihood(
    lo: int,
    hi: int,
    rows: Rows,
    beta: FloatArray,
    v: FloatArray,
    sigma: float,
    z: FloatArray,
    log_w: FloatArray,
    mode: FloatArray,
) -> float:
    """Sum over therapists lo to hi of log L_j, without binomial constants.

    `mode` (J,) holds where each search for a mode starts, and is updated.
    """
    buffer = np.empty(most_rows(lo, hi, rows))
    u = np.empty(z.size)
    w = np.empty(z.size)
    total = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        if a == b:
            continue
        odds = buffer[: b - a]
        trials = rows.trials[a:b]
        largest = odds_of_unit(j, rows, beta, v, odds)
        successes, linear = row_terms(odds, rows.y[a:b])
        mode[j], precision = unit_mode(odds, trials, successes, sigma, mode[j])
        total += linear + node_weights(
            odds, trials, successes, rows.binary, largest, sigma, mode[j], precision, z, log_w, u, w
        )
    return total


@njit(**FAST)
def derivatives(
    lo: int,
    hi: int,
    rows: Rows,
    beta: FloatArray,
    v: FloatArray,
    sigma: float,
    z: FloatArray,
    log_w: FloatArray,
    mode: FloatArray,
    gradient: FloatArray,
    hessian: FloatArray,
) -> float:
    """Sum over therapists lo to hi of log L_j, with derivatives in (beta, v, log sigma).

    gradient (P + S + 1,) and the lower triangle of hessian (P + S + 1, P + S + 1), the negative second
    derivatives, are added to.
    """
    K = z.size
    P = beta.size
    most_cells = 0
    for j in range(lo, hi):
        most_cells = max(most_cells, rows.unit_cells[j + 1] - rows.unit_cells[j])
    size = P + most_cells + 1
    buffer = np.empty(most_rows(lo, hi, rows))
    curvature = np.empty(buffer.size)
    u = np.empty(K)
    w = np.empty(K)
    f = np.empty(K)
    score = np.empty((K, size))
    centre = np.empty(size)
    local = np.empty((size, size))
    place = np.empty(size, np.int64)
    total = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        if a == b:
            continue
        first = rows.unit_cells[j]
        cells = rows.unit_cells[j + 1] - first
        M = P + cells + 1
        odds = buffer[: b - a]
        trials = rows.trials[a:b]
        largest = odds_of_unit(j, rows, beta, v, odds)
        successes, linear = row_terms(odds, rows.y[a:b])
        mode[j], precision = unit_mode(odds, trials, successes, sigma, mode[j])
        total += linear + node_weights(
            odds, trials, successes, rows.binary, largest, sigma, mode[j], precision, z, log_w, u, w
        )

        # The complete-data score at each node: over beta, the therapist's cells, and log sigma.
        for k in range(K):
            f[k] = math.exp(u[k])
            for m in range(M - 1):
                score[k, m] = 0.0
            r = u[k] / sigma
            score[k, M - 1] = r * r - 1.0
        for c in range(cells):
            for i in range(rows.cell_ptr[first + c], rows.cell_ptr[first + c + 1]):
                spread = 0.0
                for k in range(K):
                    q = 1.0 / (1.0 + odds[i - a] * f[k])
                    residual = rows.y[i] - rows.trials[i] * (1.0 - q)
                    spread += w[k] * q * (1.0 - q)
                    score[k, P + c] += residual
                    for p in range(P):
                        score[k, p] += residual * rows.X[i, p]
                curvature[i - a] = rows.trials[i] * spread
        for m in range(M):
            s = 0.0
            for k in range(K):
                s += w[k] * score[k, m]
            centre[m] = s
        for p in range(P):
            place[p] = p
        for c in range(cells):
            place[P + c] = P + rows.cell_outer[first + c]
        place[M - 1] = P + v.size
        for m in range(M):
            gradient[place[m]] += centre[m]

        # Louis: minus Hessian = E[complete information] - Var[complete score].
        for m in range(M):
            for n in range(m + 1):
                local[m, n] = 0.0
        for c in range(cells):
            for i in range(rows.cell_ptr[first + c], rows.cell_ptr[first + c + 1]):
                g = curvature[i - a]
                local[P + c, P + c] += g
                for p in range(P):
                    gx = g * rows.X[i, p]
                    local[P + c, p] += gx
                    for n in range(p + 1):
                        local[p, n] += gx * rows.X[i, n]
        for k in range(K):
            r = u[k] / sigma
            local[M - 1, M - 1] += w[k] * 2.0 * r * r
            for m in range(M):
                score[k, m] -= centre[m]
            for m in range(M):
                ws = w[k] * score[k, m]
                for n in range(m + 1):
                    local[m, n] -= ws * score[k, n]
        # Cells come in the order of their services, so that the lower triangle stays one.
        for m in range(M):
            for n in range(m + 1):
                hessian[place[m], place[n]] += local[m, n]
    return total
