"""Arrays in place of tables: the same network, the same design, the same fit, and the truth beside it."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from small_study import small_scenario

import ter
from ter.errors import FitError, OptionError
from ter.features import build_design, modelled_rows
from ter.simulation import Scenario, simulate
from ter.simulation.population import Band
from ter.simulation.studies.designs import coded_as_in_truth, design_of, encoder_of, true_case_mix
from ter.simulation.studies.draws import draw_network, standardised_truth, true_rates, weights_of
from ter.simulation.studies.gate import GateStudy
from ter.simulation.studies.rated import rate_network
from ter.simulation.studies.run import seed_of


@pytest.fixture(scope="module")
def scenario():
    return Scenario.preset("england_2024_25", n_therapists=40, n_services=3, mean_caseload=30)


@pytest.fixture(scope="module")
def table(scenario):
    return simulate(scenario, 5)


def test_the_arrays_are_the_table(scenario, table):
    drawn = draw_network(scenario, 5)
    episodes = table.episodes
    rows = modelled_rows(episodes, outcome="recovered")
    chosen = episodes.iloc[rows.rows]
    np.testing.assert_array_equal(drawn.recovered, rows.successes)
    for column in ("phq9_first", "age", "imd_decile", "wsas_first"):
        known = chosen[column].to_numpy(float, na_value=-1.0)
        np.testing.assert_array_equal(drawn.codes[column], np.nan_to_num(known, nan=-1.0))
    levels = [level.name for level in scenario.population.factors[2].levels]
    column = scenario.population.factors[2].column
    words = chosen[column].fillna("").tolist()
    assert [levels[code] if code >= 0 else "" for code in drawn.codes[column]] == words
    completed = episodes.groupby("therapist_id")["completed"].sum()
    np.testing.assert_array_equal(drawn.n_completed, completed)
    truth = table.therapists[table.therapists["n_episodes"] > 0]
    np.testing.assert_array_equal(drawn.effect, truth["effect"])
    eta = np.log(table.probability / (1 - table.probability))[rows.rows]
    np.testing.assert_allclose(drawn.log_odds + drawn.effect[drawn.therapist], eta, atol=1e-9)


def test_the_design_and_the_fit_are_those_of_the_table(scenario, table):
    encoder = encoder_of(scenario)
    design = design_of(scenario, draw_network(scenario, 5), encoder)
    of_table = build_design(
        table.episodes,
        case_mix=encoder.learned,
        outcome="recovered",
        therapist="therapist_id",
        service="service_id",
    )
    kept = [of_table.columns.index(name) for name in design.columns]
    np.testing.assert_array_equal(design.X, of_table.X[:, kept])
    # What is left out is the same for everybody.
    assert np.ptp(np.delete(of_table.X, kept, axis=1), axis=0).max(initial=0.0) == 0
    np.testing.assert_array_equal(design.therapist.index, of_table.therapist.index)
    assert design.therapist.levels == of_table.therapist.levels
    np.testing.assert_array_equal(design.service.index, of_table.service.index)
    assert design.service.levels == of_table.service.levels


def test_ratings_are_those_of_the_fitted_table():
    scenario = small_scenario()
    rated = rate_network(scenario, "ml", 3)
    learned = encoder_of(scenario).learned
    fit = ter.fit(simulate(scenario, 3).episodes, case_mix=learned, engine="ml")
    found = rated.solved.estimates
    # The same rows, but patients of one therapist and service stand in the order of the table's content in
    # the one and of the design's in the other: sums are rounded in another order (seen: 1e-14).
    for name in ("beta", "sd", "u"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(fit.estimates, name), rtol=1e-11, atol=1e-12, err_msg=name
        )
    assert fit.record.converged


def test_effects_are_empirical_bayes_at_the_estimates():
    rated = rate_network(small_scenario(), "ml", 3)
    found, design = rated.solved.estimates, rated.design
    eta = design.X @ found.beta + found.v[design.service.index]
    for j in (0, 7, 19):
        own = design.therapist.index == j
        y, x = design.successes[own], eta[own]

        def density(u, x=x, y=y):
            p = expit(x + u)
            return np.prod(np.where(y > 0, p, 1 - p)) * 1e8 * norm.pdf(u, scale=found.sd[0])

        total, first, rate = (
            quad(lambda u, f=f: density(u) * f(u), -4, 4, epsabs=0, epsrel=1e-9, limit=200)[0]
            for f in (lambda u: 1.0, lambda u: u, lambda u: expit(eta + u).mean())
        )
        posterior = rated.solved.posterior
        # Effects are tabulated at 41 points; rates at steps of an eighth.
        assert posterior.u_mean[j] == pytest.approx(first / total, abs=2e-5)
        assert rated.ter[j] == pytest.approx(100 * rate / total, abs=2e-3)


def test_the_true_rating_is_the_mean_over_everybodys_patients():
    drawn = draw_network(small_scenario(), 8)
    brute = [100 * expit(drawn.log_odds + u).mean() for u in drawn.effect]
    # Bins of 1/64: at most 4e-6 off, in percent 4e-4.
    np.testing.assert_allclose(standardised_truth(drawn), brute, atol=4e-4)
    sloped = draw_network(small_scenario(severity_slope_sd=0.3), 8)
    brute = [
        100 * expit(sloped.log_odds + u + w * sloped.severity).mean()
        for u, w in zip(sloped.effect, sloped.slope, strict=True)
    ]
    np.testing.assert_allclose(standardised_truth(sloped), brute, rtol=1e-12)


def test_true_rates_are_means_over_the_own_patients():
    drawn = draw_network(small_scenario(severity_slope_sd=0.2), 8)
    average, own = true_rates(drawn)
    weights = weights_of(drawn)
    for j in range(drawn.effect.size):
        eta = drawn.log_odds[drawn.therapist == j]
        severity = drawn.severity[drawn.therapist == j]
        if not eta.size:
            assert np.isnan([average[j], own[j]]).all()
            assert weights[j] == 0
            continue
        np.testing.assert_allclose(average[j], expit(eta).mean())
        np.testing.assert_allclose(own[j], expit(eta + drawn.effect[j] + drawn.slope[j] * severity).mean())
        np.testing.assert_allclose(weights[j], (expit(eta) * expit(-eta)).sum())


def test_the_fitted_model_is_the_true_one(scenario):
    names = {term.name for term in true_case_mix(scenario).terms}
    factors = {factor.column for factor in scenario.population.factors}
    assert names == factors | {
        "problem", "phq9_first", "gad7_first", "wsas_first", "age", "imd_decile", "prior_episodes",
        "wait_days",
    }  # fmt: skip


def test_a_network_without_a_factors_first_level_has_no_column_too_many():
    essex = Scenario.preset("essex_2017_19")
    coded = []
    for seed in range(12):
        drawn = draw_network(essex, seed)
        design = design_of(essex, drawn, encoder_of(essex))
        assert np.linalg.matrix_rank(design.X) == design.X.shape[1] == len(design.columns)
        coded.append(coded_as_in_truth(essex, design.columns, drawn))
    assert 0 < sum(coded) < 12


def test_a_year_and_a_half_of_waiting_is_in_the_model():
    late = small_scenario(waits=(Band(500, 600, 0.5), Band(990, 1000, 0.5)))
    drawn = draw_network(late, 1)
    design = design_of(late, drawn, encoder_of(late))
    k = design.columns.index("wait_days")
    raw = design.X[:, k] * design.scale[k] + design.centre[k]
    np.testing.assert_allclose(raw, drawn.codes["wait_days"], rtol=1e-12)


def test_therapists_who_are_all_alike_are_rated_alike():
    rated = rate_network(small_scenario(therapist_sd=0.0, n_therapists=60), "ml", 2)
    assert rated.solved.estimates.sd[0] < 0.35
    assert np.isfinite(rated.ter).all()
    assert np.ptp(rated.true_ter) < 1e-9


def test_ratings_that_cannot_be_integrated_are_refused():
    # Its coefficients run to 88: the network's rate is a staircase of the therapist's effect.
    with pytest.raises(FitError, match="cannot be worked out"):
        rate_network(Scenario.preset("essex_2017_19"), "ml", seed_of(1, 9))


def test_a_likelihood_without_a_maximum_gives_no_ratings():
    scenario = Scenario.preset("gloucestershire_2018_19")
    with pytest.raises(FitError, match="no maximum"):
        rate_network(scenario, "ml", 21)
    assert np.all(np.abs(rate_network(scenario, "fast", 21).ter - 50) < 50)


def test_a_study_needs_two_therapists():
    with pytest.raises(OptionError, match="give it two or more"):
        GateStudy(Scenario.preset("england_2024_25", n_therapists=1))
