"""Draws from discrete distributions in constant time: Walker's alias method, with Vose's construction.

Of 32 random bits times the number of columns, the high half is the column and the low half is compared with
the column's threshold. Threshold and the other value share a word of 32 bits, so that a draw reads memory
once: as many bits as the values take are the other value, the rest is the threshold.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE, JIT, inner
from ter.kernels.memory import fetch, high_product, low_product, low_sum

_SCALE = 4294967296.0  # 2**32
_32 = np.uint64(32)
_LOW_32 = np.uint64(0xFFFFFFFF)


class Alias(NamedTuple):
    """A family of discrete distributions, one a row, over 0 to `width` - 1.

    Attributes
    ----------
    words : ndarray of uint32, shape (R · width,)
    width : uint64
    high : uint64
        The bits of a word that are its threshold; the others are the other value.
    """

    words: NDArray[np.uint32]
    width: np.uint64
    high: np.uint64


def threshold_bits(width: int) -> np.uint64:
    """Give the bits of a word that are left for the threshold when values go up to `width` - 1."""
    return np.uint64(0xFFFFFFFF ^ ((1 << (width - 1).bit_length()) - 1))


@njit(**JIT)
def build(p: NDArray[np.float64], high: np.uint64, words: NDArray[np.uint32]) -> None:
    """Fill the words of the distributions `p`, in place.

    Parameters
    ----------
    p : ndarray of float64, shape (R, W)
        Probabilities; each row sums to 1 and none is negative. A value of probability 0 is never drawn.
    high : uint64
        From `threshold_bits`.
    words : ndarray of uint32, shape (R, W)
        To be filled. A probability is met within 2**-32 times the share of a column that a value bit stands
        for.
    """
    rows, width = p.shape
    scaled = np.empty(width)
    threshold = np.empty(width)
    other = np.empty(width, np.int64)
    small = np.empty(width, np.int64)
    large = np.empty(width, np.int64)
    unit = _SCALE - float(high)  # one step of the threshold, times 2**32
    for r in range(rows):
        n_small = 0
        n_large = 0
        heaviest = 0
        for k in range(width):
            scaled[k] = p[r, k] * width
            if p[r, k] > p[r, heaviest]:
                heaviest = k
            if scaled[k] < 1.0:
                small[n_small] = k
                n_small += 1
            else:
                large[n_large] = k
                n_large += 1
        while n_small > 0 and n_large > 0:
            n_small -= 1
            poor = small[n_small]
            rich = large[n_large - 1]
            # Rounded to a step; what rounding gives or takes is the rich one's.
            share = np.floor(scaled[poor] * _SCALE / unit + 0.5) * unit / _SCALE
            if share >= 1.0:
                share = 1.0 - unit / _SCALE
            threshold[poor] = share
            other[poor] = rich
            scaled[rich] -= 1.0 - share
            if scaled[rich] < 1.0:
                n_large -= 1
                small[n_small] = rich
                n_small += 1
        # What is left over is full but for rounding; an impossible value must not become possible by it.
        for k in range(n_large):
            threshold[large[k]] = 0.0
            other[large[k]] = large[k]
        for k in range(n_small):
            threshold[small[k]] = 0.0
            other[small[k]] = small[k] if p[r, small[k]] > 0.0 else heaviest
        for k in range(width):
            words[r, k] = np.uint32(np.int64(max(threshold[k], 0.0) * _SCALE) + other[k])


@inner
def times(a: np.uint64, b: np.uint64) -> np.uint64:
    """Multiply two numbers below 2**32; said so, the compiler takes the cheap instruction."""
    return (a & _LOW_32) * (b & _LOW_32)


@inner
def place(first: np.uint64, width: np.uint64, bits: np.uint64) -> np.int32:
    """Give where the word is that 32 random bits choose, of the distribution whose words begin at `first`."""
    # All in 32 bits, so that loops take sixteen draws at once.
    return np.int32(low_sum(np.uint32(first), high_product(np.uint32(bits), np.uint32(width))))


@inner
def choose(word: np.uint32, width: np.uint64, high: np.uint64, bits: np.uint64) -> np.uint32:
    """Choose by the same 32 bits between the two values of the column whose word this is."""
    of_32, columns, mask = np.uint32(bits), np.uint32(width), np.uint32(high)
    keeps = low_product(of_32, columns) < np.uint32(word & mask)
    return high_product(of_32, columns) if keeps else np.uint32(word & ~mask)


@inner
def pick(
    words: NDArray[np.uint32], first: np.uint64, width: np.uint64, high: np.uint64, bits: np.uint64
) -> np.uint32:
    """Draw a value by 32 random bits from the distribution whose words begin at `first`."""
    return choose(fetch(words, place(first, width, bits)), width, high, bits)


@njit(**BARE)
def draw(table: Alias, row: np.int64, bits: np.uint64) -> np.uint32:
    """Draw a value by 32 random bits from the distribution in a row."""
    first = low_product(np.uint32(row), np.uint32(table.width))
    return pick(table.words, first, table.width, table.high, bits)
