"""The logistic function from operations that give the same bits on every machine."""

from __future__ import annotations

import numpy as np
from numba import njit

from ter.kernels._jit import BARE
from ter.kernels.bits import power_of_two

_LOG2_E = np.float32(1.4426950408889634)
# Powers of two that single precision has. Beyond, a probability is 0 or 1 to all its digits.
_REACH = np.float32(126.0)
_HALF, _ONE = np.float32(0.5), np.float32(1.0)

# 2**f for f within a half, by its Taylor series: ln(2)^n / n!. The first term left out is 2e-7.
_C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(c)
    for c in (
        0.6931471805599453,
        0.2402265069591007,
        0.05550410866482158,
        0.009618129107628477,
        0.0013333558146428443,
        0.00015403530393381608,
    )
)


@njit(**BARE)
def exponential(x: np.float32) -> np.float32:
    """Give exp(x) in single precision; x beyond +-87 counts as that.

    Only sums and products, in a fixed order: libm's exp differs between machines in its last bit, and does
    not vectorise. The error is below 5e-7 of the value for x within +-10, and grows with x.
    """
    y = min(max(x * _LOG2_E, -_REACH), _REACH)
    k = np.int32(np.int32(y + (_REACH + _HALF)) - np.int32(_REACH))  # y rounded: what is cut off is positive
    f = y - np.float32(k)
    f2 = f * f
    p = (_ONE + _C1 * f) + f2 * ((_C2 + _C3 * f) + f2 * ((_C4 + _C5 * f) + f2 * _C6))
    return p * power_of_two(k)


@njit(**BARE)
def happens(u: np.float32, log_odds: np.float32) -> bool:
    """Say whether a uniform number lies below the probability of log-odds.

    It is held to within 1e-6, and needs no division.
    """
    return u * (_ONE + exponential(-log_odds)) < _ONE
