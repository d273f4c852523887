"""Sums by level."""

from __future__ import annotations

import numpy as np

from ter.features.design import FloatArray, IntArray


def sum_by(index: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Sums of `values` (N,) by the level in `index` (N,): shape (n,)."""
    return np.bincount(index, values, n).astype(np.float64, copy=False)
