"""The distributions that a scenario's tables hold."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from ter.measures import MEASURES
from ter.simulation import Scenario
from ter.simulation import tables as t
from ter.simulation.population import Band, Factor, Level, Problem, ScoreLine

ENGLAND = Scenario.preset("england_2024_25")
POPULATION = ENGLAND.population


@pytest.mark.parametrize(
    ("mean", "cv"), [(2.0, 0.5), (2.5, 2.0), (5.2, 0.4), (8.0, 0.5), (20.0, 1.0), (35.0, 0.05)]
)
def test_sessions_have_the_mean_that_is_asked(mean, cv):
    p = t.session_shares(mean, cv)
    n = np.arange(p.size)
    assert p[:2].sum() == 0
    assert p.sum() == pytest.approx(1)
    # Bisection ends at the limits of double precision; at the mean of 2 only 2 sessions are left.
    assert p @ n == pytest.approx(mean, abs=1e-6)


def test_sessions_are_a_gamma_density_where_the_cut_does_not_matter():
    p = t.session_shares(12.0, 0.25)
    n = np.arange(2, 41)
    exact = stats.gamma.pdf(n, 16, scale=12.0 / 16)
    # The sum over whole numbers stands for the integral, and 2 to 40 for 0 to infinity: 1e-4 of the mass.
    assert np.abs(p[2:] - exact / exact.sum()).max() < 1e-4


def test_missed_appointments_are_poisson():
    assert np.allclose(t.poisson_shares(0.7), stats.poisson.pmf(np.arange(11), 0.7), atol=1e-7)
    assert t.poisson_shares(0.0).tolist() == [1.0] + [0.0] * 10


def test_bands_spread_their_share_over_their_years():
    p = t.band_shares((Band(2, 3, 0.5), Band(5, 5, 0.3), Band(3, 6, 0.2)))
    assert np.allclose(p, [0, 0, 0.25, 0.30, 0.05, 0.35, 0.05])


def test_tilt_of_deprivation():
    p = t.decile_shares(POPULATION, np.array([0.0, 0.1]))
    assert np.allclose(p[0], POPULATION.deciles)
    assert np.allclose(np.diff(np.log(p[1]) - np.log(p[0])), 0.1)
    assert np.allclose(p.sum(axis=1), 1)


def test_tilts_of_services_move_shares_to_both_ends():
    # The figures that `Population.deciles` and the manual name.
    tilts = POPULATION.service_deprivation_sd * stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    p = t.decile_shares(POPULATION, tilts).mean(axis=0)
    assert p[[0, 9]].round(3).tolist() == [0.117, 0.075]
    assert (POPULATION.deciles[0], POPULATION.deciles[9]) == (0.1103, 0.0673)


def test_first_scores_against_a_slow_draw():
    # The definition itself: draw from the normal distribution, round, cut to the range, screen.
    problem = Problem("one", 1.0, 0.0, 14.0, 6.5, 12.5, 5.5)
    population = ENGLAND.replace(problems=(problem,), below_caseness=0.4).population
    p = t.score_shares(population)
    rng = np.random.default_rng(20)
    n = 400_000
    for s in (0, 20, 27):
        shift = t.SEVERITIES[s]
        rho = population.score_correlation
        z = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=n)
        phq9 = np.rint(14.0 + 6.5 * (z[:, 0] + shift)).astype(int)
        gad7 = np.rint(12.5 + 5.5 * (z[:, 1] + shift)).astype(int)
        keep = (phq9 >= 10) | (gad7 >= 8) | (rng.random(n) < 0.4)
        drawn = np.zeros((28, 22))
        np.add.at(drawn, (np.clip(phq9[keep], 0, 27), np.clip(gad7[keep], 0, 21)), 1)
        # The density at a point stands for the integral over it: some 1e-4 of a cell of at most 0.02. The
        # rest is Monte Carlo error, for which 5 SD serve 616 cells.
        sd = np.sqrt(p[0, s] * (1 - p[0, s]) / keep.sum())
        assert (np.abs(drawn / keep.sum() - p[0, s]) < 5 * sd + 3e-4).all()
        assert p[0, s].sum() == pytest.approx(1)


def test_first_scores_of_who_would_all_be_sent_away_are_those_of_the_few_left():
    easy = Problem("easy", 1.0, 0.0, -30.0, 0.5, -30.0, 0.5)
    population = dataclasses.replace(ENGLAND.population, problems=(easy,), below_caseness=0.0)
    shares = t.score_shares(population)
    np.testing.assert_allclose(shares.sum(axis=(2, 3)), 1.0)
    assert (shares[:, :, :10, :8] == 0).all()


def test_wsas_by_scores():
    p = t.wsas_shares(POPULATION)
    assert np.allclose(p.sum(axis=1), 1)
    assert np.allclose(p[:, 41], POPULATION.wsas_unrecorded)
    # Far from the ends of the range the mean is the line itself.
    row = 14 * 22 + 12
    line = POPULATION.wsas_level + POPULATION.wsas_phq9 * 14 + POPULATION.wsas_gad7 * 12
    recorded = p[row, :41] / p[row, :41].sum()
    assert recorded @ np.arange(41) == pytest.approx(line, abs=0.1)


@pytest.mark.parametrize("factor", POPULATION.factors, ids=lambda factor: factor.column)
def test_shares_of_levels_are_met_in_the_population(factor):
    strata = t.strata_shares(POPULATION, t.score_shares(POPULATION))
    assert strata.sum() == pytest.approx(1)
    p = t.level_shares(factor, strata)
    assert np.allclose(p.sum(axis=1), 1)
    assert np.allclose(strata @ p, [level.share for level in factor.levels], atol=1e-9)


def test_levels_depend_as_the_scenario_says():
    factor = Factor(
        "employment", (Level("a", 0.6), Level("b", 0.4, by_deprivation=0.2, by_age=0.3, by_severity=-0.1))
    )
    p = t.level_shares(factor, np.full(t.N_STRATA, 1 / t.N_STRATA)).reshape(10, 5, 3, 2)
    log_ratio = np.log(p[..., 1] / p[..., 0])
    assert np.allclose(np.diff(log_ratio, axis=0), -0.2)  # a decile up is less deprived
    assert np.allclose(np.diff(log_ratio, axis=1), 0.3 * np.diff([20, 32, 49, 66, 80])[None, :, None] / 10)
    assert np.allclose(np.diff(log_ratio, axis=2), -0.1 * np.diff([6, 14.5, 22.5]) / 5)


def test_a_level_of_share_zero_never_occurs():
    factor = Factor("step", (Level("2", 1.0), Level("3", 0.0, by_severity=2.0)))
    p = t.level_shares(factor, np.full(t.N_STRATA, 1 / t.N_STRATA))
    assert (p[:, 1] == 0).all()


def test_strata_against_a_slow_draw():
    rng = np.random.default_rng(4)
    n = 200_000
    deciles = rng.choice(np.arange(1, 11), n, p=POPULATION.deciles)
    ages = rng.choice(np.arange(96), n, p=t.band_shares(POPULATION.ages))
    sd = np.hypot(POPULATION.therapist_shift_sd, POPULATION.service_shift_sd)
    severity = sd * rng.standard_normal(n)
    severity += (
        POPULATION.severity_by_deprivation * (5.5 - deciles) + POPULATION.severity_by_age * (ages - 40) / 10
    )
    step = np.clip(np.rint((severity - t.SEVERITIES[0]) / t.SEVERITY_STEP), 0, 40).astype(int)
    phq9 = np.einsum("k,kspg->sp", [p.share for p in POPULATION.problems], t.score_shares(POPULATION)).cumsum(
        axis=1
    )
    score = (rng.random(n)[:, None] > phq9[step]).sum(axis=1)
    drawn = np.zeros((10, 5, 3))
    age_band = np.digitize(ages, [25, 40, 60, 75])
    np.add.at(drawn, (deciles - 1, age_band, np.digitize(score, [10, 20])), 1 / n)
    strata = t.strata_shares(POPULATION, t.score_shares(POPULATION)).reshape(10, 5, 3)
    # Monte Carlo error of 150 cells, and the rounding of severity to steps.
    assert (np.abs(drawn - strata) < 5 * np.sqrt(strata / n) + 3e-4).all()


MEASURES_USED = t.measures_of(POPULATION)


def test_measures_in_use():
    assert MEASURES_USED == ("phq9", "gad7", "hai", "oci", "pcl5", "pdss", "spin")
    assert t.measures_of(
        ENGLAND.replace(problems=(Problem("x", 1.0, 0.0, 14, 6, 13, 5, "oci", 0.0),)).population
    ) == (
        "phq9",
        "gad7",
    )


def test_last_scores_lie_on_their_side_and_in_range():
    last, above = t.last_shares(ENGLAND.courses, MEASURES_USED)
    for part, key in zip(last, MEASURES_USED, strict=True):
        measure = MEASURES[key]
        points = np.arange(part.shape[1])
        part = part.reshape(3, 3, points.size, points.size)
        assert np.allclose(part.sum(axis=-1), 1)
        possible = (points >= measure.low) & (points <= measure.high)
        below = points < measure.caseness
        assert (part[..., ~possible] == 0).all()
        assert (part[:2][..., ~below] == 0).all()
        assert (part[2][..., below] == 0).all()
    assert ((above >= 0) & (above <= 1)).all()
    # The responses are ordered, the best first; only what is certain anyway is equal.
    assert (np.diff(above, axis=0) > -1e-12).all()  # rounding
    assert (np.diff(above[:, 0, 10:20], axis=0) > 0.001).all()


def test_above_is_the_upper_tail_of_the_line():
    courses = ENGLAND.replace(not_recovered=ScoreLine(0.2, 0.7, 0.25), together=0.0).courses
    _, above = t.last_shares(courses, ("phq9", "gad7"))
    # Far from the ends of the range: the normal tail above 9.5, which the points approximate to 1e-3.
    mean = 10 * (0.2 + 0.7 * 1.2)
    assert above[0, 0, 12] == pytest.approx(stats.norm.sf(9.5, mean, 2.5), abs=2e-3)
