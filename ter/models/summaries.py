"""Sums by therapist, from the table and the fitted rates: what a fit keeps of the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ter.features import Design, LearnedCaseMix, describe
from ter.features.columns import texts
from ter.features.design import FloatArray, IntArray
from ter.models.sums import sum_by
from ter.models.units import CaseMixMeans, Deciles, Months, Units

DECILES = 10


def month_index(dates: pd.Series) -> IntArray:
    """``12 * year + month - 1`` of each date; -1 where there is none."""
    months = dates.dt.year * 12 + dates.dt.month - 1
    return np.asarray(months.fillna(-1), np.int64)


def level_codes(column: pd.Series, levels: tuple[str, ...]) -> IntArray:
    """Position of each row's level."""
    codes, found = texts(column)
    return np.asarray(pd.Index(levels).get_indexer(pd.Index(found)), np.int64)[codes]


def count_column(table: pd.DataFrame, name: str) -> FloatArray:
    """A column of truth values or counts, blanks as 0: shape (rows,)."""
    return table[name].to_numpy(np.float64, na_value=np.nan).copy() if name in table else np.zeros(len(table))


def completed_counts(table: pd.DataFrame, design: Design, completed: str | None) -> FloatArray:
    """Completed treatments of each row: a column of the table, or else the modelled patients."""
    if completed is None:
        out = np.zeros(design.n_rows)
        out[design.rows] = design.trials
        return out
    return np.nan_to_num(count_column(table, completed))


def summarise_units(table: pd.DataFrame, design: Design, outcome: str, completed: str | None) -> Units:
    """Counts by therapist, for every therapist of the table.

    Parameters
    ----------
    table : DataFrame
    design : Design
    outcome : str
        Its column; patients whose outcome is missing are in no denominator.
    completed : str or None
        The column of completed treatments (true/false, or a count).
    """
    J = len(design.therapist.levels)
    unit = level_codes(table[design.therapist.column], design.therapist.levels)
    done = completed_counts(table, design, completed)
    patients = np.zeros(design.n_rows)
    patients[design.rows] = design.trials
    at_caseness = (
        count_column(table, "at_caseness") * (done > 0) * table[outcome].notna().to_numpy()
        if "at_caseness" in table and completed == "completed"
        else patients
    )

    def by_unit(values: FloatArray) -> FloatArray:
        return sum_by(unit, values, J)

    services: tuple[str, ...] = ("",) * J
    if design.service is not None:
        levels = design.service.levels
        cell = unit * len(levels) + level_codes(table[design.service.column], levels)
        counts = np.bincount(cell, minlength=J * len(levels)).reshape(J, len(levels))
        services = tuple(levels[k] for k in counts.argmax(axis=1))
    return Units(
        ids=design.therapist.levels,
        service=services,
        n_episodes=np.bincount(unit, minlength=J).astype(np.int64),
        n_completed=by_unit(done).astype(np.int64),
        n_at_caseness=by_unit(np.nan_to_num(at_caseness)).astype(np.int64),
        n=sum_by(design.therapist.index, design.trials, J),
        observed=sum_by(design.therapist.index, design.successes, J),
    )


def summarise_months(
    table: pd.DataFrame, design: Design, completed: str | None, row_expected: FloatArray
) -> Months | None:
    """Counts by therapist and month of ending; None where the table has no dates of ending."""
    if "end_date" not in table or not pd.api.types.is_datetime64_any_dtype(table["end_date"]):
        return None
    month = month_index(table["end_date"])
    unit = level_codes(table[design.therapist.column], design.therapist.levels)
    columns = np.zeros((len(table), 4))
    columns[:, 0] = completed_counts(table, design, completed)
    columns[design.rows, 1] = design.trials
    columns[design.rows, 2] = design.successes
    columns[design.rows, 3] = design.trials * row_expected
    counted = (month >= 0) & (columns[:, :2].sum(axis=1) > 0)
    pairs, inverse = np.unique(np.column_stack([unit, month])[counted], axis=0, return_inverse=True)
    sums = np.column_stack([sum_by(inverse.ravel(), columns[counted, k], len(pairs)) for k in range(4)])
    return Months(
        unit=pairs[:, 0], month=pairs[:, 1], n_completed=sums[:, 0].astype(np.int64), n=sums[:, 1],
        observed=sums[:, 2], expected=sums[:, 3]
    )  # fmt: skip


def summarise_deciles(design: Design, row_expected: FloatArray) -> Deciles:
    """Counts by therapist and decile of the expected rate, each a tenth of the patients if ties allow."""
    order = np.argsort(row_expected, kind="stable")
    share = (np.cumsum(design.trials[order]) - 0.5 * design.trials[order]) / design.trials.sum()
    edges = np.interp(np.linspace(0.0, 1.0, DECILES + 1), share, row_expected[order])
    edges[0], edges[-1] = row_expected.min(), row_expected.max()
    decile = np.clip(np.searchsorted(edges, row_expected, side="right") - 1, 0, DECILES - 1)
    J = len(design.therapist.levels)
    cell = design.therapist.index * DECILES + decile

    def by_cell(values: FloatArray) -> FloatArray:
        return sum_by(cell, values, J * DECILES).reshape(J, DECILES)

    return Deciles(
        edges, by_cell(design.trials), by_cell(design.successes), by_cell(design.trials * row_expected)
    )


def summarise_case_mix(
    table: pd.DataFrame,
    design: Design,
    case_mix: LearnedCaseMix | None,
    beta: FloatArray,
    row_expected: FloatArray,
) -> CaseMixMeans:
    """How each therapist's patients differ from the network's, and what that does to the expected rate."""
    J = len(design.therapist.levels)
    weights = design.trials
    labels, values = describe(design.modelled(table), case_mix)
    slices = {} if case_mix is None else case_mix.term_slices
    moved = [design.X[:, s] @ beta[s] for s in slices.values()]
    patients = sum_by(design.therapist.index, weights, J)
    # The slope of a rate in the log-odds, over the network.
    slope = float(np.average(row_expected * (1.0 - row_expected), weights=weights))

    def means(columns: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        by_unit = np.empty((J, len(columns)))
        overall = np.empty(len(columns))
        for k, column in enumerate(columns):
            gaps = np.isnan(column)
            w, total = weights, patients
            if gaps.any():
                w, column = np.where(gaps, 0.0, weights), np.where(gaps, 0.0, column)
                total = sum_by(design.therapist.index, w, J)
            with np.errstate(invalid="ignore"):
                by_unit[:, k] = sum_by(design.therapist.index, w * column, J) / total
            overall[k] = float(w @ column) / float(w.sum())
        return by_unit, overall

    unit_values, network_values = means(list(values.T))
    unit_moved, network_moved = means(moved)
    # The reference level has no column: a share of it moves nothing by itself.
    coefficient = dict(zip(design.columns, beta, strict=True))
    per_share = np.array(
        [coefficient.get(f"{name}[{level}]", 0.0) if level else np.nan for name, level in labels]
    )
    return CaseMixMeans(
        labels=labels,
        units=unit_values,
        network=network_values,
        level_shift=slope * per_share * (unit_values - network_values),
        variables=tuple(slices),
        shift=slope * (unit_moved - network_moved),
    )
