"""From a table to the arrays that a model takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError, OptionError
from ter.features.case_mix import CaseMix, LearnedCaseMix
from ter.features.columns import numbers, require, texts
from ter.features.rows import modelled_rows
from ter.schema import COLUMNS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Grouping:
    """A grouping factor: which level each modelled row belongs to.

    Attributes
    ----------
    name : str
        The factor's word in results: ``"therapist"`` or ``"service"``.
    column : str
        The column it was read from.
    levels : tuple of str
        Every level in the table, sorted, with or without modelled rows.
    index : ndarray of int64, shape (N,)
        The level of each modelled row.
    """

    name: str
    column: str
    levels: tuple[str, ...]
    index: IntArray


@dataclass(frozen=True, eq=False)
class Severity:
    """What therapist effects may grow with, standardised over the modelled rows.

    Attributes
    ----------
    column : str
    values : ndarray of float64, shape (N,)
        ``(column - centre) / scale``; 0 where it is missing.
    centre, scale : float
        Mean and standard deviation (divisor n) of the known values.
    missing : int
        Modelled rows without it.
    """

    column: str
    values: FloatArray
    centre: float
    scale: float
    missing: int


@dataclass(frozen=True, eq=False)
class Design:
    """What a model is fitted to: arrays only, one row per modelled row of the table.

    Attributes
    ----------
    X : ndarray of float64, shape (N, P)
        Model columns, the intercept first. Continuous columns are standardised, dummies are 0/1.
    columns : tuple of str
        Their names: ``"intercept"``, ``"age"``, ``"urban[Y]"``.
    centre, scale : ndarray of float64, shape (P,)
        ``X = (column - centre) / scale``; 0 and 1 for the intercept and for dummies.
    successes, trials : ndarray of float64, shape (N,)
        Recovered and treated patients a row; ``trials`` is 1 where a row is a patient.
    therapist : Grouping
    service : Grouping or None
    rows : ndarray of int64, shape (N,)
        Positions of the modelled rows in the table.
    n_rows : int
        Rows of the table.
    left_out : tuple of (str, int)
        Why rows were left out, and how many for each reason.
    severity : Severity or None
        With a severity slope.
    further : Grouping or None
        A third factor.
    """

    X: FloatArray
    columns: tuple[str, ...]
    centre: FloatArray
    scale: FloatArray
    successes: FloatArray
    trials: FloatArray
    therapist: Grouping
    service: Grouping | None
    rows: IntArray
    n_rows: int
    left_out: tuple[tuple[str, int], ...]
    severity: Severity | None = None
    further: Grouping | None = None

    def modelled(self, table: pd.DataFrame) -> pd.DataFrame:
        """The modelled rows of the table; the table itself, uncopied, where these are all."""
        return pick_rows(table, self.rows)


def build_design(
    df: pd.DataFrame,
    *,
    case_mix: LearnedCaseMix | None,
    outcome: str,
    trials: str | None = None,
    therapist: str,
    service: str | None = None,
    severity: str | None = None,
    further: str | None = None,
) -> Design:
    """Turn a table into the arrays that a model is fitted to.

    Parameters
    ----------
    df : DataFrame
    case_mix : LearnedCaseMix or None
        Learned on the modelled rows (`ter.features.modelled_rows`); None for the intercept alone.
    outcome : str
        A column of 0/1, or with `trials` a column of counts.
    trials : str, optional
        A column of counts: the patients that a row stands for.
    therapist : str
        The column of therapists' ids, or of whatever units stand in their place.
    service : str, optional
        The column of services' ids.
    severity : str, optional
        The column of numbers that therapist effects may grow with.
    further : str, optional
        The column of a third factor's ids.

    Returns
    -------
    Design

    Raises
    ------
    OptionError
        If one column is asked to play two roles.
    DataError
        If a column is absent, an id is missing, no row can be modelled, there is a single therapist, or fewer
        than two therapists have modelled patients; see also `modelled_rows`.
    """
    roles = {"outcome": outcome, "trials": trials, "therapist": therapist, "service": service}
    _check_roles(case_mix, {**roles, "further factor": further})
    chosen = modelled_rows(df, outcome=outcome, trials=trials)
    therapists = _group(df, "therapist", therapist, chosen.rows)
    if len(np.unique(therapists.index)) < 2:
        raise DataError(
            f'One of the {len(therapists.levels)} therapists in the column "{therapist}" has patients in the '
            "model: there is nobody to compare with."
        )
    services = None if service is None else _group(df, "service", service, chosen.rows)
    learned = CaseMix(()).learn(df) if case_mix is None else case_mix
    return Design(
        X=learned.encode(pick_rows(df, chosen.rows)).X,
        columns=learned.columns,
        centre=learned.centre,
        scale=learned.scale,
        successes=chosen.successes,
        trials=chosen.trials,
        therapist=therapists,
        service=services,
        rows=chosen.rows,
        n_rows=len(df),
        left_out=chosen.left_out,
        severity=None if severity is None else read_severity(df, severity, chosen.rows, roles),
        further=None if further is None else _group(df, "further", further, chosen.rows),
    )


def pick_rows(table: pd.DataFrame, rows: IntArray) -> pd.DataFrame:
    """Rows of the table, each at most once and in its order; the table itself where these are all."""
    return table if len(rows) == len(table) else table.iloc[rows]


def read_severity(df: pd.DataFrame, column: str, rows: IntArray, roles: dict[str, str | None]) -> Severity:
    """Read and standardise what therapist effects may grow with.

    Raises
    ------
    OptionError
        If the column has another role, or is measured after allocation: what the therapist had a hand in
        cannot explain their effect.
    DataError
        If it is absent, holds no numbers, or does not vary.
    """
    for role, other in roles.items():
        if other == column:
            raise OptionError(
                f'The column "{column}" is both the severity and the {role}: it can be only one.'
            )
    if column in COLUMNS and COLUMNS[column].measured in ("after_allocation", "id"):
        raise OptionError(
            f'severity_slope names "{column}", which was not measured before the patient was allocated to a '
            "therapist: name a score at the start, such as phq9_first."
        )
    require(df, (column,), "severity_slope")
    raw = numbers(df, column)[rows]
    known = ~np.isnan(raw)
    if not known.any() or raw[known].min() == raw[known].max():
        raise DataError(
            f'The column "{column}" does not vary among the modelled patients: effects cannot grow with it. '
            "Use severity_slope=None."
        )
    centre, scale = float(raw[known].mean()), float(raw[known].std())
    values = np.where(known, (raw - centre) / scale, 0.0)
    return Severity(column, values, centre, scale, int((~known).sum()))


def _check_roles(case_mix: LearnedCaseMix | None, roles: dict[str, str | None]) -> None:
    """Refuse a column that plays two roles."""
    seen = {} if case_mix is None else dict.fromkeys(case_mix.reads, "case mix")
    for role, column in roles.items():
        if column is None:
            continue
        if column in seen:
            raise OptionError(
                f'The column "{column}" is both the {seen[column]} and the {role}: it can be only one.'
            )
        seen[column] = role


def _group(df: pd.DataFrame, name: str, column: str, rows: IntArray) -> Grouping:
    """Read a grouping factor: levels from all rows, the index of the modelled ones."""
    require(df, (column,), f"the {name}")
    codes, levels = texts(df[column])
    missing = np.flatnonzero(codes < 0)
    if missing.size:
        shown = ", ".join(str(row) for row in missing[:3])
        raise DataError(
            f'The column "{column}" is empty in {missing.size} rows (first: {shown}): give each a {name}.'
        )
    return Grouping(name, column, levels, codes[rows])
