"""Therapists with the truth about each, as functions of the seed and of their number alone.

What needs no table and no exponential is drawn for all of them in a loop that the compiler runs over several
therapists at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import JIT, inner
from ter.kernels.memory import fetch, put, read
from ter.kernels.normal import write_quantiles
from ter.kernels.patients import STREAM_THERAPIST
from ter.kernels.rng import bits, stream_key, uniform

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
UIntArray = NDArray[np.uint64]

_ONE = np.uint64(1)

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


class Workspace(NamedTuple):
    """The sequences of random numbers of some therapists, K of them, and room for what is made of them."""

    start: UIntArray  #: (K,)
    step: UIntArray  #: (K,)
    uniform: FloatArray  #: (K,)
    normal: FloatArray  #: (K,)
    found: IntArray  #: (K,)


@inner
def _uniform(w: Workspace, k: np.uint64, purpose: int) -> float:
    return uniform(bits(read(w.start, k), read(w.step, k), np.uint64(purpose)))


@inner
def _below(w: Workspace, k: np.uint64, purpose: int, n: int) -> int:
    """Give one of n numbers from 0, all alike."""
    return int(_uniform(w, k, purpose) * n)


@inner
def _begin_sequences(seed: np.uint64, numbers: IntArray, w: Workspace) -> None:
    for at in range(numbers.size):
        k = np.uint64(at)
        start, step = stream_key(seed, np.uint64(STREAM_THERAPIST), np.uint64(read(numbers, k)))
        put(w.start, k, start)
        put(w.step, k, step)


@inner
def _draw_normal(w: Workspace, purpose: int, sd: float, out: FloatArray) -> None:
    for at in range(out.size):
        put(w.uniform, np.uint64(at), _uniform(w, np.uint64(at), purpose))
    write_quantiles(w.uniform, w.found, out)
    for k in range(out.size):
        out[k] *= sd


@inner
def _draw_number(w: Workspace, purpose: int, first: int, n: int, out: IntArray) -> None:
    for at in range(out.size):
        put(out, np.uint64(at), first + _below(w, np.uint64(at), purpose, n))


@inner
def _draw_days(w: Workspace, team: Team, days: IntArray, mass: UIntArray, out: Therapists) -> None:
    """Draw when therapists were there."""
    n_days = days.size
    for at in range(w.start.size):
        k = np.uint64(at)
        joins = _uniform(w, k, _JOINS) < team.joining
        leaves = _uniform(w, k, _LEAVES) < team.leaving
        one = _below(w, k, _JOINING_DAY, n_days) if joins else 0
        other = _below(w, k, _LEAVING_DAY, n_days) if leaves else n_days - 1
        first, last = np.uint64(min(one, other)), np.uint64(max(one, other))
        before = fetch(days, np.uint64(0)) - _below(w, k, _JOINING_DAY, _DAYS_BEFORE)
        mass_before = fetch(mass, first)
        put(out.joined_day, k, fetch(days, first) if joins else before)
        put(out.left_day, k, fetch(days, last) if leaves else -1)
        put(out.mass_before, k, mass_before)
        put(out.mass, k, fetch(mass, last + _ONE) - mass_before)


@inner
def _draw_caseloads(w: Workspace, team: Team, all_mass: float, out: Therapists) -> None:
    """Draw caseloads: in proportion to the starts of the time that a therapist was there."""
    _draw_normal(w, _CASELOAD, team.spread, w.normal)
    for k in range(out.n.size):
        expected = team.caseload * (float(out.mass[k]) / all_mass)
        expected *= math.exp(w.normal[k] - team.spread**2 / 2)
        out.n[k] = int(expected + _uniform(w, np.uint64(k), _ROUNDING))


@inner
def _draw(w: Workspace, team: Team, days: IntArray, mass: UIntArray, out: Therapists) -> None:
    _draw_days(w, team, days, mass, out)
    _draw_caseloads(w, team, float(mass[days.size]), out)
    _draw_number(w, _HOME, 0, team.n_services, out.service)
    _draw_normal(w, _SHIFT, team.shift_sd, out.shift)
    _draw_normal(w, _EFFECT, team.effect_sd, out.effect)
    _draw_normal(w, _SLOPE, team.slope_sd, out.slope)
    _draw_normal(w, _COMPLETION, team.completion_sd, out.completion)
    _draw_number(w, _AGENCY, 0, team.n_agencies, out.agency)
    _draw_number(w, _DESIRED, _FEWEST_DESIRED, _MOST_DESIRED - _FEWEST_DESIRED + 1, out.desired)


@njit(**JIT)
def draw_therapists(
    seed: np.uint64, numbers: IntArray, team: Team, days: IntArray, mass: UIntArray, out: Therapists
) -> None:
    """Draw therapists.

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
    n = numbers.size
    w = Workspace(
        np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n), np.empty(n), np.empty(n, np.int64)
    )
    _begin_sequences(seed, numbers, w)
    _draw(w, team, days, mass, out)
