"""Sorting a design for the kernels: by inner level, then outer level, then content."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import JIT
from ter.kernels.rows import FloatArray, IntArray

#: Rows whose keys are made at a time: they stay in the cache.
BLOCK = 512
#: Longer cells are sorted by merging.
SHORT = 48


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
def counting_order(levels: IntArray, n_levels: int, before: IntArray) -> IntArray:
    """Stable order by level of rows that stand in the order `before`."""
    place = np.zeros(n_levels + 1, np.int64)
    for i in range(levels.size):
        place[levels[i] + 1] += 1
    for k in range(n_levels):
        place[k + 1] += place[k]
    out = np.empty(levels.size, np.int64)
    for i in range(before.size):
        row = before[i]
        k = levels[row]
        out[place[k]] = row
        place[k] += 1
    return out


@njit(**JIT)
def sort_cells(cell_ptr: IntArray, keys: NDArray[np.uint64], order: IntArray) -> None:
    """Put the rows of each cell in the order of their keys, in place; equal keys stay as they are."""
    rows = np.empty(SHORT, np.int64)
    row_keys = np.empty(SHORT, np.uint64)
    for c in range(cell_ptr.size - 1):
        a = cell_ptr[c]
        n = cell_ptr[c + 1] - a
        if n > SHORT:
            run = order[a : a + n].copy()
            order[a : a + n] = run[np.argsort(keys[run], kind="mergesort")]
            continue
        if n == 1:
            continue
        for i in range(n):
            row = order[a + i]
            key = keys[row]
            k = i - 1
            while k >= 0 and row_keys[k] > key:
                row_keys[k + 1] = row_keys[k]
                rows[k + 1] = rows[k]
                k -= 1
            row_keys[k + 1] = key
            rows[k + 1] = row
        for i in range(n):
            order[a + i] = rows[i]


@njit(**JIT)
def take(values: FloatArray, order: IntArray, out: FloatArray) -> None:
    """out[i] = values[order[i]]."""
    for i in range(order.size):
        out[i] = values[order[i]]
