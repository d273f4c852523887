"""Patients, their courses and their outcomes, from the tables of a scenario.

A therapist's patients are drawn in blocks, a stage at a time, so that each stage is a loop that the compiler
runs over several patients at once: no branches, tables read by `fetch`, what is drawn stored by `put`. Each
number is a pure function of the therapist's key, the patient's number and the tables, so a patient may be
drawn again, alone, or as one of a block.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE
from ter.kernels.alias import Alias, draw, pick, times
from ter.kernels.logistic import happens
from ter.kernels.memory import fetch, put
from ter.kernels.rng import mix, stream_key

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint16]

#: Streams: what a sequence of random numbers is for.
STREAM_PATIENT, STREAM_APPOINTMENT, STREAM_THERAPIST, STREAM_SERVICE = range(4)

# A patient's random words of 64 bits: each is for two purposes, one with the high, one with the low 32 bits.
(
    WORD_SERVICE_DECILE,  # of the low half 16 bits are for the decile, 16 for severity
    WORD_PEOPLE_SCORES,
    WORD_WSAS_HISTORY,
    WORD_COMPLETION_COURSE,
    WORD_START_OUTCOME,
    WORD_ONCE_SPECIFIC,
    WORD_RESPONSE_SIDES,
    WORD_SIDE_PHQ9,
    WORD_ANXIETY_GAD7,
) = range(9)
WORD_FACTORS = 9  # and upwards, one for each two groups of factors
WORDS = 16  # kept for a patient

#: Measures that every patient has; specific ones follow.
PHQ9, GAD7 = 0, 1
N_GAD7 = 22
N_WSAS = 42  # 0 to 40, and "not recorded"

#: Bands of age and of PHQ-9 in which the levels of factors are alike.
N_AGE_BANDS, N_PHQ9_BANDS = 5, 3

#: Courses are numbered by attended sessions less 1, missed and cancelled appointments (0 to 10 of each), and
#: whether they are fortnightly. The first ones have one session: nobody completes them.
MOST_MISSED = 10
N_MISSED = 2 * (MOST_MISSED + 1) ** 2

#: Patients in a block, and in a step of the loops. Blocks are filled to whole steps; what is too much is
#: overwritten or left out.
BLOCK, STEP = 256, 8

_16, _32 = np.uint64(16), np.uint64(32)
_LOW_16, _LOW_32 = np.uint64(0xFFFF), np.uint64(0xFFFFFFFF)
_2_TO_16, _2_TO_32 = 2.0**-16, 2.0**-32


class Tables(NamedTuple):
    """What a scenario says, as arrays.

    M measures (PHQ-9, GAD-7, specific ones), R responses, G groups of factors (an even number). A problem
    stands here once without and once with its specific measure. Sides of a last score: recovered; not
    recovered, and below the threshold; at or above it ("above").
    """

    deciles: Alias  #: a row a service; decile - 1, and 10 more where it is not recorded
    people: Alias  #: problem · number of ages + age
    scores: Alias  #: a row for each problem and severity; PHQ-9 · 22 + GAD-7
    wsas: Alias  #: a row for each PHQ-9 · 22 + GAD-7; 41 is "not recorded"
    history: Alias  #: earlier episodes · number of waits + wait
    courses: NDArray[np.uint32]  #: words of the courses of one session, then of the completed ones
    courses_high: np.uint64
    groups: NDArray[np.uint32]  #: words of each group of factors, a row for each stratum
    group_first: NDArray[np.uint64]  #: (G,)
    group_width: NDArray[np.uint64]  #: (G,) combinations of levels
    group_high: NDArray[np.uint64]  #: (G,)
    group_effect: FloatArray  #: effects of the combinations, those of each group after the last's
    group_effect_first: NDArray[np.uint64]  #: (G,)
    specific_first: Alias  #: a row for each measure and GAD-7
    last: NDArray[np.uint32]  #: words; by measure, side, response and first score
    last_first: NDArray[np.uint64]  #: (M,)
    last_high: np.uint64
    above: FloatArray  #: (R, M, W) probability that a last score is above, before the outcome is imposed
    starts: NDArray[np.uint64]  #: by equal parts of the mass: later day, earlier day, mass before the later
    starts_shift: np.uint64
    span: IntArray  #: days from the first to the last appointment of each course
    problem_effect: FloatArray  #: log-odds of recovery
    problem_measure: IntArray  #: -1 where none is used
    first_specific: int  #: the first problem with a specific measure; those without come first
    history_effect: FloatArray
    highest: IntArray  #: (M,) highest score
    lowest: IntArray  #: (M,) lowest score
    caseness: IntArray  #: (M,) threshold
    change: IntArray  #: (M,) reliable change


class Truth(NamedTuple):
    """The scenario's numbers that are used as they are."""

    intercept: float
    phq9: float
    gad7: float
    age: float
    imd: float
    imd_missing: float  #: log-odds in all where it is not recorded, beyond those of decile 1
    wsas: float
    wsas_missing: float  #: log-odds in all where it is not recorded
    severity_centre: float
    severity_scale: float
    crossing: float  #: other services a crossing patient may belong to, for each unit of probability
    severity_by_deprivation: float
    severity_by_age: float  #: a year
    severity_low: float
    severity_steps: float  #: steps a unit
    completion: float
    completion_by_age: float  #: a year
    completion_by_imd: float
    completion_by_phq9: float
    missing_last: float
    ages_inverse: float  #: 1 / n_ages
    n_severities: int
    n_ages: int
    first_age: int
    n_waits: int
    first_day: int  #: days since 1970-01-01: the first on which a treatment may start
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
    mass_before: NDArray[np.uint64]  #: (J,) of all starts, what lies before the therapist's first day
    mass: NDArray[np.uint64]  #: (J,) of all starts, what lies in the therapist's days
    service_shift: FloatArray  #: (S,)
    service_effect: FloatArray  #: (S,)


class Key(NamedTuple):
    """A therapist's sequence of random numbers."""

    start: np.uint64
    step: np.uint64


class Record(NamedTuple):
    """What is drawn of N patients, as numbered in the tables: their case mix, course and outcome."""

    service: NDArray[np.int32]  #: (N,)
    decile: Bytes  #: (N,) decile - 1, and 10 more where it is not recorded
    age: Bytes  #: (N,) years
    problem: Bytes  #: (N,) place among the tables' problems
    scores: Words  #: (N,) PHQ-9 · 22 + GAD-7
    wsas: Bytes  #: (N,) 41: not recorded
    history: Words  #: (N,) earlier episodes · number of waits + wait
    #: (G / 2 · N,) combinations of levels in two groups of factors, the second times 2**16; pair by pair
    pairs: NDArray[np.uint32]
    anxiety: NDArray[np.int16]  #: (N,) -1: no specific measure
    course: Words  #: (N,)
    start: Words  #: (N,) days after the first
    completed: Bytes  #: (N,) 1: by the last day
    case: Bytes  #: (N,) 1: at caseness
    recovered: Bytes  #: (N,) 1: at the end of the course
    log_odds: FloatArray  #: (N,) of recovery


class Batch(NamedTuple):
    """Patients of one therapist that are drawn together, and where they go."""

    key: Key
    therapist: int  #: place in `Caseloads`
    first: int  #: number of the first of them
    size: int
    row: np.uint64  #: of the record, for the first of them


@njit(**BARE)
def therapist_key(seed: np.uint64, stream: int, number: int) -> Key:
    """Give the sequence of a therapist."""
    start, step = stream_key(seed, np.uint64(stream), np.uint64(number))
    return Key(start, step)


@njit(**BARE)
def state_of(key: Key, patient: int, number: int) -> np.uint64:
    """Give what is mixed into one of the patient's words; the next patient's is `key.step · WORDS` more."""
    return key.start + key.step * np.uint64(patient * WORDS + number)


@njit(**BARE)
def word(key: Key, patient: int, number: int) -> np.uint64:
    """Draw one of the patient's words."""
    return mix(state_of(key, patient, number))


@njit(**BARE)
def high(bits: np.uint64) -> np.uint64:
    """Give the high 32 of 64 random bits."""
    return bits >> _32


@njit(**BARE)
def low(bits: np.uint64) -> np.uint64:
    """Give the low 32 of 64 random bits."""
    return bits & _LOW_32


@njit(**BARE)
def chance(bits: np.uint64) -> float:
    """Turn 32 random bits into a number strictly between 0 and 1."""
    return (float(np.int64(bits)) + 0.5) * _2_TO_32


@njit(**BARE)
def phq9_of(scores: np.int64) -> np.int64:
    """Give the PHQ-9 of a pair of scores."""
    # 2979 / 2**16 is so near to 1 / 22 that this is exact for all 616 pairs; a division does not vectorise.
    return np.int64((np.uint64(scores) & _LOW_16) * np.uint64(2979) >> _16)


@njit(**BARE)
def choose_service(bits: np.uint64, home: int, n_services: int, truth: Truth) -> int:
    """Choose the therapist's own service, or with probability `crossing` any other alike."""
    other = min(chance(bits) * truth.crossing, float(n_services))
    step = int(other)
    there = home + 1 + step
    there = there - n_services if there >= n_services else there
    return home if step >= n_services - 1 else there


@njit(**BARE)
def stratum_of(recorded: np.int64, age: np.int64, phq9: np.int64) -> np.uint64:
    """Give the stratum on which the levels of factors depend: decile, band of age, band of PHQ-9."""
    decile = recorded - 10 if recorded >= 10 else recorded
    age_band = int(age > 24) + int(age > 39) + int(age > 59) + int(age > 74)
    phq9_band = int(phq9 > 9) + int(phq9 > 19)
    return np.uint64((decile * N_AGE_BANDS + age_band) * N_PHQ9_BANDS + phq9_band)


@njit(**BARE)
def draw_first(b: Batch, c: Caseloads, t: Tables, truth: Truth, r: Record) -> None:
    """Draw service, deprivation, age, problem and first scores.

    Severity is rounded to one of the two nearest steps of the tables, at random, so that its mean is exact.
    """
    n_services = c.service_effect.size
    home, shift = c.service[b.therapist], c.shift[b.therapist]
    n_ages, n_severities = np.uint64(truth.n_ages), np.uint64(truth.n_severities)
    next_patient = b.key.step * np.uint64(WORDS)
    state_1 = state_of(b.key, b.first, WORD_SERVICE_DECILE)
    state_2 = state_of(b.key, b.first, WORD_PEOPLE_SCORES)
    for k in range(b.size):
        m = b.row + np.uint64(k)
        w = mix(state_1)
        state_1 += next_patient
        service = choose_service(high(w), home, n_services, truth)
        recorded = draw(t.deciles, service, ((w >> _16) & _LOW_16) << _16)
        decile = recorded - 10 if recorded >= 10 else recorded
        round_up = (float(np.int64(w & _LOW_16)) + 0.5) * _2_TO_16

        w = mix(state_2)
        state_2 += next_patient
        person = draw(t.people, 0, high(w))
        problem = np.int64((float(person) + 0.5) * truth.ages_inverse)
        age = truth.first_age + person - np.int64(times(np.uint64(problem), n_ages))

        severity = shift + fetch(c.service_shift, np.uint64(service))
        severity += truth.severity_by_deprivation * (4.5 - float(decile))
        severity += truth.severity_by_age * (float(age) - 40.0)
        step = math.floor((severity - truth.severity_low) * truth.severity_steps + round_up)
        step = np.int64(min(max(step, 0.0), float(truth.n_severities - 1)))
        scores = draw(t.scores, np.int64(times(np.uint64(problem), n_severities)) + step, low(w))

        put(r.service, m, service)
        put(r.decile, m, recorded)
        put(r.age, m, age)
        put(r.problem, m, problem)
        put(r.scores, m, scores)


@njit(**BARE)
def draw_rest(b: Batch, c: Caseloads, t: Tables, truth: Truth, r: Record) -> None:
    """Draw WSAS, earlier episodes and wait, and add up the log-odds of recovery, factors apart."""
    slope = c.slope[b.therapist] / truth.severity_scale
    base = truth.intercept + c.effect[b.therapist] - slope * truth.severity_centre
    caseness_phq9, caseness_gad7 = t.caseness[PHQ9], t.caseness[GAD7]
    next_patient = b.key.step * np.uint64(WORDS)
    state = state_of(b.key, b.first, WORD_WSAS_HISTORY)
    for k in range(b.size):
        m = b.row + np.uint64(k)
        scores = np.int64(fetch(r.scores, m))
        phq9 = phq9_of(scores)
        gad7 = scores - N_GAD7 * phq9
        age, decile = np.int64(fetch(r.age, m)), np.int64(fetch(r.decile, m))

        w = mix(state)
        state += next_patient
        wsas = draw(t.wsas, scores, high(w))
        history = draw(t.history, 0, low(w))

        eta = base + (truth.phq9 + slope) * float(phq9) + truth.gad7 * float(gad7) + truth.age * float(age)
        eta += fetch(t.problem_effect, np.uint64(fetch(r.problem, m)))
        eta += truth.imd_missing if decile >= 10 else truth.imd * float(decile)
        eta += truth.wsas_missing if wsas >= N_WSAS - 1 else truth.wsas * float(wsas)
        eta += fetch(t.history_effect, np.uint64(history))
        eta += fetch(c.service_effect, np.uint64(fetch(r.service, m)))

        put(r.wsas, m, wsas)
        put(r.history, m, history)
        put(r.case, m, int(phq9 >= caseness_phq9) | int(gad7 >= caseness_gad7))
        put(r.anxiety, m, -1)
        put(r.log_odds, m, eta)


@njit(**BARE)
def draw_pair(b: Batch, pair: int, t: Tables, r: Record) -> None:
    """Draw the combinations of levels of two groups of factors, and add their effects."""
    one, two = np.uint64(2 * pair), np.uint64(2 * pair + 1)
    begin_1, width_1, bits_1 = t.group_first[one], t.group_width[one], t.group_high[one]
    begin_2, width_2, bits_2 = t.group_first[two], t.group_width[two], t.group_high[two]
    effects_1, effects_2 = t.group_effect_first[one], t.group_effect_first[two]
    to = np.uint64(pair) * np.uint64(r.service.size)
    next_patient = b.key.step * np.uint64(WORDS)
    state = state_of(b.key, b.first, WORD_FACTORS + pair)
    for k in range(b.size):
        m = b.row + np.uint64(k)
        w = mix(state)
        state += next_patient
        decile, age = np.int64(fetch(r.decile, m)), np.int64(fetch(r.age, m))
        stratum = stratum_of(decile, age, phq9_of(np.int64(fetch(r.scores, m))))
        cell_1 = np.uint64(pick(t.groups, begin_1 + times(stratum, width_1), width_1, bits_1, high(w)))
        cell_2 = np.uint64(pick(t.groups, begin_2 + times(stratum, width_2), width_2, bits_2, low(w)))
        put(r.pairs, to + m, cell_1 | cell_2 << _16)
    for k in range(b.size):
        m = b.row + np.uint64(k)
        cells = np.uint64(fetch(r.pairs, to + m))
        effect = fetch(t.group_effect, effects_1 + (cells & _LOW_16))
        effect += fetch(t.group_effect, effects_2 + (cells >> _16))
        put(r.log_odds, m, fetch(r.log_odds, m) + effect)


@njit(**BARE)
def draw_measures(b: Batch, t: Tables, r: Record) -> None:
    """Draw the first score of the specific measure, which then says who is at caseness beside PHQ-9."""
    for k in range(b.size):
        m = b.row + np.uint64(k)
        problem = r.problem[m]
        if problem >= t.first_specific:
            measure = t.problem_measure[problem]
            scores = np.int64(r.scores[m])
            bits = low(word(b.key, b.first + k, WORD_ONCE_SPECIFIC))
            anxiety = draw(t.specific_first, measure * N_GAD7 + scores % N_GAD7, bits)
            r.case[m] = scores // N_GAD7 >= t.caseness[PHQ9] or anxiety >= t.caseness[measure]
            r.anxiety[m] = anxiety


@njit(**BARE)
def draw_course(b: Batch, c: Caseloads, t: Tables, truth: Truth, r: Record) -> None:
    """Draw who completes, the course, its first day and the outcome at its end.

    The outcome is Bernoulli, with the probability of the model; nobody recovers from below caseness. A course
    counts as completed if it has two attended sessions and has ended by the last day.
    """
    base = truth.completion + c.completion[b.therapist]
    mass_before, mass = c.mass_before[b.therapist], c.mass[b.therapist]
    next_patient = b.key.step * np.uint64(WORDS)
    state_1 = state_of(b.key, b.first, WORD_COMPLETION_COURSE)
    state_2 = state_of(b.key, b.first, WORD_START_OUTCOME)
    whole = np.uint64(t.span.size - N_MISSED)
    for k in range(b.size):
        m = b.row + np.uint64(k)
        decile = np.int64(fetch(r.decile, m))
        decile = decile - 10 if decile >= 10 else decile
        eta = base + truth.completion_by_age * (float(fetch(r.age, m)) - 40.0)
        eta += truth.completion_by_imd * (float(decile) - 4.0)
        phq9 = phq9_of(np.int64(fetch(r.scores, m)))
        eta += truth.completion_by_phq9 * (float(phq9) - 14.0)
        w = mix(state_1)
        state_1 += next_patient
        completes = happens(chance(high(w)), eta)
        begin = np.uint64(N_MISSED) if completes else np.uint64(0)
        width = whole if completes else np.uint64(N_MISSED)
        course = np.int64(begin) + pick(t.courses, begin, width, t.courses_high, low(w))

        w = mix(state_2)
        state_2 += next_patient
        start = start_day(mass_before + (times(high(w), mass) >> _32), t)
        end = truth.first_day + start + fetch(t.span, np.uint64(course))
        recovers = happens(chance(low(w)), fetch(r.log_odds, m))
        put(r.course, m, course)
        put(r.start, m, start)
        put(r.completed, m, int(completes) & int(end <= truth.last_day))
        put(r.recovered, m, int(recovers) & np.int64(fetch(r.case, m)))


@njit(**BARE)
def start_day(mass: np.uint64, t: Tables) -> np.int64:
    """Give the day, from the scenario's first, before which lies a mass of the starts."""
    entry = fetch(t.starts, mass >> t.starts_shift)
    later = mass >= (entry & _LOW_32)
    return np.int64((entry >> np.uint64(48)) if later else (entry >> _32) & _LOW_16)


@njit(**BARE)
def whole_steps(size: int) -> int:
    """Give a number of patients, filled to whole steps."""
    return (size + STEP - 1) // STEP * STEP


@njit(**BARE)
def draw_batch(b: Batch, c: Caseloads, t: Tables, truth: Truth, r: Record) -> None:
    """Draw a batch of patients into the record."""
    draw_first(b, c, t, truth, r)
    draw_rest(b, c, t, truth, r)
    for pair in range(t.group_first.size // 2):
        draw_pair(b, pair, t, r)
    draw_measures(b, t, r)
    draw_course(b, c, t, truth, r)
