"""Outcomes of the same cases (patients, or cells of like patients), drawn again."""

from __future__ import annotations

import numpy as np
from numba import njit

from ter.kernels._jit import JIT
from ter.kernels.rows import FloatArray, IntArray

#: NumPy inverts the distribution function of a binomial whose rarer outcome is expected up to so often.
MOST_INVERTED = 30.0


@njit(**JIT)
def draw_count(rng: np.random.Generator, n: int, odds: float) -> int:
    """Draw from Binomial(n, odds / (1 + odds)): what `rng.binomial` gives, in half the time."""
    ratio = min(odds, 1.0 / odds)
    other = 1.0 / (1.0 + ratio)
    if n * ratio * other > MOST_INVERTED:
        return int(rng.binomial(n, odds / (1.0 + odds)))
    left = rng.random()
    share = other**n
    rare = 0
    while left > share and rare < n:
        rare += 1
        left -= share
        share *= (n - rare + 1) * ratio / rare
    return rare if odds <= 1.0 else n - rare


@njit(**JIT)
def draw_residuals(
    rng: np.random.Generator,
    single: bool,
    n: IntArray,
    odds: FloatArray,
    centre: FloatArray,
    lever: FloatArray,
    therapist: IntArray,
    factor: FloatArray,
    residual: FloatArray,
    slope: FloatArray,
) -> None:
    """Draw the outcomes of all cases, and add up by therapist how far they lie from what was expected.

    Read, by case (C,): n, patients, each 1 if `single`; odds without the therapist's effect; centre, expected
    recoveries; lever, what a residual is multiplied by in a slope; therapist. And factor (J,), by which a
    therapist multiplies the odds. Added to: residual and slope (J,).
    """
    for c in range(odds.size):
        j = therapist[c]
        own = odds[c] * factor[j]
        y = int(rng.random() * (1.0 + own) < own) if single else draw_count(rng, n[c], own)
        residual[j] += y - centre[c]
        slope[j] += lever[c] * (y - centre[c])
