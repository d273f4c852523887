"""Caseloads: the outcomes of a range of therapists, counted or written down.

Each kernel takes therapists j0 to j1 - 1 and touches no other's rows, so that any partition, on any threads,
gives the same.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ter.kernels._jit import BARE, JIT, inner
from ter.kernels.blocks import SEATS, Block, new_block, seat
from ter.kernels.patients import (
    N_GAD7,
    N_WSAS,
    Caseloads,
    FloatArray,
    IntArray,
    Record,
    Tables,
    Truth,
    phq9_of,
)
from ter.kernels.stages import draw_block

# Three counts in one number, ten bits each: a block has fewer than 1,024 patients.
_BITS, _COUNT = np.uint32(10), np.uint32(1023)


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
        np.empty(n_groups * n, np.uint8),
        np.empty(n, np.int16),
        np.empty(n, np.uint16),
        np.empty(n, np.uint16),
        np.empty(n, np.uint8),
        np.empty(n, np.uint8),
        np.empty(n, np.uint8),
    )


@njit(**BARE)
def _tally(first: int, last: int, r: Record) -> np.uint32:
    """Count who completed, who of them was at caseness, and who of those recovered."""
    total = np.uint32(0)
    for k in range(first, last):
        m = np.uint64(k)
        done = np.uint32(r.completed[m])
        case = np.uint32(done & r.case[m])
        recovered = np.uint32(case & r.recovered[m])
        total = np.uint32(total + (done | case << _BITS | recovered << (_BITS + _BITS)))
    return total


@inner
def _count(
    j0: int,
    j1: int,
    seed: np.uint64,
    c: Caseloads,
    t: Tables,
    truth: Truth,
    b: Block,
    r: Record,
    out: IntArray,
) -> None:
    for j in range(j0, j1):
        out[j, 0] = c.n[j]
        out[j, 1:] = 0
    j, i = j0, 0
    while j < j1:
        of, number = j, i
        j, i, n = seat(j, i, j1, seed, c, t, truth, b)
        draw_block(n, np.uint64(0), c, t, truth, b, r)
        first = 0
        while first < n:
            last = min(first + c.n[of] - number, n)
            total = _tally(first, last, r)
            out[of, 1] += total & _COUNT
            out[of, 2] += (total >> _BITS) & _COUNT
            out[of, 3] += total >> (_BITS + _BITS)
            of, number, first = of + 1, 0, last


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
    block, record = new_block(c, t), new_record(SEATS, t.group_first.size)
    _count(j0, j1, seed, c, t, truth, block, record, out)


@inner
def _write(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, b: Block, record: Record
) -> None:
    j, i = j0, 0
    row = np.uint64(c.row[j0])
    while j < j1:
        j, i, n = seat(j, i, j1, seed, c, t, truth, b)
        draw_block(n, row, c, t, truth, b, record)
        row += np.uint64(n)


@njit(**JIT)
def write_record(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, record: Record
) -> None:
    """Write what is drawn of the patients of therapists j0 to j1 - 1, whose rows follow each other."""
    if j0 < j1:
        _write(j0, j1, seed, c, t, truth, new_block(c, t), record)


@njit(**BARE)
def write_log_odds(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, r: Record, out: FloatArray
) -> None:
    """Write the log-odds of recovery of the patients of therapists j0 to j1 - 1, in double precision.

    The truth: outcomes are drawn from the same sum in single precision (`stages`).
    """
    n_groups = t.group_first.size
    for j in range(j0, j1):
        slope = c.slope[j] / truth.severity_scale
        base = truth.intercept + c.effect[j] - slope * truth.severity_centre
        for row in range(c.row[j], c.row[j] + c.n[j]):
            phq9 = phq9_of(np.int64(r.scores[row]))
            gad7 = np.int64(r.scores[row]) - N_GAD7 * phq9
            decile, wsas, history = np.int64(r.decile[row]), np.int64(r.wsas[row]), np.int64(r.history[row])
            prior = np.int64((float(history) + 0.5) * truth.waits_inverse)
            eta = base + (truth.phq9 + slope) * float(phq9) + truth.gad7 * float(gad7)
            eta += truth.age * float(r.age[row]) + t.problem_effect[r.problem[row]]
            eta += truth.imd_missing if decile >= 10 else truth.imd * float(decile)
            eta += truth.wsas_missing if wsas >= N_WSAS - 1 else truth.wsas * float(wsas)
            eta += truth.prior * float(prior) + truth.wait * float(history - prior * truth.n_waits)
            for group in range(n_groups):
                cell = np.int64(r.cells[group * r.service.size + row])
                eta += t.group_effect[np.int64(t.group_effect_first[group]) + cell]
            out[row] = eta + c.service_effect[r.service[row]]
