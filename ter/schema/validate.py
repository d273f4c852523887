"""Validation: a table in, the same table with canonical dtypes out, or one error that lists all faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from ter.schema.columns import COLUMNS, SESSION_COLUMNS, THERAPIST_COLUMNS, Column
from ter.schema.contracts import EPISODE_RULES, Rule, check
from ter.schema.faults import data_error, in_rows, whole
from ter.schema.parse import parse

# The largest whole number that float64 tells from its neighbours.
_LARGEST_COUNT: Final = 2.0**53


def validate_episodes(df: pd.DataFrame, *, table: str = "episodes") -> pd.DataFrame:
    """Check a table of episodes and bring its columns to canonical dtypes.

    Ids, factors and the anxiety measure (by its key) become text (``str`` from pandas 3 on, ``object`` before
    it), dates ``datetime64[s]``, whole numbers ``Int16``, other numbers ``float64``. Nothing else is changed:
    the order of rows and columns, the index and all columns that `ter` does not know stay as they are. An
    empty text is a missing value; the words "NaN" and "None" are not.

    Parameters
    ----------
    df : DataFrame, shape (N, C)
        With the columns of `COLUMNS`. Ids may be text or whole numbers; dates may be text of the form
        yyyy-mm-dd, ``datetime.date`` or ``datetime64`` without time zone.
    table : str
        What errors call the table.

    Returns
    -------
    DataFrame, shape (N, C)

    Raises
    ------
    DataError
        The table is empty, lacks a column, or has faulty rows; the message lists every kind of fault.
    """
    return _validate(df, COLUMNS.values(), EPISODE_RULES, table, "episode_id")


def validate_sessions(df: pd.DataFrame, *, table: str = "sessions") -> pd.DataFrame:
    """Check a table of sessions and bring its columns to canonical dtypes, as `validate_episodes` does.

    Parameters
    ----------
    df : DataFrame, shape (N, C)
        With the columns of `SESSION_COLUMNS`.
    table : str
        What errors call the table.

    Returns
    -------
    DataFrame, shape (N, C)

    Raises
    ------
    DataError
        The table is empty, lacks a column, or has faulty rows; the message lists every kind of fault.
    """
    return _validate(df, SESSION_COLUMNS.values(), (), table, "session_id")


def validate_therapists(df: pd.DataFrame, *, table: str = "therapists") -> pd.DataFrame:
    """Check a table of therapists and bring its columns to canonical dtypes, as `validate_episodes` does.

    Parameters
    ----------
    df : DataFrame, shape (N, C)
        With the columns of `THERAPIST_COLUMNS`.
    table : str
        What errors call the table.

    Returns
    -------
    DataFrame, shape (N, C)

    Raises
    ------
    DataError
        The table is empty, lacks a column, or has faulty rows; the message lists every kind of fault.
    """
    return _validate(df, THERAPIST_COLUMNS.values(), (), table, "therapist_id")


def validate_patients(df: pd.DataFrame, needs: Collection[str], *, table: str = "patients") -> pd.DataFrame:
    """Check the columns of episodes that a model needs to know of new patients.

    Parameters
    ----------
    df : DataFrame, shape (N, C)
    needs : collection of str
        Columns that must be there. Those that are in `COLUMNS` are checked; any of them may be empty, the
        service included, as a new patient may have none yet.
    table : str
        What errors call the table.

    Returns
    -------
    DataFrame, shape (N, C)
        The checked columns with canonical dtypes; all others as they are.

    Raises
    ------
    DataError
        The table is empty, lacks a column, or has faulty rows; the message lists every kind of fault.
    """
    columns = [
        replace(column, required=True, nullable=True) for column in COLUMNS.values() if column.name in needs
    ]
    return _validate(df, columns, EPISODE_RULES, table, "episode_id")


def validate_counts(
    df: pd.DataFrame, *, unit: str, trials: str, recovered: str, table: str = "counts"
) -> pd.DataFrame:
    """Check a table of grouped counts, where of `trials` patients in a row `recovered` recovered.

    A count may be missing (small counts are not published): such a row tells nothing about recovery, and
    whoever fits the table counts it as left out. A unit may have several rows.

    Parameters
    ----------
    df : DataFrame, shape (N, C)
    unit, trials, recovered : str
        Names of the columns of the unit that is rated and of the two counts.
    table : str
        What errors call the table.

    Returns
    -------
    DataFrame, shape (N, C)
        The unit as text, the counts as ``Int64``; all other columns as they are.

    Raises
    ------
    DataError
        The table is empty, lacks a column, has faulty rows or no row with both counts.
    """
    columns = (
        Column(unit, "id", "id", "the unit that is rated", required=True, nullable=False),
        Column(trials, "count", "id", "patients", required=True, low=0, high=_LARGEST_COUNT),
        Column(recovered, "count", "after_allocation", "patients who recovered", required=True, low=0,
               high=_LARGEST_COUNT),
    )  # fmt: skip
    no_more = Rule(
        recovered,
        (trials, recovered),
        lambda rows: rows[trials].isna() | rows[recovered].isna() | (rows[recovered] <= rows[trials]),
        f"is above {trials}",
        "correct one of the two counts",
    )
    counts = _validate(df, columns, (no_more,), table, unit)
    if not counts[[trials, recovered]].notna().all(axis=1).any():
        fault = whole(
            "", f"has no row with both {trials} and {recovered}", "give at least one row both counts"
        )
        raise data_error([fault], df, table)
    return counts


def _validate(
    df: pd.DataFrame, columns: Iterable[Column], rules: Iterable[Rule], table: str, key: str
) -> pd.DataFrame:
    """Raise the faults of the table, of its cells and of its rows, or convert it."""
    columns = [column for column in columns if column.kind != "outcome"]
    faults = [
        whole(str(name), f"occurs {times} times", "give every column its own name")
        for name, times in Counter(df.columns).items()
        if times > 1
    ]
    faults += [
        whole(column.name, "is missing", f"add it ({column.description})")
        for column in columns
        if column.required and column.name not in df.columns
    ]
    if not len(df):
        faults.append(whole("", "has no rows", "give it at least one"))
    if faults and (not len(df) or not df.columns.is_unique):
        raise data_error(faults, df, table)

    present = [column for column in columns if column.name in df.columns]
    parsed = {column.name: parse(df[column.name], column.kind) for column in present}
    faults += [
        in_rows(name, cells.problem, cells.mend, cells.unreadable)
        for name, cells in parsed.items()
        if cells.unreadable.any()
    ]
    values = pd.DataFrame({name: cells.values for name, cells in parsed.items()}, copy=False)
    unreadable = {name: cells.unreadable for name, cells in parsed.items()}
    faults += check(values, unreadable, present, rules)
    if faults:
        place = {column.name: number for number, column in enumerate(columns)}
        raise data_error(sorted(faults, key=lambda fault: place.get(fault.column, -1)), df, table, key)
    return df.assign(**_canonical(values, present))


def _canonical(values: pd.DataFrame, columns: Iterable[Column]) -> Mapping[str, Any]:
    """Columns in their canonical dtypes, without an index."""
    canonical = {}
    for column in columns:
        series: pd.Series[Any] = values[column.name]
        if column.kind == "integer":
            series = series.astype("Int16")
        elif column.kind == "count":
            series = series.astype("Int64")
        canonical[column.name] = series.array
    return canonical
