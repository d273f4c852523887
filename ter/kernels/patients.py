"""What patients are drawn from and into: tables, therapists, random words, the record.

Each random word is a pure function of the therapist's key, the patient's number and what the word is for, so
a patient may be drawn again, alone, or as one of a block.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE, inner
from ter.kernels.alias import Alias
from ter.kernels.memory import low_product
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

#: Bands of age and of PHQ-9 in which the levels of factors are alike: the last value of each but the highest.
AGE_ENDS, PHQ9_ENDS = (24, 39, 59, 74), (9, 19)
N_AGE_BANDS, N_PHQ9_BANDS = len(AGE_ENDS) + 1, len(PHQ9_ENDS) + 1

#: Courses are numbered by attended sessions less 1, missed and cancelled appointments (0 to 10 of each), and
#: whether they are fortnightly. The first ones have one session: nobody completes them.
MOST_MISSED = 10
N_MISSED = 2 * (MOST_MISSED + 1) ** 2

#: Patients of one therapist that go together where rows are written, and patients in a step of the loops, to
#: whole ones of which blocks are filled; what is too much is overwritten or left out.
BLOCK, STEP = 256, 16

_9, _32, _LOW_32 = np.uint32(9), np.uint64(32), np.uint64(0xFFFFFFFF)
_2_TO_23 = np.float32(2.0**-23)
HALF = np.float32(0.5)


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
    last_first: NDArray[np.uint32]  #: (M,)
    last_high: np.uint64
    #: (R · M · W,) probability that a last score is above, before the outcome is imposed
    above: NDArray[np.float32]
    n_responses: int  #: R
    n_points: int  #: W
    starts: NDArray[np.uint64]  #: by equal parts of the mass: later day, earlier day, mass before the later
    starts_shift: np.uint64
    problem_effect: FloatArray  #: log-odds of recovery
    problem_measure: NDArray[np.int32]  #: -1 where none is used
    first_specific: int  #: the first problem with a specific measure; those without come first
    highest: NDArray[np.int32]  #: (M,) highest score
    lowest: IntArray  #: (M,) lowest score
    caseness: IntArray  #: (M,) threshold
    change: NDArray[np.int32]  #: (M,) reliable change


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
    prior: float
    wait: float
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
    waits_inverse: float  #: 1 / n_waits
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
    cells: Bytes  #: (G · N,) combination of levels in each group of factors, group by group
    anxiety: NDArray[np.int16]  #: (N,) -1: no specific measure
    course: Words  #: (N,)
    start: Words  #: (N,) days after the first
    completed: Bytes  #: (N,) 1: by the last day
    case: Bytes  #: (N,) 1: at caseness
    recovered: Bytes  #: (N,) 1: at the end of the course


class Batch(NamedTuple):
    """Patients of one therapist that are drawn together, and where they go."""

    key: Key
    first: int  #: number of the first of them
    size: int
    row: np.uint64  #: of the record, for the first of them


@inner
def therapist_key(seed: np.uint64, stream: int, number: int) -> Key:
    """Give the sequence of a therapist."""
    start, step = stream_key(seed, np.uint64(stream), np.uint64(number))
    return Key(start, step)


@inner
def state_of(key: Key, patient: int, number: int) -> np.uint64:
    """Give what is mixed into one of the patient's words; the next patient's is `key.step · WORDS` more."""
    return key.start + key.step * np.uint64(patient * WORDS + number)


@inner
def word(key: Key, patient: int, number: int) -> np.uint64:
    """Draw one of the patient's words."""
    return mix(state_of(key, patient, number))


@inner
def high(bits: np.uint64) -> np.uint64:
    """Give the high 32 of 64 random bits."""
    return bits >> _32


@inner
def low(bits: np.uint64) -> np.uint64:
    """Give the low 32 of 64 random bits."""
    return bits & _LOW_32


@njit(**BARE)
def fraction(bits: np.uint32) -> np.float32:
    """Turn 32 random bits, of which 23 serve, into a number between 0 and 1, in single precision."""
    return (np.float32(np.int32(bits >> _9)) + HALF) * _2_TO_23


@njit(**BARE)
def phq9_of(scores: np.int64) -> np.int64:
    """Give the PHQ-9 of a pair of scores."""
    # 2979 / 2**16 is so near to 1 / 22 that this is exact for all 616 pairs; a division does not vectorise.
    return np.int64(low_product(np.uint32(scores), np.uint32(2979)) >> np.uint32(16))


@inner
def whole_steps(size: int) -> int:
    """Give a number of patients, filled to whole steps."""
    return (size + STEP - 1) // STEP * STEP
