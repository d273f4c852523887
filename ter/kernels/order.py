"""Sorting a design for the kernels: by inner level, then outer level, then content."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import JIT
from ter.kernels.rows import FloatArray, IntArray

#: Rows copied at a time: their columns' parts stay in the cache.
BLOCK = 64


@njit(**JIT)
def row_keys(X: FloatArray, y: FloatArray, trials: FloatArray) -> NDArray[np.uint64]:
    """A number for each row's content: sorted by it, sums do not depend on the order in the table.

    X is in C order.
    """
    bits = X.view(np.uint64)
    y_bits = y.view(np.uint64)
    trials_bits = trials.view(np.uint64)
    factor = np.uint64(0x9E3779B97F4A7C15)
    out = np.empty(y.size, np.uint64)
    for i in range(y.size):
        key = np.uint64(0)
        for p in range(bits.shape[1] + 2):
            if p < bits.shape[1]:
                part = bits[i, p]
            elif p == bits.shape[1]:
                part = y_bits[i]
            else:
                part = trials_bits[i]
            key = (key ^ part) * factor
            key ^= key >> np.uint64(29)
        out[i] = key
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
    for c in range(cell_ptr.size - 1):
        a = cell_ptr[c]
        b = cell_ptr[c + 1]
        if b - a > 24:
            run = order[a:b].copy()
            order[a:b] = run[np.argsort(keys[run], kind="mergesort")]
            continue
        for i in range(a + 1, b):
            row = order[i]
            k = i - 1
            while k >= a and keys[order[k]] > keys[row]:
                order[k + 1] = order[k]
                k -= 1
            order[k + 1] = row


@njit(**JIT)
def take_columns(lo: int, hi: int, X: FloatArray, order: IntArray, columns: FloatArray) -> None:
    """columns[p, i] = X[order[i], p] for the rows lo to hi: X (N, P) in C order, columns (P, N)."""
    for start in range(lo, hi, BLOCK):
        stop = min(start + BLOCK, hi)
        for p in range(X.shape[1]):
            for i in range(start, stop):
                columns[p, i] = X[order[i], p]
