"""Smooth functions of one variable, tabulated with their slopes and read by cubic Hermite interpolation.

A table is an array of shape (2, n): values and slopes at x0, x0 + step, ... The error is step^4 / 384 times
the fourth derivative.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.rows import FloatArray, IntArray, clamp, expit

#: Bins a unit of log-odds in which linear predictors are counted, and steps a unit in tables of log-odds.
BINS = 32
STEPS = 8
NORMAL_POINTS = 65
NORMAL_REACH = 8.0


@njit(**FAST)
def read_table(table: FloatArray, x0: float, step: float, x: float) -> float:
    """Value at x; beyond the ends, the line through the end with its slope."""
    n = table.shape[1]
    position = (x - x0) / step
    k = min(max(math.floor(position), 0), n - 2)
    t = position - k
    if t < 0.0:
        return table[0, 0] + t * step * table[1, 0]
    if t > 1.0:
        return table[0, n - 1] + (t - 1.0) * step * table[1, n - 1]
    a = table[0, k]
    b = table[0, k + 1]
    da = table[1, k] * step
    db = table[1, k + 1] * step
    rise = b - a
    return a + t * (da + t * (3.0 * rise - 2.0 * da - db + t * (da + db - 2.0 * rise)))


@njit(**FAST)
def count_predictors(
    eta: FloatArray,
    v: FloatArray,
    outer: IntArray,
    trials: FloatArray,
    d0: int,
    low: float,
    counts: FloatArray,
) -> None:
    """Add patients to their bins of x'beta + v at draws d0, d0 + 1, ...; counts (draws, bins).

    eta (n, draws) is x'beta of some rows, outer (n,) their service, v (S, D). Bin b is centred on low + b /
    BINS. A patient is split over the three nearest bins so that mean and variance stay exact (a weight may be
    negative): the average of a smooth p is off by at most its third derivative / (16 BINS^3), which is less
    than 3e-7.
    """
    last = counts.shape[1] - 2.0
    for i in range(trials.size):
        offset = v[outer[i]]
        n = trials[i]
        row = eta[i]
        for c in range(counts.shape[0]):
            position = clamp((row[c] + offset[d0 + c] - low) * BINS, 1.0, last)
            b = int(position + 0.5)
            t = position - b
            square = t * t
            counts[c, b - 1] += n * 0.5 * (square - t)
            counts[c, b] += n * (1.0 - square)
            counts[c, b + 1] += n * 0.5 * (square + t)


@njit(**FAST)
def standardised_rate(counts: FloatArray, low: float, u0: float, table: FloatArray) -> None:
    """T(u) = mean over patients of expit(eta + u), and its slope, at u0, u0 + 1 / STEPS, ..."""
    n = counts.size
    odds = np.empty(n)
    total = 0.0
    for b in range(n):
        odds[b] = math.exp(low + b / BINS)
        total += counts[b]
    for m in range(table.shape[1]):
        f = math.exp(u0 + m / STEPS)
        value = 0.0
        slope = 0.0
        for b in range(n):
            q = 1.0 / (1.0 + odds[b] * f)
            p = 1.0 - q
            value += counts[b] * p
            slope += counts[b] * p * q
        table[0, m] = value / total
        table[1, m] = slope / total


@njit(**FAST)
def inverse_logit_rate(rate: FloatArray, u0: float, l0: float, table: FloatArray) -> None:
    """U as a function of logit T(u): table (n, 2), values and slopes at l0, l0 + 1 / STEPS, ...

    Logit T is nearly a line: its cubic Hermite interpolant is inverted by Newton's method. Beyond the ends
    it is taken for a line.
    """
    n = rate.shape[1]
    logit = np.empty((2, n))
    for m in range(n):
        T = clamp(rate[0, m], 1e-15, 1.0 - 1e-15)
        logit[0, m] = math.log(T / (1.0 - T))
        logit[1, m] = max(rate[1, m] / (T * (1.0 - T)), 1e-6)
    step = 1.0 / STEPS
    k = 0
    for m in range(table.shape[0]):
        target = l0 + m * step
        while k < n - 2 and logit[0, k + 1] < target:
            k += 1
        if target < logit[0, 0]:
            table[m, 0] = u0 + (target - logit[0, 0]) / logit[1, 0]
            table[m, 1] = 1.0 / logit[1, 0]
            continue
        if target > logit[0, n - 1]:
            table[m, 0] = u0 + (n - 1.0) * step + (target - logit[0, n - 1]) / logit[1, n - 1]
            table[m, 1] = 1.0 / logit[1, n - 1]
            continue
        a = logit[0, k]
        rise = logit[0, k + 1] - a
        da = logit[1, k] * step
        db = logit[1, k + 1] * step
        c2 = 3.0 * rise - 2.0 * da - db
        c3 = da + db - 2.0 * rise
        t = (target - a) / max(rise, 1e-300)
        slope = da
        for _ in range(5):
            slope = max(da + t * (2.0 * c2 + 3.0 * t * c3), 1e-9)
            t = clamp(t - (a + t * (da + t * (c2 + t * c3)) - target) / slope, 0.0, 1.0)
        table[m, 0] = u0 + (k + t) * step
        table[m, 1] = step / slope


@njit(**FAST)
def logistic_normal(sigma: float, eta0: float, table: FloatArray) -> None:
    """M(eta) = integral of expit(eta + u) N(u; 0, sigma^2) du, and its slope, at eta0, eta0 + 1 / STEPS, ...

    The trapezoidal rule on the whole line converges like exp(-2 pi^2 / (sigma h)) here: to all digits for
    sigma up to 5.
    """
    h = 2.0 * NORMAL_REACH / (NORMAL_POINTS - 1)
    node = np.empty(NORMAL_POINTS)
    weight = np.empty(NORMAL_POINTS)
    total = 0.0
    for k in range(NORMAL_POINTS):
        z = -NORMAL_REACH + k * h
        node[k] = sigma * z
        weight[k] = math.exp(-0.5 * z * z)
        total += weight[k]
    for m in range(table.shape[1]):
        eta = eta0 + m / STEPS
        value = 0.0
        slope = 0.0
        for k in range(NORMAL_POINTS):
            p = expit(eta + node[k])
            value += weight[k] * p
            slope += weight[k] * p * (1.0 - p)
        table[0, m] = value / total
        table[1, m] = slope / total


@njit(**FAST)
def expected_rates(eta: FloatArray, sigma: float, out: FloatArray) -> None:
    """out[i] = M(eta_i), the probability of success with an effect drawn from N(0, sigma^2), by a table."""
    if eta.size == 0:
        return
    low, table = rate_table(eta.min(), eta.max(), sigma)
    read_rates(eta, low, table, out)


@njit(**FAST)
def rate_table(lowest: float, highest: float, sigma: float) -> tuple[float, FloatArray]:
    """Where a table of M(eta) begins that serves predictors from lowest to highest, and the table."""
    low = clamp(math.floor(lowest) - 1.0, -40.0, 40.0)
    high = clamp(math.ceil(highest) + 1.0, -39.0, 41.0)
    table = np.empty((2, int((high - low) * STEPS) + 1))
    logistic_normal(sigma, low, table)
    return low, table


@njit(**FAST)
def read_rates(eta: FloatArray, low: float, table: FloatArray, out: FloatArray) -> None:
    """out[i] = M(eta_i), by a table that begins at low."""
    high = low + (table.shape[1] - 1) / STEPS
    for i in range(eta.size):
        out[i] = clamp(read_table(table, low, 1.0 / STEPS, clamp(eta[i], low, high)), 0.0, 1.0)
