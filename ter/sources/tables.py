"""The tables that `ter` works on, from files: read, validated, outcomes added."""

from __future__ import annotations

import os
from collections.abc import Collection

import pandas as pd

from ter.measures import add_outcomes
from ter.options import MissingOutcome
from ter.schema import validate_counts, validate_episodes, validate_sessions
from ter.sources.files import read_table


def read_episodes(
    path: str | os.PathLike[str], *, missing_outcome: MissingOutcome = "not_recovered"
) -> pd.DataFrame:
    """Read a table of episodes, validate it and add the outcomes.

    Parameters
    ----------
    path : path-like
        A CSV or Parquet file; see `read_table`.
    missing_outcome : {"not_recovered", "exclude"}
        See `add_outcomes`.

    Returns
    -------
    DataFrame
        As from `validate_episodes` and `add_outcomes`, with index 0, 1, … Outcome columns of the file are
        replaced: they are always computed from the scores.

    Raises
    ------
    OptionError
        There is no such file.
    DataError
        The file or its rows are faulty; the message lists every kind of fault.
    """
    episodes = validate_episodes(read_table(path), table=str(path))
    return add_outcomes(episodes.reset_index(drop=True), missing_outcome=missing_outcome)


def read_sessions(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table of sessions and validate it.

    Parameters
    ----------
    path : path-like
        A CSV or Parquet file; see `read_table`.

    Returns
    -------
    DataFrame
        As from `validate_sessions`, with index 0, 1, …

    Raises
    ------
    OptionError
        There is no such file.
    DataError
        The file or its rows are faulty; the message lists every kind of fault.
    """
    return validate_sessions(read_table(path), table=str(path)).reset_index(drop=True)


def read_counts(
    path: str | os.PathLike[str], *, unit: str, trials: str, recovered: str, text: Collection[str] = ()
) -> pd.DataFrame:
    """Read a table of grouped counts and validate it.

    Parameters
    ----------
    path : path-like
        A CSV or Parquet file; see `read_table`.
    unit, trials, recovered : str
        Names of the columns of the unit that is rated and of the two counts; see `validate_counts`.
    text : collection of str
        Further columns that are text, such as a second grouping factor.

    Returns
    -------
    DataFrame
        As from `validate_counts`, with index 0, 1, …

    Raises
    ------
    OptionError
        There is no such file.
    DataError
        The file or its rows are faulty; the message lists every kind of fault.
    """
    table = read_table(path, text={unit, *text})
    counts = validate_counts(table, unit=unit, trials=trials, recovered=recovered, table=str(path))
    return counts.reset_index(drop=True)
