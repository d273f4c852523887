"""Exact tails of sums of independent events, each with a probability of its own."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import JIT

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@njit(**JIT)
def tails(p: FloatArray, row_ptr: IntArray, observed: IntArray, out: FloatArray) -> None:
    """Probabilities below, at and above what was observed, for each unit.

    Parameters
    ----------
    p : ndarray, shape (N,)
        Probabilities of the events, unit by unit.
    row_ptr : ndarray, shape (J + 1,)
        Unit j has the events ``row_ptr[j]`` to ``row_ptr[j + 1] - 1``.
    observed : ndarray, shape (J,)
        Events that happened, from 0 to the unit's number.
    out : ndarray, shape (J, 3)
        P(X < observed), P(X = observed), P(X > observed): each a sum of its own, so that small ones keep
        their digits.
    """
    for j in range(observed.size):
        first, last = row_ptr[j], row_ptr[j + 1]
        n = last - first
        pmf = np.zeros(n + 1)
        pmf[0] = 1.0
        for i in range(n):
            q = p[first + i]
            # One more event: from above, so that each value is read before it is replaced.
            for k in range(i + 1, 0, -1):
                pmf[k] = pmf[k] * (1.0 - q) + pmf[k - 1] * q
            pmf[0] *= 1.0 - q
        k = observed[j]
        out[j, 0] = pmf[:k].sum()
        out[j, 1] = pmf[k]
        out[j, 2] = pmf[k + 1 :].sum()
