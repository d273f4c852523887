"""Rates and their ratios."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def divide(above: FloatArray, below: FloatArray) -> FloatArray:
    """Divide, and leave NaN where there is nothing to divide by.

    Parameters
    ----------
    above, below : ndarray
        Of one shape: recoveries and patients make a rate, observed and expected rates make O/E.

    Returns
    -------
    ndarray
        NaN where `below` is 0 or NaN.
    """
    quotient: FloatArray = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return quotient


def wilson(successes: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute the 95% score interval of a proportion (Wilson 1927, J. Am. Stat. Assoc. 22:209-212).

    Parameters
    ----------
    successes, n : ndarray
        ``n`` above 0.

    Returns
    -------
    low, high : ndarray
    """
    z = 1.959963984540054  # the 97.5% point of the normal distribution
    p = successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return middle - half, middle + half
