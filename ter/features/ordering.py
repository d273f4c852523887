"""The order of rows that depends on their content alone: by two factors, then by what a model reads of them.

Sums depend in their last bits on the order of their terms; in this order they do not depend on that of the
table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ter.features.case_mix import CaseMix, LearnedCaseMix
from ter.features.columns import IntArray, TableView, as_numbers
from ter.features.each import Each
from ter.features.terms import Factor, Interaction, Linear, Spline
from ter.kernels.order import count_levels, mix_column, place_rows, sort_units

Keys = NDArray[np.uint64]

#: Rows whose keys are made at a time, and about how many are sorted at a time.
ROWS_A_PART = 65_536
#: Parts that rows are counted in: each takes a number for every level.
COUNTED_PARTS = 4


@dataclass(frozen=True, eq=False)
class Ordered:
    """Rows in the order of inner level, outer level, content.

    Attributes
    ----------
    order : ndarray of int64, shape (N,)
        Which row stands at each place.
    inner, outer : ndarray of int64, shape (N,)
        Levels of the rows, in that order.
    starts : ndarray of int64, shape (C,)
        Where each cell, a run of rows with the same two levels, begins.
    """

    order: IntArray
    inner: IntArray
    outer: IntArray
    starts: IntArray


def in_order(
    inner: IntArray,
    n_inner: int,
    outer: IntArray | None,
    n_outer: int,
    keys: Callable[[], Keys] | None,
    each: Each,
) -> Ordered:
    """Sort rows by two factors, and by their keys where both are the same.

    Parameters
    ----------
    inner, outer : ndarray of int64, shape (N,)
        Levels of the rows; without an outer factor, None.
    n_inner, n_outer : int
        Levels of each factor.
    keys : callable, optional
        Gives a number for each row by its content; without it, rows with the same levels stay as they stand.
    each : callable
        How parts are gone through.
    """
    n = inner.size
    b = np.zeros(n, np.int64) if outer is None else outer
    if keys is None and _sorted(inner, outer):
        order, sorted_inner, sorted_outer = np.arange(n), inner, b
    else:
        order, ptr = _by_level(inner, n_inner, each)
        found = np.zeros(0, np.uint64) if keys is None else keys()
        sorted_inner = np.repeat(np.arange(n_inner), np.diff(ptr))
        sorted_outer = np.empty(n, np.int64)
        cuts = np.searchsorted(ptr, np.arange(0, n, ROWS_A_PART))
        parts = list(pairwise([*cuts.tolist(), n_inner]))
        each(lambda part: sort_units(*part, ptr, b, max(n_outer, 1), found, order, sorted_outer), parts)
    changes = sorted_inner[1:] != sorted_inner[:-1]
    if outer is not None:
        changes |= sorted_outer[1:] != sorted_outer[:-1]
    starts = np.concatenate([np.zeros(min(n, 1), np.int64), np.flatnonzero(changes) + 1])
    return Ordered(order, sorted_inner, sorted_outer, starts)


def _sorted(inner: IntArray, outer: IntArray | None) -> bool:
    """Whether rows stand in the order of their levels."""
    if (inner[1:] < inner[:-1]).any():
        return False
    return outer is None or not ((outer[1:] < outer[:-1]) & (inner[1:] == inner[:-1])).any()


def _by_level(levels: IntArray, n_levels: int, each: Each) -> tuple[IntArray, IntArray]:
    """Stable order by level, and where each level begins in it."""
    n = levels.size
    cuts = np.linspace(0, n, COUNTED_PARTS + 1).astype(np.int64).tolist()
    counts = np.zeros((COUNTED_PARTS, n_levels), np.int64)
    each(lambda k: count_levels(levels[cuts[k] : cuts[k + 1]], counts[k]), range(COUNTED_PARTS))
    ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts.sum(axis=0))])
    place = ptr[:-1] + np.cumsum(counts, axis=0) - counts
    order = np.empty(n, np.int64)
    each(lambda k: place_rows(levels[cuts[k] : cuts[k + 1]], cuts[k], place[k], order), range(COUNTED_PARTS))
    return order, ptr


def keys_of(
    view: TableView,
    case_mix: CaseMix | LearnedCaseMix,
    numeric: Sequence[str],
    levels: Sequence[str],
    each: Each,
) -> Keys:
    """A number for each row of a view by what a case mix reads of it, and by further columns.

    Numbers count by their bits, levels by their place among those of the table, so that storage does not
    matter.

    Raises
    ------
    DataError
        If a column holds text where numbers are needed.
    """
    as_lines, as_levels = _reads(case_mix)
    table = view.table
    words: list[NDArray[Any]] = each(
        lambda name: as_numbers(table, name), list(dict.fromkeys([*as_lines, *numeric]))
    )
    words += each(lambda name: view.of_table(name)[0], list(dict.fromkeys([*as_levels, *levels])))

    keys = np.zeros(len(table), np.uint64)

    def fill(start: int) -> None:
        part = slice(start, start + ROWS_A_PART)
        for column in words:
            mix_column(np.ascontiguousarray(column[part]).view(np.uint64), keys[part])

    each(fill, range(0, len(table), ROWS_A_PART))
    return view.gather(keys)


def is_sorted(order: IntArray) -> bool:
    """Whether an order leaves every row where it is."""
    return bool((order == np.arange(order.size)).all())


def _reads(case_mix: CaseMix | LearnedCaseMix) -> tuple[list[str], list[str]]:
    """Columns that a case mix reads as numbers, and as levels."""
    numeric: list[str] = []
    levels: list[str] = []
    for any_term in case_mix.terms:
        term = any_term if isinstance(any_term, Linear | Spline | Factor | Interaction) else any_term.term
        for part in (term.first, term.second) if isinstance(term, Interaction) else (term,):
            (levels if isinstance(part, Factor) else numeric).append(part.column)
    return numeric, levels
