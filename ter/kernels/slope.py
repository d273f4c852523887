"""Therapist effects that grow with severity: (u_j, w_j) ~ N(0, Sigma), integrated in two dimensions.

With t ~ N(0, 1) and e ~ N(0, s^2), where kappa = rho sigma_u and s = sigma_u sqrt(1 - rho^2),

    w = sigma_w t,   u = kappa t + e   (the Cholesky factor of Sigma, w first),
    eta_i + u + w z_i = eta_i + t (kappa + sigma_w z_i) + e,

so that the integral over (u, w) is one over e inside one over t, each by adaptive Gauss-Hermite quadrature
at the joint mode. Nothing breaks down at sigma_w = 0 or rho = +-1.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST, LEAN
from ter.kernels.elementary import LOG_2, exponentials, logarithms
from ter.kernels.quadrature import LOG_2PI
from ter.kernels.rows import ETA_MAX, FloatArray, Rows, clamp, most_rows

MODE_STEPS = 60
#: How near modes are found, in SDs: derivatives need them exact.
EXACT = 1e-8
#: No t beyond this is ever needed: it is standard normal a priori.
T_MAX = 60.0
#: Logarithm of the largest product that is let grow before its log is taken.
LOG_LARGEST_PRODUCT = 690.0
#: Logarithms of shares below this count as this: nothing of it is left in a sum.
LOWEST = -700.0


@njit(**FAST)
def room(
    lo: int, hi: int, rows: Rows, T: int, K: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Room for `integrate_unit` with T x K nodes: odds (T, n), f (T, K), product (K,) and scratch."""
    most = max(1, most_rows(lo, hi, rows))
    return np.empty((T, most)), np.empty((T, K)), np.empty(K), np.empty(max(most, T * K))


@njit(**LEAN)
def shift_odds(
    eta: FloatArray, direction: FloatArray, t: float, odds: FloatArray, scratch: FloatArray
) -> float:
    """odds[i] = exp(eta_i + t direction_i); returns the largest linear predictor."""
    largest = -ETA_MAX
    for i in range(eta.size):
        x = clamp(eta[i] + t * direction[i], -ETA_MAX, ETA_MAX)
        largest = max(largest, x)
        odds[i] = x
    exponentials(odds, odds, scratch)
    return largest


@njit(**LEAN)
def mode_of_e(
    odds: FloatArray, trials: FloatArray, successes: float, tau: float, e: float
) -> tuple[float, float]:
    """Mode of e given t, and the precision there: Newton from e, kept within a bracket by bisection."""
    low = -ETA_MAX
    high = ETA_MAX
    e = clamp(e, low, high)
    precision = tau
    for _ in range(MODE_STEPS):
        f = math.exp(e)
        mean = 0.0
        weight = 0.0
        for i in range(odds.size):
            q = 1.0 / (1.0 + odds[i] * f)
            mean += trials[i] * (1.0 - q)
            weight += trials[i] * q * (1.0 - q)
        precision = weight + tau
        slope = successes - mean - e * tau
        # The density is log-concave: its mode lies between any point that rises and any that falls.
        if slope > 0.0:
            low = e
        else:
            high = e
        step = slope / precision
        following = e + step
        e = following if low <= following <= high else 0.5 * (low + high)
        if step * step * precision < EXACT * EXACT:
            break
    return e, precision


@njit(**LEAN)
def joint_mode(
    eta: FloatArray,
    direction: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    successes: float,
    tau: float,
    t: float,
    e: float,
    odds: FloatArray,
    scratch: FloatArray,
) -> tuple[float, float, float, float]:
    """Joint mode (t, e), the precision of t there with e eliminated, and how the mode of e moves with t."""
    low = -T_MAX
    high = T_MAX
    t = clamp(t, low, high)
    precision = 1.0
    drift = 0.0
    for _ in range(MODE_STEPS):
        shift_odds(eta, direction, t, odds, scratch)
        e, _ = mode_of_e(odds, trials, successes, tau, e)
        f = math.exp(e)
        slope = -t
        bend = 1.0
        mixed = 0.0
        precision_e = tau
        for i in range(eta.size):
            q = 1.0 / (1.0 + odds[i] * f)
            w = trials[i] * q * (1.0 - q)
            slope += (y[i] - trials[i] * (1.0 - q)) * direction[i]
            bend += w * direction[i] * direction[i]
            mixed += w * direction[i]
            precision_e += w
        drift = -mixed / precision_e
        precision = max(bend + mixed * drift, 1.0)
        # The density with e at its mode is log-concave in t.
        if slope > 0.0:
            low = t
        else:
            high = t
        step = slope / precision
        following = t + step
        following = following if low <= following <= high else 0.5 * (low + high)
        e = clamp(e + drift * (following - t), -ETA_MAX, ETA_MAX)
        t = following
        if step * step * precision < EXACT * EXACT:
            break
    return t, e, precision, drift


@njit(**LEAN)
def log_partitions(
    odds: FloatArray,
    trials: FloatArray,
    binary: bool,
    largest: float,
    f: FloatArray,
    log_f: float,
    product: FloatArray,
    out: FloatArray,
    scratch: FloatArray,
) -> None:
    """out[m] = sum_i n_i log(1 + odds_i f_m); `log_f` is the log of the largest f."""
    n = odds.size
    # As many factors as can be multiplied before the product might overflow.
    run = max(1, int(LOG_LARGEST_PRODUCT / (max(largest + log_f, 0.0) + LOG_2))) if binary else 1
    out[:] = 0.0
    i = 0
    while i < n:
        stop = min(i + run, n)
        product[:] = 1.0
        for r in range(i, stop):
            x = odds[r]
            for m in range(f.size):
                product[m] *= 1.0 + x * f[m]
        logarithms(product, product, scratch)
        weight = 1.0 if binary else trials[i]
        for m in range(f.size):
            out[m] += weight * product[m]
        i = stop


@njit(**LEAN)
def integrate_unit(
    eta: FloatArray,
    direction: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    binary: bool,
    s: float,
    z_t: FloatArray,
    log_w_t: FloatArray,
    z: FloatArray,
    log_w: FloatArray,
    start: FloatArray,
    odds: FloatArray,
    f: FloatArray,
    product: FloatArray,
    scratch: FloatArray,
    t: FloatArray,
    weight: FloatArray,
    e: FloatArray,
    share: FloatArray,
) -> float:
    """Log L of one therapist, without binomial constants.

    Updated: start (2,), the joint mode. Written: the nodes t and their posterior
    weights (T,); for each of them the odds of the rows without e (T, n), the nodes e, their exponentials f
    and their shares (T, K), each row summing to 1.
    """
    T = z_t.size
    K = z.size
    n = eta.size
    tau = 1.0 / (s * s)
    successes = 0.0
    along = 0.0
    linear = 0.0
    for i in range(n):
        successes += y[i]
        along += y[i] * direction[i]
        linear += y[i] * eta[i]
    start[0], start[1], precision, drift = joint_mode(
        eta, direction, y, trials, successes, tau, start[0], start[1], odds[0, :n], scratch[:n]
    )
    scale = 1.0 / math.sqrt(precision)
    constant = -math.log(s) - 0.5 * LOG_2PI
    for k in range(T):
        t[k] = start[0] + scale * z_t[k]
        own = odds[k, :n]
        largest = shift_odds(eta, direction, t[k], own, scratch[:n])
        mode, precision_e = mode_of_e(own, trials, successes, tau, start[1] + drift * (t[k] - start[0]))
        scale_e = 1.0 / math.sqrt(precision_e)
        for m in range(K):
            e[k, m] = clamp(mode + scale_e * z[m], -ETA_MAX, ETA_MAX)
        exponentials(e[k], f[k], scratch[:K])
        log_partitions(own, trials, binary, largest, f[k], e[k, K - 1], product, share[k], scratch[:K])
        level = along * t[k] - 0.5 * t[k] * t[k] + log_w_t[k] + math.log(scale_e) + constant
        for m in range(K):
            share[k, m] = level + log_w[m] + e[k, m] * (successes - 0.5 * tau * e[k, m]) - share[k, m]
    top = -np.inf
    for k in range(T):
        for m in range(K):
            top = max(top, share[k, m])
    for k in range(T):
        for m in range(K):
            share[k, m] = max(share[k, m] - top, LOWEST)
    flat = share.reshape(-1)
    exponentials(flat, flat, scratch[: T * K])
    area = 0.0
    for k in range(T):
        weight[k] = 0.0
        for m in range(K):
            weight[k] += share[k, m]
        area += weight[k]
        for m in range(K):
            share[k, m] /= weight[k]
    for k in range(T):
        weight[k] /= area
    return linear + top + math.log(area) + math.log(scale) - 0.5 * LOG_2PI


@njit(**LEAN)
def expect_rows(
    y: FloatArray,
    trials: FloatArray,
    odds: FloatArray,
    weight: FloatArray,
    f: FloatArray,
    share: FloatArray,
    residual: FloatArray,
    spread: FloatArray,
) -> None:
    """Posterior means of y - n p and of n p (1 - p) of each row of a therapist, over all nodes."""
    for i in range(y.size):
        residual[i] = y[i] - trials[i]
        spread[i] = 0.0
    for k in range(weight.size):
        for m in range(f.shape[1]):
            part = weight[k] * share[k, m]
            factor = f[k, m]
            for i in range(y.size):
                q = 1.0 / (1.0 + odds[k, i] * factor)
                residual[i] += trials[i] * part * q
                spread[i] += trials[i] * part * (q - q * q)


@njit(**LEAN)
def moments_of_e(e: FloatArray, share: FloatArray) -> tuple[float, float]:
    """Mean and variance."""
    mean = 0.0
    for m in range(e.size):
        mean += share[m] * e[m]
    variance = 0.0
    for m in range(e.size):
        r = e[m] - mean
        variance += share[m] * r * r
    return mean, variance


@njit(**FAST)
def slope_pass(
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
    residual: FloatArray,
    spread: FloatArray,
    moments: FloatArray,
) -> float:
    """Sum over therapists lo to hi of log L_j.

    Read: eta (N,), the linear predictor without therapists; direction (N,) = kappa + sigma_w z. Updated:
    start (J, 2), where the searches for modes begin. Written: residual and spread (N,) as in `expect_rows`;
    moments (J, 5): E u, E w, E u^2, E u w, E w^2.
    """
    K = z_t.size
    odds, f, product, scratch = room(lo, hi, rows, K, z.size)
    t = np.empty(K)
    weight = np.empty(K)
    e = np.empty((K, z.size))
    share = np.empty((K, z.size))
    total = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        total += integrate_unit(
            eta[a:b], direction[a:b], rows.y[a:b], rows.trials[a:b], rows.binary, s,
            z_t, log_w_t, z, log_w, start[j],
            odds, f, product, scratch, t, weight, e, share,
        )  # fmt: skip
        expect_rows(rows.y[a:b], rows.trials[a:b], odds, weight, f, share, residual[a:b], spread[a:b])
        for k in range(5):
            moments[j, k] = 0.0
        for k in range(K):
            mean, variance = moments_of_e(e[k], share[k])
            u = kappa * t[k] + mean
            w = sigma_w * t[k]
            moments[j, 0] += weight[k] * u
            moments[j, 1] += weight[k] * w
            moments[j, 2] += weight[k] * (u * u + variance)
            moments[j, 3] += weight[k] * u * w
            moments[j, 4] += weight[k] * w * w
    return total
