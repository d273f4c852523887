"""Sorting a design for the kernels: by inner level, then outer level, then content."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import JIT
from ter.kernels.rows import FloatArray, IntArray

#: Rows whose keys are made at a time: they stay in the cache.
BLOCK = 512
_32 = np.uint64(32)


@njit(**JIT)
def mix_column(bits: NDArray[np.uint64], keys: NDArray[np.uint64]) -> None:
    """Change the rows' keys (n,) by the bits of their values in a column (n,)."""
    factor = np.uint64(0x9E3779B97F4A7C15)
    for i in range(keys.size):
        key = (keys[i] ^ bits[i]) * factor
        keys[i] = key ^ (key >> np.uint64(29))


@njit(**JIT)
def row_keys(lo: int, hi: int, columns: FloatArray, y: FloatArray, trials: FloatArray) -> NDArray[np.uint64]:
    """A number for each of the rows lo to hi, by content.

    Sorted by it, sums do not depend on the order in the table. Columns (P, N) is X', in C order.
    """
    out = np.zeros(hi - lo, np.uint64)
    for start in range(lo, hi, BLOCK):
        stop = min(start + BLOCK, hi)
        keys = out[start - lo : stop - lo]
        for p in range(columns.shape[0]):
            mix_column(columns[p, start:stop].view(np.uint64), keys)
        mix_column(y[start:stop].view(np.uint64), keys)
        mix_column(trials[start:stop].view(np.uint64), keys)
    return out


@njit(**JIT)
def count_levels(levels: IntArray, counts: IntArray) -> None:
    """Add the rows of each level to counts (L,)."""
    for i in range(levels.size):
        counts[levels[i]] += 1


@njit(**JIT)
def place_rows(levels: IntArray, first: int, place: IntArray, order: IntArray) -> None:
    """Put rows first, first + 1, ... into the order at the next place of their level; place (L,) moves on."""
    for i in range(levels.size):
        k = levels[i]
        order[place[k]] = first + i
        place[k] += 1


@njit(**JIT)
def sort_run(
    run: IntArray, keys: NDArray[np.uint64], place: IntArray, rows: IntArray, row_keys: NDArray[np.uint64]
) -> None:
    """Sort rows by their keys, in place; equal keys stay as they are.

    Keys are spread evenly over all numbers: a row goes to about where a key of its size belongs, and the rest
    is done by insertion. Place, rows and row_keys, as long as the run and one more, are overwritten.
    """
    n = run.size
    place[: n + 1] = 0
    for i in range(n):
        rows[i] = run[i]
        place[((keys[rows[i]] >> _32) * np.uint64(n) >> _32) + np.uint64(1)] += 1
    for k in range(n):
        place[k + 1] += place[k]
    for i in range(n):
        key = keys[rows[i]]
        bin_ = (key >> _32) * np.uint64(n) >> _32
        k = place[bin_]
        place[bin_] += 1
        row_keys[k] = key
        run[k] = rows[i]
    for i in range(1, n):
        key = row_keys[i]
        row = run[i]
        k = i - 1
        while k >= 0 and row_keys[k] > key:
            row_keys[k + 1] = row_keys[k]
            run[k + 1] = run[k]
            k -= 1
        row_keys[k + 1] = key
        run[k + 1] = row


@njit(**JIT)
def sort_units(
    lo: int,
    hi: int,
    ptr: IntArray,
    outer: IntArray,
    n_outer: int,
    keys: NDArray[np.uint64],
    order: IntArray,
    out: IntArray,
) -> None:
    """Sort the rows of units lo to hi by outer level, then key, in place; equal ones stay as they are.

    Outer and keys (N,) are of rows as they stand, ptr (J + 1,) where the rows of each unit begin in the
    order; out (N,) takes the outer levels in the order. Without keys (0,), by outer level alone.
    """
    longest = 0
    for j in range(lo, hi):
        longest = max(longest, ptr[j + 1] - ptr[j])
    spare = np.empty(longest, np.int64)
    row_keys = np.empty(longest, np.uint64)
    place = np.empty(max(n_outer, longest) + 1, np.int64)
    for j in range(lo, hi):
        a, z = ptr[j], ptr[j + 1]
        rows = order[a:z].copy()
        levels = outer[rows]
        if n_outer <= 4 * rows.size:
            place[: n_outer + 1] = 0
            for i in range(rows.size):
                place[levels[i] + 1] += 1
            for k in range(n_outer):
                place[k + 1] += place[k]
            for i in range(rows.size):
                level = levels[i]
                order[a + place[level]] = rows[i]
                out[a + place[level]] = level
                place[level] += 1
        else:
            # Many levels, of which a few occur.
            found = np.argsort(levels, kind="mergesort")
            order[a:z] = rows[found]
            out[a:z] = levels[found]
        if keys.size == 0:
            continue
        start = a
        while start < z:
            stop = start + 1
            while stop < z and out[stop] == out[start]:
                stop += 1
            if stop - start > 1:
                sort_run(order[start:stop], keys, place, spare, row_keys)
            start = stop


@njit(**JIT)
def take(values: FloatArray, order: IntArray, out: FloatArray) -> None:
    """out[i] = values[order[i]]."""
    for i in range(order.size):
        out[i] = values[order[i]]
