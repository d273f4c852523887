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

from ter.kernels._jit import FAST
from ter.kernels.quadrature import LOG_2PI, node_weights, unit_mode
from ter.kernels.rows import ETA_MAX, FloatArray, Rows, clamp, most_rows

MODE_STEPS = 60
MODE_TOLERANCE = 1e-8
#: No t beyond this is ever needed: it is standard normal a priori.
T_MAX = 60.0


@njit(**FAST)
def shift_odds(eta: FloatArray, direction: FloatArray, t: float, odds: FloatArray) -> float:
    """odds[i] = exp(eta_i + t direction_i); returns the largest linear predictor."""
    largest = -ETA_MAX
    for i in range(eta.size):
        x = clamp(eta[i] + t * direction[i], -ETA_MAX, ETA_MAX)
        largest = max(largest, x)
        odds[i] = math.exp(x)
    return largest


@njit(**FAST)
def joint_mode(
    eta: FloatArray,
    direction: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    successes: float,
    s: float,
    t: float,
    e: float,
    odds: FloatArray,
) -> tuple[float, float, float]:
    """Joint mode (t, e), and the precision of t there with e eliminated."""
    low = -T_MAX
    high = T_MAX
    t = clamp(t, low, high)
    precision = 1.0
    for _ in range(MODE_STEPS):
        shift_odds(eta, direction, t, odds)
        e, precision_e = unit_mode(odds, trials, successes, s, e)
        f = math.exp(e)
        slope = -t
        bend = 1.0
        mixed = 0.0
        for i in range(eta.size):
            q = 1.0 / (1.0 + odds[i] * f)
            w = trials[i] * q * (1.0 - q)
            slope += (y[i] - trials[i] * (1.0 - q)) * direction[i]
            bend += w * direction[i] * direction[i]
            mixed += w * direction[i]
        precision = max(bend - mixed * mixed / precision_e, 1.0)
        # The density with e at its mode is log-concave in t.
        if slope > 0.0:
            low = t
        else:
            high = t
        step = slope / precision
        if abs(step) < MODE_TOLERANCE:
            break
        following = t + step
        t = following if low < following < high else 0.5 * (low + high)
    return t, e, precision


@njit(**FAST)
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
    t: FloatArray,
    weight: FloatArray,
    e: FloatArray,
    share: FloatArray,
) -> float:
    """Log L of one therapist, without binomial constants.

    Updated: start (2,), the joint mode. Written: the nodes t and their posterior weights (T,); for each of
    them the nodes e and their shares (T, K), each row summing to 1.
    """
    K = z_t.size
    successes = 0.0
    along = 0.0
    linear = 0.0
    for i in range(eta.size):
        successes += y[i]
        along += y[i] * direction[i]
        linear += y[i] * eta[i]
    start[0], start[1], precision = joint_mode(
        eta, direction, y, trials, successes, s, start[0], start[1], odds
    )
    scale = 1.0 / math.sqrt(precision)
    top = -np.inf
    mode = start[1]
    for k in range(K):
        t[k] = start[0] + scale * z_t[k]
        largest = shift_odds(eta, direction, t[k], odds)
        mode, precision_e = unit_mode(odds, trials, successes, s, mode)
        value = along * t[k] + node_weights(
            odds, trials, successes, binary, largest, s, mode, precision_e, z, log_w, e[k], share[k]
        )
        weight[k] = value - 0.5 * t[k] * t[k] + log_w_t[k]
        top = max(top, weight[k])
    area = 0.0
    for k in range(K):
        weight[k] = math.exp(weight[k] - top)
        area += weight[k]
    for k in range(K):
        weight[k] /= area
    return linear + top + math.log(area) + math.log(scale) - 0.5 * LOG_2PI


@njit(**FAST)
def expect_rows(
    eta: FloatArray,
    direction: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    t: FloatArray,
    weight: FloatArray,
    e: FloatArray,
    share: FloatArray,
    odds: FloatArray,
    residual: FloatArray,
    spread: FloatArray,
) -> None:
    """Posterior means of y - n p and of n p (1 - p) of each row of a therapist, over all nodes."""
    f = np.empty(e.shape[1])
    for i in range(eta.size):
        residual[i] = y[i] - trials[i]
        spread[i] = 0.0
    for k in range(t.size):
        shift_odds(eta, direction, t[k], odds)
        for m in range(f.size):
            f[m] = math.exp(clamp(e[k, m], -ETA_MAX, ETA_MAX))
        for i in range(eta.size):
            q = 0.0
            square = 0.0
            for m in range(f.size):
                x = 1.0 / (1.0 + odds[i] * f[m])
                q += share[k, m] * x
                square += share[k, m] * x * x
            residual[i] += trials[i] * weight[k] * q
            spread[i] += trials[i] * weight[k] * (q - square)


@njit(**FAST)
def moments_of_e(e: FloatArray, share: FloatArray) -> tuple[float, float, float]:
    """Mean, and second and third central moment."""
    mean = 0.0
    for m in range(e.size):
        mean += share[m] * e[m]
    second = 0.0
    third = 0.0
    for m in range(e.size):
        r = e[m] - mean
        second += share[m] * r * r
        third += share[m] * r * r * r
    return mean, second, third


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
    odds_of_all = np.empty(max(1, most_rows(lo, hi, rows)))
    t = np.empty(K)
    weight = np.empty(K)
    e = np.empty((K, z.size))
    share = np.empty((K, z.size))
    total = 0.0
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        odds = odds_of_all[: b - a]
        total += integrate_unit(
            eta[a:b], direction[a:b], rows.y[a:b], rows.trials[a:b], rows.binary, s,
            z_t, log_w_t, z, log_w, start[j],
            odds, t, weight, e, share,
        )  # fmt: skip
        expect_rows(
            eta[a:b], direction[a:b], rows.y[a:b], rows.trials[a:b], t, weight, e, share, odds,
            residual[a:b], spread[a:b],
        )  # fmt: skip
        for k in range(5):
            moments[j, k] = 0.0
        for k in range(K):
            mean, second, _ = moments_of_e(e[k], share[k])
            u = kappa * t[k] + mean
            w = sigma_w * t[k]
            moments[j, 0] += weight[k] * u
            moments[j, 1] += weight[k] * w
            moments[j, 2] += weight[k] * (u * u + second)
            moments[j, 3] += weight[k] * u * w
            moments[j, 4] += weight[k] * w * w
    return total
