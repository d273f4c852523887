"""Quadrature inside quadrature: therapists nested in services, every therapist in one service.

For service s with therapists j,

    L_s = integral of prod_j L_j(v) N(v; 0, sigma_v^2) dv,
    L_j(v) = integral of prod_i Binomial(y_i | n_i, expit(eta_i + v + u)) N(u; 0, sigma_u^2) du,

each by adaptive Gauss-Hermite quadrature (Rabe-Hesketh, Skrondal and Pickles 2005): the nodes of v are placed
at the mode of its integrand and scaled by the curvature there, and for each of them those of every u. The
gradient is the posterior expectation of the complete-data score over all nodes (Fisher's identity).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.quadrature import LOG_2PI, node_weights, unit_mode
from ter.kernels.rows import ETA_MAX, FloatArray, IntArray, Rows, clamp

MODE_STEPS = 60
#: A mode only places nodes: this error of it, in SDs of the integrand, changes the integral by a rounding.
MODE_TOLERANCE = 1e-8


@njit(**FAST)
def given_outer(
    v: float,
    rows: Rows,
    members: IntArray,
    odds: FloatArray,
    successes: FloatArray,
    largest: FloatArray,
    sigma: float,
    z: FloatArray,
    log_w: FloatArray,
    mode: FloatArray,
    u: FloatArray,
    w: FloatArray,
    shifted: FloatArray,
    residual: FloatArray,
    first: FloatArray,
    second: FloatArray,
) -> tuple[float, float, float]:
    """Sum over the therapists of a service of log L_j(v), with its first and minus its second derivative.

    Read: members, the service's therapists; odds = exp(x'beta) of their rows in that order; successes and
    largest linear predictor of each member. Written: residual, E[y - n p | v] of each of those rows; first
    and second moment of u_j given v of each member.
    """
    K = z.size
    f = math.exp(v)
    total = 0.0
    slope = 0.0
    bend = 0.0
    at = 0
    for m in range(members.size):
        j = members[m]
        a = rows.row_ptr[j]
        n = rows.row_ptr[j + 1] - a
        trials = rows.trials[a : a + n]
        for i in range(n):
            shifted[i] = odds[at + i] * f
        total += successes[m] * v
        mode[j], precision = unit_mode(shifted[:n], trials, successes[m], sigma, mode[j])
        total += node_weights(
            shifted[:n], trials, successes[m], rows.binary, largest[m] + v, sigma, mode[j], precision,
            z, log_w, u, w,
        )  # fmt: skip
        mean = 0.0
        for k in range(K):
            mean += w[k] * u[k]
        spread = 0.0
        for k in range(K):
            spread += w[k] * (u[k] - mean) ** 2
        first[m] = mean
        second[m] = spread + mean * mean
        for k in range(K):
            u[k] = math.exp(u[k])
        sum_r = 0.0
        for i in range(n):
            q = 0.0
            for k in range(K):
                q += w[k] / (1.0 + shifted[i] * u[k])
            residual[at + i] = rows.y[a + i] - trials[i] * (1.0 - q)
            sum_r += residual[at + i]
        slope += sum_r
        # d/dv of E[sum of residuals | v] by the identity of the score of u: with t = u + v the posterior of t
        # depends on v through its prior N(v, sigma^2) alone, so that log L_j'' = Var(u | v) / sigma^4 - 1 /
        # sigma^2.
        bend += (1.0 - spread / (sigma * sigma)) / (sigma * sigma)
        at += n
    return total, slope, bend


@njit(**FAST)
def service_passes(
    lo: int,
    hi: int,
    rows: Rows,
    members: IntArray,
    member_ptr: IntArray,
    beta: FloatArray,
    sigma: float,
    sigma_outer: float,
    z: FloatArray,
    log_w: FloatArray,
    z_outer: FloatArray,
    log_w_outer: FloatArray,
    mode: FloatArray,
    outer_mode: FloatArray,
    gradient: FloatArray,
    moments: FloatArray,
    outer_moments: FloatArray,
) -> float:
    """Sum over services lo to hi of log L_s, without binomial constants.

    Read: members, the therapists with rows, service by service, and member_ptr (S + 1,); the rules z, log_w
    for the therapists and z_outer, log_w_outer for the services. Updated: where the
    searches for modes start, mode (J,) and outer_mode (S,). Added to: gradient (P + 2,) in (beta, log
    sigma_u, log sigma_v). Written: mean and variance of each u_j and v_s given the data, moments (J, 2) and
    outer_moments (S, 2).
    """
    K = z_outer.size
    P = beta.size
    most = 1
    most_members = 1
    for s in range(lo, hi):
        n = 0
        for m in range(member_ptr[s], member_ptr[s + 1]):
            n += rows.row_ptr[members[m] + 1] - rows.row_ptr[members[m]]
        most = max(most, n)
        most_members = max(most_members, member_ptr[s + 1] - member_ptr[s])
    odds = np.empty(most)
    shifted = np.empty(most)
    residual = np.empty((K, most))
    first = np.empty((K, most_members))
    second = np.empty((K, most_members))
    successes = np.empty(most_members)
    largest = np.empty(most_members)
    u = np.empty(z.size)
    w = np.empty(z.size)
    v = np.empty(K)
    weight = np.empty(K)
    tau = 1.0 / (sigma_outer * sigma_outer)
    total = 0.0
    for s in range(lo, hi):
        own = members[member_ptr[s] : member_ptr[s + 1]]
        linear = 0.0
        at = 0
        for m in range(own.size):
            j = own[m]
            successes[m] = 0.0
            largest[m] = -ETA_MAX
            a = rows.row_ptr[j]
            n = rows.row_ptr[j + 1] - a
            for i in range(n):
                shifted[i] = 0.0
            for p in range(P):
                for i in range(n):
                    shifted[i] += rows.X[a + i, p] * beta[p]
            for i in range(n):
                eta = clamp(shifted[i], -ETA_MAX, ETA_MAX)
                odds[at + i] = math.exp(eta)
                largest[m] = max(largest[m], eta)
                successes[m] += rows.y[a + i]
                linear += rows.y[a + i] * eta
            at += n

        # The integrand in v is log-concave: its mode lies between any point that rises and any that falls.
        low = -ETA_MAX
        high = ETA_MAX
        x = clamp(outer_mode[s], -0.5 * ETA_MAX, 0.5 * ETA_MAX)
        precision = tau
        for _ in range(MODE_STEPS):
            _, slope, bend = given_outer(
                x, rows, own, odds, successes, largest, sigma, z, log_w, mode,
                u, w, shifted, residual[0], first[0], second[0],
            )  # fmt: skip
            slope -= x * tau
            precision = max(bend, 0.0) + tau
            if slope > 0.0:
                low = x
            else:
                high = x
            step = slope / precision
            if abs(step) * math.sqrt(precision) < MODE_TOLERANCE:
                break
            following = x + step
            x = following if low < following < high else 0.5 * (low + high)
        outer_mode[s] = x

        scale = 1.0 / math.sqrt(precision)
        top = -np.inf
        for k in range(K):
            v[k] = clamp(x + scale * z_outer[k], -ETA_MAX, ETA_MAX)
            value, _, _ = given_outer(
                v[k], rows, own, odds, successes, largest, sigma, z, log_w, mode,
                u, w, shifted, residual[k], first[k], second[k],
            )  # fmt: skip
            weight[k] = value - 0.5 * v[k] * v[k] * tau + log_w_outer[k]
            top = max(top, weight[k])
        area = 0.0
        for k in range(K):
            weight[k] = math.exp(weight[k] - top)
            area += weight[k]
        total += linear + top + math.log(area) + math.log(scale) - math.log(sigma_outer) - 0.5 * LOG_2PI

        mean = 0.0
        for k in range(K):
            weight[k] /= area
            mean += weight[k] * v[k]
        spread = 0.0
        for k in range(K):
            spread += weight[k] * (v[k] - mean) ** 2
        outer_moments[s, 0] = mean
        outer_moments[s, 1] = spread
        gradient[P + 1] += (spread + mean * mean) * tau - 1.0
        at = 0
        for m in range(own.size):
            j = own[m]
            e1 = 0.0
            e2 = 0.0
            for k in range(K):
                e1 += weight[k] * first[k, m]
                e2 += weight[k] * second[k, m]
            moments[j, 0] = e1
            moments[j, 1] = e2 - e1 * e1
            gradient[P] += e2 / (sigma * sigma) - 1.0
            a = rows.row_ptr[j]
            n = rows.row_ptr[j + 1] - a
            for i in range(n):
                shifted[i] = 0.0
            for k in range(K):
                for i in range(n):
                    shifted[i] += weight[k] * residual[k, at + i]
            for p in range(P):
                # Not added up in the array: where it happens to lie would decide in which order.
                slope = 0.0
                for i in range(n):
                    slope += shifted[i] * rows.X[a + i, p]
                gradient[p] += slope
            at += n
    return total
