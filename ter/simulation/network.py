"""Therapists and services of a scenario, with the truth about each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ter.kernels.patients import STREAM_SERVICE, STREAM_THERAPIST, Caseloads
from ter.kernels.rng import unit_uniforms
from ter.simulation.scenario import Scenario

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Counters of the streams of therapists and services: one for each purpose.
_SERVICE_SHIFT, _SERVICE_EFFECT, _SERVICE_TILT = range(3)
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
) = range(11)

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
    joined_day : ndarray of int64, shape (J,)
        Days since 1970-01-01.
    agency, desired : ndarray of int64, shape (J,)
        Position in `AGENCIES`; patients at a time that the therapist would like to have.
    """

    caseloads: Caseloads
    deprivation_tilt: FloatArray
    joined_day: IntArray
    agency: IntArray
    desired: IntArray


def day_number(day: date) -> int:
    """Give the days since 1970-01-01."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


def draw_roster(scenario: Scenario, seed: np.uint64, therapists: IntArray) -> Roster:
    """Draw therapists, by their numbers from 0, and all services.

    Each number is a function of the seed and of its therapist or service alone.
    """
    plan, effects, population = scenario.network, scenario.effects, scenario.population

    def uniform(purpose: int) -> FloatArray:
        return np.asarray(unit_uniforms(seed, np.uint64(STREAM_THERAPIST), therapists, purpose))

    def service_normal(purpose: int) -> FloatArray:
        services = np.arange(plan.n_services)
        return np.asarray(ndtri(unit_uniforms(seed, np.uint64(STREAM_SERVICE), services, purpose)))

    first, last = day_number(plan.start), day_number(plan.last_start)
    days = last - first + 1
    joins = uniform(_JOINS) < plan.joining
    at = uniform(_JOINING_DAY)
    joined = np.where(joins, first + np.floor(at * days), first - np.floor(at * 365 * _YEARS_BEFORE)).astype(
        np.int64
    )
    first_day = np.maximum(joined, first)
    # Caseloads are in proportion to the time that a therapist was there; on average over joiners that is the
    # middle of the period.
    presence = (last - first_day + 1) / days
    mean_presence = 1 - plan.joining * (days - 1) / (2 * days)
    spread = math.sqrt(math.log1p(plan.caseload_cv**2))
    expected = plan.mean_caseload * presence / mean_presence
    expected = expected * np.exp(spread * ndtri(uniform(_CASELOAD)) - spread**2 / 2)
    n = np.floor(expected + uniform(_ROUNDING)).astype(np.int64)
    caseloads = Caseloads(
        number=therapists,
        n=n,
        row=np.concatenate([[0], np.cumsum(n)[:-1]]).astype(np.int64),
        service=np.floor(uniform(_HOME) * plan.n_services).astype(np.int64),
        shift=population.therapist_shift_sd * ndtri(uniform(_SHIFT)),
        effect=effects.therapist_sd * ndtri(uniform(_EFFECT)),
        slope=effects.severity_slope_sd * ndtri(uniform(_SLOPE)),
        completion=scenario.courses.completion_therapist_sd * ndtri(uniform(_COMPLETION)),
        first_day=first_day,
        service_shift=population.service_shift_sd * service_normal(_SERVICE_SHIFT),
        service_effect=effects.service_sd * service_normal(_SERVICE_EFFECT),
    )
    return Roster(
        caseloads,
        population.service_deprivation_sd * service_normal(_SERVICE_TILT),
        joined,
        np.floor(uniform(_AGENCY) * len(AGENCIES)).astype(np.int64),
        10 + np.floor(uniform(_DESIRED) * 21).astype(np.int64),
    )
