"""Caseloads: the outcomes of a range of therapists, counted or written down.

Each kernel takes therapists j0 to j1 - 1 and touches no other's rows, so that any partition, on any threads,
gives the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE, JIT
from ter.kernels.memory import put
from ter.kernels.patients import (
    AGE,
    ANXIETY,
    BLOCK,
    BLOCK_ROWS,
    CASE,
    COMPLETED,
    COURSE,
    DECILE,
    HISTORY,
    MOST_GROUPS,
    PROBLEM,
    RECOVERED,
    SCORES,
    SERVICE,
    START,
    STREAM_PATIENT,
    WSAS,
    Block,
    Caseloads,
    FloatArray,
    IntArray,
    Key,
    Tables,
    Truth,
    draw_block,
    therapist_key,
)

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint16]


class Record(NamedTuple):
    """What is drawn of N patients, as numbered in the tables: their case mix, course and outcome."""

    service: NDArray[np.int32]  #: (N,)
    decile: Bytes  #: (N,) decile - 1, and 10 more where it is not recorded
    age: Bytes  #: (N,) years
    problem: Bytes  #: (N,) place among the tables' problems
    scores: Words  #: (N,) PHQ-9 · 22 + GAD-7
    wsas: Bytes  #: (N,) 41: not recorded
    history: Words  #: (N,) earlier episodes · number of waits + wait
    groups: Words  #: (G · N,) combination of levels in each group of factors, group by group
    anxiety: NDArray[np.int16]  #: (N,) -1: no specific measure
    course: Words  #: (N,)
    start: Words  #: (N,) days after the first
    completed: Bytes  #: (N,) 1: by the last day
    case: Bytes  #: (N,) 1: at caseness
    recovered: Bytes  #: (N,) 1: at the end of the course
    log_odds: FloatArray  #: (N,) of recovery


@njit(**JIT)
def new_block() -> Block:
    """Make room for a block of patients."""
    pairs = (MOST_GROUPS // 2, BLOCK)
    return Block(
        np.zeros(BLOCK_ROWS * BLOCK, np.int64),
        np.zeros(pairs, np.int64),
        np.zeros(pairs, np.int64),
        np.zeros(BLOCK),
    )


@njit(**BARE)
def _count(j: int, key: Key, c: Caseloads, t: Tables, truth: Truth, b: Block, out: IntArray) -> None:
    completed = 0
    cases = 0
    recovered = 0
    for first in range(0, c.n[j], BLOCK):
        size = min(BLOCK, c.n[j] - first)
        draw_block(size, first, key, j, c, t, truth, b)
        for k in range(size):
            m = np.uint64(k)
            done = b.whole[COMPLETED + m]
            case = done & b.whole[CASE + m]
            completed += done
            cases += case
            recovered += case & b.whole[RECOVERED + m]
    out[j, 0] = c.n[j]
    out[j, 1] = completed
    out[j, 2] = cases
    out[j, 3] = recovered


@njit(**JIT)
def count_outcomes(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, out: IntArray
) -> None:
    """Count the outcomes of therapists j0 to j1 - 1 without writing a row.

    Parameters
    ----------
    out : ndarray of int64, shape (J, 4)
        Takes episodes, completed, completed at caseness, and recovered among those.
    """
    b = new_block()
    for j in range(j0, j1):
        _count(j, therapist_key(seed, STREAM_PATIENT, c.number[j]), c, t, truth, b, out)


@njit(**BARE)
def _keep(size: int, row: int, n_groups: int, b: Block, r: Record) -> None:
    """Copy a block into the record, each field in its own loop."""
    to = np.uint64(row)
    n = np.uint64(r.service.size)
    for k in range(size):
        m = np.uint64(k)
        put(r.service, to + m, np.int32(b.whole[SERVICE + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.decile, to + m, np.uint8(b.whole[DECILE + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.age, to + m, np.uint8(b.whole[AGE + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.problem, to + m, np.uint8(b.whole[PROBLEM + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.scores, to + m, np.uint16(b.whole[SCORES + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.wsas, to + m, np.uint8(b.whole[WSAS + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.history, to + m, np.uint16(b.whole[HISTORY + m]))
    for pair in range(n_groups // 2):
        at = np.uint64(2 * pair) * n + to
        for k in range(size):
            m = np.uint64(k)
            put(r.groups, at + m, np.uint16(b.even_groups[pair, k]))
        for k in range(size):
            m = np.uint64(k)
            put(r.groups, at + n + m, np.uint16(b.odd_groups[pair, k]))
    for k in range(size):
        m = np.uint64(k)
        put(r.anxiety, to + m, np.int16(b.whole[ANXIETY + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.course, to + m, np.uint16(b.whole[COURSE + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.start, to + m, np.uint16(b.whole[START + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.completed, to + m, np.uint8(b.whole[COMPLETED + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.case, to + m, np.uint8(b.whole[CASE + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.recovered, to + m, np.uint8(b.whole[RECOVERED + m]))
    for k in range(size):
        m = np.uint64(k)
        put(r.log_odds, to + m, b.log_odds[m])


@njit(**BARE)
def _write(j: int, key: Key, c: Caseloads, t: Tables, truth: Truth, b: Block, r: Record) -> None:
    for first in range(0, c.n[j], BLOCK):
        size = min(BLOCK, c.n[j] - first)
        draw_block(size, first, key, j, c, t, truth, b)
        _keep(size, c.row[j] + first, t.group_first.size, b, r)


@njit(**JIT)
def write_record(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, record: Record
) -> None:
    """Write what is drawn of the patients of therapists j0 to j1 - 1."""
    b = new_block()
    for j in range(j0, j1):
        _write(j, therapist_key(seed, STREAM_PATIENT, c.number[j]), c, t, truth, b, record)
