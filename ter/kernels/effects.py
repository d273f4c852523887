"""Joint draws of all therapists' effects, and ranks within them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import FAST, JIT
from ter.kernels.lanes import NO_SKEWNESS, skew_shape
from ter.kernels.rng import bits, stream_key, uniform
from ter.kernels.rows import IntArray

#: The stream of random numbers for joint draws of the effects; simulation has streams of its own.
STREAM_OF_EFFECTS = np.uint64(101)


@njit(**FAST)
def normal_quantile(p: float) -> float:
    """Standard normal quantile: Acklam's rational approximation (2003), its relative error below 1.2e-9."""
    tail = min(p, 1.0 - p)
    if tail < 0.02425:
        q = math.sqrt(-2.0 * math.log(tail))
        above = -7.784894002430293e-03 * q - 3.223964580411365e-01
        above = ((above * q - 2.400758277161838e00) * q - 2.549732539343734e00) * q + 4.374664141464968e00
        above = above * q + 2.938163982698783e00
        below = (7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996e00
        below = (below * q + 3.754408661907416e00) * q + 1.0
        x = above / below
        return x if p < 0.5 else -x
    q = p - 0.5
    r = q * q
    above = (-3.969683028665376e01 * r + 2.209460984245205e02) * r - 2.759285104469687e02
    above = (above * r + 1.383577518672690e02) * r - 3.066479806614716e01
    above = (above * r + 2.506628277459239e00) * q
    below = (-5.447609879822406e01 * r + 1.615858368580409e02) * r - 1.556989798598866e02
    below = ((below * r + 6.680131188771972e01) * r - 1.328068155288572e01) * r + 1.0
    return above / below


@njit(**FAST)
def effect_at(normal: float, skewness: float, a: float, q: float) -> float:
    """Standardised effect at a normal value's rank: the inverse of `conditional_cdf`; a, q: `skew_shape`."""
    if abs(skewness) < NO_SKEWNESS:
        return normal
    z = (math.exp(a * (normal if skewness > 0.0 else -normal) - 0.5 * a * a) - 1.0) / q
    return z if skewness > 0.0 else -z


@njit(**JIT)
def stratum(m: np.uint64, key: np.uint64, log2_size: int) -> np.uint64:
    """Place of m in a pseudo-random permutation of 0 .. 2^log2_size - 1: rounds that each can be undone."""
    mask = (np.uint64(1) << np.uint64(log2_size)) - np.uint64(1)
    half = np.uint64((log2_size + 1) // 2)
    x = m
    for shift in (np.uint64(0), np.uint64(21), np.uint64(42)):
        part = key >> shift
        x = (x * (part | np.uint64(1)) + (part >> np.uint64(7))) & mask
        x ^= x >> half
    return x


@njit(**FAST)
def joint_effects(
    lo: int,
    hi: int,
    units: IntArray,
    draw: IntArray,
    seed: np.uint64,
    mean: NDArray[np.float32],
    sd: NDArray[np.float32],
    skewness: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """out[j, m] = u_j of joint draw m, which comes from parameter draw `draw[m]`; M is a power of 2.

    A Latin hypercube (McKay, Beckman and Conover 1979): each therapist's M probabilities lie one in each of M
    equal strata, in an order of the therapist's own, so that what depends on one effect at a time has hardly
    any noise left. units (J,) number the therapists' random streams.
    """
    M = draw.size
    log2_size = 0
    while (1 << log2_size) < M:
        log2_size += 1
    for j in range(lo, hi):
        key, odd = stream_key(seed, STREAM_OF_EFFECTS, np.uint64(units[j]))
        permutation = bits(key, odd, np.uint64(M))
        before = -1
        a, q = 0.0, 0.0
        for m in range(M):
            place = float(stratum(np.uint64(m), permutation, log2_size))
            p = (place + uniform(bits(key, odd, np.uint64(m)))) / M
            p = min(max(p, 1e-12), 1.0 - 1e-12)
            d = draw[m]
            if d != before:
                # Draws that come from the same parameters stand together.
                a, q = skew_shape(skewness[j, d])
                before = d
            z = effect_at(normal_quantile(p), skewness[j, d], a, q)
            out[j, m] = mean[j, d] + sd[j, d] * z


@njit(**JIT)
def rank_draws(lo: int, hi: int, draws: NDArray[np.float32], ranks: NDArray[np.float32]) -> None:
    """Ranks of draws[:, m] for m from lo to hi, 1 for the highest; equal values share the mean of theirs."""
    J = draws.shape[0]
    column = np.empty(J, np.float32)
    for m in range(lo, hi):
        for j in range(J):
            column[j] = -draws[j, m]
        order = np.argsort(column)
        start = 0
        while start < J:
            stop = start + 1
            while stop < J and column[order[stop]] == column[order[start]]:
                stop += 1
            for k in range(start, stop):
                ranks[order[k], m] = 0.5 * (start + stop + 1)
            start = stop
