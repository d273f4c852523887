"""Exponentials and logarithms of many numbers at once, in loops that vectorise.

A loop that writes where another array is read is compiled one number at a time if the two may be one array.
So results go to scratch first, and are copied: `out` may be `x`, and neither may be the scratch.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import FAST
from ter.kernels.bits import power_of_two

FloatArray = NDArray[np.float64]

LOG_2_E = 1.4426950408889634
LOG_2 = 0.6931471805599453
SQRT_2 = 1.4142135623730951
MANTISSA = (1 << 52) - 1
EXPONENT_OF_ONE = 1023 << 52


@njit(**FAST)
def exponentials(x: FloatArray, out: FloatArray, scratch: FloatArray) -> None:
    """out[i] = exp(x[i]) for |x[i]| <= 700; the scratch is at least as long.

    x = k log 2 + r with |r| <= log(2) / 2: the Taylor polynomial of degree 13 in r, whose remainder is below
    1e-17, times 2^k. Unlike a call of `math.exp` this loop vectorises.
    """
    for i in range(x.size):
        k = np.floor(x[i] * LOG_2_E + 0.5)
        r = x[i] - k * LOG_2
        high = 1.0 / 39916800.0 + r * (1.0 / 479001600.0 + r * (1.0 / 6227020800.0))
        high = 1.0 / 362880.0 + r * (1.0 / 3628800.0 + r * high)
        high = 1.0 / 5040.0 + r * (1.0 / 40320.0 + r * high)
        high = 1.0 / 120.0 + r * (1.0 / 720.0 + r * high)
        high = 1.0 / 6.0 + r * (1.0 / 24.0 + r * high)
        power = power_of_two(np.int64(np.int32(k)))
        scratch[i] = (1.0 + r * (1.0 + r * (0.5 + r * high))) * power
    for i in range(x.size):
        out[i] = scratch[i]


@njit(**FAST)
def logarithms(x: FloatArray, out: FloatArray, scratch: FloatArray) -> None:
    """out[i] = log(x[i]) for positive normal numbers; the scratch is at least as long.

    x = 2^e m with m in [1, 2), halved above the square root of 2; log m = 2 artanh((m - 1) / (m + 1)), by its
    series, whose remainder is below 1e-15.
    """
    source = x.view(np.int64)
    bits = scratch.view(np.int64)
    for i in range(x.size):
        bits[i] = (source[i] & MANTISSA) | EXPONENT_OF_ONE
    for i in range(x.size):
        e = float((source[i] >> 52) - 1023)
        m = scratch[i]
        large = m > SQRT_2
        m = 0.5 * m if large else m
        e = e + 1.0 if large else e
        s = (m - 1.0) / (m + 1.0)
        z = s * s
        series = 1.0 / 15.0 + z * (1.0 / 17.0)
        series = 1.0 / 11.0 + z * (1.0 / 13.0 + z * series)
        series = 1.0 / 7.0 + z * (1.0 / 9.0 + z * series)
        series = 1.0 / 3.0 + z * (1.0 / 5.0 + z * series)
        scratch[i] = e * LOG_2 + 2.0 * s * (1.0 + z * series)
    for i in range(x.size):
        out[i] = scratch[i]
