"""What estimates say of each row: linear predictors and expected rates, on as many threads as there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ter.features.design import FloatArray, Grouping
from ter.kernels.parallel import map_partitions
from ter.kernels.tables import rate_table, read_rates

#: Rows that are looked at a time.
ROWS_A_PART: Final = 65_536


def predictors(
    X: FloatArray, beta: FloatArray, effects: Sequence[tuple[Grouping, FloatArray]] = ()
) -> FloatArray:
    """Linear predictors, shape (N,): x'beta and the effects of the row's levels."""
    eta = np.empty(len(X))

    def fill(part: slice) -> None:
        eta[part] = X[part] @ beta
        for group, effect in effects:
            eta[part] += effect[group.index[part]]

    map_partitions(fill, _parts(len(X)))
    return eta


def marginal_rates(eta: FloatArray, sigma: float) -> FloatArray:
    """Expected rates, shape (N,), with an effect drawn from N(0, sigma^2)."""
    low, table = rate_table(float(eta.min()), float(eta.max()), sigma)
    rates = np.empty(eta.size)
    map_partitions(lambda part: read_rates(eta[part], low, table, rates[part]), _parts(eta.size))
    return rates


def largest_predictor(X: FloatArray, beta: FloatArray) -> float:
    """The largest of x'beta, in either direction."""
    return max(map_partitions(lambda part: float(np.abs(X[part] @ beta).max()), _parts(len(X))))


def _parts(n: int) -> list[slice]:
    return [slice(start, start + ROWS_A_PART) for start in range(0, n, ROWS_A_PART)]
