"""Posterior of each therapist's (u, w) given draws of all other parameters: neither is drawn."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import FAST, LEAN
from ter.kernels.elementary import exponentials, logarithms
from ter.kernels.lanes import LANES, NO_SKEWNESS, skew_shape
from ter.kernels.rows import ETA_MAX, FloatArray, IntArray, Rows, clamp, most_rows
from ter.kernels.slope_lanes import integrate_lanes, load_draws, moments_of_lanes
from ter.kernels.tables import read_table

FloatArray32 = NDArray[np.float32]


@njit(**FAST)
def room(
    lo: int, hi: int, rows: Rows, T: int, K: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Room for `load_draws` and `integrate_lanes`: own, direction (n, LANES); t, weight; e, share."""
    most = most_rows(lo, hi, rows)
    return (
        np.empty((most, LANES)),
        np.empty((most, LANES)),
        np.empty((T, LANES)),
        np.empty((T, LANES)),
        np.empty((T, K, LANES)),
        np.empty((T, K, LANES)),
    )


@njit(**FAST)
def condition_slopes(
    lo: int,
    hi: int,
    rows: Rows,
    severity: FloatArray,
    eta: FloatArray,
    d0: int,
    kappa: FloatArray,
    s: FloatArray,
    sigma_w: FloatArray,
    z_t: FloatArray,
    log_w_t: FloatArray,
    z: FloatArray,
    log_w: FloatArray,
    log_lik: FloatArray,
    start: FloatArray,
    given: FloatArray,
) -> None:
    """For therapists lo to hi and draws d0, d0 + 1, ...: log L_j, and moments of (u_j, w_j).

    Read: eta (n, draws), the linear predictor of these therapists' rows without them. Added to: log_lik (D,).
    Written: start (J, D, 2), the joint modes; given (J, D, 5): mean, SD and skewness of u, mean and SD of w.
    """
    T = z_t.size
    K = z.size
    first = rows.row_ptr[lo]
    own, direction, t, weight, e, share = room(lo, hi, rows, T, K)
    scale = np.empty(LANES)
    start_t = np.empty(LANES)
    start_e = np.empty(LANES)
    found = np.empty(LANES)
    along = np.empty(LANES)
    spread = np.empty(LANES)
    moments = np.empty((5, LANES))
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        start_t[:] = 0.0
        start_e[:] = 0.0
        for at in range(0, eta.shape[1], LANES):
            live = load_draws(j, first, rows, severity, eta, d0, at, kappa, sigma_w, own, direction)
            for c in range(LANES):
                scale[c] = s[d0 + at + min(c, live - 1)]
            integrate_lanes(
                own[: b - a], direction[: b - a], rows.y[a:b], rows.trials[a:b], rows.binary, scale,
                z_t, log_w_t, z, log_w, start_t, start_e, t, weight, e, share, found,
            )  # fmt: skip
            for c in range(LANES):
                d = d0 + at + min(c, live - 1)
                along[c] = kappa[d]
                spread[c] = sigma_w[d]
            moments_of_lanes(t, weight, e, share, along, spread, moments)
            for c in range(live):
                d = d0 + at + c
                log_lik[d] += found[c]
                start[j, d, 0] = start_t[c]
                start[j, d, 1] = start_e[c]
                for k in range(5):
                    given[j, d, k] = moments[k, c]


@njit(**FAST)
def count_along(
    eta: FloatArray,
    severity: FloatArray,
    trials: FloatArray,
    w: FloatArray,
    low: float,
    steps: float,
    counts: FloatArray,
) -> None:
    """Add patients to their bins of eta + w severity, for each w: counts (W, bins), `steps` bins a unit.

    A patient is split over three bins as in `ter.kernels.tables.count_predictors`.
    """
    last = counts.shape[1] - 2.0
    for i in range(eta.size):
        n = trials[i]
        for k in range(w.size):
            position = clamp((eta[i] + w[k] * severity[i] - low) * steps, 1.0, last)
            b = int(position + 0.5)
            t = position - b
            square = t * t
            counts[k, b - 1] += n * 0.5 * (square - t)
            counts[k, b] += n * (1.0 - square)
            counts[k, b + 1] += n * 0.5 * (square + t)


@njit(**FAST)
def rates_of_counts(
    counts: FloatArray, low: float, width: float, u0: float, step: float, table: FloatArray
) -> None:
    """T(u) = mean over patients of expit(eta + u), and its slope, at u0, u0 + step, ...: table (2, n).

    Bin b of counts (bins,), as `count_along` leaves them, is centred on low + b width; bins without
    patients are passed over.
    """
    odds = np.empty(counts.size)
    patients = np.empty(counts.size)
    n = 0
    total = 0.0
    for b in range(counts.size):
        if counts[b] != 0.0:
            odds[n] = low + b * width
            patients[n] = counts[b]
            total += counts[b]
            n += 1
    odds = odds[:n]
    exponentials(odds, odds, np.empty(n))
    for m in range(table.shape[1]):
        f = math.exp(u0 + m * step)
        value = 0.0
        slope = 0.0
        for b in range(n):
            q = 1.0 / (1.0 + odds[b] * f)
            value += patients[b] * (1.0 - q)
            slope += patients[b] * (1.0 - q) * q
        table[0, m] = value / total
        table[1, m] = slope / total


@njit(**LEAN)
def blend(tables: FloatArray, w0: float, dw: float, w: float, out: FloatArray) -> None:
    """A function of u tabulated for equally spaced w, shape (W, 2, n), at one w: cubic interpolation."""
    position = clamp((w - w0) / dw, 0.0, tables.shape[0] - 1.0)
    k = min(max(int(position) - 1, 0), tables.shape[0] - 4)
    a = position - k
    b = a - 1.0
    c = a - 2.0
    d = a - 3.0
    f0 = -b * c * d / 6.0
    f1 = a * c * d / 2.0
    f2 = -a * b * d / 2.0
    f3 = a * b * c / 6.0
    for m in range(2):
        for n in range(tables.shape[2]):
            out[m, n] = (
                f0 * tables[k, m, n]
                + f1 * tables[k + 1, m, n]
                + f2 * tables[k + 2, m, n]
                + f3 * tables[k + 3, m, n]
            )


@njit(**FAST)
def rate_slopes(
    lo: int,
    hi: int,
    rows: Rows,
    severity: FloatArray,
    eta: FloatArray,
    d0: int,
    weights: FloatArray,
    kappa: FloatArray,
    s: FloatArray,
    sigma_w: FloatArray,
    z_t: FloatArray,
    log_w_t: FloatArray,
    z: FloatArray,
    log_w: FloatArray,
    start: FloatArray,
    rates: FloatArray,
    w0: FloatArray,
    dw: FloatArray,
    u0: float,
    step: float,
    sums: FloatArray,
    ter: FloatArray32,
    logit: FloatArray,
) -> None:
    """For therapists lo to hi and draws d0, d0 + 1, ...: the standardised rate T(u_j, w_j).

    Read: eta (n, draws) as in `condition_slopes`; rates (draws, W, 2, n), T for w0, w0 + dw, ... and u0, u0 +
    step, ...; w0 and dw (draws,). Added to: sums (J, 2), means of T and of the successes that are predicted a
    patient. Written: ter (J, D), mean of T; logit (J, D, 3), mean, SD and skewness of logit T.
    """
    T = z_t.size
    K = z.size
    first = rows.row_ptr[lo]
    own, direction, t, weight, e, share = room(lo, hi, rows, T, K)
    scale = np.empty(LANES)
    start_t = np.empty(LANES)
    start_e = np.empty(LANES)
    found = np.empty(LANES)
    rate = np.empty((T, K, LANES))
    logits = np.empty((T, K, LANES))
    scratch = np.empty(logits.size)
    mean_e = np.empty(LANES)
    mean_rate = np.empty(LANES)
    mean = np.empty(LANES)
    second = np.empty(LANES)
    third = np.empty(LANES)
    rate_of_u = np.empty(rates.shape[2:])
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        successes = 0.0
        patients = 0.0
        for i in range(a, b):
            successes += rows.y[i]
            patients += rows.trials[i]
        for at in range(0, eta.shape[1], LANES):
            live = load_draws(j, first, rows, severity, eta, d0, at, kappa, sigma_w, own, direction)
            for c in range(LANES):
                d = d0 + at + min(c, live - 1)
                scale[c] = s[d]
                start_t[c] = start[j, d, 0]
                start_e[c] = start[j, d, 1]
            integrate_lanes(
                own[: b - a], direction[: b - a], rows.y[a:b], rows.trials[a:b], rows.binary, scale,
                z_t, log_w_t, z, log_w, start_t, start_e, t, weight, e, share, found,
            )  # fmt: skip
            rate[:] = 0.5
            for c in range(live):
                d = d0 + at + c
                for k in range(T):
                    blend(rates[at + c], w0[at + c], dw[at + c], sigma_w[d] * t[k, c], rate_of_u)
                    for m in range(K):
                        u = kappa[d] * t[k, c] + e[k, m, c]
                        rate[k, m, c] = clamp(read_table(rate_of_u, u0, step, u), 1e-12, 1.0 - 1e-12)
            flat = logits.reshape(-1)
            whole = rate.reshape(-1)
            for i in range(flat.size):
                flat[i] = whole[i] / (1.0 - whole[i])
            logarithms(flat, flat, scratch)
            mean_rate[:] = 0.0
            mean_e[:] = 0.0
            mean[:] = 0.0
            second[:] = 0.0
            third[:] = 0.0
            for k in range(T):
                for m in range(K):
                    for c in range(LANES):
                        share[k, m, c] *= weight[k, c]
                        mean_rate[c] += share[k, m, c] * rate[k, m, c]
                        mean_e[c] += share[k, m, c] * e[k, m, c]
                        mean[c] += share[k, m, c] * logits[k, m, c]
            for k in range(T):
                for m in range(K):
                    for c in range(LANES):
                        r = logits[k, m, c] - mean[c]
                        second[c] += share[k, m, c] * r * r
                        third[c] += share[k, m, c] * r * r * r
            for c in range(live):
                d = d0 + at + c
                ter[j, d] = mean_rate[c]
                logit[j, d, 0] = mean[c]
                logit[j, d, 1] = math.sqrt(max(second[c], 1e-20))
                logit[j, d, 2] = third[c] / max(second[c], 1e-20) ** 1.5
                sums[j, 0] += weights[d] * mean_rate[c]
                if patients > 0.0:
                    # The mean score of e is zero: E[sum of y - n p] = E[e] / s^2.
                    sums[j, 1] += weights[d] * (successes - mean_e[c] / (s[d] * s[d])) / patients


@njit(**FAST)
def expect_slopes(
    lo: int,
    hi: int,
    rows: Rows,
    severity: FloatArray,
    eta: FloatArray,
    d0: int,
    weights: FloatArray,
    kappa: FloatArray,
    s: FloatArray,
    sigma_w: FloatArray,
    rule: IntArray,
    nodes: FloatArray,
    half: FloatArray,
    expected: FloatArray32,
    row_expected: FloatArray,
) -> None:
    """For therapists lo to hi and draws d0, d0 + 1, ...: expected rates, (u, w) drawn from N(0, Sigma).

    Read: eta (n, draws) as in `condition_slopes`; rule (D,), the row of nodes and half that each draw takes:
    the positive nodes of a Gauss-Hermite rule with their weights, which sum to 1/2, then zeros. Written:
    expected (J, D), means over the patients. Added to: row_expected (N,).
    """
    first = rows.row_ptr[lo]
    most = max(1, most_rows(lo, hi, rows))
    odds = np.empty(most)
    spread = np.empty(most)
    growth = np.empty(most)
    mean = np.empty(most)
    scratch = np.empty(most)
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        n = rows.row_ptr[j + 1] - a
        if n == 0:
            continue
        for c in range(eta.shape[1]):
            d = d0 + c
            for i in range(n):
                along = kappa[d] + sigma_w[d] * severity[a + i]
                spread[i] = math.sqrt(s[d] * s[d] + along * along)
                odds[i] = clamp(eta[a - first + i, c], -ETA_MAX, ETA_MAX)
                mean[i] = 0.0
            exponentials(odds[:n], odds[:n], scratch[:n])
            for m in range(nodes.shape[1]):
                if half[rule[d], m] == 0.0:
                    break
                for i in range(n):
                    growth[i] = clamp(spread[i] * nodes[rule[d], m], 0.0, ETA_MAX)
                exponentials(growth[:n], growth[:n], scratch[:n])
                for i in range(n):
                    up = odds[i] * growth[i]
                    mean[i] += half[rule[d], m] * (1.0 - 1.0 / (1.0 + up) + odds[i] / (odds[i] + growth[i]))
            total = 0.0
            patients = 0.0
            for i in range(n):
                row_expected[a + i] += weights[d] * mean[i]
                total += rows.trials[a + i] * mean[i]
                patients += rows.trials[a + i]
            expected[j, d] = total / patients


@njit(**FAST)
def mix_distributions(
    lo: int,
    hi: int,
    weights: FloatArray,
    moments: FloatArray,
    grid: FloatArray,
    normal: FloatArray,
    reach: float,
    step: float,
    cdf: FloatArray,
) -> None:
    """Distribution functions of therapists lo to hi on their grids (J, G), mixed over the draws.

    Read: moments (J, D, 3 or more), mean, SD and skewness at each draw, from which its distribution follows
    as in `ter.kernels.lanes.conditional_cdf`; normal (2, n), the standard normal distribution function and
    its slope at -reach, -reach + step, ... Written: cdf (J, G).
    """
    G = grid.shape[1]
    y = np.empty(G)
    scratch = np.empty(G)
    for j in range(lo, hi):
        cdf[j] = 0.0
        for d in range(weights.size):
            mean = moments[j, d, 0]
            scale = 1.0 / moments[j, d, 1]
            skewness = moments[j, d, 2]
            if abs(skewness) < NO_SKEWNESS:
                for g in range(G):
                    y[g] = scale * (grid[j, g] - mean)
            else:
                a, q = skew_shape(skewness)
                sign = 1.0 if skewness > 0.0 else -1.0
                for g in range(G):
                    y[g] = max(1.0 + q * sign * scale * (grid[j, g] - mean), 1e-300)
                logarithms(y, y, scratch)
                for g in range(G):
                    y[g] = sign * (y[g] + 0.5 * a * a) / a
            for g in range(G):
                cdf[j, g] += weights[d] * read_table(normal, -reach, step, clamp(y[g], -reach, reach))
