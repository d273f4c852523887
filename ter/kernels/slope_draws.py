"""Posterior of each therapist's (u, w) given draws of all other parameters: neither is drawn."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import FAST
from ter.kernels.lanes import conditional_cdf
from ter.kernels.rows import FloatArray, Rows, clamp, expit, most_rows
from ter.kernels.slope import integrate_unit, moments_of_e
from ter.kernels.tables import read_table

#: A node of t with less weight than this moves no distribution function that anybody reads.
SMALLEST_WEIGHT = 1e-5
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
    most = max(1, most_rows(lo, hi, rows))
    odds = np.empty(most)
    direction = np.empty(most)
    t = np.empty(K)
    weight = np.empty(K)
    e = np.empty((K, z.size))
    share = np.empty((K, z.size))
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
                rows.binary, s[d], z_t, log_w_t, z, log_w, at, odds[:n], t, weight, e, share,
            )  # fmt: skip
            start[j, d, 0] = at[0]
            start[j, d, 1] = at[1]
            u1 = 0.0
            t1 = 0.0
            for k in range(K):
                mean, second, third = moments_of_e(e[k], share[k])
                u1 += weight[k] * (kappa[d] * t[k] + mean)
                t1 += weight[k] * t[k]
            u2 = 0.0
            u3 = 0.0
            t2 = 0.0
            for k in range(K):
                mean, second, third = moments_of_e(e[k], share[k])
                r = kappa[d] * t[k] + mean - u1
                u2 += weight[k] * (r * r + second)
                u3 += weight[k] * (r * r * r + 3.0 * r * second + third)
                t2 += weight[k] * (t[k] - t1) ** 2
            given[j, d, 0] = u1
            given[j, d, 1] = math.sqrt(max(u2, 1e-300))
            given[j, d, 2] = u3 / max(u2, 1e-300) ** 1.5
            given[j, d, 3] = sigma_w[d] * t1
            given[j, d, 4] = sigma_w[d] * math.sqrt(t2)


@njit(**FAST)
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
def logits_across(
    rates: FloatArray,
    w0: float,
    dw: float,
    u0: float,
    step: float,
    u: FloatArray,
    w: FloatArray,
    out: FloatArray,
) -> None:
    """Logit T(u_j, w_j) of one draw for every therapist: shape (J,)."""
    table = np.empty(rates.shape[1:])
    for j in range(u.size):
        blend(rates, w0, dw, w[j], table)
        T = clamp(read_table(table, u0, step, u[j]), 1e-12, 1.0 - 1e-12)
        out[j] = math.log(T / (1.0 - T))


@njit(**FAST)
def summarise_slopes(
    lo: int,
    hi: int,
    rows: Rows,
    severity: FloatArray,
    eta: FloatArray,
    d: int,
    share_of_draw: float,
    sigma_u: float,
    rho: float,
    sigma_w: float,
    kappa: float,
    s: float,
    z_t: FloatArray,
    log_w_t: FloatArray,
    z: FloatArray,
    log_w: FloatArray,
    start: FloatArray,
    rates: FloatArray,
    inverses: FloatArray,
    w0: float,
    dw: float,
    u0: float,
    l0: float,
    step: float,
    u_grid: FloatArray,
    l_grid: FloatArray,
    nodes: FloatArray,
    half: FloatArray,
    u_cdf: FloatArray,
    l_cdf: FloatArray,
    sums: FloatArray,
    ter: FloatArray32,
    expected: FloatArray32,
    row_expected: FloatArray,
) -> None:
    """Add draw d, of weight share_of_draw, to all that is known of therapists lo to hi.

    Read: eta (n,), of these therapists' rows; rates and inverses, shapes (W, 2, n): for each w the
    standardised rate T(u, w) and u at which its logit is given; u_grid and l_grid (J, G). Added to: u_cdf,
    l_cdf (J, G), sums (J, 3): TER (0 to 1), expected, successes predicted; row_expected (N,). Written: ter,
    expected (J, D).
    """
    K = z_t.size
    first = rows.row_ptr[lo]
    most = max(1, most_rows(lo, hi, rows))
    odds = np.empty(most)
    direction = np.empty(most)
    t = np.empty(K)
    weight = np.empty(K)
    e = np.empty((K, z.size))
    share = np.empty((K, z.size))
    at = np.empty(2)
    rate_of_u = np.empty(rates.shape[1:])
    u_of_logit = np.empty(inverses.shape[1:])
    for j in range(lo, hi):
        a = rows.row_ptr[j]
        n = rows.row_ptr[j + 1] - a
        own = eta[a - first : a - first + n]
        successes = 0.0
        patients = 0.0
        for i in range(n):
            direction[i] = kappa + sigma_w * severity[a + i]
            successes += rows.y[a + i]
            patients += rows.trials[a + i]
        at[0] = start[j, d, 0]
        at[1] = start[j, d, 1]
        integrate_unit(
            own, direction[:n], rows.y[a : a + n], rows.trials[a : a + n], rows.binary, s,
            z_t, log_w_t, z, log_w, at,
            odds[:n], t, weight, e, share,
        )  # fmt: skip
        rate = 0.0
        first_of_e = 0.0
        for k in range(K):
            blend(rates, w0, dw, sigma_w * t[k], rate_of_u)
            mean, second, third = moments_of_e(e[k], share[k])
            first_of_e += weight[k] * mean
            for m in range(z.size):
                rate += weight[k] * share[k, m] * read_table(rate_of_u, u0, step, kappa * t[k] + e[k, m])
            if weight[k] < SMALLEST_WEIGHT:
                continue
            blend(inverses, w0, dw, sigma_w * t[k], u_of_logit)
            x = share_of_draw * weight[k]
            sd = math.sqrt(second)
            skewness = third / (second * sd)
            centre = kappa * t[k] + mean
            for g in range(u_grid.shape[1]):
                u_cdf[j, g] += x * conditional_cdf((u_grid[j, g] - centre) / sd, skewness)
                u = read_table(u_of_logit, l0, step, l_grid[j, g])
                l_cdf[j, g] += x * conditional_cdf((u - centre) / sd, skewness)
        ter[j, d] = rate
        sums[j, 0] += share_of_draw * rate

        total = 0.0
        for i in range(n):
            h = severity[a + i]
            spread = math.sqrt(
                max(sigma_u * sigma_u + h * sigma_w * (2.0 * rho * sigma_u + h * sigma_w), 0.0)
            )
            m_i = 0.0
            for m in range(nodes.size):
                r = spread * nodes[m]
                m_i += half[m] * (expit(own[i] + r) + expit(own[i] - r))
            row_expected[a + i] += share_of_draw * m_i
            total += rows.trials[a + i] * m_i
        if patients > 0.0:
            expected[j, d] = total / patients
            sums[j, 1] += share_of_draw * total / patients
            # The mean score of e is zero: E[sum of y - n p] = E[e] / s^2.
            sums[j, 2] += share_of_draw * (successes - first_of_e / (s * s)) / patients
