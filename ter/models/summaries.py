"""Sums by therapist, from the table and the fitted rates: what a fit keeps of the data."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from ter.features import Design
from ter.features.columns import TableView
from ter.features.design import FloatArray, IntArray
from ter.kernels.runs import sums_by_bin
from ter.models.sums import sum_by
from ter.models.units import Deciles, Months, Units

DECILES: Final = 10
#: Months before the first that NumPy counts: January 1970.
EPOCH: Final = 1970 * 12


def month_index(dates: pd.Series) -> IntArray:
    """``12 * year + month - 1`` of each date; -1 where there is none."""
    if dates.dt.tz is not None:
        dates = dates.dt.tz_localize(None)
    months = dates.to_numpy().astype("datetime64[M]")
    return np.where(np.isnat(months), -1, months.astype(np.int64) + EPOCH)


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


def summarise_units(view: TableView, design: Design, outcome: str, completed: str | None) -> Units:
    """Counts by therapist, for every therapist of the table.

    Parameters
    ----------
    view : TableView
        Of the table.
    design : Design
        With its rows in order of therapists.
    outcome : str
        Its column; patients whose outcome is missing are in no denominator.
    completed : str or None
        The column of completed treatments (true/false, or a count).
    """
    J = len(design.therapist.levels)
    table = view.table
    unit, _ = view.of_table(design.therapist.column)
    done = completed_counts(table, design, completed)
    n = sum_by(design.therapist.index, design.trials, J)
    at_caseness = n
    if "at_caseness" in table and completed == "completed":
        counted = count_column(table, "at_caseness") * (done > 0) * table[outcome].notna().to_numpy()
        at_caseness = sum_by(unit, np.nan_to_num(counted), J)
    services: tuple[str, ...] = ("",) * J
    if design.service is not None:
        levels = design.service.levels
        cell = unit * len(levels) + view.of_table(design.service.column)[0]
        counts = np.bincount(cell, minlength=J * len(levels)).reshape(J, len(levels))
        services = tuple(levels[k] for k in counts.argmax(axis=1))
    return Units(
        ids=design.therapist.levels,
        service=services,
        n_episodes=np.bincount(unit, minlength=J).astype(np.int64),
        n_completed=sum_by(unit, done, J).astype(np.int64),
        n_at_caseness=at_caseness.astype(np.int64),
        n=n,
        observed=sum_by(design.therapist.index, design.successes, J),
    )


def summarise_months(
    view: TableView, design: Design, completed: str | None, row_expected: FloatArray
) -> Months | None:
    """Counts by therapist and month of ending; None where the table has no dates of ending."""
    table = view.table
    if "end_date" not in table or not pd.api.types.is_datetime64_any_dtype(table["end_date"]):
        return None
    month = month_index(table["end_date"])
    unit, _ = view.of_table(design.therapist.column)
    done = completed_counts(table, design, completed)
    patients = np.zeros(design.n_rows)
    patients[design.rows] = design.trials
    counted = (month >= 0) & (done + patients > 0)
    # -1 stands for what is not counted; months after the year 8333 do not occur.
    pairs = np.where(counted, unit * 100_000 + month, -1)
    place, found = pd.factorize(pairs)
    order = np.argsort(found)
    order = order[found[order] >= 0]
    K = len(found)
    ended = place[design.rows]

    def of_modelled(values: FloatArray) -> FloatArray:
        # In the design's order, which is not the table's: sums of rates depend on it in their last bits.
        return sum_by(ended, values, K)[order]

    return Months(
        unit=found[order] // 100_000,
        month=found[order] % 100_000,
        n_completed=sum_by(place, done, K)[order].astype(np.int64),
        n=of_modelled(design.trials),
        observed=of_modelled(design.successes),
        expected=of_modelled(design.trials * row_expected),
    )


def summarise_deciles(design: Design, row_expected: FloatArray) -> Deciles:
    """Counts by therapist and decile of the expected rate, each a tenth of the patients if ties allow.

    The design has its rows in order of therapists.
    """
    edges = weighted_quantiles(row_expected, design.trials, np.linspace(0.0, 1.0, DECILES + 1))
    ptr = design.therapist.runs
    sums = np.zeros((3, ptr.size - 1, DECILES))
    sums_by_bin(row_expected, edges[1:-1], design.trials, design.successes, ptr, sums)
    return Deciles(edges, *sums)


def weighted_quantiles(values: FloatArray, weights: FloatArray, shares: FloatArray) -> FloatArray:
    """Where given shares of the weight lie below, half of each value's own weight included.

    Parameters
    ----------
    values, weights : ndarray, shape (N,)
    shares : ndarray, shape (K,)
        From 0 (the least value) to 1 (the greatest).

    Returns
    -------
    ndarray, shape (K,)
    """
    if (weights == 1.0).all():
        # Of values that weigh the same this is Hazen's definition. Sorting them first is much faster.
        edges: FloatArray = np.quantile(np.sort(values), shares, method="hazen")
    else:
        order = np.argsort(values, kind="stable")
        w = weights[order]
        edges = np.interp(shares, (np.cumsum(w) - 0.5 * w) / w.sum(), values[order])
    edges[shares == 0.0], edges[shares == 1.0] = values.min(), values.max()
    return edges
