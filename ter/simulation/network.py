"""Therapists and services of a scenario, with the truth about each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ter.kernels.normal import normal_quantiles
from ter.kernels.parallel import map_partitions
from ter.kernels.patients import STREAM_SERVICE, Caseloads
from ter.kernels.rng import unit_uniforms
from ter.kernels.roster import Team, Therapists, draw_therapists, new_therapists
from ter.simulation.calendar import MASS, Calendar
from ter.simulation.scenario import Scenario

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Numbers of a service's stream: of its shift, its effect and its deprivation.
_SERVICE_PURPOSES = 3

AGENCIES = ("Alder", "Birch", "Cedar", "employed")
_THERAPISTS_A_PART = 2_500


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
    team = Team(
        joining=float(plan.joining),
        leaving=float(plan.leaving),
        caseload=plan.mean_caseload / mean_presence(calendar, plan.joining, plan.leaving),
        spread=math.sqrt(math.log1p(plan.caseload_cv**2)),
        shift_sd=float(population.therapist_shift_sd),
        effect_sd=float(effects.therapist_sd),
        slope_sd=float(effects.severity_slope_sd),
        completion_sd=float(scenario.courses.completion_therapist_sd),
        n_services=plan.n_services,
        n_agencies=len(AGENCIES),
    )
    drawn = new_therapists(therapists.size)

    def draw(part: tuple[int, int]) -> None:
        some = slice(*part)
        out = Therapists._make(field[some] for field in drawn)
        draw_therapists(seed, therapists[some], team, calendar.days, calendar.mass, out)

    cuts = [*range(0, therapists.size, _THERAPISTS_A_PART), therapists.size]
    map_partitions(draw, list(pairwise(cuts)))
    uniform = unit_uniforms(seed, np.uint64(STREAM_SERVICE), np.arange(plan.n_services), _SERVICE_PURPOSES)
    shift, effect, tilt = (normal_quantiles(row) for row in uniform)
    fields = drawn._asdict()
    own = {name: fields.pop(name) for name in ("joined_day", "left_day", "agency", "desired")}
    caseloads = Caseloads(
        number=therapists,
        row=np.concatenate([[0], np.cumsum(drawn.n)[:-1]]).astype(np.int64),
        service_shift=population.service_shift_sd * shift,
        service_effect=effects.service_sd * effect,
        **fields,
    )
    return Roster(caseloads=caseloads, deprivation_tilt=population.service_deprivation_sd * tilt, **own)
