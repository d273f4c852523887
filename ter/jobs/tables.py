"""The tables of a job: read together, so that the faults of all of them are told at once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ter.errors import DataError
from ter.options import MissingOutcome
from ter.sources import read_episodes, read_sessions


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
