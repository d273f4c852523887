from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_cases import drawn_cases
from scipy.integrate import quad
from scipy.stats import kstest, kurtosis, norm, skew

from ter.checks.cases import Cases
from ter.checks.predictive import linear_predictor, replicate, sd_draws, spread, two_sided, upper_p
from ter.checks.residuals import normality, severity_slope
from ter.kernels import parallel

M = 150


@pytest.mark.parametrize("sd", [0.0, 0.4, 1.5])
def test_the_linear_predictor_gives_the_expected_rate_back(sd):
    for p in (0.02, 0.5, 0.93):
        eta = float(linear_predictor(np.array([p]), sd)[0])
        mean = (
            1 / (1 + np.exp(-eta))
            if sd == 0
            else quad(lambda z: norm.pdf(z) / (1 + np.exp(-(eta + sd * z))), -9, 9)[0]  # noqa: B023
        )
        # Linear interpolation between log-odds 1/40 apart: error at most (1/40)^2 / 8 / 10.
        assert mean == pytest.approx(p, abs=1e-5)


def test_p_values_count_the_data_as_a_draw():
    drawn = np.array([[1.0], [2.0], [3.0]])
    assert upper_p(np.array([2.5]), drawn)[0] == 0.5
    assert two_sided(np.array([9.0]), drawn)[0] == 0.5


def checked(seed, **options):
    rng = np.random.default_rng(seed)
    cases, severity = drawn_cases(rng, therapists=50, caseload=25, sd=0.4, **options)
    drawn = replicate(cases, np.full(M, 0.4), seed, severity)
    return spread(drawn, cases).table, normality(drawn), severity_slope(drawn)


@pytest.fixture(scope="module")
def right():
    return [checked(seed) for seed in range(60)]


@pytest.mark.parametrize("patients", [1, 9, 300])
def test_draws_are_those_of_numpy_on_any_number_of_threads(monkeypatch, patients):
    """A loop in NumPy, draw after draw; with 300 patients NumPy inverts no distribution function."""
    rng = np.random.default_rng(8)
    cases, severity = drawn_cases(rng, therapists=15, caseload=12)
    n = np.full(severity.size, float(patients)) if patients == 1 else rng.integers(1, patients, severity.size)
    cases, sd = replace(cases, n=n.astype(np.float64)), rng.choice([0.0, 0.3, 0.5], 30)
    lever = severity - (cases.by_therapist(n * severity) / cases.by_therapist(n))[cases.therapist]
    numpy, residual, slope = np.random.default_rng([5, 1]), [], []
    for value in sd:
        effect = (value * numpy.standard_normal(15))[cases.therapist]
        rate = 1 / (1 + np.exp(-(linear_predictor(cases.expected, value) + effect)))
        y = numpy.random(rate.size) < rate if patients == 1 else numpy.binomial(cases.n.astype(int), rate)
        residual.append(cases.by_therapist(y - n * cases.expected))
        slope.append(cases.by_therapist(lever * (y - n * cases.expected)))
    for threads in (1, 3):
        monkeypatch.setattr(parallel.numba, "get_num_threads", lambda threads=threads: threads)
        found = replicate(cases, sd, 5, severity)
        # Sums of some ten rounded numbers each.
        np.testing.assert_allclose(found.drawn, residual, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.slope_drawn, slope, rtol=0, atol=1e-10)


@pytest.mark.parametrize("statistic", ["sd", "range", "furthest", "chi_square"])
def test_p_values_of_the_spread_are_uniform_under_the_true_model(right, statistic):
    p = [table.loc[statistic, "p_upper"] for table, _, _ in right]
    assert kstest(p, "uniform").pvalue > 0.001


def test_p_values_of_shape_and_slope_are_uniform_under_the_true_model(right):
    for p in ([n.p_kurtosis for _, n, _ in right], [s.p for _, _, s in right]):
        assert kstest(p, "uniform").pvalue > 0.001


def test_a_mixture_of_therapists_is_found():
    """A tenth of therapists far out on both sides: heavy tails."""
    rng = np.random.default_rng(2)
    effects = np.where(np.arange(150) % 10 == 0, 2.2 * np.sign(np.arange(150) % 20 - 5.0), 0.2)
    cases, _ = drawn_cases(rng, therapists=150, caseload=40, effects=effects)
    # The spread that fits these best is about 0.7; heavy tails show at any.
    drawn = replicate(cases, np.full(1000, 0.7), 1)
    found = normality(drawn)
    assert found.p_kurtosis < 0.005
    assert found.kurtosis > 1.0
    assert "lie further out" in found.summary()
    assert spread(replicate(cases, np.full(500, 0.3), 1), cases).table.loc["furthest", "p_upper"] < 0.01


def test_shape_is_that_of_scipy():
    cases, _ = drawn_cases(np.random.default_rng(6), therapists=80)
    drawn = replicate(cases, np.full(50, 0.4), 1)
    found = normality(drawn)
    assert found.kurtosis == pytest.approx(kurtosis(drawn.residual / drawn.sd), rel=1e-12)
    assert found.skewness == pytest.approx(skew(drawn.residual / drawn.sd), rel=1e-12)


@pytest.mark.reference
@pytest.mark.parametrize("year", ["2022-23", "2023-24"])
def test_the_heavy_tails_of_nhs_providers_are_found(reference_data, year):
    table = pd.read_csv(reference_data / "nhs_tt" / "provider_year.csv")
    table = table[table["reporting_period"] == year].dropna(subset=["recovery", "at_caseness"])
    n, y = table["at_caseness"].to_numpy(), table["recovery"].to_numpy()
    J = len(n)
    ids = tuple(table["org_code"])
    cases = Cases(np.arange(J), ids, n, y, np.full(J, y.sum() / n.sum()), np.arange(J))
    found = normality(replicate(cases, np.full(2500, 0.3), 1))
    assert found.p_kurtosis <= 0.0009
    # The raw rates alone say so: their kurtosis is far above that of a bell curve, whatever is divided by.
    assert kurtosis(y[n >= 100] / n[n >= 100]) > 3.0
    assert found.kurtosis > 3.0


def test_a_lopsided_distribution_is_found():
    rng = np.random.default_rng(2)
    effects = 0.5 * rng.exponential(1.0, 200) ** 1.5
    cases, _ = drawn_cases(rng, therapists=200, caseload=60, effects=effects - effects.mean())
    found = normality(replicate(cases, np.full(1000, float(effects.std())), 1))
    assert found.skewness > 0.5
    assert found.p_skewness < 0.005
    assert "lopsided" in found.summary()


def test_slopes_on_severity_are_found_and_measured():
    rng = np.random.default_rng(4)
    cases, severity = drawn_cases(rng, therapists=150, caseload=60, sd=0.4, slopes=0.5)
    found = severity_slope(replicate(cases, np.full(1000, 0.4), 1, severity))
    assert found.p < 0.002
    # A moment estimate to first order: the true SD of 0.5 within a fifth.
    assert found.sd == pytest.approx(0.5, rel=0.2)


def test_a_slope_that_all_share_is_no_spread_of_slopes():
    rng = np.random.default_rng(4)
    cases, severity = drawn_cases(rng, therapists=100, caseload=60, sd=0.1)
    # Recovery falls with severity, and the model does not know it.
    wrong = replace(cases, expected=np.full(len(severity), 0.5))
    assert severity_slope(replicate(wrong, np.full(500, 0.1), 1, severity)).p > 0.01


def test_the_same_seed_gives_the_same_draws(fit, episodes):
    cases, severity = drawn_cases(np.random.default_rng(0))
    a, b, c = (replicate(cases, np.full(20, 0.4), seed, severity) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.drawn, b.drawn)
    assert not np.array_equal(a.drawn, c.drawn)
    np.testing.assert_array_equal(sd_draws(fit, 5, 3), sd_draws(fit, 5, 3))


def test_qq_data_hold_the_model_in_their_band():
    cases, _ = drawn_cases(np.random.default_rng(1), therapists=100)
    q = normality(replicate(cases, np.full(500, 0.4), 1)).to_frame()
    assert (q["low"] <= q["median"]).all()
    assert (q["median"] <= q["high"]).all()
    inside = (q["observed"] >= q["low"]) & (q["observed"] <= q["high"])
    assert inside.mean() > 0.6  # ranks move together, so that many may leave the band at once
