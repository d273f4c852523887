"""Smooth functions of one variable, tabulated with their slopes and read by cubic Hermite interpolation.

A table is an array of shape (2, n): values and slopes at x0, x0 + step, ... The error is step^4 / 384 times
the fourth derivative.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.rows import FloatArray, Rows, clamp, expit

#: Bins a unit of log-odds in which linear predictors are counted, and steps a unit in tables of log-odds.
BINS = 64
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
def count_predictors(rows: Rows, beta: FloatArray, v: FloatArray, low: float, counts: FloatArray) -> None:
    """Share of patients by bin of x'beta + v; each patient is split between the two nearest bin centres.

    Bin b is centred on low + b / BINS. The split keeps the mean exact, so that the error of an average of a
    smooth p is at most p'' / (8 BINS^2), which is less than 4e-6.
    """
    counts[:] = 0.0
    total = 0.0
    last = counts.size - 1
    for c in range(rows.cell_outer.size):
        offset = v[rows.cell_outer[c]]
        for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1]):
            eta = offset
            for p in range(beta.size):
                eta += rows.X[i, p] * beta[p]
            position = clamp((eta - low) * BINS, 0.0, last - 1e-9)
            b = int(position)
            t = position - b
            counts[b] += rows.trials[i] * (1.0 - t)
            counts[b + 1] += rows.trials[i] * t
            total += rows.trials[i]
    for b in range(counts.size):
        counts[b] /= total


@njit(**FAST)
def standardised_rate(counts: FloatArray, low: float, u0: float, table: FloatArray) -> None:
    """T(u) = mean over patients of expit(eta + u), and its slope, at u0, u0 + 1 / STEPS, ..."""
    for m in range(table.shape[1]):
        u = u0 + m / STEPS
        value = 0.0
        slope = 0.0
        for b in range(counts.size):
            if counts[b] > 0.0:
                p = expit(low + b / BINS + u)
                value += counts[b] * p
                slope += counts[b] * p * (1.0 - p)
        table[0, m] = value
        table[1, m] = slope


@njit(**FAST)
def inverse_logit_rate(rate: FloatArray, u0: float, l0: float, table: FloatArray) -> None:
    """U as a function of logit T(u): values and slopes at l0, l0 + 1 / STEPS, ..., by Newton's method."""
    u = u0
    n = rate.shape[1]
    for m in range(table.shape[1]):
        target = l0 + m / STEPS
        slope = 1.0
        for _ in range(50):
            T = clamp(read_table(rate, u0, 1.0 / STEPS, u), 1e-15, 1.0 - 1e-15)
            # The slope of T is read off its own values: a secant over a short way is smooth enough for a
            # root.
            ahead = clamp(read_table(rate, u0, 1.0 / STEPS, u + 1e-4), 1e-15, 1.0 - 1e-15)
            behind = clamp(read_table(rate, u0, 1.0 / STEPS, u - 1e-4), 1e-15, 1.0 - 1e-15)
            slope = max((ahead - behind) / 2e-4 / (T * (1.0 - T)), 1e-6)
            step = clamp((target - math.log(T / (1.0 - T))) / slope, -2.0, 2.0)
            u = clamp(u + step, u0, u0 + (n - 1.0) / STEPS)
            if abs(step) < 1e-11:
                break
        table[0, m] = u
        table[1, m] = 1.0 / slope


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
    low = clamp(math.floor(eta.min()) - 1.0, -40.0, 40.0)
    high = clamp(math.ceil(eta.max()) + 1.0, -39.0, 41.0)
    table = np.empty((2, int((high - low) * STEPS) + 1))
    logistic_normal(sigma, low, table)
    for i in range(eta.size):
        out[i] = clamp(read_table(table, low, 1.0 / STEPS, clamp(eta[i], low, high)), 0.0, 1.0)
