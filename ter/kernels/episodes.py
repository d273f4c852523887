"""From the record of what was drawn to the columns of episodes and appointments.

As in `simulate`, each kernel takes therapists j0 to j1 - 1 and touches no other's rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE
from ter.kernels.courses import (
    ATTENDED,
    CANCELLED,
    DNA,
    Course,
    Start,
    appointments_seen,
    course_of,
    last_scores,
    measured_once,
    next_status,
    scores_at,
)
from ter.kernels.patients import (
    GAD7,
    N_GAD7,
    N_WSAS,
    PHQ9,
    STREAM_APPOINTMENT,
    STREAM_PATIENT,
    Caseloads,
    FloatArray,
    IntArray,
    Key,
    Record,
    Tables,
    Truth,
    therapist_key,
)

#: Rows of `Columns.whole`.
WHOLE = (
    "n_sessions",
    "phq9_first",
    "phq9_last",
    "gad7_first",
    "gad7_last",
    "wsas_first",
    "imd_decile",
    "prior_episodes",
    "wait_days",
    "n_dna",
    "n_cancelled",
)
N_SESSIONS, PHQ9_FIRST, PHQ9_LAST, GAD7_FIRST, GAD7_LAST, WSAS_FIRST, IMD, PRIOR, WAIT, N_DNA, N_CANCELLED = (
    range(11)
)
#: Rows of `Columns.outcome`.
COMPLETED, AT_CASENESS, RECOVERED, IMPROVEMENT, RELIABLE_RECOVERY, DETERIORATION = range(6)
#: Codes of `Columns.end_reason`; 2: none yet.
END_COMPLETED, END_DROPPED_OUT, END_OPEN = range(3)

#: Rows of the record that `write_appointments` fills.
APPOINTMENT_FIELDS = ("episode", "number", "day", "status", "phq9", "gad7", "anxiety", "wsas")
EPISODE, NUMBER, DAY, STATUS, SCORE_PHQ9, SCORE_GAD7, SCORE_ANXIETY, SCORE_WSAS = range(8)

_NOT_A_TIME = np.int64(-(2**63))
_SECONDS = 86_400


class Columns(NamedTuple):
    """Columns of the table of N episodes, in its dtypes; a value that is not recorded is 0, and so marked."""

    whole: NDArray[np.int16]  #: (11, N)
    phq9_missing: NDArray[np.bool_]  #: (N,) of the last score
    gad7_missing: NDArray[np.bool_]  #: (N,) of the last score
    wsas_missing: NDArray[np.bool_]
    imd_missing: NDArray[np.bool_]
    age: FloatArray
    anxiety_first: FloatArray  #: NaN: none
    anxiety_last: FloatArray
    start: IntArray  #: seconds since 1970-01-01
    end: IntArray  #: as `start`; the least number there is: in treatment
    end_reason: NDArray[np.uint8]
    outcome: NDArray[np.bool_]  #: (6, N)


@njit(**BARE)
def start_of(row: int, r: Record, t: Tables) -> Start:
    """Read off the record what is known at the start."""
    scores = int(r.scores[row])
    measure = t.problem_measure[r.problem[row]]
    return Start(scores // N_GAD7, scores % N_GAD7, measure, int(r.anxiety[row]), r.case[row] == 1)


@njit(**BARE)
def reliable_change(p: Start, last: tuple[int, int, int], t: Tables) -> tuple[bool, bool]:
    """Say whether the patient improved, and deteriorated, reliably.

    At least one measure fell (rose) by its reliable change, and neither rose (fell) by it; the measures are
    PHQ-9 and the specific one, or GAD-7 where there is none (`ter.measures.reliable_change` has the source).
    """
    phq9, gad7, anxiety = last
    fall = p.phq9 - phq9
    other, change = p.gad7 - gad7, t.change[GAD7]
    if p.measure >= 0:
        other, change = p.anxiety - anxiety, t.change[p.measure]
    fell = (fall >= t.change[PHQ9]) | (other >= change)
    rose = (-fall >= t.change[PHQ9]) | (-other >= change)
    return fell & (not rose), rose & (not fell)


@njit(**BARE)
def so_far(key: Key, i: int, course: Course, last_day: int) -> tuple[int, int, int, int]:
    """Give sessions, missed and cancelled appointments up to a day, and the last session's appointment."""
    seen = appointments_seen(course, last_day)
    sessions = 0
    dna = 0
    latest = 0
    for a in range(seen):
        missed = a - sessions - dna
        status = next_status(key, i, a, course, course.dna - dna, course.cancelled - missed)
        if status == ATTENDED:
            sessions += 1
            latest = a
        elif status == DNA:
            dna += 1
    return sessions, dna, seen - sessions - dna, latest


@njit(**BARE)
def write_columns(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, r: Record, out: Columns
) -> None:
    """Write the columns of the episodes of therapists j0 to j1 - 1.

    An episode still in treatment has no end, the sessions so far, and the scores of the latest one.
    """
    whole = out.whole
    n_waits, waits_inverse = truth.n_waits, 1.0 / truth.n_waits  # a division takes long
    for j in range(j0, j1):
        key = therapist_key(seed, STREAM_PATIENT, c.number[j])
        appointment_key = therapist_key(seed, STREAM_APPOINTMENT, c.number[j])
        for i in range(c.n[j]):
            row = c.row[j] + i
            p = start_of(row, r, t)
            course = course_of(np.int64(r.course[row]), truth.first_day + np.int64(r.start[row]))
            recovers = r.recovered[row] == 1
            ended = course.end <= truth.last_day
            sessions, dna, cancelled, latest = course.sessions, course.dna, course.cancelled, -1
            if not ended:
                sessions, dna, cancelled, latest = so_far(appointment_key, i, course, truth.last_day)
            scored = (sessions > 1) & (not measured_once(key, i, p, recovers, truth))
            last = (-1, -1, -1)
            if scored:
                last = last_scores(key, i, p, recovers, t)
                if not ended:
                    last = scores_at(appointment_key, i, latest, p, last, sessions - 1, course.sessions, t)
            phq9, gad7, anxiety = last

            decile = np.int64(r.decile[row])
            wsas = np.int64(r.wsas[row])
            history = np.int64(r.history[row])
            out.imd_missing[row] = decile >= 10
            out.wsas_missing[row] = wsas >= N_WSAS - 1
            out.phq9_missing[row] = not scored
            out.gad7_missing[row] = not scored
            whole[N_SESSIONS, row] = sessions
            whole[PHQ9_FIRST, row] = p.phq9
            whole[PHQ9_LAST, row] = phq9 if scored else 0
            whole[GAD7_FIRST, row] = p.gad7
            whole[GAD7_LAST, row] = gad7 if scored else 0
            whole[WSAS_FIRST, row] = wsas if wsas < N_WSAS - 1 else 0
            whole[IMD, row] = decile + 1 if decile < 10 else 0
            prior = np.int64((float(history) + 0.5) * waits_inverse)
            whole[PRIOR, row] = prior
            whole[WAIT, row] = history - prior * n_waits
            whole[N_DNA, row] = dna
            whole[N_CANCELLED, row] = cancelled
            out.age[row] = r.age[row]
            out.anxiety_first[row] = p.anxiety if p.anxiety >= 0 else np.nan
            out.anxiety_last[row] = anxiety if anxiety >= 0 else np.nan
            out.start[row] = course.start * _SECONDS
            out.end[row] = course.end * _SECONDS if ended else _NOT_A_TIME
            completed = ended & (sessions > 1)
            reason = END_COMPLETED if completed else END_DROPPED_OUT
            out.end_reason[row] = reason if ended else END_OPEN

            improved, deteriorated = False, False
            if completed and scored:
                improved, deteriorated = reliable_change(p, last, t)
            out.outcome[COMPLETED, row] = completed
            # Without a last score on the specific measure GAD-7 stands in for it.
            stands_in = (p.phq9 >= t.caseness[PHQ9]) | (p.gad7 >= t.caseness[GAD7])
            out.outcome[AT_CASENESS, row] = p.case if scored else stands_in
            out.outcome[RECOVERED, row] = completed & recovers
            out.outcome[IMPROVEMENT, row] = improved
            out.outcome[RELIABLE_RECOVERY, row] = completed & recovers & improved
            out.outcome[DETERIORATION, row] = deteriorated


@njit(**BARE)
def count_appointments(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, r: Record, out: IntArray
) -> None:
    """Count the appointments of each episode up to the last day, into `out`, shape (N,)."""
    for j in range(j0, j1):
        for row in range(c.row[j], c.row[j] + c.n[j]):
            course = course_of(np.int64(r.course[row]), truth.first_day + np.int64(r.start[row]))
            out[row] = appointments_seen(course, truth.last_day)


@njit(**BARE)
def write_appointments(
    j0: int,
    j1: int,
    seed: np.uint64,
    c: Caseloads,
    t: Tables,
    truth: Truth,
    r: Record,
    first_row: IntArray,
    record: NDArray[np.int32],
) -> None:
    """Write the appointments of therapists j0 to j1 - 1.

    Parameters
    ----------
    first_row : ndarray of int64, shape (N,)
        Where the appointments of each episode begin.
    record : ndarray of int32, shape (len(APPOINTMENT_FIELDS), number of appointments)
        Takes a row for each field; -1 where nothing is recorded.
    """
    for j in range(j0, j1):
        key = therapist_key(seed, STREAM_PATIENT, c.number[j])
        appointment_key = therapist_key(seed, STREAM_APPOINTMENT, c.number[j])
        for i in range(c.n[j]):
            p = start_of(c.row[j] + i, r, t)
            start = truth.first_day + np.int64(r.start[c.row[j] + i])
            course = course_of(np.int64(r.course[c.row[j] + i]), start)
            recovers = r.recovered[c.row[j] + i] == 1
            at_end = last_scores(key, i, p, recovers, t)
            once = measured_once(key, i, p, recovers, truth)
            wsas = np.int64(r.wsas[c.row[j] + i])
            dna, cancelled = course.dna, course.cancelled
            k = 0
            for a in range(appointments_seen(course, truth.last_day)):
                row = first_row[c.row[j] + i] + a
                record[EPISODE, row] = c.row[j] + i
                record[NUMBER, row] = a
                record[DAY, row] = course.start + a * course.interval
                status = next_status(appointment_key, i, a, course, dna, cancelled)
                record[STATUS, row] = status
                for field in (SCORE_PHQ9, SCORE_GAD7, SCORE_ANXIETY, SCORE_WSAS):
                    record[field, row] = -1
                if status != ATTENDED:
                    dna -= status == DNA
                    cancelled -= status == CANCELLED
                    continue
                if k == 0 or not once:
                    phq9, gad7, anxiety = scores_at(appointment_key, i, a, p, at_end, k, course.sessions, t)
                    record[SCORE_PHQ9, row] = phq9
                    record[SCORE_GAD7, row] = gad7
                    record[SCORE_ANXIETY, row] = anxiety
                if k == 0:
                    record[SCORE_WSAS, row] = wsas if wsas < N_WSAS - 1 else -1
                k += 1
