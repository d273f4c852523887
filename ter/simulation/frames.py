"""From the kernels' columns to tables with the canonical dtypes of `ter.schema`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from ter.kernels import episodes as kernel
from ter.kernels import text
from ter.kernels.courses import ATTENDED
from ter.kernels.patients import Caseloads, Record
from ter.measures import OUTCOME_COLUMNS
from ter.schema.text import TEXT_DTYPE
from ter.simulation.build import Codes, cells_of
from ter.simulation.network import AGENCIES, Roster
from ter.simulation.room import Room
from ter.simulation.scenario import Scenario

IntArray = NDArray[np.int64]

#: Of the table, about: what `Room` is asked for.
BYTES_AN_EPISODE = 520
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


def _text(offsets: IntArray, data: NDArray[np.uint8], validity: NDArray[np.uint8] | None = None) -> Any:
    """Give a column of text from Arrow's buffers, without a Python object for each."""
    bitmap = None if validity is None else pa.py_buffer(validity)
    array = pa.LargeStringArray.from_buffers(
        offsets.size - 1, pa.py_buffer(offsets), pa.py_buffer(data[: offsets[-1]]), bitmap
    )
    if TEXT_DTYPE == "str":
        return pd.array(array, dtype=TEXT_DTYPE)
    return array.to_numpy(zero_copy_only=False)


def words(codes: NDArray[Any], names: Sequence[str], room: Room | None = None) -> Any:
    """Give a column of words by their codes, missing where the code is negative or the word empty."""
    known = (
        np.minimum(codes, len(names)) if codes.dtype.kind == "u" else np.where(codes < 0, len(names), codes)
    )
    spelled = [*(name.encode() for name in names), b""]
    eights = max(1, -(-max(map(len, spelled)) // 8))
    table = np.frombuffer(b"".join(name.ljust(8 * eights, b"\0") for name in spelled), np.dtype("<u8"))
    lengths = np.array([len(name) for name in spelled])
    room = room or Room(0)
    offsets = room.array(codes.size + 1, np.int64)
    data = room.array(codes.size * int(lengths.max()) + 8 * eights, np.uint8)
    validity = room.array(-(-codes.size // 8), np.uint8)
    there = (lengths > 0).astype(np.uint8)
    text.write_words(known, table.reshape(-1, eights), lengths, there, offsets, data, validity)
    return _text(offsets, data, validity)


def numbered(letter: str, numbers: NDArray[Any], count: int, digits: int) -> Any:
    """Give ids such as ``T001`` for numbers counted from 0, as wide as the last of `count` needs."""
    width = max(digits, len(str(count)))
    offsets = np.empty(numbers.size + 1, np.int64)
    data = np.empty(numbers.size * (width + 1), np.uint8)
    text.write_ids(ord(letter), numbers.astype(np.int64), width, offsets, data)
    return _text(offsets, data)


def therapist_ids(scenario: Scenario, numbers: IntArray) -> Any:
    """Give the ids of therapists by their numbers: ``T001``."""
    return numbered("T", numbers, scenario.network.n_therapists, 3)


def repeated_therapist_ids(scenario: Scenario, c: Caseloads, room: Room) -> Any:
    """Give the id of each episode's therapist."""
    width, rows = max(3, len(str(scenario.network.n_therapists))), int(c.n.sum())
    offsets, data = room.array(rows + 1, np.int64), room.array(rows * (width + 1), np.uint8)
    text.write_repeated_ids(ord("T"), c.number, c.n, width, offsets, data)
    return _text(offsets, data)


def service_ids(scenario: Scenario) -> Any:
    """Give the ids of all services: ``S01``."""
    return numbered("S", np.arange(scenario.network.n_services), scenario.network.n_services, 2)


def part_ids(letters: str, scenario: Scenario, c: Caseloads, room: Room | None = None) -> list[Any]:
    """Give the ids of episodes such as ``E001-0001``, once with each of the letters."""
    width, part_width = max(3, len(str(scenario.network.n_therapists))), 4
    longest = 2 + width + max(part_width, len(str(int(c.n.max(initial=0)))))
    rows = int(c.n.sum())
    room = room or Room(0)
    offsets, data = room.array(rows + 1, np.int64), room.array(rows * longest, np.uint8)
    text.write_part_ids(ord(letters[0]), c.number, c.n, width, part_width, offsets, data)
    out = [_text(offsets, data)]
    for letter in letters[1:]:
        copy = room.array(data.size, np.uint8)
        copy[:] = data
        copy[offsets[:-1]] = ord(letter)
        out.append(_text(offsets, copy))
    return out


def new_columns(n: int, room: Room) -> kernel.Columns:
    """Give the columns of `n` episodes, to be filled."""
    return kernel.Columns(
        whole=room.array((len(kernel.WHOLE), n), np.int16),
        phq9_missing=room.array(n, np.bool_),
        gad7_missing=room.array(n, np.bool_),
        wsas_missing=room.array(n, np.bool_),
        imd_missing=room.array(n, np.bool_),
        age=room.array(n, np.float64),
        anxiety_first=room.array(n, np.float64),
        anxiety_last=room.array(n, np.float64),
        start=room.array(n, np.int64),
        end=room.array(n, np.int64),
        end_reason=room.array(n, np.uint8),
        outcome=room.array((len(OUTCOME_COLUMNS), n), np.bool_),
    )


def episodes_frame(
    scenario: Scenario, c: Caseloads, codes: Codes, r: Record, columns: kernel.Columns, room: Room
) -> pd.DataFrame:
    """Give the table of episodes, with the outcome columns."""
    n = r.service.size
    missing = {
        "phq9_last": columns.phq9_missing,
        "gad7_last": columns.gad7_missing,
        "wsas_first": columns.wsas_missing,
        "imd_decile": columns.imd_missing,
    }
    integers = {
        name: pd.arrays.IntegerArray(values, missing.get(name, np.zeros(n, np.bool_)))
        for name, values in zip(kernel.WHOLE, columns.whole, strict=True)
    }
    problems = [scenario.population.problems[k].name for k in codes.problem]
    measures = [codes.measures[k] if k >= 0 else "" for k in codes.measure]
    episode_id, patient_id = part_ids("EP", scenario, c, room)
    out: dict[str, Any] = {
        "episode_id": episode_id,
        "patient_id": patient_id,
        "therapist_id": repeated_therapist_ids(scenario, c, room),
        "service_id": words(r.service, list(service_ids(scenario)), room),
        "start_date": columns.start.view("datetime64[s]"),
        "end_date": columns.end.view("datetime64[s]"),
    }
    out |= {name: integers[name] for name in kernel.WHOLE[:5]}
    out |= {
        "anxiety_measure": words(r.problem, measures, room),
        "anxiety_first": columns.anxiety_first,
        "anxiety_last": columns.anxiety_last,
        "wsas_first": integers["wsas_first"],
        "age": columns.age,
        "imd_decile": integers["imd_decile"],
        "problem": words(r.problem, problems, room),
        "prior_episodes": integers["prior_episodes"],
        "wait_days": integers["wait_days"],
    }
    for f, factor in enumerate(scenario.population.factors):
        levels = [factor.levels[k].name for k in codes.levels[f]]
        out[factor.column] = words(cells_of(r, codes.group_of[f]), levels, room)
    out["end_reason"] = words(columns.end_reason, ("completed", "dropped_out", ""), room)
    out["n_dna"] = integers["n_dna"]
    out["n_cancelled"] = integers["n_cancelled"]
    for name, values in zip(OUTCOME_COLUMNS, columns.outcome, strict=True):
        plain = name in ("completed", "at_caseness")
        out[name] = values if plain else pd.arrays.BooleanArray(values, np.zeros(n, np.bool_))
    return pd.DataFrame(out, copy=False)


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
            "service_id": words(c.service, list(service_ids(scenario))),
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
        }
    )


def services_frame(scenario: Scenario, roster: Roster) -> pd.DataFrame:
    """Give the table of services with the truth: effect, shift of severity, tilt of deprivation."""
    return pd.DataFrame(
        {
            "service_id": service_ids(scenario),
            "effect": roster.caseloads.service_effect,
            "severity_shift": roster.caseloads.service_shift,
            "deprivation_tilt": roster.deprivation_tilt,
        }
    )
