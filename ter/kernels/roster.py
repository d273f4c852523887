"""Therapists with the truth about each, as functions of the seed and of their number alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE
from ter.kernels.normal import normal_quantile
from ter.kernels.patients import STREAM_THERAPIST
from ter.kernels.rng import bits, stream_key, uniform

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
UIntArray = NDArray[np.uint64]

# Counters of a therapist's stream: one for each purpose.
(
    _HOME,
    _SHIFT,
    _EFFECT,
    _SLOPE,
    _COMPLETION,
    _JOINS,
    _JOINING_DAY,
    _CASELOAD,
    _ROUNDING,
    _AGENCY,
    _DESIRED,
    _LEAVES,
    _LEAVING_DAY,
) = range(13)

# Days before the period over which those had joined who were there from its start.
_DAYS_BEFORE = 8 * 365
# Patients at a time that therapists would like to have.
_FEWEST_DESIRED, _MOST_DESIRED = 10, 30


class Team(NamedTuple):
    """What therapists are drawn from."""

    joining: float  #: share that joins during the period
    leaving: float  #: share that leaves during it
    caseload: float  #: mean of who is there throughout
    spread: float  #: SD of the logarithm of the caseload
    shift_sd: float
    effect_sd: float
    slope_sd: float
    completion_sd: float
    n_services: int
    n_agencies: int


class Therapists(NamedTuple):
    """Therapists that were drawn, J of them; the fields are those of `Caseloads` and of a roster."""

    n: IntArray  #: (J,) episodes
    service: IntArray  #: (J,)
    shift: FloatArray  #: (J,)
    effect: FloatArray  #: (J,)
    slope: FloatArray  #: (J,)
    completion: FloatArray  #: (J,)
    mass_before: UIntArray  #: (J,)
    mass: UIntArray  #: (J,)
    joined_day: IntArray  #: (J,) days since 1970-01-01
    left_day: IntArray  #: (J,) -1 for who stays
    agency: IntArray  #: (J,)
    desired: IntArray  #: (J,)


def new_therapists(n: int) -> Therapists:
    """Make room for `n` therapists."""
    return Therapists(
        n=np.empty(n, np.int64),
        service=np.empty(n, np.int64),
        shift=np.empty(n),
        effect=np.empty(n),
        slope=np.empty(n),
        completion=np.empty(n),
        mass_before=np.empty(n, np.uint64),
        mass=np.empty(n, np.uint64),
        joined_day=np.empty(n, np.int64),
        left_day=np.empty(n, np.int64),
        agency=np.empty(n, np.int64),
        desired=np.empty(n, np.int64),
    )


@njit(**BARE)
def _uniform(start: np.uint64, step: np.uint64, purpose: int) -> float:
    return uniform(bits(start, step, np.uint64(purpose)))


@njit(**BARE)
def _normal(start: np.uint64, step: np.uint64, purpose: int) -> float:
    return normal_quantile(_uniform(start, step, purpose))


@njit(**BARE)
def _below(start: np.uint64, step: np.uint64, purpose: int, n: int) -> int:
    """Give one of n numbers from 0, all alike."""
    return int(_uniform(start, step, purpose) * n)


@njit(**BARE)
def draw_therapists(
    j0: int,
    j1: int,
    seed: np.uint64,
    numbers: IntArray,
    team: Team,
    days: IntArray,
    mass: UIntArray,
    out: Therapists,
) -> None:
    """Draw the therapists j0 to j1 - 1.

    Parameters
    ----------
    seed : uint64
    numbers : ndarray of int64, shape (J,)
        Which therapists of the network these are.
    team : Team
    days, mass : ndarray
        Of the calendar: the days on which a treatment may start, and the mass of starts before each.
    out : Therapists
        Takes them.
    """
    n_days, all_mass = days.size, float(mass[days.size])
    for j in range(j0, j1):
        start, step = stream_key(seed, np.uint64(STREAM_THERAPIST), np.uint64(numbers[j]))
        joins = _uniform(start, step, _JOINS) < team.joining
        leaves = _uniform(start, step, _LEAVES) < team.leaving
        first = _below(start, step, _JOINING_DAY, n_days) if joins else 0
        last = _below(start, step, _LEAVING_DAY, n_days) if leaves else n_days - 1
        first, last = min(first, last), max(first, last)
        before = days[0] - _below(start, step, _JOINING_DAY, _DAYS_BEFORE)
        out.joined_day[j] = days[first] if joins else before
        out.left_day[j] = days[last] if leaves else -1
        # Caseloads are in proportion to the starts of the time that a therapist was there.
        out.mass_before[j] = mass[first]
        out.mass[j] = mass[last + 1] - mass[first]
        expected = team.caseload * (float(out.mass[j]) / all_mass)
        expected *= math.exp(team.spread * _normal(start, step, _CASELOAD) - team.spread**2 / 2)
        out.n[j] = int(expected + _uniform(start, step, _ROUNDING))
        out.service[j] = _below(start, step, _HOME, team.n_services)
        out.shift[j] = team.shift_sd * _normal(start, step, _SHIFT)
        out.effect[j] = team.effect_sd * _normal(start, step, _EFFECT)
        out.slope[j] = team.slope_sd * _normal(start, step, _SLOPE)
        out.completion[j] = team.completion_sd * _normal(start, step, _COMPLETION)
        out.agency[j] = _below(start, step, _AGENCY, team.n_agencies)
        out.desired[j] = _FEWEST_DESIRED + _below(start, step, _DESIRED, _MOST_DESIRED - _FEWEST_DESIRED + 1)
