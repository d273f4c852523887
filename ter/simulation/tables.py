"""The distributions of a scenario, as probabilities over whole numbers."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ter.kernels.patients import AGE_ENDS, MOST_MISSED, N_AGE_BANDS, N_GAD7, N_PHQ9_BANDS, PHQ9_ENDS
from ter.measures import MEASURES
from ter.simulation.parts import Courses
from ter.simulation.population import Band, Factor, Population, ScoreLine

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

N_PHQ9 = 28
#: Severity, in standard deviations of the scores, for which there is a table of scores; beyond, the outermost
#: serves.
SEVERITY_STEP = 0.125
SEVERITIES = np.arange(-20, 21) * SEVERITY_STEP
#: What a patient's scores share beside the outcome: three equally likely values of mean 0 and variance 1.
RESPONSES = np.array([-math.sqrt(1.5), 0.0, math.sqrt(1.5)])
#: Strata, on which the levels of factors depend: what stands for each band of age and of PHQ-9.
AGE_MIDDLES, PHQ9_MIDDLES = np.array([20.0, 32.0, 49.0, 66.0, 80.0]), np.array([6.0, 14.5, 22.5])
N_STRATA = 10 * N_AGE_BANDS * N_PHQ9_BANDS
#: What counts for a value that is not recorded.
WSAS_STAND_IN, IMD_STAND_IN = 18.0, 5.0
#: Severity in the model's therapist slopes: (PHQ-9 - centre) / scale.
SEVERITY_CENTRE, SEVERITY_SCALE = 14.0, 6.0
# Points beyond a measure's range to which the normal distribution of first scores is followed.
_BEYOND = 40
MOST_SESSIONS = 40


def measures_of(population: Population) -> tuple[str, ...]:
    """Name the measures of a population: PHQ-9, GAD-7, and the specific ones in use, sorted."""
    specific = {problem.measure for problem in population.problems if problem.measure_share > 0}
    return ("phq9", "gad7", *sorted(specific))


def band_shares(bands: tuple[Band, ...]) -> FloatArray:
    """Give the probability of each whole number from 0 to the highest of the bands."""
    out = np.zeros(max(band.high for band in bands) + 1)
    for band in bands:
        out[band.low : band.high + 1] += band.share / (band.high - band.low + 1)
    return out


def decile_shares(population: Population, tilt: FloatArray) -> FloatArray:
    """Give the shares of the deciles in services whose log shares are tilted, shape (S, 10)."""
    weights = np.asarray(population.deciles) * np.exp(tilt[:, None] * (np.arange(1, 11) - 5.5))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def score_shares(population: Population) -> FloatArray:
    """Give the joint distribution of PHQ-9 and GAD-7 at the start, shape (problems, severities, 28, 22).

    A bivariate normal density at whole points, of which those beyond a measure's range count as its end,
    thinned by `below_caseness` where both scores are below their thresholds.
    """
    phq9, gad7 = (np.arange(-_BEYOND, n + _BEYOND) for n in (N_PHQ9, N_GAD7))
    below = (phq9[:, None] < caseness("phq9")) & (gad7 < caseness("gad7"))
    taken_on = np.where(below, population.below_caseness, 1.0)
    to_phq9, to_gad7 = (_to_range(n) for n in (N_PHQ9, N_GAD7))
    rho = population.score_correlation
    scale = 2 * (1 - rho * rho)
    out = np.empty((len(population.problems), SEVERITIES.size, N_PHQ9, N_GAD7))
    for k, problem in enumerate(population.problems):
        for s, severity in enumerate(SEVERITIES):
            a = (phq9 - problem.phq9_mean) / problem.phq9_sd - severity
            b = (gad7 - problem.gad7_mean) / problem.gad7_sd - severity
            # -(a * a - 2 * rho * a * b + b * b) / scale, in place: it is some thousand numbers, 41 times.
            log = np.multiply.outer(a * (2 * rho / scale), b)
            log -= (a * a / scale)[:, None]
            log -= b * b / scale
            # Where those below are sent away, all others may be far from the likeliest.
            log -= log.max(initial=-np.inf, where=taken_on > 0)
            np.exp(np.minimum(log, 0.0), out=log)
            log *= taken_on
            out[k, s] = to_phq9 @ log @ to_gad7.T
    return np.asarray(out / out.sum(axis=(2, 3), keepdims=True))


def _to_range(n: int) -> FloatArray:
    """Give the matrix that moves what lies beyond 0 to n - 1 to its ends, shape (n, n + 2 · 40)."""
    points = np.clip(np.arange(-_BEYOND, n + _BEYOND), 0, n - 1)
    return np.asarray(points == np.arange(n)[:, None], dtype=np.float64)


def wsas_shares(population: Population) -> FloatArray:
    """Give the distribution of WSAS by PHQ-9 and GAD-7, shape (28 · 22, 42); 41 is "not recorded"."""
    phq9, gad7 = np.arange(N_PHQ9)[:, None], np.arange(N_GAD7)[None, :]
    mean = population.wsas_level + population.wsas_phq9 * phq9 + population.wsas_gad7 * gad7
    recorded = np.exp(_log_normal(np.arange(41), mean.reshape(-1, 1), population.wsas_sd))
    recorded *= (1 - population.wsas_unrecorded) / recorded.sum(axis=1, keepdims=True)
    return np.column_stack([recorded, np.full(recorded.shape[0], population.wsas_unrecorded)])


def _log_normal(points: NDArray[Any], mean: FloatArray, sd: float) -> FloatArray:
    """Give the log of a normal density at points, 0 at the likeliest: it never vanishes everywhere."""
    log = -0.5 * ((points - mean) / sd) ** 2
    return np.asarray(log - log.max(axis=-1, keepdims=True))


def session_shares(mean: float, cv: float) -> FloatArray:
    """Give the distribution of attended sessions, 0 to 40, with a given mean.

    A gamma density at 2 to 40, whose rate is found by bisection so that the mean is exact after the cut.
    """
    n = np.arange(2, MOST_SESSIONS + 1)

    def weights(rate: float) -> FloatArray:
        log = (1 / cv**2 - 1) * np.log(n) - rate * n
        relative = np.exp(log - log.max())
        return np.asarray(relative / relative.sum())

    low, high = -200.0, 200.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if weights(middle) @ n > mean else (low, middle)
    return np.concatenate([[0.0, 0.0], weights((low + high) / 2)])


def poisson_shares(mean: float) -> FloatArray:
    """Give the distribution of missed appointments: Poisson, cut at 10."""
    k = np.arange(MOST_MISSED + 1)
    if mean == 0:
        return np.asarray(k == 0, dtype=np.float64)
    log = k * math.log(mean) - np.array([math.lgamma(each + 1) for each in k])
    weights = np.exp(log - log.max())
    return np.asarray(weights / weights.sum())


def strata_shares(population: Population, scores: FloatArray) -> FloatArray:
    """Give the share of the population in each stratum (decile, age band, PHQ-9 band), shape (150,).

    Parameters
    ----------
    scores : ndarray of float64, shape (problems, severities, 28, 22)
        From `score_shares`.
    """
    ages = band_shares(population.ages)
    years, deciles = np.arange(ages.size), np.arange(1, 11)
    problems = np.array([problem.share for problem in population.problems])
    in_band = np.searchsorted(PHQ9_ENDS, np.arange(N_PHQ9))[:, None] == np.arange(N_PHQ9_BANDS)
    bands = np.einsum("k,kspg,pb->sb", problems, scores, in_band)
    centre = population.severity_by_deprivation * (5.5 - deciles[:, None])
    centre = centre + population.severity_by_age * (years - 40) / 10
    # The spread over therapists and services; where there is none, that of rounding to a step.
    sd = math.hypot(population.therapist_shift_sd, population.service_shift_sd, SEVERITY_STEP / 2)
    weights = np.exp(_log_normal(SEVERITIES, centre[:, :, None], sd))
    weights /= weights.sum(axis=2, keepdims=True)
    cells = (weights @ bands) * ages[:, None] * np.asarray(population.deciles)[:, None, None]
    of_age = np.searchsorted(AGE_ENDS, years) == np.arange(N_AGE_BANDS)[:, None]
    return np.asarray(of_age @ cells).ravel()


def level_shares(factor: Factor, strata: FloatArray) -> FloatArray:
    """Give the distribution of a factor's levels in each stratum, shape (150, levels).

    The levels' weights follow their dependence on deprivation, age and severity, and are scaled level by
    level until the population has the shares of the scenario (iterative proportional fitting).
    """
    decile, age, phq9 = np.meshgrid(np.arange(1, 11), AGE_MIDDLES, PHQ9_MIDDLES, indexing="ij")
    shares = np.array([level.share for level in factor.levels])
    log = (
        np.array(
            [
                level.by_deprivation * (5.5 - decile)
                + level.by_age * (age - 40) / 10
                + level.by_severity * (phq9 - 14) / 5
                for level in factor.levels
            ]
        )
        .reshape(shares.size, -1)
        .T
    )
    weights = np.exp(log - log.max(axis=1, keepdims=True)) * shares
    for _ in range(1000):
        weights /= weights.sum(axis=1, keepdims=True)
        marginal = strata @ weights
        if np.abs(marginal - shares).max() < 1e-12:
            break
        weights *= np.divide(shares, marginal, out=np.ones_like(shares), where=shares > 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def specific_first_shares(measures: tuple[str, ...], line: ScoreLine) -> FloatArray:
    """Give the distribution of each measure at the start by GAD-7, shape (measures · 22, W)."""
    width = _width(measures)
    out = np.empty((len(measures), N_GAD7, width))
    gad7 = _in_units("gad7", np.arange(N_GAD7))
    for m, measure in enumerate(measures):
        mean = line.level + line.carry * gad7
        out[m] = _on_points(measure, width, mean, line.sd)
    return out.reshape(-1, width)


def last_shares(courses: Courses, measures: tuple[str, ...]) -> tuple[list[FloatArray], FloatArray]:
    """Give the distribution of last scores by measure, side, response and first score.

    Returns
    -------
    last : list of ndarray of float64, each of shape (3 · R · W_m, W_m)
        Of each measure. Sides: recovered; not recovered and below the threshold; not recovered and above it.
    above : ndarray of float64, shape (R, M, W)
        The probability that a score ends at or above the threshold, by the line of those not recovered.
    """
    above = np.zeros((RESPONSES.size, len(measures), _width(measures)))
    last = []
    for m, measure in enumerate(measures):
        width = _width((measure,))
        points = np.arange(width)
        below = points < caseness(measure)
        first = _in_units(measure, points)
        cut = np.empty((3, RESPONSES.size, width, width))
        for r, response in enumerate(RESPONSES):
            for side, line in enumerate((courses.recovered, courses.not_recovered, courses.not_recovered)):
                mean = line.level + line.carry * first + response * math.sqrt(courses.together) * line.sd
                sd = math.sqrt(1 - courses.together) * line.sd
                cut[side, r] = _on_points(measure, width, mean, sd, below if side < 2 else ~below)
                free = _on_points(measure, width, mean, sd)
                above[r, m, :width] = np.minimum(free[:, ~below].sum(axis=1), 1.0)
        last.append(cut.reshape(-1, width))
    return last, above


def _width(measures: tuple[str, ...]) -> int:
    return 1 + max(int(MEASURES[measure].high) for measure in measures)


def caseness(measure: str) -> int:
    """Give the threshold of a measure, in points."""
    return int(cast(float, MEASURES[measure].caseness))  # `Problem` takes measures with a threshold only


def _in_units(measure: str, score: NDArray[np.int64]) -> FloatArray:
    low = MEASURES[measure].low
    return np.asarray((score - low) / (caseness(measure) - low))


def _on_points(
    measure: str, width: int, mean: FloatArray, sd: float, allowed: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Give a normal density at the measure's points, for each mean, in its units; shape (means, width)."""
    points = np.arange(width)
    possible = (points >= MEASURES[measure].low) & (points <= MEASURES[measure].high)
    if allowed is not None:
        possible &= allowed
    log = np.where(possible, -0.5 * ((_in_units(measure, points) - mean[:, None]) / sd) ** 2, -np.inf)
    weights = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
