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
from ter.kernels.elementary import LOG_2
from ter.kernels.products import BLOCK, add_products, turn
from ter.kernels.rows import ETA_MAX, FloatArray, Rows, clamp, load_unit, most_cells, most_rows

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
    turned = np.empty((BLOCK, P))
    wx = np.empty((2, BLOCK))
    products = np.zeros((P, P))
    g = np.zeros(BLOCK)
    first = rows.row_ptr[lo]
    stop = rows.row_ptr[hi]
    c = rows.unit_cells[lo]
    for start in range(first, stop, BLOCK):
        n = min(BLOCK, stop - start)
        g[n:] = 0.0
        g[:n] = curvature[start - first : start - first + n]
        for p in range(P):
            column = columns[p][start : start + n]
            for i in range(n):
                x[p, i] = column[i]
        add_products(x, g, wx, products)
        turn(x, n, turned)
        for i in range(n):
            while rows.cell_ptr[c + 1] <= start + i:
                c += 1
            s = P + rows.cell_outer[c]
            hessian[s, s] += g[i]
            for p in range(P):
                hessian[s, p] += g[i] * turned[i, p]
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
    derivatives, are added to. Those are, by Louis' identity, E[complete information] - Var[complete score]
    over the nodes.
    """
    K = z.size
    P = beta.size
    last = P + v.size
    buffer = np.empty(most_rows(lo, hi, rows))
    residual = np.empty((K, buffer.size))
    columns = rows.X.T
    before = rows.row_ptr[lo]
    curvature = np.empty(rows.row_ptr[hi] - before)
    u = np.empty(K)
    w = np.empty(K)
    # Complete-data scores at the nodes: over beta and log sigma, and over a therapist's cells.
    score = np.empty((K, P + 1))
    own = np.empty((most_cells(lo, hi, rows), K))
    panel = np.zeros((P + 1, BLOCK + 8))
    share = np.zeros(BLOCK)
    wx = np.empty((2, BLOCK))
    variance = np.zeros((P + 1, P + 1))
    filled = 0
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
        node_residuals(odds, rows.y[a:b], trials, u, w, residual, curvature[a - before : b - before])
        for p in range(P):
            node_scores(residual, b - a, columns[p][a:b], p, score)
        for k in range(K):
            r = u[k] / sigma
            score[k, P] = r * r - 1.0
            hessian[last, last] += w[k] * 2.0 * r * r
        for p in range(P + 1):
            mean = 0.0
            for k in range(K):
                mean += w[k] * score[k, p]
            gradient[p if p < P else last] += mean
            for k in range(K):
                score[k, p] -= mean
        add_cells(j, rows, residual, w, score, own, gradient, hessian)
        for k in range(K):
            share[filled] = w[k]
            for p in range(P + 1):
                panel[p, filled] = score[k, p]
            filled += 1
            if filled == BLOCK:
                add_products(panel, share, wx, variance)
                filled = 0
    share[filled:] = 0.0
    add_products(panel, share, wx, variance)
    for p in range(P + 1):
        for q in range(p + 1):
            hessian[p if p < P else last, q if q < P else last] -= variance[p, q]
    add_weighted_products(lo, hi, rows, curvature, hessian)
    return total


@njit(**FAST)
def add_cells(
    j: int,
    rows: Rows,
    residual: FloatArray,
    w: FloatArray,
    score: FloatArray,
    own: FloatArray,
    gradient: FloatArray,
    hessian: FloatArray,
) -> None:
    """Add the scores of unit j's cells to the gradient, and take their covariances from the hessian.

    Read: residual (K, n) and score (K, P + 1), the centred scores over (beta, log sigma). Scratch: own
    (cells, K), the cells' own. Cells come in the order of their outer levels, so that the lower triangle
    stays one.
    """
    K = w.size
    P = score.shape[1] - 1
    last = gradient.size - 1
    a = rows.row_ptr[j]
    first = rows.unit_cells[j]
    for c in range(rows.unit_cells[j + 1] - first):
        mean = 0.0
        for k in range(K):
            s = 0.0
            for i in range(rows.cell_ptr[first + c] - a, rows.cell_ptr[first + c + 1] - a):
                s += residual[k, i]
            own[c, k] = s
            mean += w[k] * s
        at = P + rows.cell_outer[first + c]
        gradient[at] += mean
        row = hessian[at]
        for k in range(K):
            own[c, k] -= mean
            f = w[k] * own[c, k]
            hessian[last, at] -= f * score[k, P]
            for p in range(P):
                row[p] -= f * score[k, p]
        for d in range(c + 1):
            covariance = 0.0
            for k in range(K):
                covariance += w[k] * own[c, k] * own[d, k]
            row[P + rows.cell_outer[first + d]] -= covariance
