"""Posterior of each therapist's effect, given draws of all other parameters: u is integrated, never sampled.

Given a draw (beta, v, sigma) the effects of different therapists are independent, and each has a density of
one dimension that is tabulated at POINTS equally spaced values. Integrals of it by the trapezoidal rule are
exact to all digits that matter, since it is smooth and falls to zero within the table; its distribution
function gets the next term of the Euler-Maclaurin formula.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import FAST
from ter.kernels.quadrature import LOG_2, LOG_LARGEST_PRODUCT, node_weights, unit_mode
from ter.kernels.rng import bits, stream_key, uniform
from ter.kernels.rows import ETA_MAX, FloatArray, IntArray, Rows, clamp, most_rows, odds_of_unit, row_terms
from ter.kernels.tables import STEPS, read_table

POINTS = 41
REACH = 6.5
#: The stream of random numbers for joint draws of the effects; simulation has streams of its own.
STREAM_OF_EFFECTS = np.uint64(101)


@njit(**FAST)
def draw_likelihoods(
    lo: int,
    hi: int,
    rows: Rows,
    beta: FloatArray,
    v: FloatArray,
    sigma: FloatArray,
    z: FloatArray,
    log_w: FloatArray,
    log_lik: FloatArray,
    mean: FloatArray,
    sd: FloatArray,
    extent: FloatArray,
) -> None:
    """For therapists lo to hi and each of D draws: log L_j, and mean and SD of u_j given the draw.

    Read: beta (D, P), v (D, S), sigma (D,). Written: mean, sd (J, D). Added to: log_lik (D,). Widened: extent
    (2,), to the smallest and the largest linear predictor met.
    """
    K = z.size
    buffer = np.empty(most_rows(lo, hi, rows))
    u = np.empty(K)
    w = np.empty(K)
    smallest = math.exp(extent[0])
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        odds = buffer[: b - a]
        trials = rows.trials[a:b]
        start = 0.0
        for d in range(sigma.size):
            largest = odds_of_unit(j, rows, beta[d], v[d], odds)
            successes, linear = row_terms(odds, rows.y[a:b])
            start, precision = unit_mode(odds, trials, successes, sigma[d], start)
            for i in range(b - a):
                smallest = min(smallest, odds[i])
            extent[1] = max(extent[1], largest)
            log_lik[d] += linear + node_weights(
                odds, trials, successes, rows.binary, largest, sigma[d], start, precision, z, log_w, u, w
            )
            first = 0.0
            for k in range(K):
                first += w[k] * u[k]
            second = 0.0
            for k in range(K):
                second += w[k] * (u[k] - first) ** 2
            mean[j, d] = first
            sd[j, d] = math.sqrt(second)
    extent[0] = math.log(smallest)


@njit(**FAST)
def conditional_density(
    odds: FloatArray,
    trials: FloatArray,
    binary: bool,
    successes: float,
    largest: float,
    sigma: float,
    u0: float,
    step: float,
    density: FloatArray,
    rate: FloatArray,
) -> None:
    """Density of u at u0, u0 + step, ... (summing to 1), and the sum over patients of n p at each point."""
    K = density.size
    f = np.empty(K)
    log_product = np.zeros(K)
    product = np.ones(K)
    top_node = -ETA_MAX
    for k in range(K):
        u = clamp(u0 + k * step, -ETA_MAX, ETA_MAX)
        top_node = max(top_node, u)
        f[k] = math.exp(u)
        rate[k] = 0.0
    if binary:
        run = max(1, int(LOG_LARGEST_PRODUCT / (max(largest + top_node, 0.0) + LOG_2)))
        since = 0
        for i in range(odds.size):
            e = odds[i]
            for k in range(K):
                t = 1.0 + e * f[k]
                product[k] *= t
                rate[k] += 1.0 - 1.0 / t
            since += 1
            if since == run:
                for k in range(K):
                    log_product[k] += math.log(product[k])
                    product[k] = 1.0
                since = 0
        for k in range(K):
            log_product[k] += math.log(product[k])
    else:
        for i in range(odds.size):
            e = odds[i]
            for k in range(K):
                t = e * f[k]
                log_product[k] += trials[i] * math.log1p(t)
                rate[k] += trials[i] * (1.0 - 1.0 / (1.0 + t))
    top = -np.inf
    for k in range(K):
        u = u0 + k * step
        r = u / sigma
        density[k] = successes * u - log_product[k] - 0.5 * r * r
        top = max(top, density[k])
    total = 0.0
    for k in range(K):
        density[k] = math.exp(density[k] - top)
        total += density[k]
    for k in range(K):
        density[k] /= total


@njit(**FAST)
def distribution(
    density: FloatArray,
    rate: FloatArray,
    successes: float,
    sigma: float,
    u0: float,
    step: float,
    table: FloatArray,
) -> None:
    """Distribution function of u, tabulated with its slope, the density.

    It is the sum of trapezia less step^2 / 12 times the change in the density's slope.
    """
    K = density.size
    tau = 1.0 / (sigma * sigma)
    cumulated = 0.0
    bend0 = 0.0
    for k in range(K):
        u = u0 + k * step
        bend = density[k] / step * (successes - rate[k] - u * tau)
        if k == 0:
            bend0 = bend
        else:
            cumulated += 0.5 * (density[k] + density[k - 1])
        table[0, k] = cumulated - step * step / 12.0 * (bend - bend0)
        table[1, k] = density[k] / step


@njit(**FAST)
def read_distribution(table: FloatArray, u0: float, step: float, u: float) -> float:
    """Distribution function at u, held between 0 and 1."""
    if u <= u0:
        return 0.0
    if u >= u0 + step * (table.shape[1] - 1):
        return 1.0
    return clamp(read_table(table, u0, step, u), 0.0, 1.0)


@njit(**FAST)
def quantile(table: FloatArray, u0: float, step: float, probability: float) -> float:
    """Value at which the distribution function reaches `probability`: bisection, then Newton's method."""
    low = 0
    high = table.shape[1] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if table[0, middle] < probability:
            low = middle
        else:
            high = middle
    a = table[0, low]
    rise = table[0, low + 1] - a
    da = table[1, low] * step
    db = table[1, low + 1] * step
    c2 = 3.0 * rise - 2.0 * da - db
    c3 = da + db - 2.0 * rise
    t = clamp((probability - a) / max(rise, 1e-300), 0.0, 1.0)
    for _ in range(4):
        slope = da + t * (2.0 * c2 + 3.0 * t * c3)
        if slope <= 0.0:
            break
        t = clamp(t - (a + t * (da + t * (c2 + t * c3)) - probability) / slope, 0.0, 1.0)
    return u0 + (low + t) * step


@njit(**FAST)
def summarise_units(
    lo: int,
    hi: int,
    rows: Rows,
    beta: FloatArray,
    v: FloatArray,
    sigma: FloatArray,
    weight: FloatArray,
    mean: FloatArray,
    sd: FloatArray,
    rate_tables: FloatArray,
    u0: float,
    inverse_tables: FloatArray,
    l0: float,
    expected_tables: FloatArray,
    eta0: float,
    u_grid: FloatArray,
    ter_grid: FloatArray,
    resampled: IntArray,
    seed: np.uint64,
    u_cdf: FloatArray,
    ter_cdf: FloatArray,
    moments: FloatArray,
    row_expected: FloatArray,
    u_draws: NDArray[np.float32],
) -> None:
    """All that is known of therapists lo to hi, added up over the weighted draws.

    Read: draws (beta, v, sigma, weight), mean and sd (J, D) of u given each draw; tables by draw, shape (D,
    2, n): T(u) from u0, u(logit T) from l0, M(eta) from eta0, all at steps of 1 / STEPS; u_grid (J, G) and
    ter_grid (J, G, in logits); resampled (D + 1,): which of the M equally weighted draws come from each draw.

    Written: u_cdf, ter_cdf (J, G); moments (J, 7): mean u, mean u^2, Var(u | draw) / sigma^2, mean TER (0 to
    1), mean and mean square of expected, mean predicted; row_expected (N,); u_draws (J, M).
    """
    buffer = np.empty(most_rows(lo, hi, rows))
    density = np.empty(POINTS)
    rate = np.empty(POINTS)
    table = np.empty((2, POINTS))
    G = u_grid.shape[1]
    h = 1.0 / STEPS
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        odds = buffer[: b - a]
        trials = rows.trials[a:b]
        patients = trials.sum()
        key, odd = stream_key(seed, STREAM_OF_EFFECTS, np.uint64(j))
        for d in range(sigma.size):
            w = weight[d]
            largest = odds_of_unit(j, rows, beta[d], v[d], odds)
            successes, _ = row_terms(odds, rows.y[a:b])
            start = mean[j, d] - REACH * sd[j, d]
            step = 2.0 * REACH * sd[j, d] / (POINTS - 1)
            conditional_density(
                odds, trials, rows.binary, successes, largest, sigma[d], start, step, density, rate
            )
            distribution(density, rate, successes, sigma[d], start, step, table)

            first = 0.0
            ter = 0.0
            predicted = 0.0
            for k in range(POINTS):
                u = start + k * step
                first += density[k] * u
                ter += density[k] * read_table(rate_tables[d], u0, h, u)
                predicted += density[k] * rate[k]
            second = 0.0
            for k in range(POINTS):
                second += density[k] * (start + k * step - first) ** 2
            expected = 0.0
            for i in range(a, b):
                m = read_table(expected_tables[d], eta0, h, math.log(odds[i - a]))
                expected += rows.trials[i] * m
                row_expected[i] += w * m
            moments[j, 0] += w * first
            moments[j, 1] += w * (second + first * first)
            moments[j, 2] += w * second / (sigma[d] * sigma[d])
            moments[j, 3] += w * ter
            if patients > 0.0:
                expected /= patients
                moments[j, 4] += w * expected
                moments[j, 5] += w * expected * expected
                moments[j, 6] += w * predicted / patients

            for g in range(G):
                u_cdf[j, g] += w * read_distribution(table, start, step, u_grid[j, g])
                u = read_table(inverse_tables[d], l0, h, ter_grid[j, g])
                ter_cdf[j, g] += w * read_distribution(table, start, step, u)
            for m in range(resampled[d], resampled[d + 1]):
                u_draws[j, m] = quantile(table, start, step, uniform(bits(key, odd, np.uint64(m))))
