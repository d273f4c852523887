"""Columns of text in Arrow's layout: the bytes of all texts in a row, and where each of them begins."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE
from ter.kernels.memory import put_eight

Bytes = NDArray[np.uint8]
IntArray = NDArray[np.int64]

#: Bytes that may be written beyond the end of the last text.
SLACK = 8
_ZERO, _ONE, _NINE = np.uint8(48), np.uint8(1), np.uint8(57)


@njit(**BARE)
def write_number(value: int, width: int, at: int, data: Bytes) -> int:
    """Write a number in decimal, zeros before it up to `width` digits, and give the place after it."""
    digits = width
    limit = 10**width
    while value >= limit:
        digits += 1
        limit *= 10
    for k in range(digits):
        data[at + digits - 1 - k] = _ZERO + np.uint8(value % 10)
        value //= 10
    return at + digits


@njit(**BARE)
def write_ids(letter: int, numbers: IntArray, width: int, offsets: IntArray, data: Bytes) -> None:
    """Write ids such as ``T001`` for numbers counted from 0.

    Parameters
    ----------
    letter : int
        Its code.
    numbers : ndarray of int64, shape (N,)
    offsets : ndarray of int64, shape (N + 1,)
        Takes where each id begins.
    data : ndarray of uint8
        Takes the ids.
    """
    at = 0
    for j in range(numbers.size):
        offsets[j] = at
        data[at] = letter
        at = write_number(numbers[j] + 1, width, at + 1, data)
    offsets[numbers.size] = at


@njit(**BARE)
def write_part_ids(
    letter: int,
    numbers: IntArray,
    counts: IntArray,
    width: int,
    part_width: int,
    offsets: IntArray,
    data: Bytes,
) -> None:
    """Write ids such as ``E001-0001``: for each number, as many as `counts` says.

    Parameters are as for `write_ids`, but for N being the sum of `counts`.
    """
    at = 0
    row = 0
    for j in range(numbers.size):
        before = at
        carry = True
        for k in range(counts[j]):
            offsets[row] = at
            row += 1
            if carry:
                data[at] = letter
                end = write_number(numbers[j] + 1, width, at + 1, data)
                data[end] = 45  # a hyphen
                end = write_number(k + 1, part_width, end + 1, data)
            else:
                # As the one before, but for the last digit.
                end = at + at - before
                for b in range(at, end):
                    data[b] = data[b - at + before]
                data[end - 1] += _ONE
            carry = data[end - 1] == _NINE
            before = at
            at = end
    offsets[row] = at


@njit(**BARE)
def write_repeated_ids(
    letter: int, numbers: IntArray, counts: IntArray, width: int, offsets: IntArray, data: Bytes
) -> None:
    """Write ids such as ``T001``, each as many times as `counts` says.

    Parameters are as for `write_part_ids`.
    """
    at = 0
    row = 0
    for j in range(numbers.size):
        first = at
        for k in range(counts[j]):
            offsets[row] = at
            row += 1
            if k == 0:
                data[at] = letter
                at = write_number(numbers[j] + 1, width, at + 1, data)
                length = at - first
            else:
                for b in range(at, at + length):
                    data[b] = data[b - length]
                at += length
    offsets[row] = at


@njit(**BARE)
def write_words(
    codes: NDArray[np.uint16],
    words: NDArray[np.uint64],
    lengths: IntArray,
    there: Bytes,
    offsets: IntArray,
    data: Bytes,
    validity: Bytes,
) -> None:
    """Write words by their codes.

    Parameters
    ----------
    codes : ndarray of whole numbers, shape (N,)
    words : ndarray of uint64, shape (K, E)
        The bytes of each word, eight to a number.
    lengths : ndarray of int64, shape (K,)
        In bytes.
    there : ndarray of uint8, shape (K,)
        0: the code stands for a missing word.
    offsets, data
        As for `write_ids`; `SLACK` bytes and more must follow the longest text that `data` may take.
    validity : ndarray of uint8, shape (N / 8, rounded up)
        Takes a bit for each word, the lowest first: 1 where there is one.
    """
    eights = words.shape[1]
    at = 0
    bits = np.int64(0)
    for i in range(codes.size):
        code = np.int64(codes[i])
        offsets[i] = at
        for e in range(eights):
            put_eight(data, np.uint64(at + 8 * e), words[code, e])
        at += lengths[code]
        bits |= np.int64(there[code]) << (i & 7)
        if i & 7 == 7:
            validity[i >> 3] = bits
            bits = np.int64(0)
    offsets[codes.size] = at
    if codes.size & 7:
        validity[codes.size >> 3] = bits
