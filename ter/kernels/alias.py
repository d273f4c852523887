"""Draws from discrete distributions in constant time: Walker's alias method, with Vose's construction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE, JIT
from ter.kernels.rng import below, low_word

_SCALE = 4294967296.0  # 2**32


class Alias(NamedTuple):
    """A family of discrete distributions, one a row, over 0 to W - 1.

    Attributes
    ----------
    threshold : ndarray of uint64, shape (R, W)
        Out of 2**32: how often a column, once hit, keeps the draw.
    other : ndarray of int64, shape (R, W)
        The value that gets the draw otherwise.
    """

    threshold: NDArray[np.uint64]
    other: NDArray[np.int64]


@njit(**JIT)
def build(p: NDArray[np.float64], threshold: NDArray[np.uint64], other: NDArray[np.int64]) -> None:
    """Fill the alias tables of the distributions `p`, in place.

    Parameters
    ----------
    p : ndarray of float64, shape (R, W)
        Probabilities; each row sums to 1 and none is negative. A value of probability 0 is never drawn.
    threshold, other : ndarray, shape (R, W)
        To be filled.
    """
    rows, width = p.shape
    scaled = np.empty(width)
    small = np.empty(width, np.int64)
    large = np.empty(width, np.int64)
    for r in range(rows):
        n_small = 0
        n_large = 0
        for k in range(width):
            scaled[k] = p[r, k] * width
            if scaled[k] < 1.0:
                small[n_small] = k
                n_small += 1
            else:
                large[n_large] = k
                n_large += 1
        heaviest = 0
        for k in range(width):
            if p[r, k] > p[r, heaviest]:
                heaviest = k
        while n_small > 0 and n_large > 0:
            n_small -= 1
            poor = small[n_small]
            rich = large[n_large - 1]
            threshold[r, poor] = np.uint64(scaled[poor] * _SCALE)
            other[r, poor] = rich
            scaled[rich] -= 1.0 - scaled[poor]
            if scaled[rich] < 1.0:
                n_large -= 1
                small[n_small] = rich
                n_small += 1
        # What is left over is full but for rounding; an impossible value must not become possible by it.
        for k in range(n_large):
            threshold[r, large[k]] = np.uint64(_SCALE)
            other[r, large[k]] = large[k]
        for k in range(n_small):
            possible = p[r, small[k]] > 0.0
            threshold[r, small[k]] = np.uint64(_SCALE) if possible else np.uint64(0)
            other[r, small[k]] = small[k] if possible else heaviest


@njit(**BARE)
def draw(table: Alias, row: int, word: np.uint64) -> int:
    """Draw a value from the distribution in a row, with one word of 64 random bits."""
    column = below(word, table.threshold.shape[1])
    if low_word(word) < table.threshold[row, column]:
        return column
    return table.other[row, column]
