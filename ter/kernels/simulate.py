"""Caseloads: the outcomes of a range of therapists, counted or written down.

Each kernel takes therapists j0 to j1 - 1 and touches no other's rows, so that any partition, on any threads,
gives the same.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ter.kernels._jit import BARE, JIT
from ter.kernels.patients import (
    BLOCK,
    STREAM_PATIENT,
    Batch,
    Caseloads,
    IntArray,
    Key,
    Record,
    Tables,
    Truth,
    draw_batch,
    therapist_key,
    whole_steps,
)


@njit(**JIT)
def new_record(n: int, n_groups: int) -> Record:
    """Make room for what is drawn of `n` patients with their groups of factors."""
    return Record(
        np.empty(n, np.int32),
        np.empty(n, np.uint8),
        np.empty(n, np.uint8),
        np.empty(n, np.uint8),
        np.empty(n, np.uint16),
        np.empty(n, np.uint8),
        np.empty(n, np.uint16),
        np.empty(n_groups // 2 * n, np.uint32),
        np.empty(n, np.int16),
        np.empty(n, np.uint16),
        np.empty(n, np.uint16),
        np.empty(n, np.uint8),
        np.empty(n, np.uint8),
        np.empty(n, np.uint8),
        np.empty(n),
    )


@njit(**BARE)
def _count(j: int, key: Key, c: Caseloads, t: Tables, truth: Truth, r: Record, out: IntArray) -> None:
    completed = np.int64(0)
    cases = np.int64(0)
    recovered = np.int64(0)
    for first in range(0, c.n[j], BLOCK):
        size = min(BLOCK, c.n[j] - first)
        # The row is 0, but the compiler must not know: what it then makes of `draw_pair` it cannot vectorise.
        draw_batch(Batch(key, j, first, whole_steps(size), np.uint64(first % BLOCK)), c, t, truth, r)
        for k in range(whole_steps(size)):
            m = np.uint64(k)
            done = np.int64(r.completed[m]) & np.int64(k < size)  # what fills the last step does not count
            case = done & np.int64(r.case[m])
            completed += done
            cases += case
            recovered += case & np.int64(r.recovered[m])
    out[j, 0] = c.n[j]
    out[j, 1] = completed
    out[j, 2] = cases
    out[j, 3] = recovered


@njit(**JIT)
def count_outcomes(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, out: IntArray
) -> None:
    """Count the outcomes of therapists j0 to j1 - 1 without keeping a row.

    Parameters
    ----------
    out : ndarray of int64, shape (J, 4)
        Takes episodes, completed, completed at caseness, and recovered among those.
    """
    record = new_record(BLOCK, t.group_first.size)
    for j in range(j0, j1):
        _count(j, therapist_key(seed, STREAM_PATIENT, c.number[j]), c, t, truth, record, out)


@njit(**BARE)
def write_record(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, record: Record
) -> None:
    """Write what is drawn of the patients of therapists j0 to j1 - 1.

    What fills a batch's last step is overwritten by the next patients; beyond the last row nothing is
    touched.
    """
    if j0 == j1:
        return
    end = c.row[j1 - 1] + c.n[j1 - 1]
    for j in range(j0, j1):
        key = therapist_key(seed, STREAM_PATIENT, c.number[j])
        for first in range(0, c.n[j], BLOCK):
            row = c.row[j] + first
            size = min(whole_steps(min(BLOCK, c.n[j] - first)), end - row)
            draw_batch(Batch(key, j, first, size, np.uint64(row)), c, t, truth, record)
