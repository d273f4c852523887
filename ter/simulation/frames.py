"""From the kernels' columns to tables with the canonical dtypes of `ter.schema`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.kernels import episodes as kernel
from ter.kernels import text
from ter.kernels.courses import ATTENDED
from ter.kernels.patients import Caseloads, Record
from ter.measures import OUTCOME_COLUMNS
from ter.simulation.build import Codes, cells_of
from ter.simulation.ids import id_names, id_width, service_ids, text_column, therapist_ids
from ter.simulation.network import AGENCIES, Roster
from ter.simulation.room import Room
from ter.simulation.scenario import Scenario

IntArray = NDArray[np.int64]

#: Words for the status of an appointment, by its code.
STATUSES = ("attended", "dna", "cancelled")
_MINUTES = {"2": 30, "3": 50}
_TYPICAL_MINUTES = 50


def whole(values: NDArray[Any]) -> Any:
    """Give a column of whole numbers, `Int16`, missing where negative."""
    return pd.arrays.IntegerArray(np.where(values < 0, 0, values).astype(np.int16), values < 0)


def decimal(values: NDArray[Any]) -> NDArray[np.float64]:
    """Give a column of numbers, NaN where negative."""
    return np.where(values < 0, np.nan, values).astype(np.float64)


def days(values: NDArray[Any]) -> NDArray[np.datetime64]:
    """Give a column of dates from days since 1970-01-01, missing where negative."""
    dates = values.astype("datetime64[D]").astype("datetime64[s]")
    return np.where(values < 0, np.datetime64("NaT", "s"), dates)


def words(
    codes: NDArray[Any],
    names: Sequence[str],
    room: Room | None = None,
    *,
    places: NDArray[Any] | None = None,
) -> Any:
    """Give a column of words by their codes, missing where the code is negative or the word empty.

    `places` says which name each code stands for; by default they are counted in order.
    """
    spelled = [*(name.encode() for name in names), b""]
    longest = max(map(len, spelled))
    eights = max(1, -(-longest // 8))
    table = np.frombuffer(b"".join(word.ljust(8 * eights, b"\0") for word in spelled), np.uint64)
    marks = np.array([len(word) | (int(text.THERE) if word else 0) for word in spelled], np.uint64)
    if places is None and codes.dtype.kind == "i":
        codes = np.where(codes < 0, len(names), codes)
    elif places is None:
        places = np.arange(len(names))
    if places is not None:  # -1 is the last: missing
        table, marks = table.reshape(-1, eights)[places].ravel(), marks[places]
    room = room or Room(0)
    offsets = room.array(codes.size + 1, np.int64)
    data = room.array(codes.size * longest + 8 * eights, np.uint8)
    validity = room.array(-(-codes.size // 8), np.uint8)
    small = codes.astype(np.uint8 if marks.size <= 256 else np.uint32, copy=False)
    text.write_words(small, table, marks, offsets, data, validity)
    return text_column(offsets, data, None if (marks >= text.THERE).all() else validity)


def repeated_therapist_ids(scenario: Scenario, c: Caseloads, room: Room) -> Any:
    """Give the id of each episode's therapist."""
    width, rows = id_width(3, scenario.network.n_therapists), int(c.n.sum())
    offsets, data = room.array(rows + 1, np.int64), room.array(rows * (width + 1) + text.SLACK, np.uint8)
    text.write_repeated_ids(ord("T"), c.number, c.n, width, offsets, data)
    return text_column(offsets, data)


def part_ids(letters: str, scenario: Scenario, c: Caseloads, room: Room | None = None) -> tuple[Any, Any]:
    """Give the ids of episodes such as ``E001-0001``, once with each of two letters."""
    width = id_width(3, scenario.network.n_therapists)
    length = 2 + width + id_width(text.PART_DIGITS, int(c.n.max(initial=0)))
    rows = int(c.n.sum())
    room = room or Room(0)
    offsets = room.array(rows + 1, np.int64)
    one, other = (room.array(rows * length + text.SLACK, np.uint8) for _ in range(2))
    text.write_part_ids((ord(letters[0]), ord(letters[1])), c.number, c.n, width, offsets, one, other)
    return text_column(offsets, one), text_column(offsets, other)


#: Columns that have an array of marks where nothing is recorded.
_MISSING = {
    "phq9_last": "phq9_missing",
    "gad7_last": "gad7_missing",
    "wsas_first": "wsas_missing",
    "imd_decile": "imd_missing",
}
#: Columns whose dtype has no mark for a missing value.
_PLAIN = ("completed", "at_caseness")
_DTYPES = {
    **dict.fromkeys(("start_date", "end_date"), np.int64),
    **dict.fromkeys(("age", "anxiety_first", "anxiety_last"), np.float64),
    **dict.fromkeys((*OUTCOME_COLUMNS, *_MISSING.values(), "end_reason"), np.uint8),
}
#: Columns of the table in their order, after the ids of episode and patient.
_BEFORE_FACTORS = (
    "therapist_id",
    "service_id",
    "start_date",
    "end_date",
    "n_sessions",
    "phq9_first",
    "phq9_last",
    "gad7_first",
    "gad7_last",
    "anxiety_measure",
    "anxiety_first",
    "anxiety_last",
    "wsas_first",
    "age",
    "imd_decile",
    "problem",
    "prior_episodes",
    "wait_days",
)
_AFTER_FACTORS = ("end_reason", "n_dna", "n_cancelled", *OUTCOME_COLUMNS)


def new_columns(n: int, room: Room) -> kernel.Columns:
    """Give the columns of `n` episodes, to be filled."""
    return kernel.Columns._make(room.array(n, _DTYPES.get(name, np.int16)) for name in kernel.Columns._fields)


def text_columns(
    scenario: Scenario, c: Caseloads, codes: Codes, r: Record, columns: kernel.Columns, room: Room
) -> dict[str, Callable[[], Any]]:
    """Give what makes the columns of text, by the column's name; ``ids`` makes the first two of the table."""
    population = scenario.population

    def factor(f: int) -> Callable[[], Any]:
        levels = [level.name for level in population.factors[f].levels]
        return lambda: words(cells_of(r, codes.group_of[f]), levels, room, places=codes.levels[f])

    problems = [problem.name for problem in population.problems]
    services = id_names("S", scenario.network.n_services, 2)
    return {
        "ids": lambda: part_ids("EP", scenario, c, room),
        "therapist_id": lambda: repeated_therapist_ids(scenario, c, room),
        "service_id": lambda: words(r.service.view(np.uint32), services, room),
        "anxiety_measure": lambda: words(r.problem, codes.measures, room, places=codes.measure),
        "problem": lambda: words(r.problem, problems, room, places=codes.problem),
        **{part.column: factor(f) for f, part in enumerate(population.factors)},
        "end_reason": lambda: words(columns.end_reason, ("completed", "dropped_out", ""), room),
    }


def _column(columns: kernel.Columns, name: str) -> Any:
    values = getattr(columns, name)
    if values.dtype == np.int64:
        return values.view("datetime64[s]")
    if values.dtype == np.float64:
        return values
    if name in _PLAIN:
        return values.view(np.bool_)
    marks = getattr(columns, _MISSING[name]) if name in _MISSING else np.zeros(values.size, np.uint8)
    if values.dtype == np.int16:
        return pd.arrays.IntegerArray(values, marks.view(np.bool_))
    return pd.arrays.BooleanArray(values.view(np.bool_), marks.view(np.bool_))


def episodes_frame(scenario: Scenario, columns: kernel.Columns, texts: Mapping[str, Any]) -> pd.DataFrame:
    """Give the table of episodes, with the outcome columns.

    Parameters
    ----------
    columns : Columns
        From `new_columns`, filled.
    texts : mapping of str to columns
        What `text_columns` made.
    """
    episode_id, patient_id = texts["ids"]
    factors = [factor.column for factor in scenario.population.factors]
    names = [*_BEFORE_FACTORS, *factors, *_AFTER_FACTORS]
    made = {name: texts[name] if name in texts else _column(columns, name) for name in names}
    index = pd.RangeIndex(len(episode_id))
    return pd.DataFrame({"episode_id": episode_id, "patient_id": patient_id, **made}, index=index, copy=False)


def sessions_frame(episodes: pd.DataFrame, record: NDArray[np.int32]) -> pd.DataFrame:
    """Give the table of appointments.

    Parameters
    ----------
    episodes : DataFrame
        From `episodes_frame`.
    record : ndarray of int32, shape (fields, appointments)
        From `ter.kernels.episodes.write_appointments`.
    """
    episode = record[kernel.EPISODE]
    suffix = [f"-{k:02d}" for k in range(1, int(record[kernel.NUMBER].max(initial=0)) + 2)]
    episode_id = episodes["episode_id"].array.take(episode)
    attended = record[kernel.STATUS] == ATTENDED
    minutes = episodes["step"].map(_MINUTES) if "step" in episodes else pd.Series(np.nan, episodes.index)
    out: dict[str, Any] = {
        "session_id": episode_id + words(record[kernel.NUMBER], suffix),
        "episode_id": episode_id,
        "therapist_id": episodes["therapist_id"].array.take(episode),
        "date": days(record[kernel.DAY]),
        "status": words(record[kernel.STATUS], STATUSES),
        "minutes": np.where(attended, minutes.fillna(_TYPICAL_MINUTES).to_numpy(float)[episode], np.nan),
        "phq9": whole(record[kernel.SCORE_PHQ9]),
        "gad7": whole(record[kernel.SCORE_GAD7]),
        "anxiety": decimal(record[kernel.SCORE_ANXIETY]),
        "wsas": whole(record[kernel.SCORE_WSAS]),
    }
    if "modality" in episodes:
        out["modality"] = episodes["modality"].array.take(episode)
    return pd.DataFrame(out)


def therapists_frame(scenario: Scenario, roster: Roster) -> pd.DataFrame:
    """Give the table of therapists with the truth.

    Effect, slope on severity, shift of their patients' severity, and the day of leaving.
    """
    c = roster.caseloads
    factors = {factor.column: factor for factor in scenario.population.factors}
    modalities = (
        "|".join(level.name for level in factors["modality"].levels if level.name)
        if "modality" in factors
        else ""
    )
    ids = therapist_ids(scenario, c.number)
    return pd.DataFrame(
        {
            "therapist_id": ids,
            "service_id": words(c.service, id_names("S", scenario.network.n_services, 2)),
            "joined_date": days(roster.joined_day),
            "agency": words(roster.agency, AGENCIES),
            "modalities": words(np.zeros(c.n.size, np.int64), (modalities,)),
            "desired_caseload": whole(roster.desired),
            "guaranteed_caseload": whole(roster.desired * 2 // 3),
            "effect": c.effect,
            "severity_slope": c.slope,
            "severity_shift": c.shift,
            "n_episodes": c.n,
            "left_date": days(roster.left_day),
        },
        copy=False,
    )


def services_frame(scenario: Scenario, roster: Roster) -> pd.DataFrame:
    """Give the table of services with the truth: effect, shift of severity, tilt of deprivation."""
    return pd.DataFrame(
        {
            "service_id": service_ids(scenario),
            "effect": roster.caseloads.service_effect,
            "severity_shift": roster.caseloads.service_shift,
            "deprivation_tilt": roster.deprivation_tilt,
        },
        copy=False,
    )
