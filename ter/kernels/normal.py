"""Normal random numbers: the quantile function at the uniform ones.

The quantile function is Wichura's (1988, "Algorithm AS 241: The percentage points of the normal
distribution", Applied Statistics 37, 477-484), good to 1e-15 of itself.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE, JIT, inner
from ter.kernels.memory import put, read

FloatArray = NDArray[np.float64]

_CENTRAL = 0.425  # distance from a half up to which one function serves
# Coefficients of the rational functions, the highest power first: numerator and denominator.
_CENTRE = (
    (2.50908092873012267e3, 3.34305755835881281e4, 6.72657709270087009e4, 4.59219539315498715e4,
     1.37316937655094611e4, 1.97159095030655144e3, 1.33141667891784377e2, 3.38713287279636661),
    (5.22649527885285456e3, 2.87290857357219427e4, 3.93078958000927106e4, 2.12137943015865959e4,
     5.39419602142475111e3, 6.87187007492057908e2, 4.23133307016009113e1, 1.0),
)  # fmt: skip
_TAIL = (
    (7.74545014278341408e-4, 2.27238449892691846e-2, 2.41780725177450612e-1, 1.27045825245236838,
     3.64784832476320461, 5.76949722146069141, 4.63033784615654530, 1.42343711074968358),
    (1.05075007164441684e-9, 5.47593808499534495e-4, 1.51986665636164572e-2, 1.48103976427480075e-1,
     6.89767334985100005e-1, 1.67638483018380385, 2.05319162663775882, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813e-7, 2.71155556874348758e-5, 1.24266094738807844e-3, 2.65321895265761231e-2,
     2.96560571828504891e-1, 1.78482653991729133, 5.46378491116411437, 6.65790464350110378),
    (2.04426310338993979e-15, 1.42151175831644589e-7, 1.84631831751005468e-5, 7.86869131145613259e-4,
     1.48753612908506149e-2, 1.36929880922735805e-1, 5.99832206555887938e-1, 1.0),
)  # fmt: skip


@inner
def _ratio(r: float, parts: tuple[tuple[float, ...], tuple[float, ...]]) -> float:
    above, below = parts
    numerator, denominator = 0.0, 0.0
    for k in range(8):
        numerator = numerator * r + above[k]
        denominator = denominator * r + below[k]
    return numerator / denominator


@inner
def _central(q: float) -> float:
    return q * _ratio(0.180625 - q * q, _CENTRE)


@inner
def _outer(p: float) -> float:
    r = math.sqrt(-math.log(min(p, 1.0 - p)))
    x = _ratio(r - 1.6, _TAIL) if r <= 5.0 else _ratio(r - 5.0, _FAR_TAIL)
    return -x if p < 0.5 else x


@njit(**BARE)
def normal_quantile(p: float) -> float:
    """Give the quantile of a standard normal distribution at 0 < p < 1."""
    q = p - 0.5
    return _central(q) if abs(q) <= _CENTRAL else _outer(p)


@inner
def write_quantiles(p: FloatArray, found: NDArray[np.int64], out: FloatArray) -> None:
    """Write the quantile of a standard normal distribution at each of several 0 < p < 1.

    Most lie in the middle, where one function without branches serves, several at a time. The others are
    listed first, without a branch that the processor would have to guess, and written again.

    Parameters
    ----------
    p : ndarray of float64, shape (N,)
    found : ndarray of int64, shape (N,)
        Room for the list.
    out : ndarray of float64, shape (N,)
        Takes the quantiles. Neither of the others.
    """
    for k in range(p.size):
        put(out, np.uint64(k), _central(read(p, np.uint64(k)) - 0.5))
    count = 0
    for k in range(p.size):
        found[count] = k
        count += abs(p[k] - 0.5) > _CENTRAL
    for place in range(count):
        k = found[place]
        out[k] = _outer(p[k])


@njit(**JIT)
def normal_quantiles(p: FloatArray) -> FloatArray:
    """Give the quantile of a standard normal distribution at each of several 0 < p < 1."""
    out = np.empty(p.size)
    write_quantiles(p, np.empty(p.size, np.int64), out)
    return out
