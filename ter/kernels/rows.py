"""The rows of a design as kernels see them, and what they read off them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import FAST

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
    X : ndarray of float64, shape (N, P)
    y, trials : ndarray of float64, shape (N,)
        Successes and patients of each row.
    binary : bool
        Whether every row is one patient.
    """

    row_ptr: IntArray
    cell_ptr: IntArray
    unit_cells: IntArray
    cell_outer: IntArray
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
def most_rows(lo: int, hi: int, rows: Rows) -> int:
    """Rows of the largest of the units lo to hi."""
    most = 0
    for j in range(lo, hi):
        most = max(most, rows.row_ptr[j + 1] - rows.row_ptr[j])
    return most


@njit(**FAST)
def odds_of_unit(j: int, rows: Rows, beta: FloatArray, v: FloatArray, odds: FloatArray) -> float:
    """odds[i] = exp(x_i'beta + v) for all rows of unit j; returns the largest linear predictor."""
    start = rows.row_ptr[j]
    largest = -ETA_MAX
    for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
        offset = v[rows.cell_outer[c]]
        for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1]):
            eta = offset
            for p in range(beta.size):
                eta += rows.X[i, p] * beta[p]
            eta = clamp(eta, -ETA_MAX, ETA_MAX)
            largest = max(largest, eta)
            odds[i - start] = math.exp(eta)
    return largest


@njit(**FAST)
def row_terms(odds: FloatArray, y: FloatArray) -> tuple[float, float]:
    """sum_i y_i and sum_i y_i eta_i: what u is multiplied by, and the part that does not depend on u."""
    successes = 0.0
    linear = 0.0
    for i in range(y.size):
        if y[i] != 0.0:
            successes += y[i]
            linear += y[i] * math.log(odds[i])
    return successes, linear
