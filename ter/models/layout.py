"""The order in which kernels see a design, and the partitions that passes over it are split into."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ter.features.design import Design, FloatArray, Grouping, IntArray
from ter.kernels.rows import Rows

#: Rows a partition aims at. Fixed, so that sums are added in the same order on any number of threads.
ROWS_A_PARTITION = 8192
MAX_PARTITIONS = 64


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

    def partitions(self) -> list[tuple[int, int]]:
        """Runs of inner levels with about equally many rows; they depend on the data alone."""
        n_rows = int(self.rows.row_ptr[-1])
        count = max(1, min(MAX_PARTITIONS, n_rows // ROWS_A_PARTITION, self.n_inner))
        cuts = np.searchsorted(self.rows.row_ptr, np.linspace(0, n_rows, count + 1)[1:-1])
        edges = np.unique(np.concatenate([[0], cuts, [self.n_inner]]))
        return [(int(a), int(b)) for a, b in pairwise(edges)]


def row_keys(X: FloatArray, y: FloatArray, trials: FloatArray) -> NDArray[np.uint64]:
    """A number for each row's content: sorted by it, sums do not depend on the order in the table."""
    key = np.zeros(len(y), np.uint64)
    for column in (*X.T, y, trials):
        bits = np.ascontiguousarray(column).view(np.uint64)
        key = (key ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def arrange(design: Design, inner: Grouping, outer: Grouping | None) -> Layout:
    """Sort a design for the kernels.

    Parameters
    ----------
    design : Design
    inner : Grouping
        The factor with the many small levels.
    outer : Grouping or None
    """
    outer_index = np.zeros(len(design.successes), np.int64) if outer is None else outer.index
    keys = row_keys(design.X, design.successes, design.trials)
    order = np.lexsort((keys, outer_index, inner.index))
    a, b = inner.index[order], outer_index[order]
    n = a.size
    starts = (
        np.flatnonzero(np.concatenate([[True], (a[1:] != a[:-1]) | (b[1:] != b[:-1])]))
        if n
        else np.zeros(0, np.int64)
    )
    row_ptr = np.searchsorted(a, np.arange(len(inner.levels) + 1))
    trials = design.trials[order]
    rows = Rows(
        row_ptr=row_ptr.astype(np.int64),
        cell_ptr=np.concatenate([starts, [n]]).astype(np.int64),
        unit_cells=np.searchsorted(starts, row_ptr).astype(np.int64),
        cell_outer=b[starts],
        X=np.ascontiguousarray(design.X[order]),
        y=design.successes[order],
        trials=trials,
        binary=bool((trials == 1.0).all()),
    )
    return Layout(rows, 0 if outer is None else len(outer.levels), order)
