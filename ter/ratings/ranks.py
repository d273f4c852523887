"""Ranks, with all the uncertainty that there is about them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ter.kernels.effects import rank_draws
from ter.kernels.parallel import map_partitions

FloatArray = NDArray[np.float64]

#: Draws (or therapists) that are worked on at once, which bounds the memory.
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks among J therapists, 1 for the highest effect.

    Attributes
    ----------
    expected : ndarray, shape (J,)
        Posterior mean of the rank (Laird and Louis 1989, J. Educ. Stat. 14:29-46).
    low, high : ndarray, shape (J,)
        Quantiles of the rank.
    percentile : ndarray, shape (J,)
        ``100 (1 - (expected - 1/2) / J)``: 100 for the best, 50 for the middle.
    top_quartile : ndarray, shape (J,)
        Probability of a rank of ``ceil(J / 4)`` or better, so that the top quartile is never empty.
    """

    expected: FloatArray
    low: FloatArray
    high: FloatArray
    percentile: FloatArray
    top_quartile: FloatArray


def summarise_ranks(draws: NDArray[np.float32], quantiles: tuple[float, float]) -> Ranks:
    """Rank therapists within each joint draw of their effects, and summarise over the draws.

    Parameters
    ----------
    draws : ndarray of float32, shape (J, M)
        Equally weighted.
    quantiles : (float, float)

    Returns
    -------
    Ranks
        The quantiles are those of the empirical distribution, inverted: a rank that occurred.
    """
    J, M = draws.shape
    if not J:
        return Ranks(*(np.empty(0) for _ in range(5)))
    ranks = _rank(draws)
    ends = np.empty((2, J), dtype=np.float64)
    for start in range(0, J, _CHUNK):
        part = slice(start, start + _CHUNK)
        ends[:, part] = np.quantile(ranks[part], quantiles, axis=1, method="inverted_cdf")
    expected = ranks.mean(axis=1, dtype=np.float64)
    return Ranks(
        expected=expected,
        low=ends[0],
        high=ends[1],
        percentile=100 * (1 - (expected - 0.5) / J),
        top_quartile=(ranks <= math.ceil(J / 4)).sum(axis=1) / M,
    )


def _rank(draws: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rank each column, the highest first; equal values share the mean of their ranks."""
    draws = np.ascontiguousarray(draws, np.float32)
    ranks = np.empty_like(draws)
    parts = [(m, min(m + _CHUNK, draws.shape[1])) for m in range(0, draws.shape[1], _CHUNK)]
    map_partitions(lambda part: rank_draws(*part, draws, ranks), parts)
    return ranks
