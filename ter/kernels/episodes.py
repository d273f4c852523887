"""From the record of what was drawn to the columns of episodes and appointments.

As in `simulate`, each kernel takes therapists j0 to j1 - 1 and touches no other's rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE, inner
from ter.kernels.courses import (
    ATTENDED,
    CANCELLED,
    DNA,
    Course,
    Scores,
    Start,
    appointments_seen,
    course_of,
    last_scores,
    measured_once,
    next_status,
    scores_at,
)
from ter.kernels.memory import fetch, put, read
from ter.kernels.patients import (
    BLOCK,
    GAD7,
    N_GAD7,
    N_WSAS,
    PHQ9,
    STREAM_APPOINTMENT,
    STREAM_PATIENT,
    Batch,
    Caseloads,
    FloatArray,
    IntArray,
    Key,
    Record,
    Tables,
    Truth,
    phq9_of,
    therapist_key,
    whole_steps,
)

#: Codes of `Columns.end_reason`; 2: none yet.
END_COMPLETED, END_DROPPED_OUT, END_OPEN = range(3)

#: Rows of the record that `write_appointments` fills.
APPOINTMENT_FIELDS = ("episode", "number", "day", "status", "phq9", "gad7", "anxiety", "wsas")
EPISODE, NUMBER, DAY, STATUS, SCORE_PHQ9, SCORE_GAD7, SCORE_ANXIETY, SCORE_WSAS = range(8)

Shorts = NDArray[np.int16]
Flags = NDArray[np.uint8]  # 0 or 1

_NOT_A_TIME = np.int64(-(2**63))
_SECONDS = 86_400
_ZERO, _NONE = np.int32(0), np.int32(-1)


class Columns(NamedTuple):
    """Columns of the table of N episodes, in its dtypes; a value that is not recorded is 0, and so marked."""

    n_sessions: Shorts
    phq9_first: Shorts
    phq9_last: Shorts
    gad7_first: Shorts
    gad7_last: Shorts
    anxiety_first: FloatArray  #: NaN: none
    anxiety_last: FloatArray
    wsas_first: Shorts
    age: FloatArray
    imd_decile: Shorts
    prior_episodes: Shorts
    wait_days: Shorts
    n_dna: Shorts
    n_cancelled: Shorts
    start_date: IntArray  #: seconds since 1970-01-01
    end_date: IntArray  #: as `start_date`; the least number there is: in treatment
    end_reason: NDArray[np.uint8]
    completed: Flags
    at_caseness: Flags
    recovered: Flags
    reliable_improvement: Flags
    reliable_recovery: Flags
    reliable_deterioration: Flags
    phq9_missing: Flags  #: of the last score
    gad7_missing: Flags  #: of the last score
    wsas_missing: Flags
    imd_missing: Flags
    specific_last: Shorts  #: as `anxiety_last`; -1: none


@inner
def start_of(row: np.uint64, r: Record, t: Tables) -> Start:
    """Read off the record what is known at the start."""
    scores = np.int32(fetch(r.scores, row))
    phq9 = np.int32(phq9_of(scores))
    gad7 = np.int32(scores - np.int32(N_GAD7 * phq9))
    measure = fetch(t.problem_measure, np.int32(fetch(r.problem, row)))
    return Start(phq9, gad7, measure, np.int32(fetch(r.anxiety, row)), np.int32(fetch(r.case, row)) == 1)


@inner
def reliable_change(p: Start, last: Scores, t: Tables) -> tuple[bool, bool]:
    """Say whether the patient improved, and deteriorated, reliably.

    At least one measure fell (rose) by its reliable change, and neither rose (fell) by it; the measures are
    PHQ-9 and the specific one, or GAD-7 where there is none (`ter.measures.reliable_change` has the source).
    """
    phq9, gad7, anxiety = last
    specific = p.measure >= 0
    fall = np.int32(p.phq9 - phq9)
    other = np.int32(p.anxiety - anxiety) if specific else np.int32(p.gad7 - gad7)
    change_phq9 = fetch(t.change, np.int32(PHQ9))
    change = fetch(t.change, p.measure if specific else np.int32(GAD7))
    fell = (fall >= change_phq9) | (other >= change)
    rose = (np.int32(-fall) >= change_phq9) | (np.int32(-other) >= change)
    return fell & (not rose), rose & (not fell)


@inner
def so_far(key: Key, i: int, course: Course, last_day: int) -> tuple[int, int, int, int]:
    """Give sessions, missed and cancelled appointments up to a day, and the last session's appointment."""
    seen = appointments_seen(course, last_day)
    sessions = 0
    dna = 0
    latest = 0
    for a in range(seen):
        missed = a - sessions - dna
        if a - sessions == course.dna + course.cancelled:  # all others are attended
            return seen - dna - missed, dna, missed, seen - 1
        status = next_status(key, i, a, course, course.dna - dna, course.cancelled - missed)
        if status == ATTENDED:
            sessions += 1
            latest = a
        elif status == DNA:
            dna += 1
    return sessions, dna, seen - sessions - dna, latest


@inner
def write_start(b: Batch, truth: Truth, r: Record, out: Columns) -> None:
    """Write what is known at the start."""
    n_waits, waits_inverse = truth.n_waits, 1.0 / truth.n_waits  # a division takes long
    for k in range(b.size):
        m = b.row + np.uint64(k)
        scores = np.int64(fetch(r.scores, m))
        phq9 = phq9_of(scores)
        put(out.phq9_first, m, phq9)
        put(out.gad7_first, m, scores - N_GAD7 * phq9)
        anxiety = np.int64(fetch(r.anxiety, m))
        put(out.anxiety_first, m, float(anxiety) if anxiety >= 0 else np.nan)
        put(out.age, m, float(fetch(r.age, m)))
        put(out.start_date, m, (truth.first_day + np.int64(fetch(r.start, m))) * _SECONDS)
    for k in range(b.size):
        m = b.row + np.uint64(k)
        wsas = np.int64(fetch(r.wsas, m))
        no_wsas = wsas >= N_WSAS - 1
        put(out.wsas_first, m, 0 if no_wsas else wsas)
        put(out.wsas_missing, m, int(no_wsas))
        decile = np.int64(fetch(r.decile, m))
        no_decile = decile >= 10
        put(out.imd_decile, m, 0 if no_decile else decile + 1)
        put(out.imd_missing, m, int(no_decile))
        history = np.int64(fetch(r.history, m))
        prior = np.int64((float(history) + 0.5) * waits_inverse)
        put(out.prior_episodes, m, prior)
        put(out.wait_days, m, history - prior * n_waits)


@inner
def write_course(b: Batch, truth: Truth, r: Record, out: Columns) -> None:
    """Write the courses, as if all of them had ended."""
    for k in range(b.size):
        m = b.row + np.uint64(k)
        course = course_of(np.int64(fetch(r.course, m)), truth.first_day + np.int64(fetch(r.start, m)))
        put(out.n_sessions, m, course.sessions)
        put(out.n_dna, m, course.dna)
        put(out.n_cancelled, m, course.cancelled)
        ended = course.end <= truth.last_day
        put(out.end_date, m, course.end * _SECONDS if ended else _NOT_A_TIME)
        completed = ended & (course.sessions > 1)
        put(out.completed, m, int(completed))
        reason = END_COMPLETED if completed else END_DROPPED_OUT
        put(out.end_reason, m, reason if ended else END_OPEN)


@inner
def write_last(b: Batch, t: Tables, truth: Truth, r: Record, out: Columns) -> None:
    """Write the last scores, as if all courses had ended."""
    for k in range(b.size):
        m = b.row + np.uint64(k)
        p = start_of(m, r, t)
        recovers = np.int32(fetch(r.recovered, m)) == 1
        phq9, gad7, anxiety = last_scores(b.key, b.first + k, p, recovers, t)
        once = measured_once(b.key, b.first + k, p, recovers, truth)
        scored = (np.int32(read(out.n_sessions, m)) > 1) & (not once)
        put(out.phq9_last, m, phq9 if scored else _ZERO)
        put(out.gad7_last, m, gad7 if scored else _ZERO)
        put(out.specific_last, m, anxiety if scored else _NONE)
        put(out.phq9_missing, m, int(not scored))
        put(out.gad7_missing, m, int(not scored))


@inner
def write_so_far(b: Batch, key: Key, t: Tables, truth: Truth, r: Record, out: Columns) -> None:
    """Write the sessions and the latest scores of courses that have not ended (key of appointments)."""
    for k in range(b.size):
        m = b.row + np.uint64(k)
        if out.end_reason[m] == END_OPEN:
            course = course_of(np.int64(r.course[m]), truth.first_day + np.int64(r.start[m]))
            sessions, dna, cancelled, latest = so_far(key, b.first + k, course, truth.last_day)
            out.n_sessions[m] = sessions
            out.n_dna[m] = dna
            out.n_cancelled[m] = cancelled
            scored = (sessions > 1) & (out.phq9_missing[m] == 0)
            last = (_ZERO, _ZERO, _NONE)
            if scored:
                at_end = (
                    np.int32(out.phq9_last[m]),
                    np.int32(out.gad7_last[m]),
                    np.int32(out.specific_last[m]),
                )
                p = start_of(m, r, t)
                last = scores_at(key, b.first + k, latest, p, at_end, sessions - 1, course.sessions, t)
            out.phq9_last[m], out.gad7_last[m], out.specific_last[m] = last
            out.phq9_missing[m] = not scored
            out.gad7_missing[m] = not scored


@inner
def write_outcomes(b: Batch, t: Tables, r: Record, out: Columns) -> None:
    """Write what the clinical rules say of the columns that are there."""
    caseness_phq9, caseness_gad7 = np.int32(t.caseness[PHQ9]), np.int32(t.caseness[GAD7])
    for k in range(b.size):
        m = b.row + np.uint64(k)
        p = start_of(m, r, t)
        scored = np.int32(read(out.phq9_missing, m)) == 0
        completed = np.int32(read(out.completed, m)) == 1
        recovered = completed & (np.int32(fetch(r.recovered, m)) == 1)
        last = (
            np.int32(read(out.phq9_last, m)),
            np.int32(read(out.gad7_last, m)),
            np.int32(read(out.specific_last, m)),
        )
        improved, deteriorated = reliable_change(p, last, t)
        counts = completed & scored
        put(out.recovered, m, int(recovered))
        # Without a last score on the specific measure GAD-7 stands in for it.
        stands_in = (p.phq9 >= caseness_phq9) | (p.gad7 >= caseness_gad7)
        put(out.at_caseness, m, int(p.case if scored else stands_in))
        put(out.reliable_improvement, m, int(counts & improved))
        put(out.reliable_recovery, m, int(recovered & counts & improved))
        put(out.reliable_deterioration, m, int(counts & deteriorated))
    for k in range(b.size):
        m = b.row + np.uint64(k)
        anxiety = np.int32(read(out.specific_last, m))
        put(out.anxiety_last, m, float(anxiety) if anxiety >= 0 else np.nan)


@njit(**BARE)
def write_columns(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, r: Record, out: Columns
) -> None:
    """Write the columns of the episodes of therapists j0 to j1 - 1, stage by stage as `patients` draws.

    An episode still in treatment has no end, the sessions so far, and the scores of the latest one. What
    fills a batch's last step is overwritten by the next patients, as in `simulate.write_record`.
    """
    if j0 == j1:
        return
    end = c.row[j1 - 1] + c.n[j1 - 1]
    for j in range(j0, j1):
        key = therapist_key(seed, STREAM_PATIENT, c.number[j])
        appointment_key = therapist_key(seed, STREAM_APPOINTMENT, c.number[j])
        for first in range(0, c.n[j], BLOCK):
            row = c.row[j] + first
            size = min(whole_steps(min(BLOCK, c.n[j] - first)), end - row)
            b = Batch(key, first, size, np.uint64(row))
            write_start(b, truth, r, out)
            write_course(b, truth, r, out)
            write_last(b, t, truth, r, out)
            write_so_far(b, appointment_key, t, truth, r, out)
            write_outcomes(b, t, r, out)


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
            p = start_of(np.uint64(c.row[j] + i), r, t)
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
