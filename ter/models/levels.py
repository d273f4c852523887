"""Levels of the factors around the one that is integrated or eliminated first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ter.features.design import Grouping, IntArray
from ter.kernels.mixed import local_columns
from ter.models.layout import Layout


@dataclass(frozen=True, eq=False)
class OuterLevels:
    """Levels of T outer factors, numbered together from 0 to S - 1, by sorted row.

    Attributes
    ----------
    levels : ndarray of int64, shape (N, T)
    factor : ndarray of int64, shape (S,)
        Which factor each level is one of.
    place : ndarray of int64, shape (N, T)
        Which of the columns of its inner level each row's level is.
    column_ptr : ndarray of int64, shape (J + 1,)
        Where the columns of each inner level begin: the levels that its rows have.
    columns : ndarray of int64
        At least one, so that kernels may look at it.
    """

    levels: IntArray
    factor: IntArray
    place: IntArray
    column_ptr: IntArray
    columns: IntArray


def outer_levels(layout: Layout, outer: tuple[Grouping, ...]) -> OuterLevels:
    """Number the levels of other factors, each in the order of the design's rows, for a sorted layout."""
    sizes = [len(g.levels) for g in outer]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    levels = np.empty((layout.order.size, len(outer)), np.int64)
    for t, g in enumerate(outer):
        levels[:, t] = g.index[layout.order] + first[t]
    place, column_ptr = np.zeros_like(levels), np.zeros(layout.n_inner + 1, np.int64)
    columns = np.zeros(max(1, levels.size), np.int64)
    local_columns(layout.rows.row_ptr, levels, int(first[-1]), column_ptr, columns, place)
    factor = np.repeat(np.arange(len(outer)), sizes)
    return OuterLevels(levels, factor, place, column_ptr, columns[: max(1, column_ptr[-1])])
