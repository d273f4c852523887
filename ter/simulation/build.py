"""From a scenario to the tables of the kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ter.errors import OptionError
from ter.kernels.alias import Alias, build, threshold_bits
from ter.kernels.patients import MOST_MISSED, N_GAD7, Record, Tables, Truth
from ter.measures import MEASURES
from ter.simulation import tables as t
from ter.simulation.calendar import Calendar
from ter.simulation.parts import Courses
from ter.simulation.population import Population
from ter.simulation.scenario import Scenario

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Combinations of levels in a group of factors, at the most: a table of them by stratum stays in the cache.
MOST_COMBINATIONS = 256
# Values of one distribution, at the most: the kernels' records hold them in 16 bits.
_MOST_VALUES = 65_536


@dataclass(frozen=True, eq=False)
class Codes:
    """What the numbers in a record stand for.

    Attributes
    ----------
    measures : tuple of str
        PHQ-9, GAD-7 and the specific measures in use.
    problem : ndarray of int64
        Of each problem of the tables: its place among the scenario's.
    measure : ndarray of int64
        Of each problem of the tables: its specific measure, -1 where none is used.
    prior, wait : ndarray of int64
        Of each history: earlier episodes, days.
    n_groups : int
        Groups of factors.
    group_of : tuple of int
        The group of each factor.
    levels : tuple of ndarray of int64
        Of each factor: the level in each combination of its group.
    """

    measures: tuple[str, ...]
    problem: IntArray
    measure: IntArray
    prior: IntArray
    wait: IntArray
    n_groups: int
    group_of: tuple[int, ...]
    levels: tuple[IntArray, ...]


def cells_of(record: Record, group: int) -> NDArray[np.uint8]:
    """Give the combination of levels in a group of factors, of each patient of a record."""
    n = record.service.size
    return record.cells[group * n : (group + 1) * n]


def alias(p: FloatArray, bits: np.uint64 | None = None) -> Alias:
    """Give the alias table of distributions, one a row; weights need not sum to 1."""
    p = np.atleast_2d(p)
    width = p.shape[1]
    if width > _MOST_VALUES:
        raise OptionError(
            f"The scenario combines {width:,} values in one distribution; give it fewer problems, ages, "
            f"earlier episodes or waits, so that no more than {_MOST_VALUES:,} combine."
        )
    high = threshold_bits(width) if bits is None else bits
    words = np.empty(p.shape, np.uint32)
    build(p / p.sum(axis=1, keepdims=True), high, words)
    return Alias(words.ravel(), np.uint64(width), high)


def problems_of(population: Population) -> tuple[IntArray, IntArray, FloatArray]:
    """Give the problems of the tables: all without, then those where it is used with the specific measure.

    Returns
    -------
    problem, measure : ndarray of int64
        Place among the scenario's problems, and among the measures (-1: none used).
    share : ndarray of float64
    """
    measures = t.measures_of(population)
    rows = [(k, -1, p.share * (1 - p.measure_share)) for k, p in enumerate(population.problems)]
    rows += [
        (k, measures.index(p.measure), p.share * p.measure_share)
        for k, p in enumerate(population.problems)
        if p.measure_share > 0
    ]
    problem, measure, share = zip(*rows, strict=True)
    return np.array(problem), np.array(measure), np.array(share, dtype=np.float64)


def group_factors(population: Population) -> tuple[tuple[int, ...], ...]:
    """Put factors into groups, in their order, as long as their levels combine in few enough ways.

    An even number of groups, the last of them empty if need be: they are drawn two by two.
    """
    groups: list[tuple[int, ...]] = []
    cells = 0
    for f, factor in enumerate(population.factors):
        levels = len(factor.levels)
        if groups and cells * levels <= MOST_COMBINATIONS:
            groups[-1] = (*groups[-1], f)
            cells *= levels
        else:
            groups.append((f,))
            cells = levels
    return tuple(groups + [()] * (len(groups) % 2))


def course_codes() -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Give sessions, missed and cancelled appointments and interval (days) of each course."""
    shape = (t.MOST_SESSIONS, MOST_MISSED + 1, MOST_MISSED + 1, 2)
    sessions, dna, cancelled, fortnightly = (part.ravel() for part in np.indices(shape))
    return sessions + 1, dna, cancelled, 7 * (1 + fortnightly)


def _course_words(courses: Courses) -> tuple[NDArray[np.uint32], np.uint64]:
    missed = np.multiply.outer(
        np.multiply.outer(t.poisson_shares(courses.dna_mean), t.poisson_shares(courses.cancelled_mean)),
        [1 - courses.fortnightly, courses.fortnightly],
    ).ravel()
    sessions = t.session_shares(courses.sessions_mean, courses.sessions_cv)[2:]
    completed = np.multiply.outer(sessions, missed).ravel()
    high = threshold_bits(completed.size)
    words = [alias(missed, high).words, alias(completed, high).words]
    return np.concatenate(words), high


def _group_tables(
    population: Population, strata: FloatArray
) -> tuple[list[Alias], list[FloatArray], tuple[IntArray, ...]]:
    """Give tables and effects of each group of factors, and the levels of each factor by combination."""
    groups = group_factors(population)
    shares = [t.level_shares(factor, strata) for factor in population.factors]
    tables, effects = [], []
    levels: list[IntArray] = []
    for group in groups:
        joint, effect = np.ones((t.N_STRATA, 1)), np.zeros(1)
        for f in group:
            own = np.array([level.effect for level in population.factors[f].levels], dtype=np.float64)
            joint = (joint[:, :, None] * shares[f][:, None, :]).reshape(t.N_STRATA, -1)
            effect = np.add.outer(effect, own).ravel()
        sizes = [len(population.factors[f].levels) for f in group]
        levels += [part.ravel() for part in np.indices(sizes)]
        tables.append(alias(joint))
        effects.append(effect)
    return tables, effects, tuple(levels)


def build_tables(
    scenario: Scenario, deprivation_tilt: FloatArray, calendar: Calendar
) -> tuple[Tables, Codes]:
    """Give the tables of a scenario, and what the numbers in a record stand for.

    Parameters
    ----------
    scenario : Scenario
    deprivation_tilt : ndarray of float64, shape (S,)
        Of each service: the slope of the log shares on the decile.
    calendar : Calendar
        When treatments start.
    """
    population = scenario.population
    p = t.decile_shares(population, deprivation_tilt)
    unrecorded = population.imd_unrecorded
    tables, codes = _shared_tables(population, scenario.courses)
    return tables._replace(
        deciles=alias(np.hstack([p * (1 - unrecorded), p * unrecorded])),
        starts=calendar.entries,
        starts_shift=calendar.shift,
    ), codes


# Cached, because a study simulates one population many times; the kernels only read the tables.
@lru_cache(maxsize=4)
def _shared_tables(population: Population, courses: Courses) -> tuple[Tables, Codes]:
    """Give all tables, but for deciles and starts."""
    problem, measure, share = problems_of(population)
    measures = t.measures_of(population)
    scores = t.score_shares(population)
    ages, waits = t.band_shares(population.ages), t.band_shares(population.waits)
    first_age = int(np.flatnonzero(ages)[0])
    n_prior = len(population.prior_episodes)
    groups, group_effects, levels = _group_tables(population, t.strata_shares(population, scores))
    sizes = np.array([group.words.size for group in groups], dtype=np.uint64)
    effect_sizes = np.array([effect.size for effect in group_effects], dtype=np.uint64)
    course_words, course_high = _course_words(courses)
    last, above = t.last_shares(courses, measures)
    last_high = threshold_bits(max(part.shape[1] for part in last))
    last_words = [alias(part, last_high).words for part in last]
    prior, wait = (part.ravel() for part in np.indices((n_prior, waits.size)))
    tables = Tables(
        deciles=alias(np.ones(20)),
        people=alias(np.multiply.outer(share, ages[first_age:]).ravel()),
        scores=alias(scores[problem].reshape(-1, t.N_PHQ9 * N_GAD7)),
        wsas=alias(t.wsas_shares(population)),
        history=alias(np.multiply.outer(population.prior_episodes, waits).ravel()),
        courses=course_words,
        courses_high=course_high,
        groups=_joined([group.words for group in groups], np.uint32),
        group_first=(np.cumsum(sizes) - sizes).astype(np.uint64),
        group_width=np.array([group.width for group in groups], dtype=np.uint64),
        group_high=np.array([group.high for group in groups], dtype=np.uint64),
        group_effect=_joined(group_effects, np.float64),
        group_effect_first=(np.cumsum(effect_sizes) - effect_sizes).astype(np.uint64),
        specific_first=alias(t.specific_first_shares(measures, population.specific_first)),
        last=np.concatenate(last_words),
        last_first=np.cumsum([0, *(part.size for part in last_words[:-1])]).astype(np.uint32),
        last_high=last_high,
        above=above.ravel().astype(np.float32),
        n_responses=above.shape[0],
        n_points=above.shape[2],
        starts=np.zeros(1, np.uint64),
        starts_shift=np.uint64(0),
        problem_effect=np.array([float(population.problems[k].effect) for k in problem]),
        problem_measure=measure.astype(np.int32),
        first_specific=len(population.problems),
        highest=np.array([int(MEASURES[key].high) for key in measures], np.int32),
        lowest=np.array([int(MEASURES[key].low) for key in measures]),
        caseness=np.array([t.caseness(key) for key in measures]),
        change=np.array([int(MEASURES[key].reliable_change or 0) for key in measures], np.int32),
    )
    codes = Codes(
        measures=measures,
        problem=problem,
        measure=measure,
        prior=prior,
        wait=wait,
        n_groups=len(groups),
        group_of=tuple(g for g, group in enumerate(group_factors(population)) for _ in group),
        levels=levels,
    )
    return tables, codes


def _joined(parts: Sequence[NDArray], dtype: type) -> NDArray:  # type: ignore[type-arg]
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def build_truth(scenario: Scenario, calendar: Calendar, last_day: int) -> Truth:
    """Give the scenario's numbers that the kernels use as they are; days since 1970-01-01."""
    e, p, c, n_services = scenario.effects, scenario.population, scenario.courses, scenario.network.n_services
    ages, waits = t.band_shares(p.ages), t.band_shares(p.waits)
    first_age = int(np.flatnonzero(ages)[0])
    completion = min(max(c.completion, 1e-300), 1 - 1e-16)  # finite log-odds; no draw can tell
    floats = (
        e.intercept + e.imd,  # deciles are counted from 0
        e.phq9,
        e.gad7,
        e.age,
        e.imd,
        e.imd * (t.IMD_STAND_IN - 1) + e.imd_missing,
        e.wsas,
        e.wsas * t.WSAS_STAND_IN + e.wsas_missing,
        e.prior,
        e.wait,
        t.SEVERITY_CENTRE,
        t.SEVERITY_SCALE,
        (n_services - 1) / max(scenario.network.crossing, 1e-30),
        p.severity_by_deprivation,
        p.severity_by_age / 10,
        t.SEVERITIES[0],
        1 / t.SEVERITY_STEP,
        math.log(completion / (1 - completion)),
        c.completion_by_age / 10,
        c.completion_by_imd,
        c.completion_by_phq9,
        c.missing_last,
        1 / (ages.size - first_age),
        1 / waits.size,
    )
    whole = (t.SEVERITIES.size, ages.size - first_age, first_age, waits.size)
    # A whole number where a float belongs would compile the kernels anew.
    return Truth._make([*(float(value) for value in floats), *whole, calendar.first_day, last_day])
