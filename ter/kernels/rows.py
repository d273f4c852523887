"""The rows of a design as kernels see them, and what they read off them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import FAST
from ter.kernels.elementary import exponentials

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Linear predictors are held within +-ETA_MAX, so that exp(eta) exp(u) stays finite: a probability beyond
#: is 0 or 1 to all digits.
ETA_MAX = 340.0


class Rows(NamedTuple):
    """Rows sorted by inner level (therapist), then outer level (service).

    A cell is a run of rows with the same level of both.

    Attributes
    ----------
    row_ptr : ndarray of int64, shape (J + 1,)
        Rows of each inner level, with or without rows.
    cell_ptr : ndarray of int64, shape (C + 1,)
        Rows of each cell.
    unit_cells : ndarray of int64, shape (J + 1,)
        Cells of each inner level.
    cell_outer : ndarray of int64, shape (C,)
        Outer level of each cell; all 0 without an outer factor.
    row_cell : ndarray of uint32, shape (N,)
        Cell of each row: unsigned, so that loops over rows which look up their cells' values vectorise.
    X : ndarray of float64, shape (N, P)
        Column by column in memory (Fortran order), so that loops over rows vectorise.
    y, trials : ndarray of float64, shape (N,)
        Successes and patients of each row.
    binary : bool
        Whether every row is one patient.
    """

    row_ptr: IntArray
    cell_ptr: IntArray
    unit_cells: IntArray
    cell_outer: IntArray
    row_cell: NDArray[np.uint32]
    X: FloatArray
    y: FloatArray
    trials: FloatArray
    binary: bool


@njit(**FAST)
def clamp(x: float, low: float, high: float) -> float:
    """x, held between low and high."""
    return min(max(x, low), high)


@njit(**FAST)
def expit(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    e = math.exp(-abs(x))
    d = 1.0 / (1.0 + e)
    return d if x >= 0.0 else e * d


@njit(**FAST)
def add_columns(columns: FloatArray, start: int, beta: FloatArray, eta: FloatArray) -> None:
    """Add x_i'beta of the rows from `start` on to eta, four columns at a time; columns (P, N) is X'."""
    n = eta.size
    P = beta.size
    p = 0
    while p + 4 <= P:
        a = columns[p][start : start + n]
        b = columns[p + 1][start : start + n]
        c = columns[p + 2][start : start + n]
        d = columns[p + 3][start : start + n]
        fa = beta[p]
        fb = beta[p + 1]
        fc = beta[p + 2]
        fd = beta[p + 3]
        for i in range(n):
            eta[i] += fa * a[i] + fb * b[i] + fc * c[i] + fd * d[i]
        p += 4
    while p < P:
        a = columns[p][start : start + n]
        fa = beta[p]
        for i in range(n):
            eta[i] += fa * a[i]
        p += 1


@njit(**FAST)
def most_rows(lo: int, hi: int, rows: Rows) -> int:
    """Rows of the largest of the units lo to hi."""
    most = 0
    for j in range(lo, hi):
        most = max(most, rows.row_ptr[j + 1] - rows.row_ptr[j])
    return most


@njit(**FAST)
def most_cells(lo: int, hi: int, rows: Rows) -> int:
    """Cells of that of the units lo to hi which has the most."""
    most = 0
    for j in range(lo, hi):
        most = max(most, rows.unit_cells[j + 1] - rows.unit_cells[j])
    return most


@njit(**FAST)
def load_unit(
    j: int, rows: Rows, beta: FloatArray, v: FloatArray, odds: FloatArray
) -> tuple[float, float, float]:
    """odds[i] = exp(x_i'beta + v) for all rows of unit j.

    Returns the largest linear predictor, sum_i y_i and sum_i y_i eta_i.
    """
    start = rows.row_ptr[j]
    eta = odds[: rows.row_ptr[j + 1] - start]
    for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
        offset = v[rows.cell_outer[c]]
        for i in range(rows.cell_ptr[c] - start, rows.cell_ptr[c + 1] - start):
            eta[i] = offset
    add_columns(rows.X.T, start, beta, eta)
    return to_odds(start, rows, eta)


@njit(**FAST)
def load_predictors(
    j: int, rows: Rows, fixed: FloatArray, v: FloatArray, odds: FloatArray
) -> tuple[float, float, float]:
    """The same as `load_unit`, from fixed (N,), the rows' x_i'beta."""
    start = rows.row_ptr[j]
    eta = odds[: rows.row_ptr[j + 1] - start]
    for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
        offset = v[rows.cell_outer[c]]
        for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1]):
            eta[i - start] = fixed[i] + offset
    return to_odds(start, rows, eta)


@njit(**FAST)
def to_odds(start: int, rows: Rows, eta: FloatArray) -> tuple[float, float, float]:
    """Linear predictors of the rows from `start` on become odds; returns what `load_unit` does."""
    n = eta.size
    y = rows.y[start : start + n]
    largest = -ETA_MAX
    successes = 0.0
    linear = 0.0
    for i in range(n):
        eta[i] = clamp(eta[i], -ETA_MAX, ETA_MAX)
        largest = max(largest, eta[i])
        successes += y[i]
        linear += y[i] * eta[i]
    exponentials(eta, eta, np.empty(n))
    return largest, successes, linear
