"""Mean and standard deviation of a column, and the column in units of them."""

from __future__ import annotations

import math

from numba import njit

from ter.kernels._jit import FAST, JIT
from ter.kernels.rows import FloatArray


@njit(**FAST)
def moments(x: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation (divisor n) of a column (n,); the latter is exactly 0 of a constant one."""
    total = 0.0
    varies = False
    for i in range(x.size):
        total += x[i]
        varies |= x[i] != x[0]
    if not varies:
        return x[0], 0.0
    mean = total / x.size
    squares = 0.0
    for i in range(x.size):
        squares += (x[i] - mean) * (x[i] - mean)
    return mean, math.sqrt(squares / x.size)


# Not reordered: a row is encoded to the same bits alone as among others.
@njit(**JIT)
def standardise(x: FloatArray, mean: float, sd: float, out: FloatArray) -> None:
    """Write (x - mean) / sd to out."""
    for i in range(x.size):
        out[i] = (x[i] - mean) / sd
