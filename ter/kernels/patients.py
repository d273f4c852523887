"""Patients, from the tables of a scenario.

Every function here is a pure function of a therapist's random key, the patient's number and the tables, so
that a patient can be drawn again, alone, or without being written down.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE
from ter.kernels.alias import Alias, draw
from ter.kernels.rng import below, bits, stream_key, uniform

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Streams: what a sequence of random numbers is for.
STREAM_PATIENT, STREAM_APPOINTMENT, STREAM_THERAPIST, STREAM_SERVICE = range(4)

# A patient's numbers: one counter for each purpose, so that no draw depends on whether another was made.
(
    DRAW_CROSSING,
    DRAW_OTHER_SERVICE,
    DRAW_DECILE,
    DRAW_DECILE_RECORDED,
    DRAW_AGE,
    DRAW_PROBLEM,
    DRAW_SEVERITY,
    DRAW_SCORES,
    DRAW_WSAS,
    DRAW_PRIOR,
    DRAW_WAIT,
    DRAW_MEASURE,
    DRAW_SPECIFIC_FIRST,
    DRAW_COMPLETION,
    DRAW_SESSIONS,
    DRAW_DNA,
    DRAW_CANCELLED,
    DRAW_START,
    DRAW_FORTNIGHTLY,
    DRAW_OUTCOME,
    DRAW_SIDES,
    DRAW_SIDE_GAD7,
    DRAW_RESPONSE,
    DRAW_LAST_PHQ9,
    DRAW_LAST_ANXIETY,
    DRAW_LAST_GAD7,
    DRAW_MISSING_LAST,
) = range(27)
DRAW_FACTORS = 32  # and upwards, one for each factor
DRAWS = 64  # counters kept for a patient

#: Measures that every patient has; specific ones follow.
PHQ9, GAD7 = 0, 1
N_GAD7 = 22

#: Bands of age and of PHQ-9 in which the levels of factors are alike.
N_AGE_BANDS, N_PHQ9_BANDS = 5, 3


class Tables(NamedTuple):
    """What a scenario says, as arrays.

    M measures (PHQ-9, GAD-7, specific ones), scores below W, R responses, F factors of at most K
    levels. Sides: recovered; not recovered, and below the threshold; at or above it ("above").
    """

    deciles: Alias  #: a row a service
    ages: Alias
    problems: Alias
    scores: Alias  #: a row for each problem and severity; PHQ-9 · 22 + GAD-7
    wsas: Alias  #: a row for each PHQ-9 · 22 + GAD-7; the last value is "not recorded"
    prior: Alias
    waits: Alias
    factors: Alias  #: a row for each factor and stratum
    sessions: Alias  #: attended sessions of a completed course
    dna: Alias
    cancelled: Alias
    specific_first: Alias  #: a row for each measure and GAD-7
    last: Alias  #: a row for each side of the threshold, response, measure and first score
    above: FloatArray  #: (R, M, W) probability that a last score is above, before the outcome is imposed
    age_band: IntArray  #: by age
    phq9_band: IntArray  #: by PHQ-9
    lowest: IntArray  #: (M,) lowest score
    highest: IntArray  #: (M,) highest score
    caseness: IntArray  #: (M,) threshold
    problem_measure: IntArray  #: the specific measure of a problem, -1 where none
    problem_measure_share: FloatArray
    problem_effect: FloatArray
    factor_effect: FloatArray  #: (F, K)


class Truth(NamedTuple):
    """The scenario's numbers that are used as they are."""

    intercept: float
    phq9: float
    gad7: float
    wsas: float
    age: float
    imd: float
    prior: float
    wait: float
    wsas_missing: float
    imd_missing: float
    wsas_stand_in: float
    imd_stand_in: float
    severity_centre: float
    severity_scale: float
    crossing: float
    imd_unrecorded: float
    severity_by_deprivation: float
    severity_by_age: float
    severity_low: float
    severity_step: float
    completion: float
    completion_by_age: float
    completion_by_imd: float
    completion_by_phq9: float
    fortnightly: float
    missing_last: float
    last_start: int
    last_day: int


class Caseloads(NamedTuple):
    """The therapists to be simulated, J of them, and all S services."""

    number: IntArray  #: (J,) which therapist of the network this is
    n: IntArray  #: (J,) episodes
    row: IntArray  #: (J,) the first row of the therapist's episodes
    service: IntArray  #: (J,)
    shift: FloatArray  #: (J,) severity of the therapist's patients
    effect: FloatArray  #: (J,) log-odds of recovery
    slope: FloatArray  #: (J,) log-odds a unit of severity
    completion: FloatArray  #: (J,) log-odds of completing
    first_day: IntArray  #: (J,) first day on which the therapist may start a course
    service_shift: FloatArray  #: (S,)
    service_effect: FloatArray  #: (S,)


class Key(NamedTuple):
    """A therapist's sequence of random numbers."""

    start: np.uint64
    step: np.uint64


class Patient(NamedTuple):
    """What is known at the start."""

    service: int
    decile: int
    imd: int
    age: int
    problem: int
    phq9: int
    gad7: int
    wsas: int
    prior: int
    wait: int
    measure: int
    anxiety: int
    stratum: int


@njit(**BARE)
def therapist_key(seed: np.uint64, stream: int, number: int) -> Key:
    """Give the sequence of a therapist."""
    start, step = stream_key(seed, np.uint64(stream), np.uint64(number))
    return Key(start, step)


@njit(**BARE)
def word(key: Key, patient: int, purpose: int) -> np.uint64:
    """Draw the patient's 64 random bits for a purpose."""
    return bits(key.start, key.step, np.uint64(patient * DRAWS + purpose))


@njit(**BARE)
def chance(key: Key, patient: int, purpose: int) -> float:
    """Draw the patient's uniform number for a purpose."""
    return uniform(word(key, patient, purpose))


@njit(**BARE)
def logistic(x: float) -> float:
    """Give the probability of log-odds."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


@njit(**BARE)
def draw_patient(key: Key, i: int, j: int, c: Caseloads, t: Tables, truth: Truth) -> Patient:
    """Draw what is known of patient i of therapist j at the start."""
    n_services = c.service_effect.size
    service = c.service[j]
    if n_services > 1 and chance(key, i, DRAW_CROSSING) < truth.crossing:
        service = (service + 1 + below(word(key, i, DRAW_OTHER_SERVICE), n_services - 1)) % n_services
    decile = draw(t.deciles, service, word(key, i, DRAW_DECILE)) + 1
    imd = -1 if chance(key, i, DRAW_DECILE_RECORDED) < truth.imd_unrecorded else decile
    age = draw(t.ages, 0, word(key, i, DRAW_AGE))
    problem = draw(t.problems, 0, word(key, i, DRAW_PROBLEM))

    severity = c.shift[j] + c.service_shift[service]
    severity += truth.severity_by_deprivation * (5.5 - decile) + truth.severity_by_age * (age - 40) / 10.0
    # To one of the two nearest steps of the tables, at random, so that the mean severity is exact.
    n_steps = t.scores.threshold.shape[0] // t.problem_effect.size
    step = math.floor((severity - truth.severity_low) / truth.severity_step + chance(key, i, DRAW_SEVERITY))
    step = min(max(step, 0), n_steps - 1)
    pair = draw(t.scores, problem * n_steps + step, word(key, i, DRAW_SCORES))
    phq9 = pair // N_GAD7
    gad7 = pair % N_GAD7
    wsas = draw(t.wsas, pair, word(key, i, DRAW_WSAS))
    if wsas == t.wsas.threshold.shape[1] - 1:
        wsas = -1

    measure = t.problem_measure[problem]
    if measure >= 0 and chance(key, i, DRAW_MEASURE) >= t.problem_measure_share[problem]:
        measure = -1
    anxiety = -1
    if measure >= 0:
        anxiety = draw(t.specific_first, measure * N_GAD7 + gad7, word(key, i, DRAW_SPECIFIC_FIRST))
    return Patient(
        service,
        decile,
        imd,
        age,
        problem,
        phq9,
        gad7,
        wsas,
        draw(t.prior, 0, word(key, i, DRAW_PRIOR)),
        draw(t.waits, 0, word(key, i, DRAW_WAIT)),
        measure,
        anxiety,
        ((decile - 1) * N_AGE_BANDS + t.age_band[age]) * N_PHQ9_BANDS + t.phq9_band[phq9],
    )


@njit(**BARE)
def factor_level(key: Key, i: int, factor: int, p: Patient, t: Tables) -> int:
    """Draw the patient's level of a factor."""
    n_strata = t.factors.threshold.shape[0] // t.factor_effect.shape[0]
    return draw(t.factors, factor * n_strata + p.stratum, word(key, i, DRAW_FACTORS + factor))


@njit(**BARE)
def log_odds(key: Key, i: int, j: int, p: Patient, c: Caseloads, t: Tables, truth: Truth) -> float:
    """Give the log-odds that the patient recovers: the linear predictor of the model."""
    eta = truth.intercept + truth.phq9 * p.phq9 + truth.gad7 * p.gad7 + truth.age * p.age
    eta += truth.prior * p.prior + truth.wait * p.wait + t.problem_effect[p.problem]
    if p.wsas >= 0:
        eta += truth.wsas * p.wsas
    else:
        eta += truth.wsas * truth.wsas_stand_in + truth.wsas_missing
    if p.imd >= 0:
        eta += truth.imd * p.imd
    else:
        eta += truth.imd * truth.imd_stand_in + truth.imd_missing
    for factor in range(t.factor_effect.shape[0]):
        eta += t.factor_effect[factor, factor_level(key, i, factor, p, t)]
    severity = (p.phq9 - truth.severity_centre) / truth.severity_scale
    return eta + c.service_effect[p.service] + c.effect[j] + c.slope[j] * severity


@njit(**BARE)
def at_caseness(p: Patient, t: Tables) -> bool:
    """Say whether a first score is at or above its threshold."""
    if p.phq9 >= t.caseness[PHQ9]:
        return True
    if p.measure >= 0:
        return p.anxiety >= t.caseness[p.measure]
    return p.gad7 >= t.caseness[GAD7]


@njit(**BARE)
def draw_recovered(key: Key, i: int, j: int, p: Patient, c: Caseloads, t: Tables, truth: Truth) -> bool:
    """Draw the outcome at the end of the course.

    Bernoulli, with the probability of the model. Nobody recovers from below caseness.
    """
    return at_caseness(p, t) and chance(key, i, DRAW_OUTCOME) < logistic(log_odds(key, i, j, p, c, t, truth))
