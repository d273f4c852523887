"""The natural cubic spline: its knots and its columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def quantile_knots(x: FloatArray, df: int) -> FloatArray:
    """Place knots at the quantiles 0, 1/df, ..., 1.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Values, none missing.
    df : int

    Returns
    -------
    ndarray, shape (df + 1,)
        Not decreasing; two knots are equal where many values are.
    """
    return np.quantile(x, np.linspace(0.0, 1.0, df + 1))


def natural_spline(x: FloatArray, knots: FloatArray) -> FloatArray:
    """Evaluate a basis of the natural cubic splines that are 0 at the first knot.

    With the constant, the columns span all functions that are cubic between the knots, twice continuously
    differentiable, and straight lines beyond the outer knots: the space of R's ``ns`` and patsy's ``cr``.
    The basis is local, for the sake of conditioning: it is the B-splines, without the first, of which the two
    at the left and the three at the right end are combined, with positive weights, into one and two whose
    second derivative vanishes at the outer knot (de Boor 2001, *A Practical Guide to Splines*; the weights
    are the inverse second derivatives, whose signs alternate at a boundary).

    Parameters
    ----------
    x : ndarray, shape (n,)
    knots : ndarray, shape (K,)
        Increasing, K >= 4.

    Returns
    -------
    ndarray, shape (n, K - 1)
    """
    # SciPy's splines take a quarter of a second to load, and `import ter` shall not wait for them.
    from scipy.interpolate import BSpline

    padded = np.concatenate([np.repeat(knots[0], 3), knots, np.repeat(knots[-1], 3)])
    n = len(padded) - 4
    left, right = np.abs(BSpline(padded, np.eye(n), 3).derivative(2)(knots[[0, -1]]))
    weights = np.zeros((n, n - 3))
    weights[[1, 2], 0] = 1.0 / left[[1, 2]]
    weights[range(3, n - 3), range(1, n - 5)] = 1.0
    weights[[n - 3, n - 2], n - 5] = 1.0 / right[[n - 3, n - 2]]
    weights[[n - 2, n - 1], n - 4] = 1.0 / right[[n - 2, n - 1]]
    curve = BSpline(padded, weights / weights.sum(axis=0), 3)
    inside = np.clip(x, knots[0], knots[-1])
    columns: FloatArray = curve(inside) + curve.derivative()(inside) * (x - inside)[:, None]
    return columns
