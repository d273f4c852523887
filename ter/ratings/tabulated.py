"""Distribution functions known on a grid: their values between its points, and their quantiles.

A piecewise cubic Hermite interpolant that keeps monotone data monotone (PCHIP: Fritsch and Butland 1984, SIAM
J. Sci. Stat. Comput. 5:300-304; end slopes as in Moler 2004, *Numerical Computing with MATLAB*, section 3.6),
for many grids at once. Quantiles invert the same interpolant, so that the two never contradict each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Halvings that bring a bracket of length 1 below the spacing of floating-point numbers.
_HALVINGS = 54


def cdf_at(grid: FloatArray, cdf: FloatArray, x: float | FloatArray) -> FloatArray:
    """Evaluate distribution functions at one point, or each at a point of its own.

    Parameters
    ----------
    grid : ndarray, shape (J, G)
        Increasing in each row.
    cdf : ndarray, shape (J, G)
        Not decreasing in each row, from about 0 to about 1.
    x : float or ndarray, shape (J,)

    Returns
    -------
    ndarray, shape (J,)
        0 below a grid and 1 above it.
    """
    bracket = np.clip((grid <= np.reshape(x, (-1, 1))).sum(axis=1) - 1, 0, grid.shape[1] - 2)
    width = _at(grid, bracket + 1) - _at(grid, bracket)
    # The grid of what is known for certain has no width.
    along = np.divide(x - _at(grid, bracket), width, out=np.ones(len(grid)), where=width > 0)
    inside = _hermite(grid, cdf, bracket, np.clip(along, 0.0, 1.0))
    return np.where(x < grid[:, 0], 0.0, np.where(x > grid[:, -1], 1.0, inside))


def quantile(grid: FloatArray, cdf: FloatArray, p: float) -> FloatArray:
    """Find where distribution functions reach a probability.

    Parameters
    ----------
    grid, cdf : ndarray, shape (J, G)
        As in `cdf_at`.
    p : float

    Returns
    -------
    ndarray, shape (J,)
        The end of the grid where the tabulated function never reaches `p`.
    """
    bracket = np.clip((cdf <= p).sum(axis=1) - 1, 0, grid.shape[1] - 2)
    low, high = np.zeros(len(grid)), np.ones(len(grid))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = _hermite(grid, cdf, bracket, middle) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    left = _at(grid, bracket)
    return left + (low + high) / 2 * (_at(grid, bracket + 1) - left)


def _hermite(grid: FloatArray, cdf: FloatArray, bracket: IntArray, t: FloatArray) -> FloatArray:
    """Evaluate each row's interpolant in its bracket, t from 0 to 1 within it."""
    width = _at(grid, bracket + 1) - _at(grid, bracket)
    left, right = _slope(grid, cdf, bracket), _slope(grid, cdf, bracket + 1)
    a, b = _at(cdf, bracket), _at(cdf, bracket + 1)
    rise = (3 - 2 * t) * t**2
    value: FloatArray = a * (1 - rise) + b * rise + width * t * (1 - t) * (left * (1 - t) - right * t)
    return value


def _slope(grid: FloatArray, cdf: FloatArray, i: IntArray) -> FloatArray:
    """Slope of each row's interpolant at its grid point i."""
    last = grid.shape[1] - 1
    # At an end, the secants of the two intervals next to it.
    left, right = np.clip(i - 1, 0, last - 2), np.clip(i, 1, last - 1)
    h, d = _secant(grid, cdf, left)
    k, e = _secant(grid, cdf, right)
    with np.errstate(divide="ignore", invalid="ignore"):
        harmonic = 3 * (h + k) / ((2 * k + h) / d + (k + 2 * h) / e)
    middle = np.where(d * e > 0, harmonic, 0.0)
    first = _end_slope(h, k, d, e)
    final = _end_slope(k, h, e, d)
    return np.where(i == 0, first, np.where(i == last, final, middle))


def _end_slope(h: FloatArray, k: FloatArray, d: FloatArray, e: FloatArray) -> FloatArray:
    """Slope at an end, from the interval there (length h, secant d) and the next (k, e)."""
    slope = np.divide((2 * h + k) * d - h * e, h + k, out=np.zeros(len(h)), where=h + k > 0)
    slope = np.where(slope * d <= 0, 0.0, slope)
    return np.where((d * e <= 0) & (np.abs(slope) > 3 * np.abs(d)), 3 * d, slope)


def _secant(grid: FloatArray, cdf: FloatArray, i: IntArray) -> tuple[FloatArray, FloatArray]:
    """Length and secant of each row's interval i; 0 where it has no length."""
    h = _at(grid, i + 1) - _at(grid, i)
    return h, np.divide(_at(cdf, i + 1) - _at(cdf, i), h, out=np.zeros(len(h)), where=h > 0)


def _at(table: FloatArray, column: IntArray) -> FloatArray:
    """One entry of each row."""
    return np.take_along_axis(table, column[:, None], axis=1)[:, 0]
