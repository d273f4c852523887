"""What was known at a month's end."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from typing import Any

import pandas as pd

from ter.errors import DataError, OptionError
from ter.measures import OUTCOME_COLUMNS, add_outcomes
from ter.schema import COLUMNS

_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


def month_end(month: str) -> dt.date:
    """Last day of a month.

    Parameters
    ----------
    month : str
        Of the form yyyy-mm, from 2000-01 to 2099-12.

    Raises
    ------
    OptionError
        It is not.

    Examples
    --------
    >>> month_end("2028-02")
    datetime.date(2028, 2, 29)
    """
    match = _MONTH.fullmatch(month) if isinstance(month, str) else None
    if match is None:
        raise OptionError(f"month is {month!r}; write it as yyyy-mm, such as 2026-10")
    year, number = int(match[1]), int(match[2])
    return dt.date(year, number, calendar.monthrange(year, number)[1])


def as_known_at(episodes: pd.DataFrame, month_end: dt.date | str) -> pd.DataFrame:
    """Episodes as they were known at the end of a day.

    An episode that starts later does not exist. One that has not ended by then is in treatment: whatever is
    measured after allocation (its end, last scores, sessions, end reason, DNAs, cancellations) is missing,
    even where the table has some of it, because it may yet change. So nothing that happens later changes the
    result. Columns that `ter` does not know are kept as they are.

    With sessions, derive the episodes from the sessions known then, and take them as known then afterwards::

        as_known_at(episodes_from_sessions(episodes, sessions_known_at(sessions, day)), day)

    Parameters
    ----------
    episodes : DataFrame, shape (N, C)
        Validated; with outcomes or without.
    month_end : date or str
        The last day that counts, or a month such as "2026-10" for its last day.

    Returns
    -------
    DataFrame, shape (M, C), M <= N
        With index 0, 1, … Outcomes are those of what was known.

    Raises
    ------
    OptionError
        The month is not of the form yyyy-mm.
    DataError
        No episode had started, or the table was not validated.
    """
    day = _last_day(month_end)
    start = _dates(episodes, "start_date")
    known = episodes[_by(start, day)].reset_index(drop=True)
    if known.empty:
        raise DataError(
            f"nothing is known at {day}: the first episode starts on {start.min():%Y-%m-%d}. "
            "To mend it: choose a later month"
        )
    open_still = ~_by(_dates(known, "end_date"), day)
    late = [
        column.name
        for column in COLUMNS.values()
        if column.measured == "after_allocation" and column.kind != "outcome" and column.name in known.columns
    ]
    cleared = known.assign(**{name: known[name].mask(open_still) for name in late})
    outcomes = [name for name in OUTCOME_COLUMNS if name in known.columns]
    if not outcomes:
        return cleared
    # An episode in treatment has the same outcomes (none) however missing scores are counted; those that have
    # ended keep theirs.
    now = add_outcomes(cleared)
    return cleared.assign(**{name: known[name].mask(open_still, now[name]) for name in outcomes})


def sessions_known_at(sessions: pd.DataFrame, month_end: dt.date | str) -> pd.DataFrame:
    """Sessions up to the end of a day.

    Parameters
    ----------
    sessions : DataFrame, shape (N, C)
        Validated.
    month_end : date or str
        The last day that counts, or a month such as "2026-10" for its last day.

    Returns
    -------
    DataFrame, shape (M, C), M <= N
        With index 0, 1, …; it may have no rows.

    Raises
    ------
    DataError
        The table was not validated.
    """
    return sessions[_by(_dates(sessions, "date"), _last_day(month_end))].reset_index(drop=True)


def last_date(table: pd.DataFrame, *columns: str) -> str:
    """Last date in columns of a table, ISO; empty where it has none of them, or no date in them.

    Parameters
    ----------
    table : DataFrame
    *columns : str
        By default ``start_date`` and ``end_date``.
    """
    last = [
        table[name].max()
        for name in columns or ("start_date", "end_date")
        if name in table and pd.api.types.is_datetime64_any_dtype(table[name])
    ]
    known = [date for date in last if not pd.isna(date)]
    return max(known).date().isoformat() if known else ""


def _last_day(day: dt.date | str) -> dt.date:
    """The day itself, or the last day of a named month (pandas would take that for its first day)."""
    return month_end(day) if isinstance(day, str) else day


def _by(dates: pd.Series[Any], day: dt.date) -> pd.Series[bool]:
    """Whether a date, at whatever time of the day, is on or before `day`; a missing one is not."""
    return dates < pd.Timestamp(day) + pd.Timedelta(days=1)


def _dates(df: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in df.columns or not pd.api.types.is_datetime64_dtype(df[name].dtype):
        raise DataError(f"column {name} holds no dates; validate the table first")
    return df[name]
