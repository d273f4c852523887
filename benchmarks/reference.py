"""An honest reference for the simulation: what somebody would write in NumPy and pandas, vectorised.

It draws what `ter.simulation` draws, patient by patient, from the same scenario: the service, deprivation
and whether it is recorded, age, problem, both first scores (correlated, shifted by the severity of therapist,
service, deprivation and age; those below caseness are drawn again as often as the scenario screens them out),
WSAS, earlier episodes, wait, the disorder-specific measure, all factors of the case mix, the course
(sessions, missed and cancelled appointments, dates) and the outcome; for the table also the last scores,
given the outcome. The therapists, their effects and caseloads are those of `ter`.

Where it does less than `ter`, that is in its favour: factors do not depend on deprivation, age or severity,
nor completion on the therapist; values beyond a measure's range count as its end; starts may be on weekends;
a course that is not over has all its sessions; appointments have no scores of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import ter
from benchmarks.problems import FloatArray, IntArray
from ter.measures import MEASURES
from ter.simulation import Scenario, Simulation
from ter.simulation.population import Band, ScoreLine

Array = NDArray[Any]

DAY = "datetime64[D]"
#: Measures that every patient has; specific ones follow.
PHQ9, GAD7 = "phq9", "gad7"


@dataclass(frozen=True, eq=False)
class Team:
    """Therapists and services as arrays, read off a simulation: the truth that the reference starts from."""

    caseload: IntArray
    service: IntArray
    effect: FloatArray
    shift: FloatArray
    first_day: Array
    service_effect: FloatArray
    service_shift: FloatArray
    deprivation_tilt: FloatArray
    therapist_ids: Array
    service_ids: Array


def team_of(simulation: Simulation) -> Team:
    """Read the therapists and services of a simulation."""
    t, s = simulation.therapists, simulation.services
    start = np.datetime64(simulation.scenario.network.start, "D")
    return Team(
        caseload=t["n_episodes"].to_numpy(np.int64),
        service=pd.Index(s["service_id"]).get_indexer(t["service_id"]),
        effect=t["effect"].to_numpy(),
        shift=t["severity_shift"].to_numpy(),
        first_day=np.maximum(t["joined_date"].to_numpy().astype(DAY), start),
        service_effect=s["effect"].to_numpy(),
        service_shift=s["severity_shift"].to_numpy(),
        deprivation_tilt=s["deprivation_tilt"].to_numpy(),
        therapist_ids=t["therapist_id"].to_numpy(object),
        service_ids=s["service_id"].to_numpy(object),
    )


def _choose(rng: np.random.Generator, shares: Sequence[float] | FloatArray, n: int) -> IntArray:
    cumulated = np.cumsum(shares)
    return np.searchsorted(cumulated / cumulated[-1], rng.random(n), side="right")


def _in_bands(rng: np.random.Generator, bands: Sequence[Band], n: int) -> IntArray:
    low, high = np.array([band.low for band in bands]), np.array([band.high for band in bands])
    band = _choose(rng, [band.share for band in bands], n)
    return rng.integers(low[band], high[band] + 1)


def _expit(x: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-x))


def _threshold(measure: str) -> float:
    caseness = MEASURES[measure].caseness
    assert caseness is not None, f"{measure} has no threshold"
    return caseness


def _specific_measures(scenario: Scenario) -> list[str]:
    return sorted({p.measure for p in scenario.population.problems if p.measure_share > 0})


def _points(measure: str, line: ScoreLine, other: FloatArray, noise: FloatArray) -> IntArray:
    """Whole points of a measure, `other` being in units of a measure's threshold above its lowest point."""
    m = MEASURES[measure]
    value = m.low + (_threshold(measure) - m.low) * (line.level + line.carry * other + line.sd * noise)
    return np.clip(np.rint(value), m.low, m.high).astype(np.int64)


def _in_units(measure: str, points: IntArray) -> FloatArray:
    low = MEASURES[measure].low
    return (points - low) / (_threshold(measure) - low)


def draw_patients(scenario: Scenario, team: Team, rng: np.random.Generator) -> dict[str, Array]:
    """Draw what is known at the start, the log-odds of recovery and the outcome."""
    effects, population, problems = scenario.effects, scenario.population, scenario.population.problems
    therapist = np.repeat(np.arange(team.caseload.size), team.caseload)
    n, n_services = therapist.size, team.service_effect.size

    service = team.service[therapist]
    crossed = rng.random(n) < scenario.network.crossing
    service[crossed] = (service[crossed] + rng.integers(1, n_services, int(crossed.sum()))) % n_services
    tilt = np.exp(team.deprivation_tilt[:, None] * (np.arange(1, 11) - 5.5))
    cumulated = np.cumsum(np.asarray(population.deciles) * tilt, axis=1)
    cumulated /= cumulated[:, -1:]
    decile = 1 + (rng.random(n)[:, None] > cumulated[service, :-1]).sum(axis=1)
    imd = np.where(rng.random(n) < population.imd_unrecorded, -1, decile)
    age = _in_bands(rng, population.ages, n)
    problem = _choose(rng, [p.share for p in problems], n)

    severity = team.shift[therapist] + team.service_shift[service]
    severity += population.severity_by_deprivation * (5.5 - decile)
    severity += population.severity_by_age * (age - 40) / 10.0
    phq9, gad7 = _first_scores(scenario, problem, severity, rng)
    wsas = population.wsas_level + population.wsas_phq9 * phq9 + population.wsas_gad7 * gad7
    wsas = np.clip(np.rint(wsas + population.wsas_sd * rng.standard_normal(n)), 0, 40).astype(np.int64)
    wsas[rng.random(n) < population.wsas_unrecorded] = -1
    prior = _choose(rng, population.prior_episodes, n)
    wait = _in_bands(rng, population.waits, n)

    measures = _specific_measures(scenario)
    place = np.array([measures.index(p.measure) if p.measure_share > 0 else -1 for p in problems])
    used = rng.random(n) < np.array([p.measure_share for p in problems])[problem]
    measure = np.where(used, place[problem], -1)
    anxiety = np.full(n, -1)
    anxious = gad7 >= _threshold(GAD7)
    for k, name in enumerate(measures):
        rows = np.flatnonzero(measure == k)
        noise = rng.standard_normal(rows.size)
        anxiety[rows] = _points(name, population.specific_first, _in_units(GAD7, gad7[rows]), noise)
        anxious[rows] = anxiety[rows] >= _threshold(name)

    eta = effects.intercept + effects.phq9 * phq9 + effects.gad7 * gad7 + effects.age * age
    eta += effects.prior * prior + effects.wait * wait
    eta += np.array([p.effect for p in problems])[problem]
    eta += np.where(wsas < 0, 18.0 * effects.wsas + effects.wsas_missing, effects.wsas * wsas)
    eta += np.where(imd < 0, 5.0 * effects.imd + effects.imd_missing, effects.imd * imd)
    levels = {}
    for factor in population.factors:
        level = _choose(rng, [level.share for level in factor.levels], n)
        eta += np.array([level.effect for level in factor.levels])[level]
        levels[factor.column] = level
    eta += team.effect[therapist] + team.service_effect[service]
    case = anxious | (phq9 >= _threshold(PHQ9))
    return levels | {
        "therapist": therapist,
        "service": service,
        "decile": decile,
        "imd": imd,
        "age": age,
        "problem": problem,
        "phq9": phq9,
        "gad7": gad7,
        "wsas": wsas,
        "prior": prior,
        "wait": wait,
        "measure": measure,
        "anxiety": anxiety,
        "case": case,
        "log_odds": eta,
        "recovered": case & (rng.random(n) < _expit(eta)),
    }


def _first_scores(
    scenario: Scenario, problem: IntArray, severity: FloatArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """PHQ-9 and GAD-7 at the start; those who are screened out are drawn again."""
    population = scenario.population
    phq9, gad7 = np.empty(problem.size, np.int64), np.empty(problem.size, np.int64)
    moments = np.array([(p.phq9_mean, p.phq9_sd, p.gad7_mean, p.gad7_sd) for p in population.problems])
    rho = population.score_correlation
    waiting = np.arange(problem.size)
    while waiting.size:
        m = moments[problem[waiting]].T
        z = rng.standard_normal((2, waiting.size))
        a = m[0] + m[1] * (severity[waiting] + z[0])
        b = m[2] + m[3] * (severity[waiting] + rho * z[0] + np.sqrt(1 - rho * rho) * z[1])
        phq9[waiting] = np.clip(np.rint(a), 0, 27)
        gad7[waiting] = np.clip(np.rint(b), 0, 21)
        below = (phq9[waiting] < _threshold(PHQ9)) & (gad7[waiting] < _threshold(GAD7))
        waiting = waiting[below & (rng.random(waiting.size) >= population.below_caseness)]
    return phq9, gad7


def draw_episodes(scenario: Scenario, team: Team, rng: np.random.Generator) -> dict[str, Array]:
    """Draw all patients of a team and their courses, a row each."""
    plan, courses = scenario.network, scenario.courses
    e = draw_patients(scenario, team, rng)
    n = e["age"].size
    likely = np.log(courses.completion / (1 - courses.completion))
    likely = likely + courses.completion_by_age * (e["age"] - 40) / 10.0
    likely += courses.completion_by_imd * (e["decile"] - 5) + courses.completion_by_phq9 * (e["phq9"] - 14)
    completes = rng.random(n) < _expit(likely)
    shape = courses.sessions_cv**-2.0
    attended = np.clip(np.rint(rng.gamma(shape, courses.sessions_mean / shape, n)), 2, 40).astype(np.int64)
    sessions = np.where(completes, attended, 1)
    dna = np.minimum(rng.poisson(courses.dna_mean, n), 10)
    cancelled = np.minimum(rng.poisson(courses.cancelled_mean, n), 10)
    last_start, last_day = (np.datetime64(day, "D").astype(np.int64) for day in (plan.last_start, plan.end))
    start = rng.integers(team.first_day[e["therapist"]].astype(np.int64), last_start + 1)
    interval = np.where(rng.random(n) < courses.fortnightly, 14, 7)
    end = start + interval * (sessions + dna + cancelled - 1)
    return e | {
        "sessions": sessions,
        "dna": dna,
        "cancelled": cancelled,
        "start": start,
        "end": np.where(end > last_day, -1, end),
    }


def count_outcomes(scenario: Scenario, team: Team, rng: np.random.Generator) -> IntArray:
    """Count by therapist: episodes, completed, completed and at caseness, recovered; shape (J, 4)."""
    e = draw_episodes(scenario, team, rng)
    completed = (e["sessions"] > 1) & (e["end"] >= 0)
    cases = completed & e["case"]
    J = team.caseload.size
    kept = (slice(None), completed, cases, cases & e["recovered"])
    return np.column_stack([np.bincount(e["therapist"][rows], minlength=J) for rows in kept])


def _last_scores(
    scenario: Scenario, e: dict[str, Array], rng: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray]:
    """PHQ-9, GAD-7 and the specific measure at the end: drawn again until they say what the outcome was."""
    courses = scenario.courses
    together = courses.together
    measures = _specific_measures(scenario)
    scores = {PHQ9: np.full(e["phq9"].size, -1)}
    scores |= {GAD7: scores[PHQ9].copy(), "anxiety": scores[PHQ9].copy()}

    def draw(name: str, rows: IntArray, first: IntArray, shared: FloatArray) -> IntArray:
        noise = np.sqrt(together) * shared + np.sqrt(1 - together) * rng.standard_normal(rows.size)
        units, points = _in_units(name, first[rows]), np.empty(rows.size, np.int64)
        for recovered, line in ((True, courses.recovered), (False, courses.not_recovered)):
            at = e["recovered"][rows] == recovered
            points[at] = _points(name, line, units[at], noise[at])
        return points

    waiting = np.flatnonzero(e["sessions"] > 1)
    while waiting.size:
        shared = rng.standard_normal(waiting.size)
        scores[PHQ9][waiting] = draw(PHQ9, waiting, e["phq9"], shared)
        scores[GAD7][waiting] = draw(GAD7, waiting, e["gad7"], shared)
        calm = scores[GAD7][waiting] < _threshold(GAD7)
        for k, name in enumerate(measures):
            at = np.flatnonzero(e["measure"][waiting] == k)
            rows = waiting[at]
            scores["anxiety"][rows] = draw(name, rows, e["anxiety"], shared[at])
            calm[at] = scores["anxiety"][rows] < _threshold(name)
        below = (scores[PHQ9][waiting] < _threshold(PHQ9)) & calm
        waiting = waiting[e["case"][waiting] & (below != e["recovered"][waiting])]
    return scores[PHQ9], scores[GAD7], scores["anxiety"]


def simulate(scenario: Scenario, team: Team, rng: np.random.Generator) -> pd.DataFrame:
    """Give the table of episodes, every column of it, with the outcomes added by `ter.add_outcomes`."""
    e = draw_episodes(scenario, team, rng)
    population = scenario.population
    phq9, gad7, anxiety = _last_scores(scenario, e, rng)
    never = (rng.random(phq9.size) < scenario.courses.missing_last) & ~e["recovered"]
    phq9[never] = gad7[never] = anxiety[never] = -1
    measures = _specific_measures(scenario)

    def whole(values: IntArray) -> pd.Series:
        return pd.Series(values).astype("Int16").mask(values < 0)

    def decimal(values: IntArray) -> FloatArray:
        return np.where(values < 0, np.nan, values)

    def words(codes: IntArray, names: Sequence[str]) -> pd.Series:
        return pd.Series(
            np.array([*(name or None for name in names), None], dtype=object)[codes], dtype="str"
        )

    def days(values: IntArray) -> Array:
        return np.where(values < 0, np.datetime64("NaT", "s"), values.astype(DAY).astype("datetime64[s]"))

    numbers = range(1, phq9.size + 1)
    table = pd.DataFrame(
        {
            "episode_id": [f"E{k:07d}" for k in numbers],
            "patient_id": [f"P{k:07d}" for k in numbers],
            "therapist_id": words(e["therapist"], team.therapist_ids.tolist()),
            "service_id": words(e["service"], team.service_ids.tolist()),
            "start_date": days(e["start"]),
            "end_date": days(e["end"]),
            "n_sessions": whole(e["sessions"]),
            "phq9_first": whole(e["phq9"]),
            "phq9_last": whole(phq9),
            "gad7_first": whole(e["gad7"]),
            "gad7_last": whole(gad7),
            "anxiety_measure": words(e["measure"], measures),
            "anxiety_first": decimal(e["anxiety"]),
            "anxiety_last": decimal(anxiety),
            "wsas_first": whole(e["wsas"]),
            "age": e["age"].astype(np.float64),
            "imd_decile": whole(e["imd"]),
            "problem": words(e["problem"], [p.name for p in population.problems]),
            "prior_episodes": whole(e["prior"]),
            "wait_days": whole(e["wait"]),
            **{f.column: words(e[f.column], [level.name for level in f.levels]) for f in population.factors},
            "end_reason": words(
                np.where(e["end"] < 0, -1, np.where(e["sessions"] > 1, 0, 1)), ("completed", "dropped_out")
            ),
            "n_dna": whole(e["dna"]),
            "n_cancelled": whole(e["cancelled"]),
        }
    )
    return ter.add_outcomes(table)
