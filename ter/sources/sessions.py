"""From sessions to episodes: scores, counts, and whose patient it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.measures import add_outcomes
from ter.options import MissingOutcome
from ter.schema import validate_episodes
from ter.schema.contracts import anxiety_rules, check
from ter.schema.faults import data_error, in_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def episodes_from_sessions(
    episodes: pd.DataFrame, sessions: pd.DataFrame, *, missing_outcome: MissingOutcome = "not_recovered"
) -> pd.DataFrame:
    """Derive scores, counts and therapist of each episode from its sessions.

    Sessions count in the order of their dates, those of one day in the order of their ids. For an episode
    that has any session in the table, these override its own values:

    - ``n_sessions``: attended sessions. ``n_dna``: those not attended without notice. ``n_cancelled``: those
      cancelled, late or in time.
    - ``phq9_first``, ``gad7_first``: scores of the first attended session with both of them; ``phq9_last``,
      ``gad7_last``: of the last. A single such session gives first scores and no last ones, as it shows no
      change; without any, all four are missing.
    - ``anxiety_first``, ``anxiety_last`` (where sessions have ``anxiety``): the scores in these two sessions,
      missing where none was given.
    - ``wsas_first`` (where sessions have ``wsas``): the score in the first of them, if there is one.
    - ``therapist_id`` (where sessions have it): the therapist of most attended sessions; of those who gave
      equally many, the one who gave the last. The episode keeps its own if no attended session names one.

    An episode without sessions keeps its own values. Dates are never changed.

    Parameters
    ----------
    episodes : DataFrame, shape (N, C)
        Validated.
    sessions : DataFrame, shape (M, D)
        Validated.
    missing_outcome : {"not_recovered", "exclude"}
        See `add_outcomes`.

    Returns
    -------
    DataFrame
        A row per episode in the same order, validated, with outcomes.

    Raises
    ------
    DataError
        Sessions belong to no episode of the table, or have anxiety scores that do not fit its measure; or the
        resulting episodes are faulty.
    """
    episode = pd.Index(episodes["episode_id"]).get_indexer(pd.Index(sessions["episode_id"])).astype(np.int64)
    _check_against(episodes, sessions, episode)
    n = len(episodes)
    in_time = sessions.reset_index(drop=True).sort_values(["date", "session_id"]).index.to_numpy(np.int64)

    status = sessions["status"].to_numpy(object)
    phq9, gad7 = _floats(sessions, "phq9"), _floats(sessions, "gad7")
    attended = status == "attended"
    paired = attended & ~np.isnan(phq9) & ~np.isnan(gad7)
    first, last = _first_and_last(episode, in_time[paired[in_time]], n)
    last = np.where(last == first, -1, last)

    def count(which: NDArray[np.bool_]) -> FloatArray:
        return np.bincount(episode[which], minlength=n).astype(float)

    derived = {
        "n_sessions": count(attended),
        "n_dna": count(status == "dna"),
        "n_cancelled": count((status == "cancelled") | (status == "late_cancelled")),
        "phq9_first": _taken(phq9, first),
        "phq9_last": _taken(phq9, last),
        "gad7_first": _taken(gad7, first),
        "gad7_last": _taken(gad7, last),
    }
    if "anxiety" in sessions.columns:
        anxiety = _floats(sessions, "anxiety")
        derived |= {"anxiety_first": _taken(anxiety, first), "anxiety_last": _taken(anxiety, last)}
    if "wsas" in sessions.columns:
        wsas = _taken(_floats(sessions, "wsas"), first)
        derived["wsas_first"] = np.where(np.isnan(wsas), _floats(episodes, "wsas_first"), wsas)
    has_sessions = np.bincount(episode, minlength=n) > 0
    columns: dict[str, Any] = {
        name: np.where(has_sessions, values, _floats(episodes, name)) for name, values in derived.items()
    }
    if "therapist_id" in sessions.columns:
        columns["therapist_id"] = _attributed(
            episodes["therapist_id"], sessions["therapist_id"], episode, in_time[attended[in_time]]
        )
    return add_outcomes(validate_episodes(episodes.assign(**columns)), missing_outcome=missing_outcome)


def _check_against(episodes: pd.DataFrame, sessions: pd.DataFrame, episode: IntArray) -> None:
    """Raise the faults that sessions only show beside their episodes."""
    stray = episode < 0
    faults = []
    if stray.any():
        faults.append(in_rows("episode_id", "names an episode that is not there", "add the episode", stray))
    if "anxiety" in sessions.columns:
        measures = episodes["anxiety_measure"] if "anxiety_measure" in episodes.columns else None
        named = np.full(len(episodes) + 1, None, object)
        if measures is not None:
            named[:-1] = measures.to_numpy(object)
        scores = pd.DataFrame({"anxiety": _floats(sessions, "anxiety"), "anxiety_measure": named[episode]})
        # A stray session has no measure because it has no episode: that has been said.
        unreadable = {"anxiety": stray, "anxiety_measure": stray}
        faults += check(scores, unreadable, (), anxiety_rules("anxiety"))
    if faults:
        raise data_error(faults, sessions, "sessions", "session_id")


def _first_and_last(episode: IntArray, rows: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """First and last of `rows` (in order of time) for each of `n` episodes; -1 where it has none."""
    first, last = np.full(n, -1), np.full(n, -1)
    # Of several values for the same place, NumPy keeps the last.
    first[episode[rows[::-1]]] = rows[::-1]
    last[episode[rows]] = rows
    return first, last


def _attributed(
    own: pd.Series[str], therapist: pd.Series[str], episode: IntArray, attended: IntArray
) -> NDArray[np.object_]:
    """Therapist of each episode by most sessions in `attended` (in order of time); a tie goes to the last."""
    codes, ids = pd.factorize(therapist)
    rows = attended[codes[attended] >= 0]
    k = len(ids)
    pair, which, sessions = np.unique(
        episode[rows] * k + codes[rows], return_inverse=True, return_counts=True
    )
    latest = np.full(len(pair), -1)
    latest[which] = np.arange(len(rows))
    ranked = pair[np.lexsort((latest, sessions))]
    result = own.to_numpy(object, copy=True)
    result[ranked // k] = np.asarray(ids, object)[ranked % k]
    return result


def _taken(values: FloatArray, rows: IntArray) -> FloatArray:
    """Values in `rows`; NaN where the row is -1."""
    return np.append(values, np.nan)[rows]


def _floats(df: pd.DataFrame, column: str) -> FloatArray:
    if column not in df.columns:
        return np.full(len(df), np.nan)
    return df[column].to_numpy(dtype=np.float64, na_value=np.nan)
