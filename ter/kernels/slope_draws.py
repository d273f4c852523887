"""Posterior of each therapist's (u, w) given draws of all other parameters: neither is drawn."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import FAST, LEAN
from ter.kernels.lanes import NO_SKEWNESS, SQRT_HALF, skew_shape
from ter.kernels.rows import ETA_MAX, FloatArray, IntArray, Rows, clamp, exponentials, most_rows
from ter.kernels.slope import NEAR, integrate_unit, moments_of_e, scratch
from ter.kernels.tables import read_table

FloatArray32 = NDArray[np.float32]


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

    Read: eta (draws, n), the linear predictor of these therapists' rows without them. Added to: log_lik (D,).
    Written: start (J, D, 2), the joint modes; given (J, D, 5): mean, SD and skewness of u, mean and SD of w.
    """
    K = z_t.size
    first = rows.row_ptr[lo]
    odds, f, product, shift = scratch(lo, hi, rows, K, z.size)
    direction = np.empty(odds.shape[1])
    t = np.empty(K)
    weight = np.empty(K)
    e = np.empty((K, z.size))
    share = np.empty((K, z.size))
    inner = np.empty((K, 3))
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        n = rows.row_ptr[j + 1] - a
        at = np.zeros(2)
        for c in range(eta.shape[0]):
            d = d0 + c
            for i in range(n):
                direction[i] = kappa[d] + sigma_w[d] * severity[a + i]
            log_lik[d] += integrate_unit(
                eta[c, a - first : a - first + n], direction[:n], rows.y[a : a + n], rows.trials[a : a + n],
                rows.binary, s[d], z_t, log_w_t, z, log_w, NEAR, at,
                odds, f, product, shift, t, weight, e, share,
            )  # fmt: skip
            start[j, d, 0] = at[0]
            start[j, d, 1] = at[1]
            u1 = 0.0
            t1 = 0.0
            for k in range(K):
                inner[k, 0], inner[k, 1], inner[k, 2] = moments_of_e(e[k], share[k])
                u1 += weight[k] * (kappa[d] * t[k] + inner[k, 0])
                t1 += weight[k] * t[k]
            u2 = 0.0
            u3 = 0.0
            t2 = 0.0
            for k in range(K):
                r = kappa[d] * t[k] + inner[k, 0] - u1
                u2 += weight[k] * (r * r + inner[k, 1])
                u3 += weight[k] * (r * r * r + 3.0 * r * inner[k, 1] + inner[k, 2])
                t2 += weight[k] * (t[k] - t1) ** 2
            given[j, d, 0] = u1
            given[j, d, 1] = math.sqrt(max(u2, 1e-300))
            given[j, d, 2] = u3 / max(u2, 1e-300) ** 1.5
            given[j, d, 3] = sigma_w[d] * t1
            given[j, d, 4] = sigma_w[d] * math.sqrt(t2)


@njit(**FAST)
def rates_of_counts(
    counts: FloatArray, low: float, width: float, u0: float, step: float, table: FloatArray
) -> None:
    """T(u) = mean over patients of expit(eta + u), and its slope, at u0, u0 + step, ...: table (2, n).

    Bin b of counts (bins,), as `count_predictors` leaves them, is centred on low + b width; bins without
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
    exponentials(odds, odds, np.empty(n, np.int64))
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

    Read: eta (draws, n) as in `condition_slopes`; rates (draws, W, 2, n), T for w0, w0 + dw, ... and u0, u0 +
    step, ...; w0 and dw (draws,). Added to: sums (J, 2), means of T and of the successes that are predicted a
    patient. Written: ter (J, D), mean of T; logit (J, D, 3), mean, SD and skewness of logit T.
    """
    K = z_t.size
    first = rows.row_ptr[lo]
    odds, f, product, shift = scratch(lo, hi, rows, K, z.size)
    direction = np.empty(odds.shape[1])
    t = np.empty(K)
    weight = np.empty(K)
    e = np.empty((K, z.size))
    share = np.empty((K, z.size))
    logits = np.empty((K, z.size))
    at = np.empty(2)
    rate_of_u = np.empty(rates.shape[2:])
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        n = rows.row_ptr[j + 1] - a
        successes = 0.0
        patients = 0.0
        for i in range(n):
            successes += rows.y[a + i]
            patients += rows.trials[a + i]
        for c in range(eta.shape[0]):
            d = d0 + c
            for i in range(n):
                direction[i] = kappa[d] + sigma_w[d] * severity[a + i]
            at[0] = start[j, d, 0]
            at[1] = start[j, d, 1]
            integrate_unit(
                eta[c, a - first : a - first + n], direction[:n], rows.y[a : a + n], rows.trials[a : a + n],
                rows.binary, s[d], z_t, log_w_t, z, log_w, NEAR, at,
                odds, f, product, shift, t, weight, e, share,
            )  # fmt: skip
            rate = 0.0
            mean_e = 0.0
            mean = 0.0
            for k in range(K):
                blend(rates[c], w0[c], dw[c], sigma_w[d] * t[k], rate_of_u)
                for m in range(z.size):
                    x = weight[k] * share[k, m]
                    T = clamp(read_table(rate_of_u, u0, step, kappa[d] * t[k] + e[k, m]), 1e-12, 1.0 - 1e-12)
                    logits[k, m] = math.log(T / (1.0 - T))
                    rate += x * T
                    mean_e += x * e[k, m]
                    mean += x * logits[k, m]
            second = 0.0
            third = 0.0
            for k in range(K):
                for m in range(z.size):
                    x = weight[k] * share[k, m]
                    r = logits[k, m] - mean
                    second += x * r * r
                    third += x * r * r * r
            ter[j, d] = rate
            logit[j, d, 0] = mean
            logit[j, d, 1] = math.sqrt(max(second, 1e-20))
            logit[j, d, 2] = third / max(second, 1e-20) ** 1.5
            sums[j, 0] += weights[d] * rate
            if patients > 0.0:
                # The mean score of e is zero: E[sum of y - n p] = E[e] / s^2.
                sums[j, 1] += weights[d] * (successes - mean_e / (s[d] * s[d])) / patients


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

    Read: eta (draws, n) as in `condition_slopes`; rule (D,), the row of nodes and half that each draw takes:
    the positive nodes of a Gauss-Hermite rule with their weights, which sum to 1/2, then zeros. Written:
    expected (J, D), means over the patients. Added to: row_expected (N,).
    """
    first = rows.row_ptr[lo]
    most = max(1, most_rows(lo, hi, rows))
    odds = np.empty(most)
    spread = np.empty(most)
    growth = np.empty(most)
    mean = np.empty(most)
    shift = np.empty(most, np.int64)
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        n = rows.row_ptr[j + 1] - a
        if n == 0:
            continue
        for c in range(eta.shape[0]):
            d = d0 + c
            own = eta[c, a - first : a - first + n]
            for i in range(n):
                along = kappa[d] + sigma_w[d] * severity[a + i]
                spread[i] = math.sqrt(s[d] * s[d] + along * along)
                odds[i] = clamp(own[i], -ETA_MAX, ETA_MAX)
                mean[i] = 0.0
            exponentials(odds[:n], odds[:n], shift[:n])
            for m in range(nodes.shape[1]):
                if half[rule[d], m] == 0.0:
                    break
                for i in range(n):
                    growth[i] = clamp(spread[i] * nodes[rule[d], m], 0.0, ETA_MAX)
                exponentials(growth[:n], growth[:n], shift[:n])
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
    lo: int, hi: int, weights: FloatArray, moments: FloatArray, grid: FloatArray, cdf: FloatArray
) -> None:
    """Distribution functions of therapists lo to hi on their grids (J, G), mixed over the draws.

    Read: moments (J, D, 3 or more), mean, SD and skewness at each draw, from which its distribution follows
    as in `ter.kernels.lanes.conditional_cdf`. Written: cdf (J, G).
    """
    for j in range(lo, hi):
        cdf[j] = 0.0
        for d in range(weights.size):
            mean = moments[j, d, 0]
            scale = 1.0 / moments[j, d, 1]
            skewness = moments[j, d, 2]
            half = 0.5 * weights[d]
            if abs(skewness) < NO_SKEWNESS:
                for g in range(grid.shape[1]):
                    cdf[j, g] += half * math.erfc(-SQRT_HALF * scale * (grid[j, g] - mean))
                continue
            a, q = skew_shape(skewness)
            sign = 1.0 if skewness > 0.0 else -1.0
            for g in range(grid.shape[1]):
                above = max(1.0 + q * sign * scale * (grid[j, g] - mean), 1e-300)
                y = (math.log(above) + 0.5 * a * a) / a
                cdf[j, g] += half * math.erfc(-SQRT_HALF * sign * y)
