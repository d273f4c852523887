"""The order in which kernels see a design, and the partitions that passes over it are split into."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ter.features.design import Design, Grouping, IntArray
from ter.features.ordering import in_order, is_sorted
from ter.kernels.order import row_keys, take
from ter.kernels.parallel import map_partitions
from ter.kernels.rows import Rows

#: Rows a partition aims at. Fixed, so that sums are added in the same order on any number of threads.
ROWS_A_PARTITION = 8192
MAX_PARTITIONS = 64
#: Below so many rows where a search ended shows in the intervals of the SDs, and a further step costs little.
FEW_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Layout:
    """A design, sorted for the kernels.

    The *inner* factor is the one whose effects are integrated or eliminated one by one (therapists); the
    *outer* factor's effects are few and kept together (services).

    Attributes
    ----------
    rows : Rows
    n_outer : int
        Levels of the outer factor; 0 without one.
    order : ndarray of int64, shape (N,)
        Design row of each sorted row.
    """

    rows: Rows
    n_outer: int
    order: IntArray

    @property
    def n_inner(self) -> int:
        """Levels of the inner factor."""
        return self.rows.row_ptr.size - 1

    @property
    def is_small(self) -> bool:
        """Whether the data are so few that searches are to end at nothing but rounding.

        The less the data say, the less is the likelihood quadratic.
        """
        return self.rows.y.size < FEW_ROWS

    def partitions(self, at_most: int | None = None, rows_each: int | None = None) -> list[tuple[int, int]]:
        """Runs of inner levels with about equally many rows; they depend on the data alone."""
        n_rows = int(self.rows.row_ptr[-1])
        most = MAX_PARTITIONS if at_most is None else at_most
        count = max(1, min(most, n_rows // (rows_each or ROWS_A_PARTITION), self.n_inner))
        cuts = np.searchsorted(self.rows.row_ptr, np.linspace(0, n_rows, count + 1)[1:-1])
        edges = np.unique(np.concatenate([[0], cuts, [self.n_inner]]))
        return [(int(a), int(b)) for a, b in pairwise(edges)]


def thinned(layout: Layout, step: int) -> Layout:
    """The layout of every `step`-th inner level alone; the outer levels all stay."""
    rows = layout.rows
    units = np.arange(0, layout.n_inner, step)
    n_rows, n_cells = np.diff(rows.row_ptr)[units], np.diff(rows.unit_cells)[units]
    chosen = _runs(rows.row_ptr[units], n_rows)
    cells = _runs(rows.unit_cells[units], n_cells)
    columns = np.empty((rows.X.shape[1], chosen.size))
    whole = rows.X.T
    map_partitions(lambda p: take(whole[p], chosen, columns[p]), range(len(whole)))
    part = Rows(
        row_ptr=_pointers(n_rows),
        cell_ptr=_pointers(np.diff(rows.cell_ptr)[cells]),
        unit_cells=_pointers(n_cells),
        cell_outer=rows.cell_outer[cells],
        row_cell=_numbered(np.diff(rows.cell_ptr)[cells]),
        X=columns.T,
        y=rows.y[chosen],
        trials=rows.trials[chosen],
        binary=rows.binary,
    )
    return Layout(part, layout.n_outer, layout.order[chosen])


def _pointers(counts: IntArray) -> IntArray:
    """Where runs of these lengths begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _numbered(counts: IntArray) -> NDArray[np.uint32]:
    """Numbers of the runs of these lengths, for each of their members."""
    return np.repeat(np.arange(counts.size, dtype=np.uint32), counts)


def _runs(starts: IntArray, counts: IntArray) -> IntArray:
    """Numbers of all members of the runs that begin at `starts` and are `counts` long."""
    return np.repeat(starts - _pointers(counts)[:-1], counts) + np.arange(int(counts.sum()))


def arrange(design: Design, inner: Grouping, outer: Grouping | None) -> Layout:
    """Sort a design for the kernels; where its rows stand in their order, nothing is copied.

    Parameters
    ----------
    design : Design
    inner : Grouping
        The factor with the many small levels.
    outer : Grouping or None
    """
    X = design.X.T
    y, trials = np.ascontiguousarray(design.successes), np.ascontiguousarray(design.trials)
    n_inner, n_outer = len(inner.levels), 0 if outer is None else len(outer.levels)
    # Column by column: a column that rows are picked from stays in the cache.
    given = np.ascontiguousarray(X)

    def keys() -> NDArray[np.uint64]:
        cuts = [(lo, min(lo + ROWS_A_PARTITION, y.size)) for lo in range(0, y.size, ROWS_A_PARTITION)]
        return np.concatenate(map_partitions(lambda cut: row_keys(*cut, given, y, trials), cuts))

    # Rows that stand in the order of their content already keep it within a cell.
    found = in_order(
        inner.index,
        n_inner,
        None if outer is None else outer.index,
        n_outer,
        None if design.ordered else keys,
        map_partitions,
    )
    order = found.order
    if is_sorted(order):
        columns = given
    else:
        columns = np.empty_like(given)
        map_partitions(lambda p: take(given[p], order, columns[p]), range(len(given)))
        y, trials = y[order], trials[order]
    row_ptr = np.searchsorted(found.inner, np.arange(n_inner + 1)).astype(np.int64)
    rows = Rows(
        row_ptr=row_ptr,
        cell_ptr=np.append(found.starts, y.size),
        unit_cells=np.searchsorted(found.starts, row_ptr).astype(np.int64),
        cell_outer=found.outer[found.starts],
        row_cell=_numbered(np.diff(found.starts, append=y.size)),
        X=columns.T,
        y=y,
        trials=trials,
        binary=bool((trials == 1.0).all()),
    )
    return Layout(rows, n_outer, order)
