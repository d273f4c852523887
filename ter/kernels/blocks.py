"""Blocks of patients: where they sit, therapist by therapist, before they are drawn.

A block begins with the random words of its patients and with what their therapists add, so that the stages
(`stages`) do not see where one therapist's patients end. What courses take beside is seated when they are
drawn: case mix and outcome do without.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import JIT, inner
from ter.kernels.memory import high_product, low_sum, put, read
from ter.kernels.patients import (
    STEP,
    STREAM_PATIENT,
    WORD_COMPLETION_COURSE,
    WORD_FACTORS,
    WORD_PEOPLE_SCORES,
    WORD_SERVICE_DECILE,
    WORD_START_OUTCOME,
    WORD_WSAS_HISTORY,
    WORDS,
    Caseloads,
    Key,
    Tables,
    Truth,
    state_of,
    therapist_key,
    whole_steps,
)
from ter.kernels.rng import mix

Singles = NDArray[np.float32]

#: Patients in a block, in whole steps: so many that starting a stage does not count, so few that they stay in
#: the cache, and that three counts of them share 32 bits.
SEATS = 63 * STEP
#: Places in a row of a block: each therapist's patients are filled to whole steps. A row is not as long as a
#: page of memory, because the first cache holds few lines from the same place of many pages.
ROOM = SEATS + 5 * STEP
_LINE = 64  # bytes


class Block(NamedTuple):
    """A block of patients before they are drawn, and what stages tell each other; R places in a row.

    Effects are in single precision: of log-odds within +-20 it loses 1e-5, and of a probability 3e-6.
    """

    words: NDArray[np.uint64]  #: (W · R,) random words, number by number
    halves: NDArray[np.uint32]  #: (W · R · 2,) the same, each as its low and its high half
    home: NDArray[np.int32]  #: (R,) the therapist's service
    shift: Singles  #: (R,) the therapist's, of severity
    by_phq9: Singles  #: (R,) log-odds of recovery, a point of PHQ-9
    completion: Singles  #: (R,) log-odds of completing: the therapist's terms
    log_odds: Singles  #: ((2 + G / 2) · R,) of recovery: the therapist's terms; all but factors; pair by pair
    rounding: NDArray[np.uint32]  #: (R,) random bits for the rounding of severity, 16 of them
    for_scores: NDArray[np.uint32]  #: (R,) random bits for the first scores
    places: NDArray[np.int32]  #: (2 · R,) where to look in a large table
    entries: NDArray[np.uint32]  #: (2 · R,) what was there
    for_wsas: NDArray[np.uint32]  #: (R,) random bits for WSAS
    for_history: NDArray[np.uint32]  #: (R,) random bits for earlier episodes and wait
    for_course: NDArray[np.uint32]  #: (R,) random bits for the course
    for_start: NDArray[np.uint32]  #: (R,) random bits for the start
    mass_before: NDArray[np.uint32]  #: (R,) of all starts, what lies before the patient's
    completes: NDArray[np.uint8]  #: (R,)
    marks: NDArray[np.uint8]  #: (R,) 1: with a specific measure; 0 or 1 where nobody sits, too
    eights: NDArray[np.uint64]  #: (R / 8,) the same, eight of them at a time
    run: NDArray[np.int32]  #: (R,) which of the block's therapists
    therapist: NDArray[np.int64]  #: (R,) place of each of them among all
    until: NDArray[np.int64]  #: (R,) of each of them, the place after the last patient's
    start: NDArray[np.uint64]  #: (R,) of each of them, the `Key`, patients being counted from the first place
    step: NDArray[np.uint64]  #: (R,)
    found: NDArray[np.uint64]  #: (R,) places of those with a specific measure
    problem_effect: Singles
    group_effect: Singles
    service_shift: Singles  #: (S,)
    service_effect: Singles  #: (S,)
    starts: NDArray[np.uint32]  #: of each part of the mass: mass before the later day; the two days


@njit(**JIT)
def _aligned(n: int, kind: type) -> NDArray[Any]:
    """Make room for n numbers that begins with a line of the cache: sixteen of them then lie in one line."""
    room: NDArray[Any] = np.empty(n + _LINE, kind)
    first = -room.ctypes.data % _LINE // room.itemsize
    return room[first : first + n]


@njit(**JIT)
def new_block(c: Caseloads, t: Tables) -> Block:
    """Make room for a block, and copies of the effects in single precision."""
    pairs = t.group_first.size // 2
    words = _aligned((WORD_FACTORS + max(pairs, 1)) * ROOM, np.uint64)
    eights = _aligned(ROOM // 8, np.uint64)
    eights[:] = 0
    return Block(
        words,
        words.view(np.uint32),
        _aligned(ROOM, np.int32),
        _aligned(ROOM, np.float32),
        _aligned(ROOM, np.float32),
        _aligned(ROOM, np.float32),
        _aligned((2 + pairs) * ROOM, np.float32),
        _aligned(ROOM, np.uint32),
        _aligned(ROOM, np.uint32),
        _aligned(2 * ROOM, np.int32),
        _aligned(2 * ROOM, np.uint32),
        _aligned(ROOM, np.uint32),
        _aligned(ROOM, np.uint32),
        _aligned(ROOM, np.uint32),
        _aligned(ROOM, np.uint32),
        _aligned(ROOM, np.uint32),
        _aligned(ROOM, np.uint8),
        eights.view(np.uint8),
        eights,
        _aligned(ROOM, np.int32),
        _aligned(ROOM, np.int64),
        _aligned(ROOM, np.int64),
        _aligned(ROOM, np.uint64),
        _aligned(ROOM, np.uint64),
        _aligned(ROOM, np.uint64),
        t.problem_effect.astype(np.float32),
        t.group_effect.astype(np.float32),
        c.service_shift.astype(np.float32),
        c.service_effect.astype(np.float32),
        t.starts.view(np.uint32),
    )


@inner
def place_of(k: int, number: int) -> np.uint64:
    """Give where a row has place k; `number`: of the row in its array."""
    return np.uint64(number * ROOM + k)


@inner
def seat_words(key: Key, first: int, at: int, size: int, t: Tables, b: Block) -> None:
    """Put random words of a therapist's patients, from number `first` on, into the places from `at` on."""
    next_patient = key.step * np.uint64(WORDS)
    state = state_of(key, first, 0)
    for k in range(at, at + size):
        put(b.words, place_of(k, WORD_SERVICE_DECILE), mix(state + key.step * np.uint64(WORD_SERVICE_DECILE)))
        put(b.words, place_of(k, WORD_PEOPLE_SCORES), mix(state + key.step * np.uint64(WORD_PEOPLE_SCORES)))
        put(b.words, place_of(k, WORD_WSAS_HISTORY), mix(state + key.step * np.uint64(WORD_WSAS_HISTORY)))
        put(b.words, place_of(k, WORD_START_OUTCOME), mix(state + key.step * np.uint64(WORD_START_OUTCOME)))
        put(b.words, place_of(k, WORD_FACTORS), mix(state + key.step * np.uint64(WORD_FACTORS)))
        state += next_patient
    for number in range(WORD_FACTORS + 1, WORD_FACTORS + t.group_first.size // 2):
        state = state_of(key, first, number)
        for k in range(at, at + size):
            put(b.words, place_of(k, number), mix(state))
            state += next_patient


@inner
def seat_terms(run: int, at: int, size: int, j: int, c: Caseloads, truth: Truth, b: Block) -> None:
    """Put what therapist j adds into the places from `at` on."""
    slope = c.slope[j] / truth.severity_scale
    base = np.float32(truth.intercept + c.effect[j] - slope * truth.severity_centre)
    by_phq9 = np.float32(truth.phq9 + slope)
    home, shift = np.int32(c.service[j]), np.float32(c.shift[j])
    for k in range(at, at + size):
        m = np.uint64(k)
        put(b.home, m, home)
        put(b.shift, m, shift)
        put(b.log_odds, m, base)
        put(b.by_phq9, m, by_phq9)
        put(b.run, m, run)


@inner
def seat(
    j: int, i: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, b: Block
) -> tuple[int, int, int]:
    """Seat the patients from number i of therapist j on, before therapist j1, as far as the block goes.

    Returns
    -------
    j, i : int
        Where the next block begins.
    n : int
        Patients in the block.
    """
    n = 0
    run = 0
    while j < j1 and n < SEATS:
        size = min(c.n[j] - i, SEATS - n)
        if size > 0:
            key = therapist_key(seed, STREAM_PATIENT, c.number[j])
            # What fills the last step is overwritten by the next therapist's patients.
            seat_words(key, i, n, whole_steps(size), t, b)
            seat_terms(run, n, whole_steps(size), j, c, truth, b)
            here = np.uint64(run)
            b.therapist[here], b.until[here] = j, n + size
            b.start[here], b.step[here] = state_of(key, i - n, 0), key.step
            run += 1
            n += size
            i += size
        if i == c.n[j]:
            j += 1
            i = 0
    return j, i, n


@inner
def key_of(run: np.uint64, b: Block) -> Key:
    """Give the sequence of one of the block's therapists; patients have the numbers of their places in it."""
    return Key(b.start[run], b.step[run])


@inner
def seat_course(at: int, size: int, run: np.uint64, c: Caseloads, truth: Truth, b: Block) -> None:
    """Put what courses take of one of the block's therapists into the places from `at` on."""
    j = b.therapist[run]
    before, mass = np.uint32(c.mass_before[j]), np.uint32(c.mass[j])
    completion = np.float32(truth.completion + c.completion[j])
    key = key_of(run, b)
    next_patient = key.step * np.uint64(WORDS)
    state = state_of(key, at, WORD_COMPLETION_COURSE)
    for k in range(at, at + size):
        m = np.uint64(k)
        put(b.words, place_of(k, WORD_COMPLETION_COURSE), mix(state))
        put(b.completion, m, completion)
        put(b.mass_before, m, low_sum(before, high_product(read(b.for_start, m), mass)))
        state += next_patient


@inner
def seat_courses(n: int, c: Caseloads, truth: Truth, b: Block) -> None:
    """Seat what courses take of the n patients, whose case mix and outcome are drawn."""
    at = 0
    run = np.uint64(0)
    while at < n:
        until = b.until[run]
        seat_course(at, whole_steps(until - at), run, c, truth, b)
        at = until
        run += np.uint64(1)


@inner
def halves_of(number: int) -> tuple[np.uint64, np.uint64]:
    """Give where the low and the high halves of a word are; each next patient's are two further."""
    low = np.uint64(2 * ROOM * number)
    return low, low + np.uint64(1)
