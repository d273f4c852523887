"""Posterior of each therapist's effect, given draws of all other parameters: u is integrated, never sampled.

Given a draw (beta, v, sigma) the effects of different therapists are independent, and each has a smooth
density of one dimension. Two passes: `condition_units` gives likelihood and moments at each draw (adaptive
Gauss-Hermite quadrature), which weight the draws; `summarise_units` adds the densities of u_j and of logit
TER_j up over the weighted draws, each on a grid of the therapist's own.

The logarithm of a density is a polynomial to all digits that matter: it is computed at a few Chebyshev nodes
and interpolated to the grid. The mixture's sums by the trapezoidal rule are exact to the digits that matter
as long as a draw's density is at least NARROW grid steps wide; a narrower one is so much narrower than the
posterior that its shape is that of its first three moments.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import FAST
from ter.kernels.elementary import exponentials, logarithms
from ter.kernels.lanes import LANES, conditional_cdf, load_lanes, log_partition, modes
from ter.kernels.rows import ETA_MAX, FloatArray, IntArray, Rows, clamp, most_rows

LOG_SMALLEST = -690.0
#: SDs of a conditional density in grid steps below which the trapezoidal rule no longer sees it: at this
#: width its error is 2 exp(-2 pi^2 0.8^2) = 6e-6.
NARROW = 0.8
#: SDs beyond which a narrow density holds nothing.
FARTHEST = 9.0
LOG_2PI = 1.8378770664093453


@njit(**FAST)
def condition_units(
    lo: int,
    hi: int,
    rows: Rows,
    eta: FloatArray,
    d0: int,
    v: FloatArray,
    sigma: FloatArray,
    z: FloatArray,
    log_w: FloatArray,
    log_lik: FloatArray,
    extent: FloatArray,
    mean: FloatArray,
    sd: FloatArray,
    skewness: NDArray[np.float32],
    log_norm: FloatArray,
) -> None:
    """For therapists lo to hi and the draws of eta: log L_j, and the moments of u_j given the draw.

    Read: eta (rows of these therapists, W), x'beta at draws d0 to d0 + W, a multiple of LANES; v (S, D) and
    sigma (D,) of all draws. Written: mean, sd, skewness (J, D), and log_norm (J, D), the log integral of
    exp(y u - log partition - u^2 / 2 sigma^2). Added to: log_lik (D,). Widened: extent (2, D), the lowest and
    the highest linear predictor.
    """
    K = z.size
    most = most_rows(lo, hi, rows)
    buffer = np.empty((max(most, 1), LANES))
    scratch = np.empty(max(most, K) * LANES)
    linear = np.empty(LANES)
    low = np.empty(LANES)
    high = np.empty(LANES)
    tau = np.empty(LANES)
    u0 = np.empty(LANES)
    precision = np.empty(LANES)
    u = np.empty((K, LANES))
    f = np.empty((K, LANES))
    w = np.empty((K, LANES))
    product = np.empty((K, LANES))
    top = np.empty(LANES)
    total = np.empty(LANES)
    first = np.empty(LANES)
    second = np.empty(LANES)
    third = np.empty(LANES)
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        odds = buffer[: b - a]
        trials = rows.trials[a:b]
        successes = rows.y[a:b].sum()
        u0[:] = 0.0
        for at in range(0, eta.shape[1], LANES):
            d = d0 + at
            load_lanes(lo, j, rows, eta, at, v, d, odds, linear, low, high, scratch)
            largest = -ETA_MAX
            for c in range(LANES):
                tau[c] = 1.0 / (sigma[d + c] * sigma[d + c])
                extent[0, d + c] = min(extent[0, d + c], low[c])
                extent[1, d + c] = max(extent[1, d + c], high[c])
                largest = max(largest, high[c])
            modes(odds, trials, successes, tau, u0, precision, scratch)
            highest = -ETA_MAX
            for c in range(LANES):
                precision[c] = 1.0 / math.sqrt(precision[c])
                highest = max(highest, u0[c] + precision[c] * z[K - 1])
            for k in range(K):
                for c in range(LANES):
                    u[k, c] = clamp(u0[c] + precision[c] * z[k], -ETA_MAX, ETA_MAX)
            log_partition(odds, trials, rows.binary, largest + highest, u, w, f, product, scratch)
            top[:] = -np.inf
            for k in range(K):
                for c in range(LANES):
                    w[k, c] = successes * u[k, c] - w[k, c] - 0.5 * tau[c] * u[k, c] * u[k, c] + log_w[k]
                    top[c] = max(top[c], w[k, c])
            for k in range(K):
                for c in range(LANES):
                    w[k, c] = max(w[k, c] - top[c], LOG_SMALLEST)
            exponentials(w.reshape(-1), w.reshape(-1), scratch[: w.size])
            total[:] = 0.0
            first[:] = 0.0
            for k in range(K):
                for c in range(LANES):
                    total[c] += w[k, c]
                    first[c] += w[k, c] * u[k, c]
            second[:] = 0.0
            third[:] = 0.0
            for c in range(LANES):
                first[c] /= total[c]
            for k in range(K):
                for c in range(LANES):
                    x = u[k, c] - first[c]
                    second[c] += w[k, c] * x * x
                    third[c] += w[k, c] * x * x * x
            for c in range(LANES):
                variance = second[c] / total[c]
                norm = top[c] + math.log(total[c] * precision[c])
                log_norm[j, d + c] = norm
                log_lik[d + c] += linear[c] + norm - math.log(sigma[d + c]) - 0.5 * LOG_2PI
                mean[j, d + c] = first[c]
                sd[j, d + c] = math.sqrt(variance)
                skewness[j, d + c] = third[c] / total[c] / (variance * math.sqrt(variance))


@njit(**FAST)
def read_lanes(
    table: FloatArray, x0: float, step: float, x: float, d: int, value: FloatArray, slope: FloatArray
) -> None:
    """Value and slope at x of tables (n, 2, D) at LANES draws; beyond the ends a line."""
    n = table.shape[0]
    position = (x - x0) / step
    k = min(max(math.floor(position), 0), n - 2)
    t = position - k
    a = table[k, 0]
    b = table[k + 1, 0]
    sa = table[k, 1]
    sb = table[k + 1, 1]
    if t < 0.0 or t > 1.0:
        end = a if t < 0.0 else b
        rise = sa if t < 0.0 else sb
        beyond = (t if t < 0.0 else t - 1.0) * step
        for c in range(LANES):
            value[c] = end[d + c] + beyond * rise[d + c]
            slope[c] = rise[d + c]
        return
    for c in range(LANES):
        da = sa[d + c] * step
        db = sb[d + c] * step
        rise = b[d + c] - a[d + c]
        c2 = 3.0 * rise - 2.0 * da - db
        c3 = da + db - 2.0 * rise
        value[c] = a[d + c] + t * (da + t * (c2 + t * c3))
        slope[c] = (da + t * (2.0 * c2 + 3.0 * t * c3)) / step


@njit(**FAST)
def read_one(table: FloatArray, x0: float, step: float, x: float, d: int) -> tuple[float, float]:
    """Value and slope at x of draw d's table, as `read_lanes`."""
    n = table.shape[0]
    position = (x - x0) / step
    k = min(max(math.floor(position), 0), n - 2)
    t = position - k
    if t < 0.0:
        return table[0, 0, d] + t * step * table[0, 1, d], table[0, 1, d]
    if t > 1.0:
        return table[n - 1, 0, d] + (t - 1.0) * step * table[n - 1, 1, d], table[n - 1, 1, d]
    da = table[k, 1, d] * step
    db = table[k + 1, 1, d] * step
    rise = table[k + 1, 0, d] - table[k, 0, d]
    c2 = 3.0 * rise - 2.0 * da - db
    c3 = da + db - 2.0 * rise
    value = table[k, 0, d] + t * (da + t * (c2 + t * c3))
    return value, (da + t * (2.0 * c2 + 3.0 * t * c3)) / step


@njit(**FAST)
def interpolate(
    log_density: FloatArray, matrix: FloatArray, density: FloatArray, scratch: FloatArray
) -> None:
    """density[g, c] = exp(sum_k matrix[g, k] log_density[k, c]), at the grid's points."""
    K = log_density.shape[0]
    for g in range(density.shape[0]):
        row = density[g]
        for c in range(LANES):
            row[c] = 0.0
        k = 0
        while k + 4 <= K:
            m0 = matrix[g, k]
            m1 = matrix[g, k + 1]
            m2 = matrix[g, k + 2]
            m3 = matrix[g, k + 3]
            s0 = log_density[k]
            s1 = log_density[k + 1]
            s2 = log_density[k + 2]
            s3 = log_density[k + 3]
            for c in range(LANES):
                row[c] += (m0 * s0[c] + m1 * s1[c]) + (m2 * s2[c] + m3 * s3[c])
            k += 4
        while k < K:
            m0 = matrix[g, k]
            s0 = log_density[k]
            for c in range(LANES):
                row[c] += m0 * s0[c]
            k += 1
        for c in range(LANES):
            row[c] = clamp(row[c], LOG_SMALLEST, -LOG_SMALLEST)
    flat = density.reshape(-1)
    exponentials(flat, flat, scratch[: flat.size])


@njit(**FAST)
def share_below(mean: float, centre: float, step: float) -> float:
    """What share of the mass beyond a grid lies below it: all or nothing four steps from the centre on."""
    return clamp(0.5 - (mean - centre) / (8.0 * step), 0.0, 1.0)


@njit(**FAST)
def accumulate(
    density: FloatArray,
    step: float,
    centre: float,
    weight: FloatArray,
    mean: FloatArray,
    mass: FloatArray,
    total: FloatArray,
) -> float:
    """Add weighted densities (G, LANES) up to `total` (G,); returns the weighted mass below the grid.

    What a density has beyond the grid is shared out by `share_below`. Written: mass (LANES,), what lies on
    the grid.
    """
    for c in range(LANES):
        mass[c] = 0.0
    for g in range(density.shape[0]):
        row = density[g]
        s = 0.0
        for c in range(LANES):
            mass[c] += row[c] * step
            s += weight[c] * row[c]
        total[g] += s
    below = 0.0
    for c in range(LANES):
        below += weight[c] * (1.0 - mass[c]) * share_below(mean[c], centre, step)
    return below


@njit(**FAST)
def expected_lanes(
    odds: FloatArray, trials: FloatArray, spread: FloatArray, half: FloatArray, out: FloatArray
) -> None:
    """out[i, c] = E[expit(log odds[i, c] + sigma_c z)], by Gauss-Hermite nodes in pairs.

    A pair +-z of weight `half` each costs one division: spread (M, LANES) is 2 cosh(sigma z).
    """
    for i in range(trials.size):
        e = odds[i]
        row = out[i]
        for c in range(LANES):
            row[c] = 0.0
        for m in range(half.size):
            h = half[m]
            s = spread[m]
            for c in range(LANES):
                x = e[c] * s[c]
                square = e[c] * e[c]
                row[c] += h * (x + 2.0 * square) / (1.0 + x + square)


@njit(**FAST)
def summarise_units(
    lo: int,
    hi: int,
    rows: Rows,
    eta: FloatArray,
    d0: int,
    v: FloatArray,
    sigma: FloatArray,
    weight: FloatArray,
    mean: FloatArray,
    sd: FloatArray,
    skewness: NDArray[np.float32],
    log_norm: FloatArray,
    u_axis: FloatArray,
    l_axis: FloatArray,
    rule: IntArray,
    rule_sizes: IntArray,
    rule_nodes: FloatArray,
    rule_matrices: FloatArray,
    inverse: FloatArray,
    l0: float,
    l_table_step: float,
    spread: FloatArray,
    half: FloatArray,
    u_density: FloatArray,
    u_narrow: FloatArray,
    ter_density: FloatArray,
    ter_narrow: FloatArray,
    below: FloatArray,
    ter: NDArray[np.float32],
    expected: NDArray[np.float32],
    sums: FloatArray,
    row_expected: FloatArray,
) -> None:
    """All that is known of therapists lo to hi, added up over the weighted draws of eta.

    Read: eta to sigma as `condition_units`; weight (D,); mean, sd, skewness, log_norm (J, D); u_axis, l_axis
    (J, 2), centre and step of the grids of u and of logit TER; rule (J,), which of the Chebyshev rules suits
    the therapist: sizes, nodes (Q, G) on [-1, 1] and matrices (Q, G, G) from nodes to the grid; inverse (n,
    2, D), u(logit T) from l0 on; spread, half as in `expected_lanes`.

    Added to: u_density, ter_density (J, G); u_narrow, ter_narrow (J, G), distribution functions of what is
    too narrow for the grid; below (J, 2), masses below the grids; sums (J, 2), mean TER and expected rate (0
    to 1); row_expected (N,). Written: ter, expected (J, D), given each draw.
    """
    G = u_density.shape[1]
    most = max(most_rows(lo, hi, rows), 1)
    buffer = np.empty((most, LANES))
    rates = np.empty((most, LANES))
    scratch = np.empty(max(most, G) * LANES)
    linear = np.empty(LANES)
    low = np.empty(LANES)
    high = np.empty(LANES)
    u_all = np.empty((G, LANES))
    f_all = np.empty((G, LANES))
    value_all = np.empty((G, LANES))
    product_all = np.empty((G, LANES))
    slope = np.empty((G, LANES))
    density = np.empty((G, LANES))
    wide = np.empty(LANES)
    mass = np.empty(LANES)
    lane_mean = np.empty(LANES)
    lane_sum = np.empty(LANES)
    at_u = np.empty(LANES)
    at_slope = np.empty(LANES)
    tau = np.empty(LANES)
    rate_at = np.empty(G)
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        b = rows.row_ptr[j + 1]
        odds = buffer[: b - a]
        trials = rows.trials[a:b]
        successes = rows.y[a:b].sum()
        patients = trials.sum()
        K = rule_sizes[rule[j]]
        matrix = rule_matrices[rule[j]]
        u = u_all[:K]
        f = f_all[:K]
        value = value_all[:K]
        product = product_all[:K]
        u_half = 0.5 * (G - 1) * u_axis[j, 1]
        l_half = 0.5 * (G - 1) * l_axis[j, 1]
        for g in range(G):
            x = l_axis[j, 0] + (g - 0.5 * (G - 1)) * l_axis[j, 1]
            rate_at[g] = 1.0 / (1.0 + math.exp(-x))
        for at in range(0, eta.shape[1], LANES):
            d = d0 + at
            load_lanes(lo, j, rows, eta, at, v, d, odds, linear, low, high, scratch)
            largest = -ETA_MAX
            for c in range(LANES):
                largest = max(largest, high[c])
                tau[c] = 1.0 / (sigma[d + c] * sigma[d + c])

            # u on its own grid.
            for k in range(K):
                x = u_axis[j, 0] + u_half * rule_nodes[rule[j], k]
                for c in range(LANES):
                    u[k, c] = clamp(x, -ETA_MAX, ETA_MAX)
            log_partition(
                odds, trials, rows.binary, largest + u_axis[j, 0] + u_half, u, value, f, product, scratch
            )
            for k in range(K):
                for c in range(LANES):
                    value[k, c] = (
                        successes * u[k, c] - value[k, c] - 0.5 * tau[c] * u[k, c] * u[k, c]
                    ) - log_norm[j, d + c]
            interpolate(value, matrix, density, scratch)
            for c in range(LANES):
                lane_mean[c] = mean[j, d + c]
                wide[c] = weight[d + c] if sd[j, d + c] >= NARROW * u_axis[j, 1] else 0.0
            below[j, 0] += accumulate(
                density, u_axis[j, 1], u_axis[j, 0], wide, lane_mean, mass, u_density[j]
            )
            for c in range(LANES):
                w = weight[d + c]
                if w > 0.0 and wide[c] == 0.0:
                    for g in range(G):
                        x = u_axis[j, 0] + (g - 0.5 * (G - 1)) * u_axis[j, 1]
                        position = (x - mean[j, d + c]) / sd[j, d + c]
                        if position > FARTHEST:
                            u_narrow[j, g] += w
                        elif position > -FARTHEST:
                            u_narrow[j, g] += w * conditional_cdf(position, skewness[j, d + c])

            # Logit TER, a function of u that rises; its density is that of u times du / d logit TER.
            highest = -ETA_MAX
            for k in range(K):
                x = l_axis[j, 0] + l_half * rule_nodes[rule[j], k]
                read_lanes(inverse, l0, l_table_step, x, d, u[k], slope[k])
                for c in range(LANES):
                    u[k, c] = clamp(u[k, c], -ETA_MAX, ETA_MAX)
                    highest = max(highest, u[k, c])
            log_partition(odds, trials, rows.binary, largest + highest, u, value, f, product, scratch)
            logarithms(slope[:K].reshape(-1), product.reshape(-1), scratch[: product.size])
            for k in range(K):
                for c in range(LANES):
                    value[k, c] = (successes * u[k, c] - value[k, c] - 0.5 * tau[c] * u[k, c] * u[k, c]) + (
                        product[k, c] - log_norm[j, d + c]
                    )
            interpolate(value, matrix, density, scratch)
            read_lanes(inverse, l0, l_table_step, l_axis[j, 0], d, at_u, at_slope)
            for c in range(LANES):
                # The mean of logit TER, near enough to tell on which side of the grid's centre it is.
                lane_mean[c] = l_axis[j, 0] + (mean[j, d + c] - at_u[c]) / at_slope[c]
                width = sd[j, d + c] / at_slope[c]
                wide[c] = weight[d + c] if width >= NARROW * l_axis[j, 1] else 0.0
            below[j, 1] += accumulate(
                density, l_axis[j, 1], l_axis[j, 0], wide, lane_mean, mass, ter_density[j]
            )
            for c in range(LANES):
                lane_sum[c] = 0.0
            for g in range(G):
                r = rate_at[g] * l_axis[j, 1]
                for c in range(LANES):
                    lane_sum[c] += r * density[g, c]
            for c in range(LANES):
                w = weight[d + c]
                left = share_below(lane_mean[c], l_axis[j, 0], l_axis[j, 1])
                end = left * rate_at[0] + (1.0 - left) * rate_at[G - 1]
                t = lane_sum[c] + (1.0 - mass[c]) * end
                if w > 0.0 and wide[c] == 0.0:
                    x = lane_mean[c]
                    for _ in range(4):
                        at_mean, rise = read_one(inverse, l0, l_table_step, x, d + c)
                        x -= (at_mean - mean[j, d + c]) / rise
                    width = sd[j, d + c] / rise
                    r = 1.0 / (1.0 + math.exp(-x))
                    # The mean of the rate over a narrow density: its curvature there times half the variance.
                    t = r + 0.5 * width * width * r * (1.0 - r) * (1.0 - 2.0 * r)
                    for g in range(G):
                        x = l_axis[j, 0] + (g - 0.5 * (G - 1)) * l_axis[j, 1]
                        at_grid, _ = read_one(inverse, l0, l_table_step, x, d + c)
                        position = (at_grid - mean[j, d + c]) / sd[j, d + c]
                        if position > FARTHEST:
                            ter_narrow[j, g] += w
                        elif position > -FARTHEST:
                            ter_narrow[j, g] += w * conditional_cdf(position, skewness[j, d + c])
                ter[j, d + c] = t
                sums[j, 0] += w * t

            # Expected rates.
            expected_lanes(odds, trials, spread[:, d : d + LANES], half, rates)
            for c in range(LANES):
                lane_sum[c] = 0.0
            for i in range(b - a):
                n = trials[i]
                s = 0.0
                for c in range(LANES):
                    s += weight[d + c] * rates[i, c]
                    lane_sum[c] += n * rates[i, c]
                row_expected[a + i] += s
            for c in range(LANES):
                x = lane_sum[c] / max(patients, 1.0)
                expected[j, d + c] = x
                sums[j, 1] += weight[d + c] * x
