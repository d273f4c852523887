"""Estimates from many replicates, each with its Monte Carlo standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: From sums over any number of replicates, shape (..., C, K), to a figure for each cell, shape (..., C).
Figure = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Statistic:
    """A figure with its name.

    Attributes
    ----------
    name : str
    figure : callable
        Of sums, shape (..., C, K): a figure for each cell, shape (..., C).
    count : int
        Which of the K sums counts the cases that it rests on.
    """

    name: str
    figure: Figure
    count: int = 0


def jackknife(sums: FloatArray, figure: Figure) -> tuple[FloatArray, FloatArray]:
    """A function of the sums over all replicates, and its Monte Carlo standard error.

    Replicates are independent, cases within a replicate are not: each replicate is left out once (Efron 1982,
    *The Jackknife*, chapter 3).

    Parameters
    ----------
    sums : ndarray, shape (R, C, K)
        Of each replicate.
    figure : callable

    Returns
    -------
    estimate, mcse : ndarray, shape (C,)
        NaN where a figure is not defined, or only with one of the replicates.
    """
    R = len(sums)
    total = sums.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = figure(total)
        if R < 2:
            return estimate, np.full_like(estimate, np.nan)
        without = figure(total - sums)
        deviation = without - without.mean(axis=0)
    return estimate, np.sqrt((R - 1) / R * (deviation**2).sum(axis=0))


def ratio(above: int, below: int, scale: float = 1.0) -> Figure:
    """The figure ``scale * sum[above] / sum[below]``."""
    return lambda s: scale * s[..., above] / s[..., below]


def root_ratio(above: int, below: int) -> Figure:
    """The figure ``sqrt(sum[above] / sum[below])``: a root mean square."""
    return lambda s: np.sqrt(s[..., above] / s[..., below])


def tabulate(cells: pd.DataFrame, sums: FloatArray, statistics: Sequence[Statistic]) -> pd.DataFrame:
    """A tidy table: a row for each cell and statistic.

    Parameters
    ----------
    cells : DataFrame, C rows
        What names a cell.
    sums : ndarray, shape (R, C, K)
    statistics : sequence of Statistic

    Returns
    -------
    DataFrame
        The columns of `cells`, then ``statistic``, ``estimate``, ``mcse`` and ``n``, the cases that the
        estimate rests on.
    """
    parts = []
    for statistic in statistics:
        estimate, mcse = jackknife(sums, statistic.figure)
        n = sums[..., statistic.count].sum(axis=0).astype(np.int64)
        parts.append(cells.assign(statistic=statistic.name, estimate=estimate, mcse=mcse, n=n))
    return pd.concat(parts, ignore_index=True)


def sums_by_cell(
    cell: NDArray[np.int64], n_cells: int, columns: Sequence[FloatArray | BoolArray]
) -> FloatArray:
    """Sums of columns (J,) by cell, shape (n_cells, len(columns)); a cell of -1 counts nowhere."""
    kept = cell >= 0
    return np.column_stack(
        [np.bincount(cell[kept], np.asarray(column, np.float64)[kept], n_cells) for column in columns]
    )
