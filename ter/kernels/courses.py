"""Courses of treatment, and the scores along them and at their end, one patient at a time.

Pure functions, as in `patients`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ter.kernels._jit import BARE, inner
from ter.kernels.alias import pick, times
from ter.kernels.memory import fetch, low_product
from ter.kernels.patients import (
    GAD7,
    MOST_MISSED,
    N_MISSED,
    PHQ9,
    WORD_ANXIETY_GAD7,
    WORD_ONCE_SPECIFIC,
    WORD_RESPONSE_SIDES,
    WORD_SIDE_PHQ9,
    Key,
    Tables,
    Truth,
    fraction,
    high,
    low,
    word,
)
from ter.kernels.rng import below, bits, uniform

#: Status of an appointment.
ATTENDED, DNA, CANCELLED = range(3)

# Sides of the threshold, in the rows of the tables of last scores.
_RECOVERED, _STILL_BELOW, _ABOVE = np.int32(0), np.int32(1), np.int32(2)
DRAWS_OF_APPOINTMENTS = 1024  # counters kept for a patient's appointments, of eight words each


#: PHQ-9, GAD-7 and the specific measure, -1 where there is none.
Scores = tuple[np.int32, np.int32, np.int32]

# Typed: numba makes 64 bits of a plain int or float.
_PHQ9, _GAD7, _NONE, _ONE = np.int32(PHQ9), np.int32(GAD7), np.int32(-1), np.float32(1.0)


class Course(NamedTuple):
    """A course of treatment, from its first appointment to its last, be that after the last day."""

    start: int
    interval: int
    sessions: int
    dna: int
    cancelled: int
    end: int


class Start(NamedTuple):
    """What is known at the start and matters for the scores at the end."""

    phq9: np.int32
    gad7: np.int32
    measure: np.int32
    anxiety: np.int32
    case: bool


@njit(**BARE)
def course_of(code: int, start: int) -> Course:
    """Read the course off its number, and the day of its first appointment."""
    interval = 14 if code % 2 else 7
    cancelled = code // 2 % (MOST_MISSED + 1)
    dna = code // (2 * (MOST_MISSED + 1)) % (MOST_MISSED + 1)
    sessions = code // N_MISSED + 1
    end = start + interval * (sessions + dna + cancelled - 1)
    return Course(start, interval, sessions, dna, cancelled, end)


@inner
def last_score(
    side: np.int32, response: np.int32, measure: np.int32, first: np.int32, draw: np.uint64, t: Tables
) -> np.int32:
    """Draw the score at the end of one measure, by 32 random bits."""
    width = np.uint32(fetch(t.highest, measure) + np.int32(1))
    row = np.uint32(np.int32(side * np.int32(t.n_responses)) + response)
    row = np.uint32(low_product(row, width) + np.uint32(first))
    begin = np.uint32(fetch(t.last_first, measure) + low_product(row, width))
    return np.int32(pick(t.last, begin, width, t.last_high, draw))


@inner
def above_at(response: np.int32, measure: np.int32, first: np.int32, t: Tables) -> np.float32:
    """Give the probability that a last score is above, before the outcome is imposed."""
    row = np.int32(np.int32(response * np.int32(t.highest.size)) + measure)
    return fetch(t.above, np.int32(np.int32(row * np.int32(t.n_points)) + first))


@inner
def side_of(recovered: bool, below: bool) -> np.int32:
    """Give the side of the threshold on which a last score lies."""
    side = _STILL_BELOW if below else _ABOVE
    return _RECOVERED if recovered else side


@inner
def last_scores(key: Key, i: int, p: Start, recovered: bool, t: Tables) -> Scores:
    """Draw the scores at the end of the course, given the outcome.

    Recovered: the measures that decide are below their thresholds. Not recovered, but at caseness: at least
    one of them is not. Never at caseness: no outcome binds them. The GAD-7 of a patient with a specific
    measure follows the outcome, but does not decide.

    Returns
    -------
    phq9, gad7, anxiety : int32
        `anxiety` is -1 where there is no specific measure.
    """
    # Choices and no branches, and 32 bits a number, so that loops take sixteen patients at once.
    w = word(key, i, WORD_RESPONSE_SIDES)
    response = np.int32(times(high(w), np.uint64(t.n_responses)) >> np.uint64(32))
    specific = p.measure >= 0
    deciding = p.measure if specific else _GAD7
    first = p.anxiety if specific else p.gad7
    draws = word(key, i, WORD_SIDE_PHQ9)
    # One number says which of the two are above: neither, anxiety alone, PHQ-9 alone, both.
    a = above_at(response, _PHQ9, p.phq9, t)
    b = above_at(response, deciding, first, t)
    neither = (_ONE - a) * (_ONE - b)
    u = fraction(np.uint32(low(w)))
    u = neither + u * (_ONE - neither) if p.case else u
    anxiety_alone = neither + (_ONE - a) * b
    phq9_alone = anxiety_alone + a * (_ONE - b)
    below_phq9 = u < anxiety_alone
    below_anxiety = (u < neither) | ((u >= anxiety_alone) & (u < phq9_alone))
    below_gad7 = fraction(np.uint32(high(draws))) >= above_at(response, _GAD7, p.gad7, t)
    side_phq9 = side_of(recovered, below_phq9)
    side_anxiety = side_of(recovered, below_anxiety)
    side_gad7 = side_of(recovered, below_gad7)
    phq9 = last_score(side_phq9, response, _PHQ9, p.phq9, low(draws), t)
    draws = word(key, i, WORD_ANXIETY_GAD7)
    last = last_score(side_anxiety, response, deciding, first, high(draws), t)
    follows = last_score(side_gad7, response, _GAD7, p.gad7, low(draws), t)
    return phq9, follows if specific else last, last if specific else _NONE


@inner
def measured_once(key: Key, i: int, p: Start, recovered: bool, truth: Truth) -> bool:
    """Say whether scores are taken at the first session only.

    That counts as not recovered, so it happens to nobody who recovered. Nor does it to patients with a
    specific measure: without its last score GAD-7 would decide who was at caseness.
    """
    drawn = fraction(np.uint32(high(word(key, i, WORD_ONCE_SPECIFIC)))) < np.float32(truth.missing_last)
    return (not recovered) & (p.measure < 0) & drawn


@njit(**BARE)
def score_at(
    first: np.int32,
    last: np.int32,
    session: int,
    sessions: int,
    lowest: int,
    highest: int,
    noise: float,
) -> np.int32:
    """Give the score at an attended session (0: the first).

    It starts and ends where the episode says. Between, it falls faster early than late, with a noise of a
    tenth of the range either way.
    """
    if session == 0:
        return first
    if session == sessions - 1:
        return last
    done = session / (sessions - 1)
    score = first + (last - first) * done * (2.0 - done) + (noise - 0.5) * 0.2 * (highest - lowest)
    return np.int32(min(max(round(score), lowest), highest))


@njit(**BARE)
def appointments_seen(course: Course, last_day: int) -> int:
    """Count the appointments of a course up to the last day."""
    every = course.sessions + course.dna + course.cancelled
    return min(every, (last_day - course.start) // course.interval + 1)


@inner
def appointment_word(key: Key, i: int, appointment: int, purpose: int) -> np.uint64:
    """Draw 64 random bits for an appointment (key of `STREAM_APPOINTMENT`).

    Purposes: 0 its status; 1, 2 and 3 the noise of PHQ-9, GAD-7 and the specific measure.
    """
    return bits(key.start, key.step, np.uint64(i * DRAWS_OF_APPOINTMENTS + appointment * 8 + purpose))


@njit(**BARE)
def next_status(key: Key, i: int, a: int, course: Course, dna: int, cancelled: int) -> int:
    """Give the status of appointment `a` (key of `STREAM_APPOINTMENT`).

    `dna` and `cancelled` are how many of these are still to come, from this appointment on. The first
    appointment is attended, and so is the last of a completed course. The others come in any order alike:
    each is one of those still to come.
    """
    last = course.sessions + course.dna + course.cancelled - 1
    if a == 0 or (a == last and course.sessions > 1):
        return ATTENDED
    to_come = last - a + 1 if course.sessions == 1 else last - a
    k = below(appointment_word(key, i, a, 0), to_come)
    if k < dna:
        return DNA
    return CANCELLED if k < dna + cancelled else ATTENDED


@inner
def scores_at(
    key: Key, i: int, appointment: int, p: Start, at_end: Scores, session: int, sessions: int, t: Tables
) -> Scores:
    """Give the scores at an attended session (0: the first; key of `STREAM_APPOINTMENT`)."""
    noise_phq9 = uniform(appointment_word(key, i, appointment, 1))
    noise_gad7 = uniform(appointment_word(key, i, appointment, 2))
    noise_anxiety = uniform(appointment_word(key, i, appointment, 3))
    phq9, gad7, anxiety = at_end
    phq9 = score_at(p.phq9, phq9, session, sessions, t.lowest[PHQ9], t.highest[PHQ9], noise_phq9)
    gad7 = score_at(p.gad7, gad7, session, sessions, t.lowest[GAD7], t.highest[GAD7], noise_gad7)
    if p.measure >= 0:
        low, high = t.lowest[p.measure], t.highest[p.measure]
        anxiety = score_at(p.anxiety, anxiety, session, sessions, low, high, noise_anxiety)
    return phq9, gad7, anxiety
