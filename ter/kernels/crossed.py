"""Algebra with the Hessian of two crossed factors, cell by cell.

    H = [[D, C], [C', E]],  A = E - C' D^-1 C

D is diagonal (inner factor), C holds the cells' weights, and A is the Schur complement (outer factor). Each
function does the inner levels lo to hi. For each of n parameters there are rows of n numbers, over which the
innermost loops run.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.rows import FloatArray, Rows


@njit(**FAST)
def reduce_inner(
    lo: int,
    hi: int,
    rows: Rows,
    weight: FloatArray,
    residual: FloatArray,
    u: FloatArray,
    precision: float,
    inverse: FloatArray,
    inner: FloatArray,
    schur: FloatArray,
    outer: FloatArray,
) -> float:
    """Eliminate the inner effects from H and from the gradient; returns log det D, in units of the prior's.

    Read: weight and residual (C,), the cells' sums; u (J,); precision, of the prior. Written: inverse (J,),
    of D, and inner (J,), the gradient in u. Added to: the lower triangle of schur (S, S), E - C' D^-1 C, and
    outer (S,), what is left of the gradient in v; both without the prior of v.
    """
    log_det = 0.0
    for j in range(lo, hi):
        first = rows.unit_cells[j]
        last = rows.unit_cells[j + 1]
        total = precision
        slope = -precision * u[j]
        for c in range(first, last):
            total += weight[c]
            slope += residual[c]
        h = 1.0 / total
        inverse[j] = h
        inner[j] = slope
        log_det += math.log(total / precision)
        # An inner level's cells are in the order of outer levels.
        for c in range(first, last):
            f = h * weight[c]
            s = rows.cell_outer[c]
            outer[s] += residual[c] - f * slope
            schur[s, s] += weight[c]
            for d in range(first, c + 1):
                schur[s, rows.cell_outer[d]] -= f * weight[d]
    return log_det


@njit(**FAST)
def sum_cells(lo: int, hi: int, rows: Rows, values: FloatArray, inner: FloatArray, outer: FloatArray) -> None:
    """Cells' values (C,) summed by level: inner (J,) is written, outer (S,) added to."""
    for j in range(lo, hi):
        total = 0.0
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            total += values[c]
            outer[rows.cell_outer[c]] += values[c]
        inner[j] = total


@njit(**FAST)
def add_levels(
    lo: int, hi: int, rows: Rows, inner: FloatArray, outer: FloatArray, values: FloatArray
) -> None:
    """Give the cells the sums of their levels' values: inner (J,), outer (S,), values (C,)."""
    for j in range(lo, hi):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            values[c] = inner[j] + outer[rows.cell_outer[c]]


@njit(**FAST)
def eliminate(
    lo: int,
    hi: int,
    rows: Rows,
    weight: FloatArray,
    inverse: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
) -> None:
    """Take C' D^-1 inner (J, n) from outer (S, n): what is left once the inner effects are gone."""
    n = inner.shape[1]
    for j in range(lo, hi):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            f = inverse[j] * weight[c]
            s = rows.cell_outer[c]
            for a in range(n):
                outer[s, a] -= f * inner[j, a]


@njit(**FAST)
def substitute(
    lo: int,
    hi: int,
    rows: Rows,
    weight: FloatArray,
    inverse: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
) -> None:
    """Inner (J, n) becomes D^-1 (inner - C outer), for outer (S, n)."""
    n = inner.shape[1]
    for j in range(lo, hi):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            s = rows.cell_outer[c]
            for a in range(n):
                inner[j, a] -= weight[c] * outer[s, a]
        for a in range(n):
            inner[j, a] *= inverse[j]


@njit(**FAST)
def across(lo: int, hi: int, rows: Rows, weight: FloatArray, outer: FloatArray, out: FloatArray) -> None:
    """Add C outer to out (J, n), C holding any weights of the cells."""
    n = outer.shape[1]
    for j in range(lo, hi):
        for c in range(rows.unit_cells[j], rows.unit_cells[j + 1]):
            s = rows.cell_outer[c]
            for a in range(n):
                out[j, a] += weight[c] * outer[s, a]


@njit(**FAST)
def variances(
    lo: int,
    hi: int,
    rows: Rows,
    weight: FloatArray,
    inverse: FloatArray,
    outer_inverse: FloatArray,
    inner_variance: FloatArray,
    leverage: FloatArray,
) -> None:
    """Variances under H^-1: of u_j (J,), and of u_j + v_s for each cell (C,). outer_inverse is A^-1."""
    for j in range(lo, hi):
        first = rows.unit_cells[j]
        last = rows.unit_cells[j + 1]
        h = inverse[j]
        for c in range(first, last):
            s = rows.cell_outer[c]
            r = 0.0
            for d in range(first, last):
                r += weight[d] * outer_inverse[s, rows.cell_outer[d]]
            r *= inverse[j]
            h += inverse[j] * weight[c] * r
            leverage[c] = outer_inverse[s, s] - 2.0 * r
        inner_variance[j] = h
        for c in range(first, last):
            leverage[c] += h


@njit(**FAST)
def hessian_changes(
    lo: int,
    hi: int,
    rows: Rows,
    weight: FloatArray,
    third: FloatArray,
    cell_k: FloatArray,
    inverse: FloatArray,
    outer_inverse: FloatArray,
    crossed: bool,
    prior: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    diagonal: FloatArray,
    moved: FloatArray,
    solved: FloatArray,
    change: FloatArray,
) -> None:
    """How H moves with each of n parameters, by the inner levels lo to hi.

    A cell's weight moves by K = cell_k (C, P) + third (inner + outer), with inner (J, n) and outer (S, n) how
    the modes move with n >= P parameters; the diagonal of D moves by prior (n,) besides. Written, from the
    first of the levels and of their cells on: diagonal (hi - lo, n), how D moves; and, if `crossed`, moved
    and solved (cells, n), which give 2 inverse moved' solved of tr(H^-1 dH H^-1 dH). Added to change
    (S, S, n): what with its transpose is dA without prior terms.
    """
    n = inner.shape[1]
    P = cell_k.shape[1]
    base = rows.unit_cells[lo]
    for j in range(lo, hi):
        first = rows.unit_cells[j]
        cells = rows.unit_cells[j + 1] - first
        mine = slice(first - base, first - base + cells)
        own = moved[mine]
        total = diagonal[j - lo]
        total[:] = prior
        for c in range(cells):
            s = rows.cell_outer[first + c]
            k = third[first + c]
            for a in range(n):
                own[c, a] = k * (inner[j, a] + outer[s, a])
            for a in range(P):
                own[c, a] += cell_k[first + c, a]
            for a in range(n):
                total[a] += own[c, a]
                change[s, s, a] += 0.5 * own[c, a]
        if not crossed:
            continue
        among = np.empty((cells, cells))
        for c in range(cells):
            s = rows.cell_outer[first + c]
            half = 0.5 * weight[first + c] * inverse[j]
            for a in range(n):
                own[c, a] -= half * total[a]
            for d in range(cells):
                f = weight[first + d] * inverse[j]
                t = rows.cell_outer[first + d]
                among[c, d] = outer_inverse[s, t]
                for a in range(n):
                    change[s, t, a] -= f * own[c, a]
            for a in range(n):
                own[c, a] -= half * total[a]
        np.dot(among, own, solved[mine])
