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
from ter.kernels.products import BLOCK, add_products
from ter.kernels.rows import ETA_MAX, LOG_2, FloatArray, Rows, clamp, load_unit, most_rows

LOG_2PI = 1.8378770664093453
MODE_STEPS = 100
MODE_TOLERANCE = 1e-9
#: Logarithm of the largest product that is let grow before its log is taken.
LOG_LARGEST_PRODUCT = 690.0


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
    i = 0
    while i < odds.size:
        stop = min(i + run, odds.size)
        factors = odds[i:stop]
        for k in range(K):
            g = f[k]
            product = 1.0
            for m in range(factors.size):
                product *= 1.0 + factors[m] * g
            out[k] += math.log(product)
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
        largest, successes, linear = load_unit(j, rows, beta, v, odds)
        mode[j], precision = unit_mode(odds, trials, successes, sigma, mode[j])
        total += linear + node_weights(
            odds, trials, successes, rows.binary, largest, sigma, mode[j], precision, z, log_w, u, w
        )
    return total


@njit(**FAST)
def node_residuals(
    odds: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    u: FloatArray,
    w: FloatArray,
    residual: FloatArray,
    spread: FloatArray,
) -> None:
    """Residuals of the rows at each node, residual (K, n), and the rows' mean weights n p (1 - p) (n,)."""
    spread[:] = 0.0
    for k in range(u.size):
        f = math.exp(u[k])
        g = w[k]
        r = residual[k]
        for i in range(odds.size):
            q = 1.0 / (1.0 + odds[i] * f)
            r[i] = y[i] - trials[i] * (1.0 - q)
            spread[i] += g * (trials[i] * q * (1.0 - q))


@njit(**FAST)
def node_scores(residual: FloatArray, n: int, column: FloatArray, p: int, score: FloatArray) -> None:
    """score[k, p] = sum_i residual[k, i] column[i] over the n rows of a unit, four nodes at a time."""
    K = residual.shape[0]
    for k in range(0, K, 4):
        k1 = min(k + 1, K - 1)
        k2 = min(k + 2, K - 1)
        k3 = min(k + 3, K - 1)
        r0 = residual[k]
        r1 = residual[k1]
        r2 = residual[k2]
        r3 = residual[k3]
        s0 = 0.0
        s1 = 0.0
        s2 = 0.0
        s3 = 0.0
        for i in range(n):
            x = column[i]
            s0 += r0[i] * x
            s1 += r1[i] * x
            s2 += r2[i] * x
            s3 += r3[i] * x
        score[k, p] = s0
        score[k1, p] = s1
        score[k2, p] = s2
        score[k3, p] = s3


@njit(**FAST)
def add_weighted_products(lo: int, hi: int, rows: Rows, curvature: FloatArray, hessian: FloatArray) -> None:
    """Add sum_i g_i (x, e_s)(x, e_s)' to the lower triangle of hessian; curvature holds the g of these units.

    The places of the outer levels s follow those of x.
    """
    P = rows.X.shape[1]
    columns = rows.X.T
    x = np.zeros((P, BLOCK + 8))
    wx = np.empty((2, BLOCK))
    products = np.zeros((P, P))
    g = np.zeros(BLOCK)
    first = rows.row_ptr[lo]
    stop = rows.row_ptr[hi]
    c = rows.unit_cells[lo]
    for start in range(first, stop, BLOCK):
        n = min(BLOCK, stop - start)
        g[:] = 0.0
        g[:n] = curvature[start - first : start - first + n]
        for p in range(P):
            column = columns[p][start : start + n]
            for i in range(n):
                x[p, i] = column[i]
        add_products(x, g, wx, products)
        while True:
            a = max(rows.cell_ptr[c] - start, 0)
            b = min(rows.cell_ptr[c + 1] - start, n)
            s = P + rows.cell_outer[c]
            total = 0.0
            for i in range(a, b):
                total += g[i]
            hessian[s, s] += total
            for p in range(P):
                total = 0.0
                for i in range(a, b):
                    total += g[i] * x[p, i]
                hessian[s, p] += total
            if rows.cell_ptr[c + 1] > start + n:
                break
            c += 1
            if rows.cell_ptr[c] >= start + n:
                break
    for p in range(P):
        for b in range(p + 1):
            hessian[p, b] += products[p, b]


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
    residual = np.empty((K, buffer.size))
    columns = rows.X.T
    before = rows.row_ptr[lo]
    curvature = np.empty(rows.row_ptr[hi] - before)
    u = np.empty(K)
    w = np.empty(K)
    score = np.empty((K, size))
    local = np.empty(size)
    place = np.empty(size, np.int64)
    total = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        if a == b:
            continue
        n = b - a
        first = rows.unit_cells[j]
        cells = rows.unit_cells[j + 1] - first
        M = P + cells + 1
        odds = buffer[:n]
        trials = rows.trials[a:b]
        largest, successes, linear = load_unit(j, rows, beta, v, odds)
        mode[j], precision = unit_mode(odds, trials, successes, sigma, mode[j])
        total += linear + node_weights(
            odds, trials, successes, rows.binary, largest, sigma, mode[j], precision, z, log_w, u, w
        )

        # The complete-data score at each node: over beta, the therapist's cells, and log sigma.
        node_residuals(odds, rows.y[a:b], trials, u, w, residual, curvature[a - before : b - before])
        for p in range(P):
            place[p] = p
            node_scores(residual, n, columns[p][a:b], p, score)
        for c in range(cells):
            place[P + c] = P + rows.cell_outer[first + c]
            for k in range(K):
                s = 0.0
                for i in range(rows.cell_ptr[first + c] - a, rows.cell_ptr[first + c + 1] - a):
                    s += residual[k, i]
                score[k, P + c] = s
        place[M - 1] = P + v.size
        for k in range(K):
            r = u[k] / sigma
            score[k, M - 1] = r * r - 1.0
            hessian[P + v.size, P + v.size] += w[k] * 2.0 * r * r
        for m in range(M):
            s = 0.0
            for k in range(K):
                s += w[k] * score[k, m]
            gradient[place[m]] += s
            for k in range(K):
                score[k, m] -= s

        # Louis: minus Hessian = E[complete information] - Var[complete score]. Cells come in the order of
        # their services, so that the lower triangle stays one.
        for m in range(M):
            for i in range(m + 1):
                local[i] = 0.0
            for k in range(K):
                ws = w[k] * score[k, m]
                for i in range(m + 1):
                    local[i] += ws * score[k, i]
            row = hessian[place[m]]
            for i in range(min(m + 1, P)):
                row[i] -= local[i]
            for i in range(P, m + 1):
                row[place[i]] -= local[i]
    add_weighted_products(lo, hi, rows, curvature, hessian)
    return total


@njit(**FAST)
def outer_curvature(
    lo: int,
    hi: int,
    rows: Rows,
    beta: FloatArray,
    v: FloatArray,
    sigma: float,
    z: FloatArray,
    log_w: FloatArray,
    mode: FloatArray,
    inverse: FloatArray,
    slope: FloatArray,
) -> float:
    """How tr(Q H) moves, H the negative Hessian of sum_j log L_j in v and Q a constant `inverse` (S, S).

    H is E[diag w] - Var[s] over the nodes, with s the cells' sums of residuals and w those of weights, so
    that tr(Q H) = E[g] with g = sum_c Q_cc w_c - (s - E s)' Q (s - E s). Written: slope (N,), the derivative
    in the linear predictor of each row, E[Q_cc k + 2 (Q (s - E s))_c w + (g - E g) r]. Returned: the
    derivative in log sigma, E[(g - E g) u^2] / sigma^2.
    """
    K = z.size
    most_cells = 0
    for j in range(lo, hi):
        most_cells = max(most_cells, rows.unit_cells[j + 1] - rows.unit_cells[j])
    buffer = np.empty(most_rows(lo, hi, rows))
    residual = np.empty((K, buffer.size))
    spread = np.empty(buffer.size)
    score = np.empty((K, most_cells))
    pulled = np.empty((K, most_cells))
    g = np.empty(K)
    u = np.empty(K)
    w = np.empty(K)
    by_log_sigma = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        if a == b:
            continue
        first = rows.unit_cells[j]
        cells = rows.unit_cells[j + 1] - first
        odds = buffer[: b - a]
        trials = rows.trials[a:b]
        largest, successes, _ = load_unit(j, rows, beta, v, odds)
        mode[j], precision = unit_mode(odds, trials, successes, sigma, mode[j])
        node_weights(odds, trials, successes, rows.binary, largest, sigma, mode[j], precision, z, log_w, u, w)
        node_residuals(odds, rows.y[a:b], trials, u, w, residual, spread[: b - a])
        for c in range(cells):
            q = inverse[rows.cell_outer[first + c], rows.cell_outer[first + c]]
            mean = 0.0
            for k in range(K):
                if c == 0:
                    g[k] = 0.0
                s = 0.0
                weight = 0.0
                for i in range(rows.cell_ptr[first + c], rows.cell_ptr[first + c + 1]):
                    r = residual[k, i - a]
                    s += r
                    p = (rows.y[i] - r) / rows.trials[i]
                    weight += rows.trials[i] * p * (1.0 - p)
                score[k, c] = s
                g[k] += q * weight
                mean += w[k] * s
            for k in range(K):
                score[k, c] -= mean
        mean = 0.0
        for k in range(K):
            for c in range(cells):
                s = 0.0
                for d in range(cells):
                    s += inverse[rows.cell_outer[first + c], rows.cell_outer[first + d]] * score[k, d]
                pulled[k, c] = s
                g[k] -= s * score[k, c]
            mean += w[k] * g[k]
        slope[a:b] = 0.0
        for k in range(K):
            f = w[k] * (g[k] - mean)
            by_log_sigma += f * (u[k] / sigma) ** 2
            for c in range(cells):
                q = w[k] * inverse[rows.cell_outer[first + c], rows.cell_outer[first + c]]
                t = 2.0 * w[k] * pulled[k, c]
                for i in range(rows.cell_ptr[first + c], rows.cell_ptr[first + c + 1]):
                    r = residual[k, i - a]
                    p = (rows.y[i] - r) / rows.trials[i]
                    weight = rows.trials[i] * p * (1.0 - p)
                    slope[i] += weight * (q * (1.0 - 2.0 * p) + t) + f * r
    return by_log_sigma
