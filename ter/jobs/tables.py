"""The tables of a job: read together, so that the faults of all of them are told at once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ter.errors import DataError
from ter.options import GATE, MissingOutcome
from ter.sources import episodes_from_sessions, read_episodes, read_sessions


def read_tables(
    episodes: Path, sessions: Path | None, *, missing_outcome: MissingOutcome = "not_recovered"
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Read a table of episodes and, where there is one, of sessions.

    Parameters
    ----------
    episodes : Path
    sessions : Path or None
    missing_outcome : {"not_recovered", "exclude"}

    Returns
    -------
    episodes : DataFrame
        Validated, with outcomes.
    sessions : DataFrame or None
        Validated.

    Raises
    ------
    OptionError
        There is no such file.
    DataError
        A table is faulty; the message lists the faults of both.
    """
    if sessions is None:
        return read_episodes(episodes, missing_outcome=missing_outcome), None
    try:
        table = read_episodes(episodes, missing_outcome=missing_outcome)
    except DataError as error:
        try:
            read_sessions(sessions)
        except DataError as further:
            raise DataError(f"{error}\n{further}") from error
        raise
    return table, read_sessions(sessions)


def check_tables(episodes: Path, sessions: Path | None = None) -> str:
    """Say in short what a table of episodes, and one of sessions, hold. No outcome is among it.

    Parameters
    ----------
    episodes : Path
    sessions : Path, optional
        Where given, the episodes are checked as they come out of these sessions.

    Returns
    -------
    str
        A few lines.

    Raises
    ------
    OptionError
        There is no such file.
    DataError
        A table is faulty; the message lists the faults of both.
    """
    table, appointments = read_tables(episodes, sessions)
    lines = []
    if appointments is not None:
        table = episodes_from_sessions(table, appointments)
        lines = [
            f"{len(appointments):,} sessions of {appointments['episode_id'].nunique():,} episodes, "
            f"{appointments['date'].min():%Y-%m-%d} to {appointments['date'].max():%Y-%m-%d}"
        ]
    completed = table.groupby("therapist_id")["completed"].sum()
    at_gate = (completed >= GATE).sum()
    return "\n".join(
        [
            f"{len(table):,} episodes, started {table['start_date'].min():%Y-%m-%d} to "
            f"{table['start_date'].max():%Y-%m-%d}",
            f"{table['end_date'].isna().sum():,} in treatment, {table['completed'].sum():,} completed, "
            f"{(table['completed'] & table['at_caseness']).sum():,} of these at caseness at the start",
            f"{len(completed):,} therapists, {at_gate:,} with {GATE} or more completed treatments",
            f"{table['service_id'].nunique():,} services",
            *lines,
            "No fault found.",
        ]
    )
