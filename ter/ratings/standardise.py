"""Rates, standardised rates and ratios, with their intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, gammaincinv, ndtri

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


def byar(observed: FloatArray, expected: FloatArray, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Approximate the interval of a standardised ratio O/E, O Poisson (Byar).

    Parameters
    ----------
    observed : ndarray
        Counts O, 0 or more.
    expected : ndarray
        Expected counts E, above 0.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray
        Breslow and Day (1987) *Statistical Methods in Cancer Research* II, section 2.3.
    """
    z = ndtri((1 + level) / 2)
    more = observed + 1
    # No event has no lower limit above 0; one is put in its place so that nothing is divided by it.
    some = np.maximum(observed, 1.0)
    low = np.where(observed > 0, some * (1 - 1 / (9 * some) - z / (3 * np.sqrt(some))) ** 3, 0.0)
    high = more * (1 - 1 / (9 * more) + z / (3 * np.sqrt(more))) ** 3
    return np.maximum(low, 0.0) / expected, high / expected


def exact_ratio(
    observed: FloatArray, expected: FloatArray, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Compute the exact interval of a standardised ratio O/E, O Poisson.

    Parameters
    ----------
    observed, expected, level
        As in `byar`.

    Returns
    -------
    low, high : ndarray
        Garwood (1936) Biometrika 28:437-442; Breslow and Day (1987), section 2.3. Where events are common
        (recovery), counts vary less than Poisson ones, and the interval of `exact_proportion` divided by the
        expected rate is shorter.
    """
    tail = (1 - level) / 2
    low = np.where(observed > 0, gammaincinv(np.maximum(observed, 1.0), tail), 0.0)
    return low / expected, gammaincinv(observed + 1, 1 - tail) / expected


def square_root_ratio(
    observed: FloatArray, expected: FloatArray, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Approximate the interval of O/E on the square-root scale, where a Poisson count's SD is 1/2.

    Parameters
    ----------
    observed, expected, level
        As in `byar`.

    Returns
    -------
    low, high : ndarray
        Vandenbroucke (1982) Am. J. Epidemiol. 115:303-304: ``(sqrt(O) - z/2)^2 / E`` and
        ``(sqrt(O) + z/2)^2 / E``, the lower not below 0.
    """
    z = ndtri((1 + level) / 2)
    root = np.sqrt(observed)
    return np.maximum(root - z / 2, 0.0) ** 2 / expected, (root + z / 2) ** 2 / expected


def exact_proportion(
    successes: FloatArray, n: FloatArray, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Compute the exact interval of a proportion (Clopper and Pearson 1934, Biometrika 26:404-413).

    Parameters
    ----------
    successes, n : ndarray
        ``n`` above 0.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray
        Divided by an expected rate, the interval of O/E whose O is binomial.
    """
    tail = (1 - level) / 2
    failures = n - successes
    low = np.where(successes > 0, betaincinv(np.maximum(successes, 1.0), failures + 1, tail), 0.0)
    high = np.where(failures > 0, betaincinv(successes + 1, np.maximum(failures, 1.0), 1 - tail), 1.0)
    return low, high


def direct_rate(
    events: FloatArray, n: FloatArray, standard: FloatArray, level: float = 0.95
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standardise rates directly: what a unit's rates by stratum would give in a standard population.

    Parameters
    ----------
    events, n : ndarray, shape (J, K)
        Events and patients of each unit by stratum.
    standard : ndarray, shape (K,)
        The standard population by stratum.
    level : float
        Confidence level.

    Returns
    -------
    rate, low, high : ndarray, shape (J,)
        With the gamma interval of Fay and Feuer (1997) Stat. Med. 16:791-801, events Poisson. NaN of a unit
        without patients in a stratum that the standard has: its rate there is not known, which a model (the
        TER) gets over and strata do not.
    """
    w = standard / standard.sum()
    known = ((n > 0) | (w == 0)).all(axis=1)
    weight = np.where(n > 0, w / np.where(n > 0, n, 1.0), 0.0)
    rate = (weight * events).sum(axis=1)
    variance = (weight**2 * events).sum(axis=1)
    largest = weight.max(axis=1)
    tail = (1 - level) / 2
    some = rate > 0
    scale = np.where(some, variance / np.where(some, rate, 1.0), 0.0)
    shape = np.where(some, rate**2 / np.where(some, variance, 1.0), 1.0)
    low = scale * gammaincinv(shape, tail)
    # The upper end supposes one more event where it weighs most. Units of unknown rate divide nothing by 0.
    above = np.where(known, rate + largest, 1.0)
    spread = np.where(known, variance + largest**2, 1.0)
    high = spread / above * gammaincinv(above**2 / spread, 1 - tail)
    return np.where(known, rate, np.nan), np.where(known, low, np.nan), np.where(known, high, np.nan)
