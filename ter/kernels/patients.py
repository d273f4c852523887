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
#: drawn but not kept.
BLOCK, STEP = 128, 8
(
    SERVICE,
    DECILE,
    AGE,
    PROBLEM,
    SCORES,
    WSAS,
    HISTORY,
    STRATUM,
    COURSE,
    START,
    COMPLETED,
    CASE,
    ANXIETY,
    RECOVERED,
) = (np.uint64(k * BLOCK) for k in range(14))
BLOCK_ROWS = 14
MOST_GROUPS = 8

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


class Block(NamedTuple):
    """Room for the patients that are being drawn; the rows of `whole` are named above."""

    whole: IntArray  #: (BLOCK_ROWS · BLOCK,)
    even_groups: IntArray  #: (MOST_GROUPS / 2, BLOCK) combinations of levels in groups 0, 2, ...
    odd_groups: IntArray  #: (MOST_GROUPS / 2, BLOCK) and in groups 1, 3, ...
    log_odds: FloatArray  #: (BLOCK,) of recovery


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
def draw_first(
    size: int, first: int, key: Key, j: int, c: Caseloads, t: Tables, truth: Truth, b: Block
) -> None:
    """Draw service, deprivation, age, problem and first scores of patients `first` and on.

    Severity is rounded to one of the two nearest steps of the tables, at random, so that its mean is exact.
    """
    n_services = c.service_effect.size
    home, shift = c.service[j], c.shift[j]
    next_patient = key.step * np.uint64(WORDS)
    state_1 = state_of(key, first, WORD_SERVICE_DECILE)
    state_2 = state_of(key, first, WORD_PEOPLE_SCORES)
    for k in range(size):
        m = np.uint64(k)
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
        age = truth.first_age + person - problem * truth.n_ages

        severity = shift + fetch(c.service_shift, np.uint64(service))
        severity += truth.severity_by_deprivation * (4.5 - float(decile))
        severity += truth.severity_by_age * (float(age) - 40.0)
        step = math.floor((severity - truth.severity_low) * truth.severity_steps + round_up)
        step = np.int64(min(max(step, 0.0), float(truth.n_severities - 1)))
        scores = draw(t.scores, problem * truth.n_severities + step, low(w))

        put(b.whole, SERVICE + m, service)
        put(b.whole, DECILE + m, recorded)
        put(b.whole, AGE + m, age)
        put(b.whole, PROBLEM + m, problem)
        put(b.whole, SCORES + m, scores)


@njit(**BARE)
def draw_rest(
    size: int, first: int, key: Key, j: int, c: Caseloads, t: Tables, truth: Truth, b: Block
) -> None:
    """Draw WSAS, earlier episodes and wait, and add up the log-odds of recovery, factors apart."""
    slope = c.slope[j] / truth.severity_scale
    base = truth.intercept + c.effect[j] - slope * truth.severity_centre
    caseness_phq9, caseness_gad7 = t.caseness[PHQ9], t.caseness[GAD7]
    next_patient = key.step * np.uint64(WORDS)
    state = state_of(key, first, WORD_WSAS_HISTORY)
    for k in range(size):
        m = np.uint64(k)
        scores = fetch(b.whole, SCORES + m)
        phq9, gad7 = phq9_of(scores), 0
        gad7 = scores - N_GAD7 * phq9
        age, decile = fetch(b.whole, AGE + m), fetch(b.whole, DECILE + m)

        w = mix(state)
        state += next_patient
        wsas = draw(t.wsas, scores, high(w))
        history = draw(t.history, 0, low(w))

        eta = base + (truth.phq9 + slope) * float(phq9) + truth.gad7 * float(gad7) + truth.age * float(age)
        eta += fetch(t.problem_effect, np.uint64(fetch(b.whole, PROBLEM + m)))
        eta += truth.imd_missing if decile >= 10 else truth.imd * float(decile)
        eta += truth.wsas_missing if wsas >= N_WSAS - 1 else truth.wsas * float(wsas)
        eta += fetch(t.history_effect, np.uint64(history))
        eta += fetch(c.service_effect, np.uint64(fetch(b.whole, SERVICE + m)))

        decile = decile - 10 if decile >= 10 else decile
        age_band = int(age > 24) + int(age > 39) + int(age > 59) + int(age > 74)
        phq9_band = int(phq9 > 9) + int(phq9 > 19)
        put(b.whole, STRATUM + m, (decile * N_AGE_BANDS + age_band) * N_PHQ9_BANDS + phq9_band)
        put(b.whole, WSAS + m, wsas)
        put(b.whole, HISTORY + m, history)
        case = int(phq9 >= caseness_phq9) | int(gad7 >= caseness_gad7)
        put(b.whole, CASE + m, case)
        put(b.whole, ANXIETY + m, -1)
        put(b.log_odds, m, eta)


@njit(**BARE)
def draw_pair(size: int, first: int, key: Key, pair: int, t: Tables, b: Block) -> None:
    """Draw the combinations of levels of two groups of factors, and add their effects."""
    one, two = np.uint64(2 * pair), np.uint64(2 * pair + 1)
    begin_1, width_1, bits_1 = t.group_first[one], t.group_width[one], t.group_high[one]
    begin_2, width_2, bits_2 = t.group_first[two], t.group_width[two], t.group_high[two]
    effects_1, effects_2 = t.group_effect_first[one], t.group_effect_first[two]
    cells_1, cells_2 = b.even_groups[pair], b.odd_groups[pair]
    next_patient = key.step * np.uint64(WORDS)
    state = state_of(key, first, WORD_FACTORS + pair)
    for k in range(size):
        m = np.uint64(k)
        w = mix(state)
        state += next_patient
        stratum = np.uint64(fetch(b.whole, STRATUM + m))
        put(cells_1, m, pick(t.groups, begin_1 + times(stratum, width_1), width_1, bits_1, high(w)))
        put(cells_2, m, pick(t.groups, begin_2 + times(stratum, width_2), width_2, bits_2, low(w)))
    for k in range(size):
        m = np.uint64(k)
        effect = fetch(t.group_effect, effects_1 + np.uint64(fetch(cells_1, m)))
        effect += fetch(t.group_effect, effects_2 + np.uint64(fetch(cells_2, m)))
        put(b.log_odds, m, fetch(b.log_odds, m) + effect)


@njit(**BARE)
def draw_measures(size: int, first: int, key: Key, t: Tables, b: Block) -> None:
    """Draw the first score of the specific measure, which then says who is at caseness beside PHQ-9."""
    for k in range(size):
        m = np.uint64(k)
        problem = b.whole[PROBLEM + m]
        if problem >= t.first_specific:
            measure = t.problem_measure[np.uint64(problem)]
            scores = b.whole[SCORES + m]
            bits = low(word(key, first + k, WORD_ONCE_SPECIFIC))
            anxiety = draw(t.specific_first, measure * N_GAD7 + scores % N_GAD7, bits)
            case = scores // N_GAD7 >= t.caseness[PHQ9] or anxiety >= t.caseness[measure]
            b.whole[CASE + m] = int(case)
            b.whole[ANXIETY + m] = anxiety


@njit(**BARE)
def draw_course(
    size: int, first: int, key: Key, j: int, c: Caseloads, t: Tables, truth: Truth, b: Block
) -> None:
    """Draw who completes, the course, its first day and the outcome at its end.

    The outcome is Bernoulli, with the probability of the model; nobody recovers from below caseness. A course
    counts as completed if it has two attended sessions and has ended by the last day.
    """
    base = truth.completion + c.completion[j]
    mass_before, mass = c.mass_before[j], c.mass[j]
    next_patient = key.step * np.uint64(WORDS)
    state_1 = state_of(key, first, WORD_COMPLETION_COURSE)
    state_2 = state_of(key, first, WORD_START_OUTCOME)
    whole = np.uint64(t.span.size - N_MISSED)
    for k in range(size):
        m = np.uint64(k)
        decile = fetch(b.whole, DECILE + m)
        decile = decile - 10 if decile >= 10 else decile
        eta = base + truth.completion_by_age * (float(fetch(b.whole, AGE + m)) - 40.0)
        eta += truth.completion_by_imd * (float(decile) - 4.0)
        phq9 = phq9_of(fetch(b.whole, SCORES + m))
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
        recovers = happens(chance(low(w)), fetch(b.log_odds, m))
        put(b.whole, COURSE + m, course)
        put(b.whole, START + m, start)
        put(b.whole, COMPLETED + m, int(completes) & int(end <= truth.last_day))
        put(b.whole, RECOVERED + m, int(recovers) & fetch(b.whole, CASE + m))


@njit(**BARE)
def start_day(mass: np.uint64, t: Tables) -> np.int64:
    """Give the day, from the scenario's first, before which lies a mass of the starts."""
    entry = fetch(t.starts, mass >> t.starts_shift)
    later = mass >= (entry & _LOW_32)
    return np.int64((entry >> np.uint64(48)) if later else (entry >> _32) & _LOW_16)


@njit(**BARE)
def draw_block(
    size: int, first: int, key: Key, j: int, c: Caseloads, t: Tables, truth: Truth, b: Block
) -> None:
    """Draw patients `first` to `first + size - 1` of therapist j, and what fills their last step."""
    size = (size + STEP - 1) // STEP * STEP
    draw_first(size, first, key, j, c, t, truth, b)
    draw_rest(size, first, key, j, c, t, truth, b)
    for pair in range(t.group_first.size // 2):
        draw_pair(size, first, key, pair, t, b)
    draw_measures(size, first, key, t, b)
    draw_course(size, first, key, j, c, t, truth, b)
