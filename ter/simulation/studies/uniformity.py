"""Is a sample uniform? A band that holds its whole distribution function with a given probability.

Säilynoja, Bürkner and Vehtari (2022), *Graphical test for discrete uniformity and its applications in
goodness of fit evaluation and multiple sample comparison*, Statistics and Computing 32:32.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Simulated samples that the band is adjusted with, and where distribution functions are looked at.
SAMPLES: Final = 4000
MOST_POINTS: Final = 100
_SEED: Final = 20220101


def points_of(n: int) -> FloatArray:
    """Where the distribution function of n values is compared, inside (0, 1)."""
    count = min(n, MOST_POINTS)
    return np.arange(1, count) / count


def ecdf(values: FloatArray, at: FloatArray) -> FloatArray:
    """Share of values at or below each point."""
    return np.searchsorted(np.sort(values), at, side="right") / values.size


# Kept, because every quantity of a study has the same band.
@lru_cache(maxsize=16)
def simultaneous_band(n: int, probability: float) -> tuple[FloatArray, FloatArray]:
    """Lower and upper limits of the distribution function of n uniform values, at `points_of(n)`.

    Each limit is a binomial quantile; their common level is such that a whole uniform sample stays inside
    with the probability, found by simulation with a fixed seed.

    Parameters
    ----------
    n : int
        At least 2.
    probability : float

    Returns
    -------
    low, high : ndarray
    """
    # SciPy's statistics are slow to load.
    from scipy.stats import binom

    z = points_of(n)
    rng = np.random.default_rng(_SEED)
    # Counts of a uniform sample in the intervals between points are multinomial.
    share = np.diff(np.concatenate([[0.0], z, [1.0]]))
    counts = np.cumsum(rng.multinomial(n, share, SAMPLES), axis=1)[:, :-1]
    # The level at which each sample first touches the band.
    tail = np.minimum(binom.cdf(counts, n, z), binom.sf(counts - 1, n, z))
    gamma = np.quantile(2.0 * tail.min(axis=1), 1.0 - probability)
    # A little below, so that rounding does not cut off what is exactly at the level.
    low = np.asarray(binom.ppf(gamma / 2 * (1.0 - 1e-9), n, z) / n, np.float64)
    return low, 1.0 - low[::-1]


def outside_band(values: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """Share of points where the distribution function of values is outside the band."""
    e = ecdf(values, points_of(values.size))
    # Shares of n values are equal or at least 1/n apart.
    rounding = 1e-9
    return float(np.mean((e < low - rounding) | (e > high + rounding)))
