"""Which rows are modelled, what their outcomes are, and why the others are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError
from ter.features.columns import numbers
from ter.measures import DENOMINATORS

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Why a patient is not in an outcome's denominator.
_REASONS = {"completed": "treatment not completed", "at_caseness": "not at caseness at the start"}


@dataclass(frozen=True, eq=False)
class ModelledRows:
    """The rows that enter a model, with their outcomes.

    Attributes
    ----------
    rows : ndarray of int64, shape (N,)
        Positions in the table.
    successes, trials : ndarray of float64, shape (N,)
        ``trials`` is 1 where a row is a patient.
    left_out : tuple of (str, int)
        Why rows were left out, each row for the first reason that holds; reasons that hold for none are
        absent.
    """

    rows: NDArray[np.int64]
    successes: FloatArray
    trials: FloatArray
    left_out: tuple[tuple[str, int], ...]


def modelled_rows(df: pd.DataFrame, *, outcome: str, trials: str | None = None) -> ModelledRows:
    """Choose the rows to model.

    Parameters
    ----------
    df : DataFrame
    outcome : str
        Without `trials`: a column of false/true or 0/1. Of the clinical outcomes, rows outside the
        denominator (``ter.measures.DENOMINATORS``) are left out; of any outcome, rows where it is missing.
        With `trials`: a column of counts.
    trials : str, optional
        A column of counts: how many patients a row stands for. Rows where a count is blank or nobody was
        treated are left out.

    Returns
    -------
    ModelledRows

    Raises
    ------
    DataError
        If a column is absent; an outcome is not 0 or 1; a count is negative, not whole, or above the patients
        of its row; no row is left; or the outcome is the same for every patient.
    """
    chosen = _patients(df, outcome) if trials is None else _counts(df, outcome, trials)
    recovered, treated = chosen.successes.sum(), chosen.trials.sum()
    if not treated:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in chosen.left_out)
        raise DataError(
            f"No row of {len(df)} can be modelled for the outcome {outcome} ({reasons or 'no rows'})."
        )
    if recovered in (0, treated):
        raise DataError(
            f'The outcome "{outcome}" is the same for all {treated:g} patients in the model '
            f"({'none' if recovered == 0 else 'all'} of them): nothing can be learned. Check the column."
        )
    return chosen


def _patients(df: pd.DataFrame, outcome: str) -> ModelledRows:
    """Choose among rows that are patients."""
    denominator = DENOMINATORS.get(outcome, ())
    for column in (outcome, *denominator):
        if column not in df.columns:
            hint = (
                "run ter.add_outcomes on the episodes"
                if denominator
                else f"name one of {', '.join(DENOMINATORS)}, or a column of true/false that the table has"
            )
            raise DataError(f'The table has no column "{column}", which the outcome {outcome} needs: {hint}.')
    if not pd.api.types.is_numeric_dtype(df[outcome].dtype):
        raise DataError(
            f'The outcome "{outcome}" holds {df[outcome].dtype}, not true/false (1/0): name another column, '
            f'or make one of it, such as table["{outcome}"] == "yes".'
        )
    y = numbers(df, outcome)
    missing = np.isnan(y)
    neither = (y != 0) & (y != 1) & ~missing
    _refuse(df, outcome, neither, "neither 0 nor 1 (false nor true), as an outcome must be")
    # A denominator that is not known is not met.
    reasons = [(_REASONS[column], numbers(df, column) != 1) for column in denominator]
    rows, left_out = _leave_out(len(df), [*reasons, (f"{outcome} is missing", missing)])
    return ModelledRows(rows, y[rows] if left_out else y, np.ones(len(rows)), left_out)


def _counts(df: pd.DataFrame, outcome: str, trials: str) -> ModelledRows:
    """Choose among rows that are groups of patients."""
    for column in (outcome, trials):
        if column not in df.columns:
            raise DataError(f'The table has no column "{column}": name a column of counts that it has.')
    y, n = numbers(df, outcome), numbers(df, trials)
    for column, count in ((outcome, y), (trials, n)):
        no_count = (count < 0) | ((count != np.floor(count)) & ~np.isnan(count))
        _refuse(df, column, no_count, "not counts (0, 1, 2, ...)")
    _refuse(df, outcome, y > n, f'above the count in "{trials}"')
    blank = np.isnan(y) | np.isnan(n)
    reasons = [(f"{outcome} or {trials} is blank", blank), (f"{trials} is 0", n == 0)]
    rows, left_out = _leave_out(len(df), reasons)
    return ModelledRows(rows, y[rows], n[rows], left_out)


def _leave_out(
    n_rows: int, reasons: list[tuple[str, BoolArray]]
) -> tuple[NDArray[np.int64], tuple[tuple[str, int], ...]]:
    """Leave rows out, and count each under the first reason that holds."""
    kept = np.ones(n_rows, dtype=np.bool_)
    left_out = []
    for reason, holds in reasons:
        count = int((kept & holds).sum())
        if count:
            left_out.append((reason, count))
        kept &= ~holds
    return np.flatnonzero(kept).astype(np.int64), tuple(left_out)


def _refuse(df: pd.DataFrame, column: str, bad: BoolArray, what: str) -> None:
    """Refuse a column with bad values, and show the first."""
    rows = np.flatnonzero(bad)
    if rows.size:
        shown = ", ".join(f"row {row}: {df[column].iloc[row]}" for row in rows[:3])
        raise DataError(f'The column "{column}" holds {rows.size} values that are {what} ({shown}).')
