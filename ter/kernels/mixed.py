"""Elimination of one factor's effects, one or two a level, against any number of other factors'.

Effects are in units of their prior: z ~ N(0, 1). The negative Hessian of the joint log-density in (z_inner,
z_outer) is

    [ D   B ]        D: a block of d x d for each inner level; B: rows of an inner level that are not zero
    [ B'  C ]        stand in the outer levels that its rows belong to, its local columns.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.rows import FloatArray, IntArray


@njit(**FAST)
def local_columns(
    row_ptr: IntArray, outer: IntArray, n_outer: int, column_ptr: IntArray, columns: IntArray, place: IntArray
) -> None:
    """The outer levels that each inner level's rows belong to, in the order of their first row.

    Read: outer (N, T), a level of each of T outer factors for every row, numbered through from 0 to n_outer.
    Written: column_ptr (J + 1,), columns (at most N T,), and place (N, T), where among its inner level's
    columns each row's levels stand.
    """
    found = np.full(n_outer, -1, np.int64)
    n = 0
    column_ptr[0] = 0
    for j in range(row_ptr.size - 1):
        start = n
        for i in range(row_ptr[j], row_ptr[j + 1]):
            for t in range(outer.shape[1]):
                c = outer[i, t]
                if found[c] < start:
                    found[c] = n
                    columns[n] = c
                    n += 1
                place[i, t] = found[c] - start
        column_ptr[j + 1] = n


@njit(**FAST)
def eliminate_inner(
    row_ptr: IntArray,
    inner: FloatArray,
    scale: FloatArray,
    outer: IntArray,
    place: IntArray,
    column_ptr: IntArray,
    columns: IntArray,
    weight: FloatArray,
    inverse: FloatArray,
    cross: FloatArray,
    schur: FloatArray,
) -> float:
    """Blocks of the Hessian; returns log det D.

    Read: inner (N, d) and scale (T,), what the effects of a row are multiplied by; weight (N,). Written:
    inverse (J, d, d) of D, cross (columns, d), B'. Added to: schur (S, S), C - B' D^-1 B without the prior's
    1 on the diagonal of C.
    """
    d = inner.shape[1]
    T = scale.size
    log_det = 0.0
    cross[:] = 0.0
    for j in range(row_ptr.size - 1):
        start = column_ptr[j]
        m = column_ptr[j + 1] - start
        a = 1.0
        b = 0.0
        c = 1.0
        for i in range(row_ptr[j], row_ptr[j + 1]):
            w = weight[i]
            a += w * inner[i, 0] * inner[i, 0]
            if d == 2:
                b += w * inner[i, 0] * inner[i, 1]
                c += w * inner[i, 1] * inner[i, 1]
            for t in range(T):
                ws = w * scale[t]
                for e in range(d):
                    cross[start + place[i, t], e] += ws * inner[i, e]
                for r in range(T):
                    schur[outer[i, t], outer[i, r]] += ws * scale[r]
        det = a * c - b * b if d == 2 else a
        log_det += np.log(det)
        if d == 2:
            inverse[j, 0, 0] = c / det
            inverse[j, 0, 1] = -b / det
            inverse[j, 1, 0] = -b / det
            inverse[j, 1, 1] = a / det
        else:
            inverse[j, 0, 0] = 1.0 / a
        for k in range(m):
            for e in range(d):
                f = 0.0
                for g in range(d):
                    f += inverse[j, e, g] * cross[start + k, g]
                for r in range(m):
                    schur[columns[start + k], columns[start + r]] -= f * cross[start + r, e]
    return log_det


@njit(**FAST)
def row_covariances(
    row_ptr: IntArray,
    inner: FloatArray,
    scale: FloatArray,
    outer: IntArray,
    place: IntArray,
    column_ptr: IntArray,
    columns: IntArray,
    inverse: FloatArray,
    cross: FloatArray,
    outer_inverse: FloatArray,
    variance: FloatArray,
    inner_pull: FloatArray,
    outer_pull: FloatArray,
) -> None:
    """Covariances under the inverse Hessian of each row's linear predictor with its own effects.

    Read: outer_inverse (S, S), the inverse of the Schur complement. Written: variance (J, d, d) of the inner
    effects; inner_pull (N, d) and outer_pull (N, T).
    """
    d = inner.shape[1]
    T = scale.size
    most = 1
    for j in range(row_ptr.size - 1):
        most = max(most, column_ptr[j + 1] - column_ptr[j])
    solved = np.empty((most, d))
    mixed = np.empty((most, d))
    for j in range(row_ptr.size - 1):
        start = column_ptr[j]
        m = column_ptr[j + 1] - start
        # solved = B' D^-1, mixed = M B' D^-1 = minus the covariance of local outer with inner effects.
        for k in range(m):
            for e in range(d):
                f = 0.0
                for g in range(d):
                    f += cross[start + k, g] * inverse[j, g, e]
                solved[k, e] = f
        for k in range(m):
            for e in range(d):
                f = 0.0
                for r in range(m):
                    f += outer_inverse[columns[start + k], columns[start + r]] * solved[r, e]
                mixed[k, e] = f
        for e in range(d):
            for g in range(d):
                f = inverse[j, e, g]
                for k in range(m):
                    f += solved[k, e] * mixed[k, g]
                variance[j, e, g] = f
        for i in range(row_ptr[j], row_ptr[j + 1]):
            for e in range(d):
                f = 0.0
                for g in range(d):
                    f += variance[j, e, g] * inner[i, g]
                for t in range(T):
                    f -= mixed[place[i, t], e] * scale[t]
                inner_pull[i, e] = f
            for t in range(T):
                f = 0.0
                for r in range(T):
                    f += outer_inverse[outer[i, t], outer[i, r]] * scale[r]
                for e in range(d):
                    f -= mixed[place[i, t], e] * inner[i, e]
                outer_pull[i, t] = f
