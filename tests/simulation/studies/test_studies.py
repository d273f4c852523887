"""Each study against a known truth: closed forms, networks made by hand, and other software."""

import math
from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from small_study import small_scenario

from ter.errors import OptionError
from ter.simulation import Scenario
from ter.simulation.studies import (
    STUDIES,
    CalibrationStudy,
    CoverageStudy,
    GateStudy,
    PowerStudy,
    RawVersusTerStudy,
    ReliabilityStudy,
    calibration,
    closed_form,
    coverage,
    gate,
    patients_needed,
    power,
    raw_versus_ter,
    run_study,
)
from ter.simulation.studies.bands import band_frame, band_name, band_of, shown
from ter.simulation.studies.designs import design_of, encoder_of
from ter.simulation.studies.draws import draw_network
from ter.simulation.studies.monte_carlo import ratio
from ter.simulation.studies.reliability import treatments_needed


def of(table, statistic, **cell):
    """The one estimate of a statistic in a cell."""
    rows = table[table["statistic"] == statistic]
    for column, value in cell.items():
        rows = rows[rows[column].isna()] if value is None else rows[rows[column] == value]
    assert len(rows) == 1
    return float(rows["estimate"].iloc[0])


# bands


def test_bands_hold_their_lower_ends():
    assert band_of(np.array([0, 4, 5, 9, 10, 500]), (5, 10)).tolist() == [-1, -1, 0, 0, 1, 1]
    assert [band_name(row) for _, row in band_frame((5, 10)).iterrows()] == ["5 to 9", "10 or more"]
    assert shown(0.3, math.nan) == "0.30 ± ?"


# reliability


def test_the_closed_form_gives_the_figures_of_an_icc_of_5_percent():
    sd = power.sd_of(0.05)
    assert sd == pytest.approx(0.42, abs=0.005)
    assert closed_form(10, 0.42) == pytest.approx(0.30, abs=0.01)
    # At the SD of 0.416 that is exactly 5%; 0.42 needs a few less.
    assert [round(patients_needed(level, sd)) for level in (0.5, 0.7, 0.9)] == [23, 54, 208]
    for level in (0.2, 0.5, 0.93):
        assert closed_form(patients_needed(level, 0.3, 0.4), 0.3, 0.4) == pytest.approx(level)


def test_numbers_needed_are_exact_where_the_closed_form_is():
    # Bands with n treatments each, all alike: between them the line in log n and log-odds is the form itself.
    n = np.array([3.0, 12.0, 40.0, 90.0, 400.0])
    sums = np.zeros((1, 5, 4))
    sums[0, :, 0], sums[0, :, 1], sums[0, :, 3] = 7.0, 7.0 * n, 7.0 * closed_form(n, 0.416)
    found = treatments_needed(ratio(3, 0), (0.1, 0.5, 0.7, 0.9, 0.99))(sums)[0]
    np.testing.assert_allclose(found[1:4], [patients_needed(level, 0.416) for level in (0.5, 0.7, 0.9)])
    # Beyond the bands nothing is known: 3 patients have 0.115, 400 have 0.945.
    assert np.isnan(found[[0, 4]]).all()


def test_stated_reliability_is_true_and_follows_the_closed_form():
    scenario = small_scenario(
        n_therapists=150, mean_caseload=60.0, caseload_cv=0.9, therapist_sd=0.5, joining=0.0
    )
    table = run_study(ReliabilityStudy(scenario, completed=(1, 15, 40, 90)), 10, seed=1).table
    for row in table[table["statistic"] == "stated"].itertuples():
        cell = {"completed_from": row.completed_from}
        true = table[(table["statistic"] == "true") & (table["completed_from"] == row.completed_from)].iloc[0]
        # The model is right, so that what it states holds; the estimates of the SD cost less than 0.02.
        assert abs(row.estimate - true["estimate"]) < 4 * math.hypot(row.mcse, true["mcse"]) + 0.02
        # Second order in effects of this size, averaged over u: a few hundredths, downwards.
        own = of(table, "formula_own", **cell)
        assert own - 0.05 - 4 * row.mcse < row.estimate < own + 4 * row.mcse + 0.01
        # Nobody tells more than at one half.
        assert own < of(table, "formula", **cell)


# gate


def by_hand(ter, truth, completed, **further):
    """A network that is rated as given, each TER known to lie within 2 points."""
    ter, truth = np.array(ter, float), np.array(truth, float)
    grid = ter[:, None] + np.linspace(-2, 2, 9)
    posterior = SimpleNamespace(
        ter_grid=grid,
        ter_cdf=np.broadcast_to(np.linspace(0, 1, 9), grid.shape),
        reliability=np.full(ter.size, 0.25),
    )
    return SimpleNamespace(
        ter=ter,
        true_ter=truth,
        n=np.array(completed, float),
        drawn=SimpleNamespace(n_completed=np.array(completed), **further),
        solved=SimpleNamespace(posterior=posterior),
    )


def test_a_gate_lets_through_what_was_counted_by_hand(monkeypatch):
    # Flagged: TER + 2 * 0.8 <= 45. Completed: two below 10, two from 10 to 19, four with 20 or more.
    rated = by_hand(
        ter=[40, 50, 42, 44.5, 55, 60, 43, 52],
        truth=[44, 48, 46, 41, 54, 57, 40, 61],
        completed=[6, 8, 12, 19, 20, 25, 30, 90],
    )
    monkeypatch.setattr(gate, "rate_network", lambda *_: rated)
    study = GateStudy(small_scenario(), gates=(5, 10, 20), minimum=45.0)
    table = run_study(study, 2).table
    everybody = {"completed_from": 5, "completed_to": None}
    assert of(table, "rated", **everybody) == 1.0
    assert of(table, "rated", completed_from=20, completed_to=None) == 0.5
    assert of(table, "rated", completed_from=10, completed_to=19) == 0.25
    assert of(table, "error", **everybody) == pytest.approx(
        math.sqrt(np.mean(np.array([4, 2, 4, 3.5, 1, 3, 3, 9]) ** 2))
    )
    # Flagged are the TERs of 40, 42 and 43; of these the second is truly 46.
    assert of(table, "flagged", **everybody) == 3 / 8
    assert of(table, "wrong_flag", **everybody) == pytest.approx(1 / 3)
    assert of(table, "flagged_good", **everybody) == 1 / 5
    assert of(table, "missed", **everybody) == pytest.approx(1 / 3)
    assert of(table, "missed", completed_from=10, completed_to=19) == 1.0
    assert of(table, "wrong_flag", completed_from=20, completed_to=None) == 0.0
    # By TER the eight rank 0 4 1 3 6 7 2 5, by truth 2 4 3 1 5 6 0 7: quarters 0 2 0 1 3 3 1 2 and
    # 1 2 1 0 2 3 0 3.
    assert of(table, "wrong_quartile", **everybody) == 6 / 8
    # Of the last four: 2 3 0 1 and 1 2 0 3.
    assert of(table, "wrong_quartile", completed_from=20, completed_to=None) == 3 / 4
    assert of(table, "wrong_quartile_by_chance", **everybody) == 3 / 4


@pytest.mark.parametrize("n", range(1, 8))
def test_wrong_quarters_by_chance_are_those_of_all_orders(n):
    rank = np.arange(n, dtype=float)
    wrong = [(gate.quartiles(np.array(order)) != gate.quartiles(rank)).mean() for order in permutations(rank)]
    assert gate.wrong_by_chance(n) == pytest.approx(np.mean(wrong), abs=1e-12)


def test_engine_ml_of_few_therapists_comes_with_a_warning():
    few = GateStudy(small_scenario())
    assert "With 20 therapists" in run_study(few, 2).summary()
    many = GateStudy(small_scenario(n_therapists=100, mean_caseload=10.0))
    assert "intervals are too short" not in run_study(many, 2).summary()


def test_power_says_nothing_of_few_therapists():
    text = run_study(PowerStudy(small_scenario(), therapists=(5,), patients=(5,)), 2).summary()
    assert "too few to say with" in text
    assert "unknown" not in text


def test_what_no_network_tells_is_said_in_words():
    nobody = GateStudy(small_scenario(), gates=(10,), minimum=1.0)
    text = run_study(nobody, 2).summary()
    assert "Nobody is offered support; nobody is truly below." in text
    few = ReliabilityStudy(small_scenario(), completed=(5, 10), levels=(0.99,))
    text = run_study(few, 2).summary()
    assert "A reliability of 0.99 is reached between no two of these bands (closed form: " in text
    assert "unknown" not in text


def test_a_reliability_that_nobody_has_is_unknown():
    table = run_study(ReliabilityStudy(small_scenario(), completed=(5000, 6000)), 2).table
    assert table.loc[table["statistic"] == "needed_stated", "estimate"].isna().all()


def test_slopes_that_no_study_fits_are_said():
    told = "not in the fitted model"
    of_patients_alone = CalibrationStudy(small_scenario(severity_slope_sd=0.3), columns=("age",))
    assert told not in run_study(of_patients_alone, 2).summary()
    steep = small_scenario(n_therapists=100, severity_slope_sd=0.3)
    assert told in run_study(GateStudy(steep), 2).summary()
    assert told not in run_study(GateStudy(small_scenario()), 2).summary()


def test_quartiles_split_as_evenly_as_can_be():
    assert gate.quartiles(np.array([3.0, 1.0, 2.0, 0.0])).tolist() == [3, 1, 2, 0]
    assert np.bincount(gate.quartiles(np.random.default_rng(1).random(10))).tolist() == [3, 2, 3, 2]
    assert gate.quartiles(np.zeros(0)).size == 0


# raw versus TER


def test_pairs_are_counted_as_by_hand(monkeypatch):
    # Ten patients each: raw rates 60, 40, 50, 50 percent; the last has too few treatments to count.
    recovered = np.concatenate([np.arange(10) < k for k in (6, 4, 5, 5)]).astype(float)
    therapist = np.repeat(np.arange(4), 10)
    rated = by_hand(
        [48, 52, 55, 90],
        [50, 56, 53, 10],
        [10, 10, 10, 9],
        therapist=therapist,
        recovered=recovered,
        log_odds=np.log(np.repeat([0.55, 0.45, 0.5, 0.5], 10) / np.repeat([0.45, 0.55, 0.5, 0.5], 10)),
        effect=np.zeros(4),
        slope=np.zeros(4),
        severity=np.zeros(40),
    )
    rated.n[:] = 10
    monkeypatch.setattr(raw_versus_ter, "rate_network", lambda *_: rated)
    study = RawVersusTerStudy(small_scenario(), gaps=(0.0, 5.0), example=(60.0, 40.0), within=1.0)
    table = run_study(study, 2).table
    # Truth: second (56) > third (53) > first (50). Raw: 40, 50, 60: all wrong. TER: 52, 55, 48: the pair of
    # the second and third is wrong.
    assert of(table, "raw_wrong", pairs="all") == 1.0
    assert of(table, "ter_wrong", pairs="all") == pytest.approx(1 / 3)
    assert of(table, "raw_misleads", pairs="all") == pytest.approx(2 / 3)
    assert of(table, "ter_misleads", pairs="all") == 0.0
    assert of(table, "ter_wrong", pairs="by_gap", gap_from=0.0) == 0.5
    assert of(table, "ter_wrong", pairs="by_gap", gap_from=5.0) == 0.0
    # The example: raw 60 against 40, truly 50 against 56, rated 48 against 52. Their patients would recover
    # in 55% and 45% with anybody: 10 of the 20 points; the other 10 are chance.
    expected = {"raw_gap": 20, "true_gap": -6, "ter_gap": -4, "patients": 10, "chance": 10, "therapists": 0}
    for name, value in expected.items():
        assert of(table, name, pairs="example") == pytest.approx(value, abs=1e-9)
    assert of(table, "reversed", pairs="example") == 1.0
    assert of(table, "alike", pairs="example") == 0.0


def test_the_ter_misleads_less_often_than_the_raw_rate():
    scenario = small_scenario(n_therapists=80, therapist_shift_sd=1.0, mean_caseload=60.0)
    table = run_study(RawVersusTerStudy(scenario), 8, seed=2).table
    rows = table[table["pairs"] == "all"].set_index("statistic")
    error = math.hypot(rows.loc["raw_misleads", "mcse"], rows.loc["ter_misleads", "mcse"])
    # Patients who differ as much as this: known to hold by far.
    assert rows.loc["raw_misleads", "estimate"] - rows.loc["ter_misleads", "estimate"] > 4 * error


# power


def test_a_therapist_below_is_counted_as_by_hand(monkeypatch):
    # Truly 10 below 50 are those from 38.5 to 41.5; seen are TERs of 48.4 or less.
    rated = by_hand([45, 49, 47, 40, 30], [40, 41, 45, 39, 50], [12, 15, 12, 30, 30])
    monkeypatch.setattr(power, "rate_network", lambda *_: rated)
    monkeypatch.setattr(power, "likelihood_ratio", lambda design: (2.8, True))
    study = PowerStudy(
        small_scenario(),
        points=(0.0, 5.0, 10.0),
        completed=(10, 20),
        iccs=(0.05,),
        therapists=(10,),
        patients=(4,),
    )
    table = run_study(study, 2).table
    assert of(table, "seen_below", points_below=10.0, completed_from=10) == 0.5
    assert of(table, "seen_below", points_below=10.0, completed_from=20) == 1.0
    assert of(table, "seen_below", points_below=5.0, completed_from=10) == 1.0
    assert of(table, "seen_below", points_below=0.0, completed_from=20) == 1.0
    # 2.8 is beyond the 90% point of a chi-square with one degree of freedom, 2.71.
    assert of(table, "seen_to_differ") == 1.0


def test_small_networks_are_as_large_as_they_say():
    scenario = power.small_network(Scenario.preset("england_2024_25"), 0.05, 30, 10)
    drawn = draw_network(scenario, 1)
    assert drawn.effect.size == 30
    assert (drawn.n_completed == 10).all()
    assert np.unique(drawn.service).size == 1
    assert scenario.effects.therapist_sd == pytest.approx(0.416, abs=0.001)


def test_therapists_of_small_networks_differ_by_their_effects_alone():
    steep = Scenario.preset("england_2024_25", severity_slope_sd=1.0)
    drawn = draw_network(power.small_network(steep, 0.0, 30, 40), 1)
    plain = draw_network(power.small_network(steep.replace(severity_slope_sd=0.0), 0.0, 30, 40), 1)
    np.testing.assert_array_equal(drawn.recovered, plain.recovered)
    assert not drawn.effect.any()


def test_everybody_completes_in_small_networks():
    hard = small_scenario(completion_by_phq9=-5.0, completion_by_age=5.0, completion_by_imd=-5.0)
    assert (draw_network(power.small_network(hard, 0.05, 20, 10), 1).n_completed == 10).all()


def test_sds_that_are_truly_zero_have_no_coverage():
    alike = small_scenario(n_therapists=60, therapist_sd=0.0, service_sd=0.0)
    result = run_study(CoverageStudy(alike, levels=(0.9,)), 2)
    assert set(result.table["quantity"]) == {"ter", "coefficients"}
    assert "SD" not in result.summary().splitlines()[0]


def test_an_sd_of_nearly_zero_has_no_interval_to_infinity():
    found = SimpleNamespace(sd=np.array([3e-4, 0.4]), covariance=np.diag([1.0, 900.0, 0.01]))
    rated = SimpleNamespace(solved=SimpleNamespace(posterior=None, estimates=found))
    estimate, low, high = coverage.sd_intervals(rated, 0.9)
    np.testing.assert_array_equal(estimate, found.sd)
    assert [low[0], high[0]] == [0.0, 0.0]
    np.testing.assert_allclose([low[1], high[1]], 0.4 * np.exp([-0.1645, 0.1645]), rtol=1e-3)


def test_the_likelihood_ratio_is_that_of_other_software():
    scenario = power.small_network(small_scenario(), 0.1, 12, 30)
    design = design_of(
        scenario, draw_network(scenario, 4), encoder_of(small_scenario(), power.ADJUSTED_FOR), service=False
    )
    found, converged = power.likelihood_ratio(design)
    assert converged
    pooled = sm.GLM(design.successes, design.X, family=sm.families.Binomial()).fit().llf
    # The likelihood with therapists by brute force, at the estimates of a fit with many nodes.
    from ter.models.layout import arrange
    from ter.models.ml import fit_ml

    estimates = fit_ml(arrange(design, design.therapist, None), 41)
    u = np.linspace(-8, 8, 4001) * estimates.sd[0]
    log_density = -0.5 * (u / estimates.sd[0]) ** 2 - 0.5 * math.log(2 * math.pi * estimates.sd[0] ** 2)
    eta = design.X @ estimates.beta
    total = 0.0
    for j in range(12):
        own = design.therapist.index == j
        p = expit(eta[own, None] + u)
        log_lik = np.where(design.successes[own, None] > 0, np.log(p), np.log1p(-p)).sum(axis=0)
        total += math.log(np.trapezoid(np.exp(log_lik + log_density), u))
    # Eleven nodes, and what the fits leave of their way: both far below 1e-4.
    assert found == pytest.approx(2 * (total - pooled), abs=1e-4)


def test_alike_therapists_are_seldom_seen_to_differ():
    scenario = power.small_network(small_scenario(), 0.0, 30, 10)
    encoder = encoder_of(small_scenario(), power.ADJUSTED_FOR)
    ratios = np.array(
        [
            power.likelihood_ratio(design_of(scenario, draw_network(scenario, seed), encoder, service=False))[
                0
            ]
            for seed in range(150)
        ]
    )
    # At most 5% at the boundary, in small networks less: 4 standard errors of 150 above that.
    assert np.mean(ratios > power.CRITICAL) < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 150)
    # About half of the estimates are zero (Self and Liang 1987), and somewhat more in small networks.
    assert 0.4 < np.mean(ratios < 1e-6) < 0.75


# coverage


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    scenario = small_scenario(
        n_therapists=120, mean_caseload=50.0, therapist_sd=0.6, service_sd=0.4, n_services=15
    )
    table = run_study(CoverageStudy(scenario, levels=(0.5, 0.9), completed=(1, 20)), 12, seed=4).table
    for row in table[table["statistic"] == "coverage"].itertuples():
        binomial = math.sqrt(row.level * (1 - row.level) / row.n)
        error = max(binomial, 0.0 if math.isnan(row.mcse) else row.mcse)
        # Estimates are held fixed, and intervals normal: up to 3 points short at these sizes.
        assert abs(row.estimate - row.level) < 4 * error + 0.03
    for quantity in ("therapist_sd", "service_sd"):
        row = table[(table["statistic"] == "mean_error") & (table["quantity"] == quantity)].iloc[0]
        # Maximum likelihood takes an SD of 15 services for about 1 / 30 of itself, and more, too small.
        assert abs(row["estimate"]) < 4 * row["mcse"] + 0.03


# calibration


def prior_as_posterior(scale):
    """An engine that learns nothing: posterior = prior, its spread off by a factor."""

    def solve(design, engine, seed, *, precise):
        rng = np.random.default_rng([seed % 2**32, 99])
        D, J = 1000, len(design.therapist.levels)
        sd = np.abs(rng.standard_normal((D, 2)))
        beta = 2.5 * scale * rng.standard_normal((D, len(design.columns)))
        v = scale * sd[:, 1:] * rng.standard_normal((D, len(design.service.levels)))
        u = np.sort(scale * sd[:, 0] * rng.standard_normal(D))[::10]
        grid = np.broadcast_to(u, (J, u.size)) + 1e-9 * np.arange(u.size)
        cdf = np.broadcast_to((np.arange(u.size) + 0.5) / u.size, grid.shape)
        return SimpleNamespace(
            posterior=SimpleNamespace(
                weights=np.full(D, 1 / D), beta=beta, sd=sd, v=v, u_grid=grid, u_cdf=cdf,
                ter_grid=np.linspace(0, 100, J * 9).reshape(J, 9),
                ter_cdf=np.tile(np.linspace(0, 1, 9), (J, 1)),
            ),
        )  # fmt: skip

    return solve


def test_calibration_passes_what_is_right_and_fails_what_is_too_sure(monkeypatch):
    # The prior is a posterior that is calibrated, whatever the data: over the prior its ranks are uniform.
    study = CalibrationStudy(small_scenario(), columns=("phq9_first",))
    right, wrong = {}, {}
    for scale, of_scale in ((1.0, right), (0.3, wrong)):
        monkeypatch.setattr(calibration, "solve_design", prior_as_posterior(scale))
        table = run_study(study, 150, seed=5).table
        for name in ("beta: intercept", "beta: phq9_first", "service", "therapist"):
            of_scale[name] = of(table, "ks_p", quantity=name), of(table, "outside", quantity=name)
    for name in right:
        # Eight looks: 0.001 each.
        assert right[name][0] > 0.001, name
        assert wrong[name][0] < 0.001, name
        assert wrong[name][1] > 0, name


def test_truths_come_from_the_priors():
    design = calibration.fixed_design(small_scenario(), ("phq9_first",))
    rng = np.random.default_rng(6)
    draws = [calibration.draw_truth(design, rng) for _ in range(800)]
    beta = np.array([draw.beta for draw in draws])
    sd = np.array([draw.sd for draw in draws])
    standard = np.array([draw.u / draw.sd[0] for draw in draws])
    # Normal(0, 2.5): 4 standard errors of an SD; half-normal(1): mean sqrt(2/pi), SD 0.603.
    np.testing.assert_allclose(beta.std(axis=0), 2.5, rtol=4 / np.sqrt(1600))
    np.testing.assert_allclose(sd.mean(axis=0), math.sqrt(2 / math.pi), atol=4 * 0.603 / np.sqrt(800))
    np.testing.assert_allclose(standard.std(), 1.0, rtol=0.03)
    for draw in draws[:5]:
        p = expit(draw.fixed + draw.u[design.therapist.index])
        # The outcomes are Bernoulli: z of their sum.
        assert abs((draw.outcomes - p).sum()) < 4.5 * math.sqrt((p * (1 - p)).sum() + 1e-9)


@pytest.mark.parametrize("engine", ["fast", "ml"])
def test_engines_give_probabilities(engine):
    scenario = small_scenario(n_therapists=12, mean_caseload=20.0)
    study = CalibrationStudy(scenario, engine=engine, columns=("phq9_first",))
    p = study.replicate(3).sums[:, 0]
    assert p.shape == (len(study.quantities),)
    assert ((p >= 0) & (p <= 1)).all()
    assert ("sd_therapist" in study.quantities) == (engine == "fast")


# settings


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("reliability", {"completed": (10, 5)}, "completed must increase"),
        ("reliability", {"completed": ()}, "one value or more"),
        ("reliability", {"levels": (0.5, 1.5)}, "levels"),
        ("reliability", {"engine": "nuts"}, "must be ml or fast"),
        ("reliability", {"scenario": "england"}, "must be a ter.Scenario"),
        ("gate", {"gates": (5.5,)}, "whole number"),
        ("gate", {"minimum": 0.45}, "minimum"),
        ("gate", {"support": 0.1}, "support"),
        ("power", {"iccs": (0.05, 0.9)}, "iccs"),
        ("power", {"points": (-5.0,)}, "points"),
        ("coverage", {"levels": (0.0,)}, "levels"),
        ("calibration", {"band": 1.0}, "band"),
        ("calibration", {"band": "x"}, "band must be a finite number, not 'x'"),
        ("calibration", {"columns": "age"}, "columns"),
        (
            "calibration",
            {"columns": ("age", "foo")},
            "columns names 'foo'; the scenario's case mix has phq9",
        ),
        ("calibration", {"columns": (3,)}, "columns names 3; the scenario's case mix"),
        ("raw_versus_ter", {"example": 75}, "example must be a tuple of two rates, not 75"),
        ("raw_versus_ter", {"example": ("a", 40.0)}, r"example\[0\] must be a finite number, not 'a'"),
        ("raw_versus_ter", {"example": (40.0, 75.0)}, "the higher first"),
        ("raw_versus_ter", {"completed": 0}, "completed"),
        ("raw_versus_ter", {"gaps": (5.0, 10.0)}, "gaps must begin with 0"),
        ("raw_versus_ter", {"example": (51.0, 50.0)}, "must lie more than twice within"),
    ],
)
def test_settings_out_of_range_are_refused(name, setting, message):
    with pytest.raises(OptionError, match=message):
        STUDIES[name](**setting)


def test_reliability_needs_therapists_who_differ():
    with pytest.raises(OptionError, match="all alike"):
        ReliabilityStudy(small_scenario(therapist_sd=0.0))


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_settings_are_frozen_and_have_a_scenario_of_their_own(name):
    study = STUDIES[name]()
    assert name == study.NAME
    with pytest.raises(AttributeError):
        study.engine = "fast"
    assert replace(study, engine="fast").engine == "fast"
