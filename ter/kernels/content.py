"""Numbers by which rows are told apart: what a table's fingerprint is made of.

A word of 64 bits stands for each cell. The words of a row are mixed into two lanes of 64 bits, and the rows'
lanes are added up, so that the order of rows does not matter. The mixing is that of the random
numbers (`rng.mix`): it tells accidental changes apart, and is no defence against forged ones.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import JIT
from ter.kernels.rng import mix

Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
IntArray = NDArray[np.int64]

_C, _D = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
#: Stands for a missing cell: the bits of one NaN.
MISSING = np.uint64(0x7FF8000000000000)
_INFINITY, _NO_SIGN = np.uint64(0x7FF0000000000000), np.uint64(0x7FFFFFFFFFFFFFFF)
_29, _32 = np.uint64(29), np.uint64(32)


@njit(**JIT)
def mix_words(words: Words, numbers: bool, lanes: Words) -> None:
    """Mix the words of a column (n,) into the rows' lanes (2, n).

    Of numbers, they are the bits; there is one zero, and one way of being missing.
    """
    for i in range(words.size):
        word = words[i]
        size = word & _NO_SIGN
        if numbers and size == 0:
            word = size
        if numbers and size > _INFINITY:
            word = MISSING
        word = mix(word)
        first = (lanes[0, i] ^ word) * _C
        lanes[0, i] = first ^ (first >> _29)
        second = (lanes[1, i] + word) * _D
        lanes[1, i] = second ^ (second >> _32)


@njit(**JIT)
def add_lanes(lanes: Words, sums: Words) -> None:
    """Add the rows' lanes (2, n), mixed once more, to sums (2,)."""
    for i in range(lanes.shape[1]):
        sums[0] += mix(lanes[0, i])
        sums[1] += mix(lanes[1, i] + _C)


@njit(**JIT)
def words_of_texts(offsets: IntArray, data: Bytes, words: Words) -> None:
    """Give each text a word, by its length and its bytes.

    Parameters
    ----------
    offsets : ndarray of int64, shape (N + 1,)
        Where each text begins in the data.
    data : ndarray of uint8
        The bytes of all texts in a row.
    words : ndarray of uint64, shape (N,)
        Takes the words.
    """
    for i in range(words.size):
        start, stop = offsets[i], offsets[i + 1]
        word = np.uint64(stop - start)
        while start < stop:
            eight = np.uint64(0)
            for b in range(start, min(start + 8, stop)):
                eight = (eight << np.uint64(8)) | np.uint64(data[b])
            word = mix((word ^ eight) * _C + _D)
            start += 8
        words[i] = word
