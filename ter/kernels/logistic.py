"""The logistic function from operations that give the same bits on every machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ter.kernels._jit import BARE
from ter.kernels.memory import NO_JIT

_LOG2_E = 1.4426950408889634
_REACH = 1000.0  # powers of two beyond are not needed: a probability is 0 or 1 to all digits

# 2**f for f within a half, by its Taylor series: ln(2)^n / n!. The first term left out is 2e-7.
_C1, _C2, _C3 = 0.6931471805599453, 0.2402265069591007, 0.05550410866482158
_C4, _C5, _C6 = 0.009618129107628477, 0.0013333558146428443, 0.00015403530393381608


@intrinsic
def _power_of_two(typing_context: Any, exponent: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        biased = builder.add(arguments[0], ir.Constant(ir.IntType(64), 1023))
        return builder.bitcast(builder.shl(biased, ir.Constant(ir.IntType(64), 52)), ir.DoubleType())

    return types.float64(types.int64), compiled


def _plain_power_of_two(exponent: int) -> float:
    return math.ldexp(1.0, int(exponent))


#: ``power_of_two(k)``: 2.0**k, exact, for k from -1022 to 1023.
power_of_two: Callable[..., Any] = _plain_power_of_two if NO_JIT else _power_of_two


@njit(**BARE)
def exponential(x: float) -> float:
    """Give exp(x) to 3e-7 of itself; x beyond +-690 counts as that.

    Only sums and products, in a fixed order: libm's exp differs between machines in its last bit, and does
    not vectorise.
    """
    y = min(max(x * _LOG2_E, -_REACH), _REACH)
    k = math.floor(y + 0.5)
    f = y - float(k)
    f2 = f * f
    p = (1.0 + _C1 * f) + f2 * ((_C2 + _C3 * f) + f2 * ((_C4 + _C5 * f) + f2 * _C6))
    return p * power_of_two(np.int64(k))


@njit(**BARE)
def happens(u: float, log_odds: float) -> bool:
    """Say whether a uniform number lies below the probability of log-odds.

    It is held to within 1e-7, and needs no division.
    """
    return u * (1.0 + exponential(-log_odds)) < 1.0
