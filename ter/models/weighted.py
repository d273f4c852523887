"""Means, standard deviations and quantiles of weighted draws."""

from __future__ import annotations

import numpy as np

from ter.features.design import FloatArray

#: Ends of the intervals that a fit shows.
TAILS = (0.05, 0.95)


def mean_and_sd(x: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Along the first axis: shape (D, ...) and weights (D,) that sum to 1 -> (...)."""
    mean = np.tensordot(weights, x, 1)
    return mean, np.sqrt(np.tensordot(weights, (x - mean) ** 2, 1))


def quantiles(x: FloatArray, weights: FloatArray, probabilities: tuple[float, ...]) -> FloatArray:
    """Quantiles along the first axis: the distribution function is linear between midpoints of its steps.

    Parameters
    ----------
    x : ndarray, shape (D, K)
    weights : ndarray, shape (D,)
        Summing to 1.
    probabilities : tuple of float, length Q

    Returns
    -------
    ndarray, shape (Q, K)
    """
    order = np.argsort(x, axis=0, kind="stable")
    ordered = np.take_along_axis(x, order, axis=0)
    w = weights[order]
    below = np.cumsum(w, axis=0) - 0.5 * w
    return np.column_stack([np.interp(probabilities, below[:, k], ordered[:, k]) for k in range(x.shape[1])])
