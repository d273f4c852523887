"""How each therapist's patients differ from the network's: means of numbers, shares of levels."""

from __future__ import annotations

import numpy as np

from ter.features.columns import TableView, has_gaps, numbers
from ter.features.design import Design, FloatArray, IntArray
from ter.features.learned import LearnedFactor, LearnedInteraction, LearnedMain
from ter.features.terms import Linear
from ter.kernels.parallel import map_partitions
from ter.kernels.runs import known_sums, level_sums, run_sums
from ter.models.units import CaseMixMeans


def summarise_case_mix(
    view: TableView, design: Design, beta: FloatArray, row_expected: FloatArray
) -> CaseMixMeans:
    """How each therapist's patients differ from the network's, and what that does to the expected rate.

    Parameters
    ----------
    view : TableView
        Of the table.
    design : Design
        With its rows in order of therapists.
    beta : ndarray, shape (P,)
    row_expected : ndarray, shape (N,)
        Expected rate of each modelled row.
    """
    w, ptr = design.trials, design.therapist.runs
    parts = _variables(design)
    columns = _column_sums(design, ptr)
    patients = columns[0]
    modelled = view.pick(design.rows)

    def sums_of(part: LearnedMain) -> tuple[FloatArray, FloatArray]:
        column = part.term.column
        if isinstance(part.term, Linear) and column in design.columns and not has_gaps(modelled, column):
            # The design has it, only shifted and scaled.
            p = design.columns.index(column)
            total = patients * design.centre[p] + columns[p] * design.scale[p]
            return total[:, None], patients[:, None]
        return _sums(modelled, part, w, ptr)

    described = map_partitions(sums_of, parts)
    labels = [
        (part.term.column, level)
        for part in parts
        for level in (part.levels if isinstance(part, LearnedFactor) else ("",))
    ]
    sums = np.hstack([np.empty((ptr.size - 1, 0)), *(total for total, _ in described)])
    known = np.hstack([np.empty((ptr.size - 1, 0)), *(np.broadcast_to(n, t.shape) for t, n in described)])
    with np.errstate(invalid="ignore"):
        units = sums / known
    network = sums.sum(axis=0) / known.sum(axis=0)
    # The slope of a rate in the log-odds, over the network.
    slope = float(w @ (row_expected * (1.0 - row_expected)) / w.sum())
    # The reference level has no column: a share of it moves nothing by itself.
    coefficient = dict(zip(design.columns, beta, strict=True))
    per_share = np.array(
        [coefficient.get(f"{name}[{level}]", 0.0) if level else np.nan for name, level in labels]
    )
    slices = {} if design.case_mix is None else design.case_mix.term_slices
    moved = np.empty((ptr.size - 1, len(slices)))
    for v, s in enumerate(slices.values()):
        moved[:, v] = beta[s] @ columns[s]
    with np.errstate(invalid="ignore"):
        by_unit = moved / patients[:, None]
    return CaseMixMeans(
        labels=tuple(labels),
        units=units,
        network=network,
        level_shift=slope * per_share * (units - network),
        variables=tuple(slices),
        shift=slope * (by_unit - moved.sum(axis=0) / patients.sum()),
    )


def _variables(design: Design) -> list[LearnedMain]:
    """What a case mix reads, each column once."""
    parts: dict[str, LearnedMain] = {}
    for term in design.case_mix.terms if design.case_mix else ():
        for part in (term.first, term.second) if isinstance(term, LearnedInteraction) else (term,):
            parts.setdefault(part.term.column, part)
    return list(parts.values())


def _sums(rows: TableView, part: LearnedMain, w: FloatArray, ptr: IntArray) -> tuple[FloatArray, FloatArray]:
    """Sums by therapist of a number, or patients of each level, (J, K); and the patients it is known of."""
    if isinstance(part, LearnedFactor):
        counts = np.zeros((ptr.size - 1, len(part.levels)))
        level_sums(part.codes(rows), w, ptr, counts)
        return counts, counts.sum(axis=1, keepdims=True)
    sums, known = np.empty((2, ptr.size - 1))
    known_sums(numbers(rows, part.term.column), w, ptr, sums, known)
    return sums[:, None], known[:, None]


def _column_sums(design: Design, ptr: IntArray) -> FloatArray:
    """Sums of each column of the design by therapist, shape (P, J)."""
    X = design.X.T
    sums = np.empty((len(X), ptr.size - 1))
    map_partitions(lambda p: run_sums(X[p], design.trials, ptr, sums[p]), range(len(X)))
    return sums
