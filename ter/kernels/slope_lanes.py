"""The integral over (u, w) of `ter.kernels.slope` at LANES draws side by side, as in `ter.kernels.lanes`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.elementary import exponentials
from ter.kernels.lanes import LANES, MODE_TOLERANCE, log_partition, modes
from ter.kernels.quadrature import LOG_2PI
from ter.kernels.rows import ETA_MAX, FloatArray, Rows, clamp
from ter.kernels.slope import LOWEST, MODE_STEPS, T_MAX

#: Odds at +-ETA_MAX.
ODDS_MAX = math.exp(ETA_MAX)
ODDS_MIN = math.exp(-ETA_MAX)


@njit(**FAST)
def load_draws(
    j: int,
    first: int,
    rows: Rows,
    severity: FloatArray,
    eta: FloatArray,
    d0: int,
    at: int,
    kappa: FloatArray,
    sigma_w: FloatArray,
    own: FloatArray,
    direction: FloatArray,
) -> int:
    """Unit j's rows at the draws of eta from `at` on; returns how many there are, the rest repeats the last.

    Read: eta (rows from `first` on, draws d0, d0 + 1, ...), the linear predictor without therapists. Written:
    own (n, LANES), that of these rows; direction (n, LANES) = kappa + sigma_w severity.
    """
    a = rows.row_ptr[j]
    live = min(LANES, eta.shape[1] - at)
    for i in range(rows.row_ptr[j + 1] - a):
        z = severity[a + i]
        for c in range(live):
            own[i, c] = eta[a - first + i, at + c]
            direction[i, c] = kappa[d0 + at + c] + sigma_w[d0 + at + c] * z
        for c in range(live, LANES):
            own[i, c] = own[i, live - 1]
            direction[i, c] = direction[i, live - 1]
    return live


@njit(**FAST)
def odds_along(
    eta: FloatArray, direction: FloatArray, t: FloatArray, odds: FloatArray, scratch: FloatArray
) -> None:
    """odds[i] = exp(eta_i + t direction_i), by lane."""
    for i in range(len(eta)):
        for c in range(LANES):
            odds[i, c] = clamp(eta[i, c] + t[c] * direction[i, c], -ETA_MAX, ETA_MAX)
    flat = odds.reshape(-1)
    exponentials(flat, flat, scratch[: flat.size])


@njit(**FAST)
def joint_modes(
    eta: FloatArray,
    direction: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    successes: float,
    tau: FloatArray,
    t: FloatArray,
    e: FloatArray,
    odds: FloatArray,
    precision: FloatArray,
    drift: FloatArray,
    scratch: FloatArray,
) -> None:
    """Joint modes (t, e), precisions of t there with e eliminated, and how the modes of e move with t."""
    low = np.full(LANES, -T_MAX)
    high = np.full(LANES, T_MAX)
    within = np.empty(LANES)
    f = np.empty(LANES)
    slope = np.empty(LANES)
    bend = np.empty(LANES)
    mixed = np.empty(LANES)
    for _ in range(MODE_STEPS):
        odds_along(eta, direction, t, odds, scratch)
        modes(odds, trials, successes, tau, e, within, scratch)
        exponentials(e, f, scratch[:LANES])
        for c in range(LANES):
            slope[c] = -t[c]
            bend[c] = 1.0
            mixed[c] = 0.0
            within[c] = tau[c]
        for i in range(trials.size):
            n = trials[i]
            for c in range(LANES):
                q = 1.0 / (1.0 + odds[i, c] * f[c])
                w = n * q * (1.0 - q)
                along = w * direction[i, c]
                slope[c] += (y[i] - n * (1.0 - q)) * direction[i, c]
                bend[c] += along * direction[i, c]
                mixed[c] += along
                within[c] += w
        worst = 0.0
        for c in range(LANES):
            drift[c] = -mixed[c] / within[c]
            precision[c] = max(bend[c] + mixed[c] * drift[c], 1.0)
            # The density with e at its mode is log-concave in t.
            if slope[c] > 0.0:
                low[c] = t[c]
            else:
                high[c] = t[c]
            following = t[c] + slope[c] / precision[c]
            if not low[c] <= following <= high[c]:
                following = 0.5 * (low[c] + high[c])
            moved = following - t[c]
            worst = max(worst, moved * moved * precision[c])
            e[c] = clamp(e[c] + drift[c] * moved, -ETA_MAX, ETA_MAX)
            t[c] = following
        if worst < MODE_TOLERANCE:
            break


@njit(**FAST)
def integrate_lanes(
    eta: FloatArray,
    direction: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    binary: bool,
    s: FloatArray,
    z_t: FloatArray,
    log_w_t: FloatArray,
    z: FloatArray,
    log_w: FloatArray,
    start_t: FloatArray,
    start_e: FloatArray,
    t: FloatArray,
    weight: FloatArray,
    e: FloatArray,
    share: FloatArray,
    log_lik: FloatArray,
) -> None:
    """Log L of one therapist at each lane, without binomial constants.

    Read: eta and direction (n, LANES), s (LANES,). Updated: start_t and start_e (LANES,), the joint modes,
    found to 1/100 of an SD. Written: the nodes t and their posterior weights (T, LANES), for each of them the
    nodes e and their shares (T, K, LANES), which sum to 1; log_lik (LANES,).
    """
    T = z_t.size
    K = z.size
    n = y.size
    scratch = np.empty(max(n, T * K) * LANES)
    base = np.empty((n, LANES))
    growth = np.empty((n, LANES))
    odds = np.empty((n, LANES))
    f = np.empty((K, LANES))
    product = np.empty((K, LANES))
    tau = np.empty(LANES)
    scale = np.empty(LANES)
    step = np.empty(LANES)
    precision = np.empty(LANES)
    drift = np.empty(LANES)
    mode = np.empty(LANES)
    along = np.zeros(LANES)
    highest = np.empty(LANES)
    level = np.empty(LANES)
    top = np.full(LANES, -np.inf)
    area = np.zeros(LANES)
    successes = 0.0
    log_lik[:] = 0.0
    for i in range(n):
        successes += y[i]
        for c in range(LANES):
            along[c] += y[i] * direction[i, c]
            log_lik[c] += y[i] * eta[i, c]
    for c in range(LANES):
        tau[c] = 1.0 / (s[c] * s[c])
        start_t[c] = clamp(start_t[c], -T_MAX, T_MAX)
    joint_modes(eta, direction, y, trials, successes, tau, start_t, start_e, base, precision, drift, scratch)
    odds_along(eta, direction, start_t, base, scratch)
    for c in range(LANES):
        scale[c] = 1.0 / math.sqrt(precision[c])
    # Nodes lie symmetrically about the mode, and are taken from the outermost pair inwards: what multiplies
    # the odds at one divides them at the other.
    for place in range(T):
        up = place % 2 == 0
        k = T - 1 - place // 2 if up else place // 2
        if up:
            for c in range(LANES):
                step[c] = scale[c] * z_t[k]
            for i in range(n):
                for c in range(LANES):
                    growth[i, c] = clamp(step[c] * direction[i, c], -ETA_MAX, ETA_MAX)
            exponentials(growth.reshape(-1), growth.reshape(-1), scratch[: n * LANES])
        if up:
            for i in range(n):
                for c in range(LANES):
                    odds[i, c] = clamp(base[i, c] * growth[i, c], ODDS_MIN, ODDS_MAX)
        else:
            for i in range(n):
                for c in range(LANES):
                    odds[i, c] = clamp(base[i, c] / growth[i, c], ODDS_MIN, ODDS_MAX)
        highest[:] = ODDS_MIN
        for i in range(n):
            for c in range(LANES):
                highest[c] = max(highest[c], odds[i, c])
        largest = highest.max()
        for c in range(LANES):
            moved = step[c] if up else -step[c]
            t[k, c] = start_t[c] + moved
            mode[c] = clamp(start_e[c] + drift[c] * moved, -ETA_MAX, ETA_MAX)
        modes(odds, trials, successes, tau, mode, precision, scratch)
        for c in range(LANES):
            precision[c] = 1.0 / math.sqrt(precision[c])
            level[c] = t[k, c] * (along[c] - 0.5 * t[k, c]) + log_w_t[k] + math.log(precision[c])
        nodes = e[k]
        part = share[k]
        for m in range(K):
            for c in range(LANES):
                nodes[m, c] = clamp(mode[c] + precision[c] * z[m], -ETA_MAX, ETA_MAX)
        largest = math.log(largest) + nodes[K - 1].max()
        log_partition(odds, trials, binary, largest, nodes, part, f, product, scratch)
        for m in range(K):
            for c in range(LANES):
                x = nodes[m, c]
                part[m, c] = level[c] + log_w[m] + x * (successes - 0.5 * tau[c] * x) - part[m, c]
                top[c] = max(top[c], part[m, c])
    for k in range(T):
        for m in range(K):
            for c in range(LANES):
                share[k, m, c] = max(share[k, m, c] - top[c], LOWEST)
    exponentials(share.reshape(-1), share.reshape(-1), scratch[: share.size])
    weight[:] = 0.0
    for k in range(T):
        for m in range(K):
            for c in range(LANES):
                weight[k, c] += share[k, m, c]
        for c in range(LANES):
            area[c] += weight[k, c]
        for m in range(K):
            for c in range(LANES):
                share[k, m, c] /= weight[k, c]
    for k in range(T):
        for c in range(LANES):
            weight[k, c] /= area[c]
    for c in range(LANES):
        log_lik[c] += top[c] + math.log(area[c] * scale[c] / s[c]) - LOG_2PI


@njit(**FAST)
def moments_of_lanes(
    t: FloatArray,
    weight: FloatArray,
    e: FloatArray,
    share: FloatArray,
    kappa: FloatArray,
    sigma_w: FloatArray,
    moments: FloatArray,
) -> None:
    """Mean, SD and skewness of u = kappa t + e, mean and SD of w = sigma_w t: moments (5, LANES)."""
    T = len(t)
    inner = np.zeros((3, T, LANES))
    mean = inner[0]
    second = inner[1]
    third = inner[2]
    moments[:] = 0.0
    for k in range(T):
        for m in range(e.shape[1]):
            for c in range(LANES):
                mean[k, c] += share[k, m, c] * e[k, m, c]
        for m in range(e.shape[1]):
            for c in range(LANES):
                r = e[k, m, c] - mean[k, c]
                second[k, c] += share[k, m, c] * r * r
                third[k, c] += share[k, m, c] * r * r * r
        for c in range(LANES):
            mean[k, c] += kappa[c] * t[k, c]
            moments[0, c] += weight[k, c] * mean[k, c]
            moments[3, c] += weight[k, c] * t[k, c]
    for k in range(T):
        for c in range(LANES):
            r = mean[k, c] - moments[0, c]
            x = t[k, c] - moments[3, c]
            moments[1, c] += weight[k, c] * (r * r + second[k, c])
            moments[2, c] += weight[k, c] * (r * r * r + 3.0 * r * second[k, c] + third[k, c])
            moments[4, c] += weight[k, c] * x * x
    for c in range(LANES):
        moments[1, c] = math.sqrt(max(moments[1, c], 1e-300))
        moments[2, c] /= moments[1, c] * moments[1, c] * moments[1, c]
        moments[3, c] *= sigma_w[c]
        moments[4, c] = sigma_w[c] * math.sqrt(moments[4, c])
