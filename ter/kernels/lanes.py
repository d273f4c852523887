"""What kernels on several draws side by side are made of.

LANES draws are worked on at once: the innermost loops run over draws, and so vectorise whatever the caseload.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.elementary import LOG_2, exponentials, logarithms
from ter.kernels.rows import ETA_MAX, FloatArray, Rows, clamp

#: Draws that are worked on side by side.
LANES = 16
MODE_STEPS = 60
#: A mode places nodes: it may be off by a hundredth of an SD (this is its square).
MODE_TOLERANCE = 1e-4
#: Logarithm of the largest product that is let grow before its log is taken.
LOG_LARGEST_PRODUCT = 690.0
SQRT_HALF = 0.7071067811865476
#: A density of less skewness is taken for normal.
NO_SKEWNESS = 1e-4


@njit(**FAST)
def skew_shape(skewness: float) -> tuple[float, float]:
    """Parameters a, q of the shifted log-normal (exp(a y - a^2 / 2) - 1) / q, y standard normal.

    Its mean is 0, its variance 1 and its skewness |skewness|. The fourth moment is near that of a log-gamma
    density, to which what a therapist's patients say of u comes close.
    """
    g = abs(skewness)
    t = (8.0 + 4.0 * g * g + 4.0 * g * math.sqrt(4.0 + g * g)) ** (1.0 / 3.0)
    q = (t - 2.0) / math.sqrt(2.0 * t)
    return math.sqrt(math.log1p(q * q)), q


@njit(**FAST)
def conditional_cdf(z: float, skewness: float) -> float:
    """Distribution function of a standardised effect of this skewness, by `skew_shape`."""
    if abs(skewness) < NO_SKEWNESS:
        return 0.5 * math.erfc(-SQRT_HALF * z)
    a, q = skew_shape(skewness)
    above = 1.0 + q * (z if skewness > 0.0 else -z)
    if above <= 0.0:
        return 0.0 if skewness > 0.0 else 1.0
    y = (math.log(above) + 0.5 * a * a) / a
    return 0.5 * math.erfc(-SQRT_HALF * (y if skewness > 0.0 else -y))


@njit(**FAST)
def load_lanes(
    lo: int,
    j: int,
    rows: Rows,
    eta: FloatArray,
    at: int,
    v: FloatArray,
    d: int,
    odds: FloatArray,
    linear: FloatArray,
    low: FloatArray,
    high: FloatArray,
    scratch: FloatArray,
) -> None:
    """Odds of unit j's rows at LANES draws from d on.

    Read: eta (rows from unit lo on, draws), x'beta, from its column `at`.

    Written: odds (n, LANES), and by lane linear = sum y eta, and the lowest and the highest linear predictor.
    """
    first = rows.row_ptr[lo]
    a = rows.row_ptr[j]
    for c in range(LANES):
        linear[c] = 0.0
        low[c] = ETA_MAX
        high[c] = -ETA_MAX
    for cell in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
        offset = v[rows.cell_outer[cell]]
        for i in range(rows.cell_ptr[cell], rows.cell_ptr[cell + 1]):
            y = rows.y[i]
            source = eta[i - first]
            target = odds[i - a]
            for c in range(LANES):
                x = clamp(source[at + c] + offset[d + c], -ETA_MAX, ETA_MAX)
                target[c] = x
                linear[c] += y * x
                low[c] = min(low[c], x)
                high[c] = max(high[c], x)
    flat = odds.reshape(-1)
    exponentials(flat, flat, scratch[: flat.size])


@njit(**FAST)
def modes(
    odds: FloatArray,
    trials: FloatArray,
    successes: float,
    tau: FloatArray,
    u: FloatArray,
    precision: FloatArray,
    scratch: FloatArray,
) -> None:
    """Modes of u and precisions there, by lane: Newton from u, kept within brackets by bisection."""
    f = np.empty(LANES)
    mean = np.empty(LANES)
    weight = np.empty(LANES)
    low = np.full(LANES, -ETA_MAX)
    high = np.full(LANES, ETA_MAX)
    for _ in range(MODE_STEPS):
        exponentials(u, f, scratch[:LANES])
        for c in range(LANES):
            mean[c] = 0.0
            weight[c] = 0.0
        for i in range(trials.size):
            n = trials[i]
            e = odds[i]
            for c in range(LANES):
                q = 1.0 / (1.0 + e[c] * f[c])
                mean[c] += n * (1.0 - q)
                weight[c] += n * q * (1.0 - q)
        worst = 0.0
        for c in range(LANES):
            slope = successes - mean[c] - u[c] * tau[c]
            precision[c] = weight[c] + tau[c]
            # The density is log-concave: its mode lies between any point that rises and any that falls.
            if slope > 0.0:
                low[c] = u[c]
            else:
                high[c] = u[c]
            following = u[c] + slope / precision[c]
            if not low[c] <= following <= high[c]:
                following = 0.5 * (low[c] + high[c])
            moved = following - u[c]
            worst = max(worst, moved * moved * precision[c])
            u[c] = following
        if worst < MODE_TOLERANCE:
            break


@njit(**FAST)
def log_partition(
    odds: FloatArray,
    trials: FloatArray,
    binary: bool,
    high: float,
    u: FloatArray,
    out: FloatArray,
    f: FloatArray,
    product: FloatArray,
    scratch: FloatArray,
) -> None:
    """out[k, c] = sum_i n_i log(1 + odds[i, c] exp(u[k, c])); `high` is the largest log-odds plus u.

    All of u, out, f, product are contiguous (K, LANES); the latter two and `scratch` are scratch.
    """
    K = u.shape[0]
    size = u.size
    exponentials(u.reshape(-1), f.reshape(-1), scratch[:size])
    out[:] = 0.0
    n = trials.size
    if not binary:
        for i in range(n):
            e = odds[i]
            for k in range(K):
                fk = f[k]
                pk = product[k]
                for c in range(LANES):
                    pk[c] = 1.0 + e[c] * fk[c]
            logarithms(product.reshape(-1), product.reshape(-1), scratch[:size])
            for k in range(K):
                for c in range(LANES):
                    out[k, c] += trials[i] * product[k, c]
        return
    # As many factors as can be multiplied before the product might overflow.
    run = max(1, int(LOG_LARGEST_PRODUCT / (max(high, 0.0) + LOG_2)))
    start = 0
    while start < n:
        stop = min(start + run, n)
        product[:] = 1.0
        i = start
        while i + 4 <= stop:
            e0 = odds[i]
            e1 = odds[i + 1]
            e2 = odds[i + 2]
            e3 = odds[i + 3]
            for k in range(K):
                fk = f[k]
                pk = product[k]
                for c in range(LANES):
                    x = fk[c]
                    pk[c] *= ((1.0 + e0[c] * x) * (1.0 + e1[c] * x)) * ((1.0 + e2[c] * x) * (1.0 + e3[c] * x))
            i += 4
        while i < stop:
            e0 = odds[i]
            for k in range(K):
                fk = f[k]
                pk = product[k]
                for c in range(LANES):
                    pk[c] *= 1.0 + e0[c] * fk[c]
            i += 1
        logarithms(product.reshape(-1), product.reshape(-1), scratch[:size])
        for k in range(K):
            for c in range(LANES):
                out[k, c] += product[k, c]
        start = stop
