"""Sums over runs of rows: rows of a therapist stand together."""

from __future__ import annotations

from numba import njit

from ter.kernels._jit import FAST, JIT
from ter.kernels.rows import FloatArray, IntArray


@njit(**FAST)
def run_sums(values: FloatArray, weights: FloatArray, ptr: IntArray, sums: FloatArray) -> None:
    """Weighted sums of values (N,) over the runs that begin at ptr (J + 1,); sums (J,)."""
    for j in range(sums.size):
        total = 0.0
        for i in range(ptr[j], ptr[j + 1]):
            total += weights[i] * values[i]
        sums[j] = total


@njit(**FAST)
def known_sums(
    values: FloatArray, weights: FloatArray, ptr: IntArray, sums: FloatArray, known: FloatArray
) -> None:
    """As `run_sums`, of the values that are not NaN, and their weights in known (J,)."""
    for j in range(sums.size):
        total = 0.0
        weight = 0.0
        for i in range(ptr[j], ptr[j + 1]):
            there = values[i] == values[i]
            total += weights[i] * values[i] if there else 0.0
            weight += weights[i] if there else 0.0
        sums[j] = total
        known[j] = weight


@njit(**JIT)
def level_sums(levels: IntArray, weights: FloatArray, ptr: IntArray, sums: FloatArray) -> None:
    """Weights of the rows of each run by level; sums (J, L) starts at zero."""
    for j in range(sums.shape[0]):
        for i in range(ptr[j], ptr[j + 1]):
            sums[j, levels[i]] += weights[i]


@njit(**JIT)
def sums_by_bin(
    values: FloatArray,
    edges: FloatArray,
    trials: FloatArray,
    successes: FloatArray,
    ptr: IntArray,
    sums: FloatArray,
) -> None:
    """Trials, successes, and trials times values of each run by bin of the values.

    Edges (B - 1,) do not decrease; a value at an edge is in the bin above it. Sums (3, J, B) starts at zero.
    """
    for j in range(ptr.size - 1):
        for i in range(ptr[j], ptr[j + 1]):
            b = 0
            for k in range(edges.size):
                b += values[i] >= edges[k]
            sums[0, j, b] += trials[i]
            sums[1, j, b] += successes[i]
            sums[2, j, b] += trials[i] * values[i]


@njit(**JIT)
def has_homes(inner: IntArray, outer: IntArray, home: IntArray) -> bool:
    """Whether all rows (N,) of an inner level have one outer level; home (J,) starts at -1 and takes it."""
    for i in range(inner.size):
        if home[inner[i]] < 0:
            home[inner[i]] = outer[i]
        elif home[inner[i]] != outer[i]:
            return False
    return True
