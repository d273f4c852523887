"""Caseloads: the outcomes of a range of therapists, counted or written as episodes and appointments.

Each kernel takes therapists j0 to j1 - 1 and touches no other's rows, so that any partition, on any threads,
gives the same.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE
from ter.kernels.courses import (
    ATTENDED,
    CANCELLED,
    DNA,
    appointments_seen,
    draw_course,
    last_scores,
    measured_once,
    next_status,
    scores_at,
)
from ter.kernels.patients import (
    STREAM_APPOINTMENT,
    STREAM_PATIENT,
    Caseloads,
    FloatArray,
    IntArray,
    Tables,
    Truth,
    at_caseness,
    draw_patient,
    draw_recovered,
    factor_level,
    log_odds,
    logistic,
    therapist_key,
)

#: Rows of the record that `write_episodes` fills; -1 stands for "not recorded".
FIELDS = (
    "service",
    "imd_decile",
    "age",
    "problem",
    "phq9_first",
    "gad7_first",
    "wsas_first",
    "prior_episodes",
    "wait_days",
    "measure",
    "anxiety_first",
    "start",
    "end",
    "n_sessions",
    "n_dna",
    "n_cancelled",
    "phq9_last",
    "gad7_last",
    "anxiety_last",
)
(
    SERVICE,
    IMD,
    AGE,
    PROBLEM,
    PHQ9_FIRST,
    GAD7_FIRST,
    WSAS_FIRST,
    PRIOR,
    WAIT,
    MEASURE,
    ANXIETY_FIRST,
    START,
    END,
    N_SESSIONS,
    N_DNA,
    N_CANCELLED,
    PHQ9_LAST,
    GAD7_LAST,
    ANXIETY_LAST,
) = range(19)
#: The first of the factors' rows, in the order of the scenario.
FIRST_FACTOR = 19

#: Rows of the record that `write_appointments` fills.
APPOINTMENT_FIELDS = ("episode", "number", "day", "status", "phq9", "gad7", "anxiety", "wsas")
EPISODE, NUMBER, DAY, STATUS, PHQ9, GAD7, ANXIETY, WSAS = range(8)


@njit(**BARE)
def count_outcomes(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, out: IntArray
) -> None:
    """Count the outcomes of therapists j0 to j1 - 1 without writing a row.

    Parameters
    ----------
    out : ndarray of int64, shape (J, 4)
        Takes episodes, completed, completed at caseness, and recovered among those.
    """
    for j in range(j0, j1):
        key = therapist_key(seed, STREAM_PATIENT, c.number[j])
        completed = 0
        cases = 0
        recovered = 0
        for i in range(c.n[j]):
            p = draw_patient(key, i, j, c, t, truth)
            course = draw_course(key, i, j, p, c, t, truth)
            if course.sessions > 1 and course.end <= truth.last_day:
                completed += 1
                if at_caseness(p, t):
                    cases += 1
                    recovered += draw_recovered(key, i, j, p, c, t, truth)
        out[j, 0] = c.n[j]
        out[j, 1] = completed
        out[j, 2] = cases
        out[j, 3] = recovered


@njit(**BARE)
def write_episodes(
    j0: int,
    j1: int,
    seed: np.uint64,
    c: Caseloads,
    t: Tables,
    truth: Truth,
    record: NDArray[np.int32],
    probability: FloatArray,
) -> None:
    """Write the episodes of therapists j0 to j1 - 1.

    Parameters
    ----------
    record : ndarray of int32, shape (len(FIELDS) + F, N)
        Takes a row for each field, a column for each episode; days since 1970-01-01; -1 where nothing is
        recorded. An episode still in treatment has no end, the sessions so far, and the scores of the latest
        one.
    probability : ndarray of float64, shape (N,)
        Takes the true probability of recovery.
    """
    for j in range(j0, j1):
        key = therapist_key(seed, STREAM_PATIENT, c.number[j])
        appointment_key = therapist_key(seed, STREAM_APPOINTMENT, c.number[j])
        for i in range(c.n[j]):
            row = c.row[j] + i
            p = draw_patient(key, i, j, c, t, truth)
            course = draw_course(key, i, j, p, c, t, truth)
            probability[row] = logistic(log_odds(key, i, j, p, c, t, truth))
            recovered = draw_recovered(key, i, j, p, c, t, truth)
            record[SERVICE, row] = p.service
            record[IMD, row] = p.imd
            record[AGE, row] = p.age
            record[PROBLEM, row] = p.problem
            record[PHQ9_FIRST, row] = p.phq9
            record[GAD7_FIRST, row] = p.gad7
            record[WSAS_FIRST, row] = p.wsas
            record[PRIOR, row] = p.prior
            record[WAIT, row] = p.wait
            record[MEASURE, row] = p.measure
            record[ANXIETY_FIRST, row] = p.anxiety
            for factor in range(t.factor_effect.shape[0]):
                record[FIRST_FACTOR + factor, row] = factor_level(key, i, factor, p, t)

            seen = appointments_seen(course, truth.last_day)
            sessions = 0
            dna = 0
            latest = 0  # the appointment of the latest session
            for a in range(seen):
                missed = a - sessions - dna
                status = next_status(
                    appointment_key, i, a, course, course.dna - dna, course.cancelled - missed
                )
                if status == ATTENDED:
                    sessions += 1
                    latest = a
                elif status == DNA:
                    dna += 1
            record[START, row] = course.start
            record[END, row] = course.end if course.end <= truth.last_day else -1
            record[N_SESSIONS, row] = sessions
            record[N_DNA, row] = dna
            record[N_CANCELLED, row] = seen - sessions - dna

            record[PHQ9_LAST, row] = record[GAD7_LAST, row] = record[ANXIETY_LAST, row] = -1
            if sessions > 1 and not measured_once(key, i, p, recovered, truth):
                at_end = last_scores(key, i, p, recovered, t)
                phq9, gad7, anxiety = scores_at(
                    appointment_key, i, latest, p, at_end, sessions - 1, course.sessions, t
                )
                record[PHQ9_LAST, row] = phq9
                record[GAD7_LAST, row] = gad7
                record[ANXIETY_LAST, row] = anxiety


@njit(**BARE)
def count_appointments(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, out: IntArray
) -> None:
    """Count the appointments of each episode up to the last day, into `out`, shape (N,)."""
    for j in range(j0, j1):
        key = therapist_key(seed, STREAM_PATIENT, c.number[j])
        for i in range(c.n[j]):
            p = draw_patient(key, i, j, c, t, truth)
            out[c.row[j] + i] = appointments_seen(draw_course(key, i, j, p, c, t, truth), truth.last_day)


@njit(**BARE)
def write_appointments(
    j0: int,
    j1: int,
    seed: np.uint64,
    c: Caseloads,
    t: Tables,
    truth: Truth,
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
            p = draw_patient(key, i, j, c, t, truth)
            course = draw_course(key, i, j, p, c, t, truth)
            recovered = draw_recovered(key, i, j, p, c, t, truth)
            at_end = last_scores(key, i, p, recovered, t)
            once = measured_once(key, i, p, recovered, truth)
            dna, cancelled = course.dna, course.cancelled
            k = 0
            for a in range(appointments_seen(course, truth.last_day)):
                row = first_row[c.row[j] + i] + a
                record[EPISODE, row] = c.row[j] + i
                record[NUMBER, row] = a
                record[DAY, row] = course.start + a * course.interval
                status = next_status(appointment_key, i, a, course, dna, cancelled)
                record[STATUS, row] = status
                for field in (PHQ9, GAD7, ANXIETY, WSAS):
                    record[field, row] = -1
                if status != ATTENDED:
                    dna -= status == DNA
                    cancelled -= status == CANCELLED
                    continue
                if k == 0 or not once:
                    phq9, gad7, anxiety = scores_at(appointment_key, i, a, p, at_end, k, course.sessions, t)
                    record[PHQ9, row] = phq9
                    record[GAD7, row] = gad7
                    record[ANXIETY, row] = anxiety
                if k == 0:
                    record[WSAS, row] = p.wsas
                k += 1
