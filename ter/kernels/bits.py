"""Powers of two, made of the bits of their exponent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ter.kernels.memory import NO_JIT


@intrinsic
def _power_of_two(typing_context: Any, exponent: Any) -> Any:
    single = exponent.bitwidth == 32
    width, bias, digits = (32, 127, 23) if single else (64, 1023, 52)

    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(width)
        biased = builder.add(arguments[0], ir.Constant(integer, bias))
        bits = builder.shl(biased, ir.Constant(integer, digits))
        return builder.bitcast(bits, ir.FloatType() if single else ir.DoubleType())

    return (types.float32 if single else types.float64)(exponent), compiled


def _plain_power_of_two(exponent: np.int32 | np.int64) -> np.float32 | np.float64:
    return (np.float32 if isinstance(exponent, np.int32) else np.float64)(2.0 ** int(exponent))


#: ``power_of_two(k)``: 2**k, exact: in single precision for an int32 from -126 to 127, in double precision
#: for an int64 from -1022 to 1023.
power_of_two: Callable[..., Any] = _plain_power_of_two if NO_JIT else _power_of_two
