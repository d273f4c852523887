"""Therapists and services of a scenario, with the truth about each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ter.kernels.normal import normal_quantiles
from ter.kernels.parallel import map_partitions
from ter.kernels.patients import STREAM_SERVICE, STREAM_THERAPIST, Caseloads
from ter.kernels.rng import unit_uniforms
from ter.simulation.calendar import MASS, Calendar
from ter.simulation.scenario import Scenario

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Counters of the streams of therapists and services: one for each purpose.
_SERVICE_SHIFT, _SERVICE_EFFECT, _SERVICE_TILT = range(_SERVICE_PURPOSES := 3)
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
) = range(_PURPOSES := 13)
_NORMAL = (_SHIFT, _EFFECT, _SLOPE, _COMPLETION, _CASELOAD)

AGENCIES = ("Alder", "Birch", "Cedar", "employed")
# Years before the start over which the therapists who were there from the start had joined.
_YEARS_BEFORE = 8


@dataclass(frozen=True, eq=False)
class Roster:
    """Therapists and services as arrays.

    Attributes
    ----------
    caseloads : Caseloads
        What the kernels take.
    deprivation_tilt : ndarray of float64, shape (S,)
        Of each service: the slope of the log shares on the decile.
    joined_day, left_day : ndarray of int64, shape (J,)
        Days since 1970-01-01; the first and the last on which the therapist started a treatment, or could
        have. `left_day` is -1 for who stays.
    agency, desired : ndarray of int64, shape (J,)
        Position in `AGENCIES`; patients at a time that the therapist would like to have.
    """

    caseloads: Caseloads
    deprivation_tilt: FloatArray
    joined_day: IntArray
    left_day: IntArray
    agency: IntArray
    desired: IntArray


def mean_presence(calendar: Calendar, joining: float, leaving: float) -> float:
    """Give the share of all starts that lie in a therapist's days, on average over who joins and leaves."""
    mass = calendar.mass.astype(np.float64) / MASS
    days = calendar.days.size
    k = np.arange(days)
    after, until = 1.0 - mass[:-1], mass[1:]
    # Of two days at random, the later one is k in 2 k + 1 of days^2 ways, the earlier one in the mirror.
    both = ((2 * k + 1) @ until - (2 * (days - k) - 1) @ mass[:-1]) / days**2
    parts = (
        (1 - joining) * (1 - leaving),
        joining * (1 - leaving) * after.mean(),
        (1 - joining) * leaving * until.mean(),
        joining * leaving * both,
    )
    return float(sum(parts))


def draw_roster(scenario: Scenario, calendar: Calendar, seed: np.uint64, therapists: IntArray) -> Roster:
    """Draw therapists, by their numbers from 0, and all services.

    Each number is a function of the seed and of its therapist or service alone.
    """
    plan, effects, population = scenario.network, scenario.effects, scenario.population

    uniform = unit_uniforms(seed, np.uint64(STREAM_THERAPIST), therapists, _PURPOSES)
    # What takes longest here goes on all threads.
    normal = dict(zip(_NORMAL, map_partitions(normal_quantiles, uniform[list(_NORMAL)]), strict=True))
    services = np.arange(plan.n_services)
    service_normal = [
        normal_quantiles(row)
        for row in unit_uniforms(seed, np.uint64(STREAM_SERVICE), services, _SERVICE_PURPOSES)
    ]
    n_days = calendar.days.size
    joins, leaves = uniform[_JOINS] < plan.joining, uniform[_LEAVES] < plan.leaving
    at = uniform[_JOINING_DAY]
    first = np.where(joins, np.floor(at * n_days), 0).astype(np.int64)
    last = np.where(leaves, np.floor(uniform[_LEAVING_DAY] * n_days), n_days - 1).astype(np.int64)
    first, last = np.minimum(first, last), np.maximum(first, last)
    before = calendar.days[0] - np.floor(at * 365 * _YEARS_BEFORE).astype(np.int64)
    # Caseloads are in proportion to the starts of the time that a therapist was there.
    mass_before = calendar.mass[first]
    mass = calendar.mass[last + 1] - mass_before
    presence = mass.astype(np.float64) / MASS / mean_presence(calendar, plan.joining, plan.leaving)
    spread = math.sqrt(math.log1p(plan.caseload_cv**2))
    expected = plan.mean_caseload * presence
    expected = expected * np.exp(spread * normal[_CASELOAD] - spread**2 / 2)
    n = np.floor(expected + uniform[_ROUNDING]).astype(np.int64)
    caseloads = Caseloads(
        number=therapists,
        n=n,
        row=np.concatenate([[0], np.cumsum(n)[:-1]]).astype(np.int64),
        service=np.floor(uniform[_HOME] * plan.n_services).astype(np.int64),
        shift=population.therapist_shift_sd * normal[_SHIFT],
        effect=effects.therapist_sd * normal[_EFFECT],
        slope=effects.severity_slope_sd * normal[_SLOPE],
        completion=scenario.courses.completion_therapist_sd * normal[_COMPLETION],
        mass_before=mass_before,
        mass=mass,
        service_shift=population.service_shift_sd * service_normal[_SERVICE_SHIFT],
        service_effect=effects.service_sd * service_normal[_SERVICE_EFFECT],
    )
    return Roster(
        caseloads,
        population.service_deprivation_sd * service_normal[_SERVICE_TILT],
        np.where(joins, calendar.days[first], before),
        np.where(leaves, calendar.days[last], -1),
        np.floor(uniform[_AGENCY] * len(AGENCIES)).astype(np.int64),
        10 + np.floor(uniform[_DESIRED] * 21).astype(np.int64),
    )
