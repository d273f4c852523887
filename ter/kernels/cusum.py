"""Risk-adjusted charts, and draws of them: the cumulative sums of one therapist's patients in order.

Draws are counter-based: outcome i of draw m is a pure function of (seed, m, i).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import JIT
from ter.kernels.rng import bits, stream_key, uniform

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STREAM_OUTCOME = np.uint64(7001)
STREAM_PATIENT = np.uint64(7002)


@njit(**JIT)
def weight(y: bool, p: float, odds: float) -> float:
    """Log-likelihood ratio of an outcome: its odds `odds` times what p says, against p itself."""
    return (math.log(odds) if y else 0.0) - math.log(1.0 - p + odds * p)


@njit(**JIT)
def cusum(y: NDArray[np.bool_], p: FloatArray, odds: float, out: FloatArray) -> None:
    """Fill `out` (n,) with the upper cumulative sum, which starts at 0 and never falls below it."""
    total = 0.0
    for i in range(y.size):
        total = max(0.0, total + weight(y[i], p[i], odds))
        out[i] = total


@njit(**JIT)
def drawn_maxima(
    seed: np.uint64, p: FloatArray, truth: FloatArray, odds: FloatArray, first: int, out: FloatArray
) -> None:
    """Draw the outcomes of n patients M times, and keep the furthest that each chart gets.

    Parameters
    ----------
    seed : uint64
    p : ndarray, shape (n,)
        Rates that the charts are made with.
    truth : ndarray, shape (D, n)
        Rates that outcomes are drawn from: draw m takes row m modulo D.
    odds : ndarray, shape (K,)
    first : int
        Patients before the VLAD's band begins to count.
    out : ndarray, shape (M, K + 2)
        Filled: the maximum of each cumulative sum; of the VLAD over its standard deviation the maximum, and
        that of its negative.
    """
    K = odds.size
    totals = np.empty(K)
    for m in range(out.shape[0]):
        start, step = stream_key(seed, STREAM_OUTCOME, np.uint64(m))
        row = m % truth.shape[0]
        totals[:] = 0.0
        out[m] = 0.0
        vlad = 0.0
        variance = 0.0
        for i in range(p.size):
            y = uniform(bits(start, step, np.uint64(i))) < truth[row, i]
            for k in range(K):
                totals[k] = max(0.0, totals[k] + weight(y, p[i], odds[k]))
                out[m, k] = max(out[m, k], totals[k])
            vlad += (1.0 if y else 0.0) - p[i]
            variance += p[i] * (1.0 - p[i])
            if i + 1 >= first:
                z = vlad / math.sqrt(variance)
                out[m, K] = max(out[m, K], z)
                out[m, K + 1] = max(out[m, K + 1], -z)


@njit(**JIT)
def run_lengths(
    seed: np.uint64, pool: FloatArray, odds: float, limit: float, longest: int, out: IntArray
) -> None:
    """Draw patients from a pool of rates until the cumulative sum reaches a limit.

    Parameters
    ----------
    seed : uint64
    pool : ndarray, shape (n,)
        Each patient's rate is one of these, all equally likely; outcomes are drawn from it.
    odds, limit : float
    longest : int
        Where a run is cut off.
    out : ndarray of int64, shape (M,)
        Filled: patients up to the signal, that one included.
    """
    for m in range(out.size):
        start, step = stream_key(seed, STREAM_OUTCOME, np.uint64(m))
        start_p, step_p = stream_key(seed, STREAM_PATIENT, np.uint64(m))
        total = 0.0
        length = longest
        for i in range(longest):
            which = int(uniform(bits(start_p, step_p, np.uint64(i))) * pool.size)
            p = pool[min(which, pool.size - 1)]
            y = uniform(bits(start, step, np.uint64(i))) < p
            total = max(0.0, total + weight(y, p, odds))
            if total >= limit:
                length = i + 1
                break
        out[m] = length
