"""Columns of text in Arrow's layout: the bytes of all texts in a row, and where each of them begins.

Texts are stored eight bytes at a time. What a store writes beyond its text is overwritten by the next one, so
`SLACK` bytes and more must follow the end of all texts.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE, inner
from ter.kernels.memory import fetch, put, put_eight, put_past

Bytes = NDArray[np.uint8]
IntArray = NDArray[np.int64]
Eights = NDArray[np.uint64]

#: Bytes that may be written beyond the end of the last text.
SLACK = 16
#: A word's mark is its length, and this bit where there is one.
THERE = np.uint64(1 << 63)
#: Digits that number a part at the least, and numbers that have no more.
PART_DIGITS, PARTS = 4, 9_999

# Typed, because numba turns a sum of uint64 and a plain int into a float.
_LENGTH = np.uint64((1 << 63) - 1)
_ONE, _8, _10, _16, _24, _64 = (np.uint64(k) for k in (1, 8, 10, 16, 24, 64))
_100, _1000 = np.uint64(100), np.uint64(1000)
_ZEROS = np.uint64(0x30303030)
_HYPHEN = 45


@inner
def spell(letter: int, number: int, width: int) -> tuple[np.uint64, np.uint64]:
    """Spell a letter, `width` digits of a number and a hyphen; the first eight bytes, and the eight after."""
    low = np.uint64(letter)
    high = np.uint64(0)
    digit = np.uint64(_HYPHEN)
    for k in range(width + 1):
        place = np.uint64(8 * (width + 1 - k))
        if place < _64:
            low |= digit << place
        else:
            high |= digit << (place - _64)
        digit = np.uint64(48 + number % 10)
        number //= 10
    return low, high


@inner
def four_digits(number: np.uint64) -> np.uint64:
    """Spell a number below 10,000 by four digits."""
    last = number % _10 << _24 | number // _10 % _10 << _16
    return (last | number // _100 % _10 << _8 | number // _1000) + _ZEROS


@njit(**BARE)
def write_number(value: int, at: int, data: Bytes) -> int:
    """Write a number in decimal, and give the place after it."""
    end = at
    limit = 1
    while value >= limit:
        end += 1
        limit *= 10
    for k in range(end - at):
        data[end - 1 - k] = np.uint8(48 + value % 10)
        value //= 10
    return end


@njit(**BARE)
def write_part_ids(
    letters: tuple[int, int],
    numbers: IntArray,
    counts: IntArray,
    width: int,
    offsets: IntArray,
    one: Bytes,
    other: Bytes,
) -> None:
    """Write ids such as ``E001-0001``: for each number, as many as `counts` says.

    Parameters
    ----------
    letters : (int, int)
        Codes of the letters of the ids in `one` and in `other`.
    numbers : ndarray of int64, shape (J,)
        Counted from 0.
    counts : ndarray of int64, shape (J,)
        N in all.
    width : int
        Digits of a number, enough for all of them, and no more than 14.
    offsets : ndarray of int64, shape (N + 1,)
        Takes where each id begins.
    one, other : ndarray of uint8
        Take the ids.
    """
    start = width + 2
    long = start > 8
    at = 0
    row = 0
    for j in range(numbers.size):
        low, high = spell(0, numbers[j] + 1, width)
        low_1, low_2 = low | np.uint64(letters[0]), low | np.uint64(letters[1])
        for k in range(1, counts[j] + 1):
            to = np.uint64(at)
            put_past(offsets, np.uint64(row), at)
            put_eight(one, to, low_1)
            put_eight(other, to, low_2)
            if long:
                put_eight(one, to + _8, high)
                put_eight(other, to + _8, high)
            if k <= PARTS:
                digits = four_digits(np.uint64(k))
                put_eight(one, np.uint64(at + start), digits)
                put_eight(other, np.uint64(at + start), digits)
                at += start + PART_DIGITS
            else:
                write_number(k, at + start, one)
                at = write_number(k, at + start, other)
            row += 1
    offsets[row] = at


@njit(**BARE)
def write_repeated_ids(
    letter: int, numbers: IntArray, counts: IntArray, width: int, offsets: IntArray, data: Bytes
) -> None:
    """Write ids such as ``T001``, each as many times as `counts` says.

    Parameters are as for `write_part_ids`.
    """
    length = width + 1
    long = length > 8
    at = 0
    row = 0
    for j in range(numbers.size):
        low, high = spell(letter, numbers[j] + 1, width)
        for _ in range(counts[j]):
            put_past(offsets, np.uint64(row), at)
            put_eight(data, np.uint64(at), low)
            if long:
                put_eight(data, np.uint64(at + 8), high)
            at += length
            row += 1
    offsets[row] = at


@inner
def _write_eight(
    first: int,
    size: int,
    at: np.uint64,
    eights: int,
    codes: NDArray[np.uint8] | NDArray[np.uint32],
    words: Eights,
    marks: Eights,
    offsets: IntArray,
    data: Bytes,
    validity: Bytes,
) -> np.uint64:
    """Write eight words, or the fewer that are left, and give the place after them."""
    there = np.uint64(0)
    for k in range(size):
        i = np.uint64(first + k)
        code = np.uint64(fetch(codes, i))
        put_past(offsets, i, at)
        for e in range(eights):
            word = fetch(words, code * np.uint64(eights) + np.uint64(e))
            put_eight(data, at + np.uint64(8 * e), word)
        mark = fetch(marks, code)
        at += mark & _LENGTH
        there = (there >> _ONE) | (mark & THERE)
    put(validity, np.uint64(first >> 3), there >> np.uint64(64 - size))
    return at


@inner
def _write_words(
    eights: int,
    codes: NDArray[np.uint8] | NDArray[np.uint32],
    words: Eights,
    marks: Eights,
    offsets: IntArray,
    data: Bytes,
    validity: Bytes,
) -> None:
    at = np.uint64(0)
    whole = codes.size // 8 * 8
    for first in range(0, whole, 8):
        at = _write_eight(first, 8, at, eights, codes, words, marks, offsets, data, validity)
    if whole < codes.size:
        size = codes.size - whole
        at = _write_eight(whole, size, at, eights, codes, words, marks, offsets, data, validity)
    offsets[codes.size] = at


@njit(**BARE)
def write_words(
    codes: NDArray[np.uint8] | NDArray[np.uint32],
    words: Eights,
    marks: Eights,
    offsets: IntArray,
    data: Bytes,
    validity: Bytes,
) -> None:
    """Write words by their codes.

    Parameters
    ----------
    codes : ndarray of uint8 or uint32, shape (N,)
    words : ndarray of uint64, shape (K · E,)
        The bytes of each word, eight to a number, E numbers to a word.
    marks : ndarray of uint64, shape (K,)
        The length of each word, and `THERE` where it is not missing.
    offsets, data
        As for `write_part_ids`; 8 · E bytes must follow the longest text that `data` may take.
    validity : ndarray of uint8, shape (N / 8, rounded up)
        Takes a bit for each word, the lowest first: 1 where there is one.
    """
    # The loops over a word's numbers are unrolled where their length is written out.
    eights = words.size // marks.size
    if eights == 1:
        _write_words(1, codes, words, marks, offsets, data, validity)
    elif eights == 2:
        _write_words(2, codes, words, marks, offsets, data, validity)
    elif eights == 3:
        _write_words(3, codes, words, marks, offsets, data, validity)
    else:
        _write_words(eights, codes, words, marks, offsets, data, validity)
