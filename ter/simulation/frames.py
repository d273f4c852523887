"""From the kernels' records to tables with the canonical dtypes of `ter.schema`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.kernels import simulate as kernel
from ter.kernels.courses import ATTENDED
from ter.kernels.patients import Caseloads
from ter.schema import text_series
from ter.simulation.network import AGENCIES, Roster
from ter.simulation.scenario import Scenario
from ter.simulation.tables import measures_of

IntArray = NDArray[np.int64]
Record = NDArray[np.int32]

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


def words(codes: NDArray[Any], names: Sequence[str]) -> pd.Series[str]:
    """Give a column of words by their codes, missing where the code is negative or the word empty."""
    return text_series(np.array([*(name or None for name in names), None], dtype=object)[codes])


def numbered(prefix: str, numbers: NDArray[Any], count: int, digits: int) -> NDArray[np.object_]:
    """Give ids such as ``T001`` for numbers counted from 0, as wide as the last of `count` needs."""
    width = max(digits, len(str(count)))
    return np.array([f"{prefix}{number + 1:0{width}d}" for number in numbers.tolist()], dtype=object)


def therapist_ids(scenario: Scenario, numbers: IntArray) -> NDArray[np.object_]:
    """Give the ids of therapists by their numbers: ``T001``."""
    return numbered("T", numbers, scenario.network.n_therapists, 3)


def service_ids(scenario: Scenario) -> NDArray[np.object_]:
    """Give the ids of all services: ``S01``."""
    return numbered("S", np.arange(scenario.network.n_services), scenario.network.n_services, 2)


def rows_of(c: Caseloads) -> tuple[IntArray, IntArray]:
    """Give, for each episode, the position of its therapist and its number within the caseload."""
    therapist = np.repeat(np.arange(c.n.size), c.n)
    return therapist, np.arange(therapist.size) - c.row[therapist]


def episodes_frame(scenario: Scenario, c: Caseloads, record: Record) -> pd.DataFrame:
    """Give the table of episodes, without outcomes.

    Parameters
    ----------
    record : ndarray of int32, shape (fields, N)
        From `ter.kernels.simulate.write_episodes`.
    """
    population = scenario.population
    therapist, number = rows_of(c)
    ids = therapist_ids(scenario, c.number)
    own = np.array([f"{id_[1:]}-" for id_ in ids.tolist()], dtype=object)
    suffix = (
        own[therapist] + np.array([f"{k:04d}" for k in range(1, int(c.n.max(initial=0)) + 1)], object)[number]
    )
    out: dict[str, Any] = {
        "episode_id": text_series("E" + suffix),
        "patient_id": text_series("P" + suffix),
        "therapist_id": words(therapist, ids.tolist()),
        "service_id": words(record[kernel.SERVICE], service_ids(scenario).tolist()),
        "start_date": days(record[kernel.START]),
        "end_date": days(record[kernel.END]),
        "n_sessions": whole(record[kernel.N_SESSIONS]),
        "phq9_first": whole(record[kernel.PHQ9_FIRST]),
        "phq9_last": whole(record[kernel.PHQ9_LAST]),
        "gad7_first": whole(record[kernel.GAD7_FIRST]),
        "gad7_last": whole(record[kernel.GAD7_LAST]),
        "anxiety_measure": words(record[kernel.MEASURE], measures_of(population)),
        "anxiety_first": decimal(record[kernel.ANXIETY_FIRST]),
        "anxiety_last": decimal(record[kernel.ANXIETY_LAST]),
        "wsas_first": whole(record[kernel.WSAS_FIRST]),
        "age": decimal(record[kernel.AGE]),
        "imd_decile": whole(record[kernel.IMD]),
        "problem": words(record[kernel.PROBLEM], [problem.name for problem in population.problems]),
        "prior_episodes": whole(record[kernel.PRIOR]),
        "wait_days": whole(record[kernel.WAIT]),
    }
    for f, factor in enumerate(population.factors):
        out[factor.column] = words(record[kernel.FIRST_FACTOR + f], [level.name for level in factor.levels])
    ended = record[kernel.END] >= 0
    reason = np.where(ended, np.where(record[kernel.N_SESSIONS] > 1, 0, 1), -1)
    out["end_reason"] = words(reason, ("completed", "dropped_out"))
    out["n_dna"] = whole(record[kernel.N_DNA])
    out["n_cancelled"] = whole(record[kernel.N_CANCELLED])
    return pd.DataFrame(out)


def sessions_frame(episodes: pd.DataFrame, record: Record) -> pd.DataFrame:
    """Give the table of appointments.

    Parameters
    ----------
    episodes : DataFrame
        From `episodes_frame`.
    record : ndarray of int32, shape (fields, appointments)
        From `ter.kernels.simulate.write_appointments`.
    """
    episode = record[kernel.EPISODE]
    suffix = np.array(
        [f"-{k:02d}" for k in range(1, int(record[kernel.NUMBER].max(initial=0)) + 2)], dtype=object
    )
    episode_id = episodes["episode_id"].to_numpy(object)[episode]
    attended = record[kernel.STATUS] == ATTENDED
    minutes = episodes["step"].map(_MINUTES) if "step" in episodes else pd.Series(np.nan, episodes.index)
    out: dict[str, Any] = {
        "session_id": text_series(episode_id + suffix[record[kernel.NUMBER]]),
        "episode_id": text_series(episode_id),
        "therapist_id": text_series(episodes["therapist_id"].to_numpy(object)[episode]),
        "date": days(record[kernel.DAY]),
        "status": words(record[kernel.STATUS], STATUSES),
        "minutes": np.where(attended, minutes.fillna(_TYPICAL_MINUTES).to_numpy(float)[episode], np.nan),
        "phq9": whole(record[kernel.PHQ9]),
        "gad7": whole(record[kernel.GAD7]),
        "anxiety": decimal(record[kernel.ANXIETY]),
        "wsas": whole(record[kernel.WSAS]),
    }
    if "modality" in episodes:
        out["modality"] = text_series(episodes["modality"].to_numpy(object)[episode])
    return pd.DataFrame(out)


def therapists_frame(scenario: Scenario, roster: Roster) -> pd.DataFrame:
    """Give the table of therapists with the truth.

    Effect, slope on severity, shift of their patients' severity.
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
            "therapist_id": text_series(ids),
            "service_id": words(c.service, service_ids(scenario).tolist()),
            "joined_date": days(roster.joined_day),
            "agency": words(roster.agency, AGENCIES),
            "modalities": words(np.zeros(ids.size, np.int64), (modalities,)),
            "desired_caseload": whole(roster.desired),
            "guaranteed_caseload": whole(roster.desired * 2 // 3),
            "effect": c.effect,
            "severity_slope": c.slope,
            "severity_shift": c.shift,
            "n_episodes": c.n,
        }
    )


def services_frame(scenario: Scenario, roster: Roster) -> pd.DataFrame:
    """Give the table of services with the truth: effect, shift of severity, tilt of deprivation."""
    return pd.DataFrame(
        {
            "service_id": text_series(service_ids(scenario)),
            "effect": roster.caseloads.service_effect,
            "severity_shift": roster.caseloads.service_shift,
            "deprivation_tilt": roster.deprivation_tilt,
        }
    )
