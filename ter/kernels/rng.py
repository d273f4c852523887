"""Counter-based random numbers: each draw is a pure function of (seed, stream, unit, counter).

No state is kept and none is passed on, so a draw is the same on any number of threads, in any order, and
whichever other draws were made. The generator is SplittableRandom's (Steele, Lea and Flood 2014, "Fast
splittable pseudorandom number generators", OOPSLA): a Weyl sequence with an odd step of its own for each key,
whose terms are mixed by Stafford's variant 13 of the MurmurHash3 finaliser.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE, JIT, inner

# Typed, because numba turns a sum of uint64 and a plain int into a float.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_ALTERNATE = np.uint64(0xAAAAAAAAAAAAAAAA)
_ONE = np.uint64(1)
_2, _4, _12, _27, _30, _31, _32 = (np.uint64(k) for k in (2, 4, 12, 27, 30, 31, 32))
_PAIRS = np.uint64(0x3333333333333333)
_SINGLES = np.uint64(0x5555555555555555)
_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_BYTES = np.uint64(0x0101010101010101)
_56 = np.uint64(56)
_FEWEST_CHANGES = np.uint64(24)
_CELL = 2.0**-52


@njit(**BARE)
def mix(z: np.uint64) -> np.uint64:
    """Mix 64 bits into 64 bits, one to one: Stafford's variant 13."""
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    return z ^ (z >> _31)


@inner
def _bits_set(z: np.uint64) -> np.uint64:
    z = z - ((z >> _ONE) & _SINGLES)
    z = (z & _PAIRS) + ((z >> _2) & _PAIRS)
    return (((z + (z >> _4)) & _NIBBLES) * _BYTES) >> _56


@njit(**BARE)
def stream_key(seed: np.uint64, stream: np.uint64, unit: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Give the start and the odd step of the sequence that belongs to a seed, a stream and a unit.

    Parameters
    ----------
    seed : uint64
    stream : uint64
        What the numbers are for: one constant for each purpose.
    unit : uint64
        Whose they are: the therapist or the service.

    Returns
    -------
    start, step : uint64
        For `bits`. The step is odd, and its bits change often enough (24 times at least) for the sequence to
        be equidistributed.
    """
    # Each part goes through the mixer before the next joins it, so that neighbouring seeds and units share
    # nothing.
    start = mix(mix(mix(seed + _GOLDEN) + (stream + _ONE) * _GOLDEN) + (unit + _ONE) * _GOLDEN)
    step = mix(start + _GOLDEN) | _ONE
    if _bits_set(step ^ (step >> _ONE)) < _FEWEST_CHANGES:
        step = step ^ _ALTERNATE
    return start, step


@njit(**BARE)
def bits(start: np.uint64, step: np.uint64, counter: np.uint64) -> np.uint64:
    """Draw 64 random bits: term `counter` of the sequence."""
    return mix(start + step * counter)


@njit(**BARE)
def uniform(word: np.uint64) -> float:
    """Turn 64 bits into a number strictly between 0 and 1: the middle of one of 2**52 equal cells."""
    return (float(word >> _12) + 0.5) * _CELL


@njit(**BARE)
def below(word: np.uint64, n: int) -> np.int64:
    """Turn 64 bits into a whole number from 0 to n - 1 (n below 2**32; its bias is below n / 2**32)."""
    return np.int64(((word >> _32) * np.uint64(n)) >> _32)  # signed, so that it may be added to indices


@njit(**JIT)
def unit_uniforms(
    seed: np.uint64, stream: np.uint64, units: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Draw the first n uniform numbers of each unit.

    Parameters
    ----------
    seed, stream : uint64
    units : ndarray of int64, shape (J,)
        Numbers of the units: the same unit gets the same numbers, whatever else is in the array.
    n : int

    Returns
    -------
    ndarray of float64, shape (n, J)
        Strictly between 0 and 1.
    """
    out = np.empty((n, units.size))
    for j in range(units.size):
        start, step = stream_key(seed, stream, np.uint64(units[j]))
        for k in range(n):
            out[k, j] = uniform(bits(start, step, np.uint64(k)))
    return out
