"""Weighted sums of x x' over blocks of rows."""

from __future__ import annotations

from numba import njit

from ter.kernels._jit import FAST
from ter.kernels.rows import FloatArray

#: Rows in a block: their columns fit the cache.
BLOCK = 256


@njit(**FAST)
def turn(x: FloatArray, n: int, turned: FloatArray) -> None:
    """turned[i] = x[:, i] for the first n of a block's rows: x (P, BLOCK), turned (BLOCK, P).

    A cell may have a single row, over whose columns loops run then.
    """
    for i in range(n):
        for p in range(x.shape[0]):
            turned[i, p] = x[p, i]


@njit(**FAST)
def add_products(x: FloatArray, w: FloatArray, wx: FloatArray, out: FloatArray) -> None:
    """Add sum_i w_i x_i x_i' to the lower triangle of out: x (P, BLOCK), in tiles of two rows by four."""
    P = x.shape[0]
    for a in range(0, P, 2):
        second = min(a + 1, P - 1)
        for i in range(BLOCK):
            wx[0, i] = w[i] * x[a, i]
            wx[1, i] = w[i] * x[second, i]
        b = 0
        while b <= second:
            b1 = min(b + 1, P - 1)
            b2 = min(b + 2, P - 1)
            b3 = min(b + 3, P - 1)
            s0 = 0.0
            s1 = 0.0
            s2 = 0.0
            s3 = 0.0
            t0 = 0.0
            t1 = 0.0
            t2 = 0.0
            t3 = 0.0
            for i in range(BLOCK):
                f = wx[0, i]
                g = wx[1, i]
                x0 = x[b, i]
                x1 = x[b1, i]
                x2 = x[b2, i]
                x3 = x[b3, i]
                s0 += f * x0
                s1 += f * x1
                s2 += f * x2
                s3 += f * x3
                t0 += g * x0
                t1 += g * x1
                t2 += g * x2
                t3 += g * x3
            out[a, b] += s0
            if b + 1 < P:
                out[a, b + 1] += s1
            if b + 2 < P:
                out[a, b + 2] += s2
            if b + 3 < P:
                out[a, b + 3] += s3
            if a + 1 < P:
                out[a + 1, b] += t0
                if b + 1 < P:
                    out[a + 1, b + 1] += t1
                if b + 2 < P:
                    out[a + 1, b + 2] += t2
                if b + 3 < P:
                    out[a + 1, b + 3] += t3
            b += 4
