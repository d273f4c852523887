"""Profiles and tests with slopes, a third factor and nested factors: lme4, brute force and simulation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from networks import table_of
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import chi2
from test_nested import laid_out, nested
from test_slope import by_therapist, sloped

import ter
from ter.models.effects_maxima import by_angle, effects_maxima
from ter.models.effects_ml import fit_effects
from ter.models.mixed import MixedLikelihood
from ter.models.nested import NestedLikelihood, fit_nested, nested_maxima
from ter.models.profile import Profile

# R 4.2.2, lme4 1.1.31, z being urban (0/1) less its mean over its SD (with divisor n):
#   ctl <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-8, maxfun = 1e5), tolPwrss = 1e-11)
#   m <- glmer(use01 ~ z + age + livch + (1 + z | district), d, family = binomial, control = ctl)
#   confint(profile(m, which = "theta_", signames = FALSE), level = 0.95)
#   logLik of m, of the same with (1 | district), and of glm(use01 ~ z + age + livch, binomial, d)
# and "three": use01 ~ urban + (1 | district) + (1 | livch) + (1 | band), band being floor(age / 3), the same.
LME4 = {
    "slope": {
        "intervals": {
            "therapist": (0.31199948, 0.63126471),
            "therapist slope": (0.20002478, 0.55876860),
        },
        "with": -1199.50824275,
        "without": {"therapist slope": -1206.80784485, "therapist": -1228.36457314},
    },
    "three": {
        "intervals": {
            "therapist": (0.33656935, 0.65933982),
            "service": (0.19365773, 1.00836442),
            "further": (0.25993668, 0.78240835),
        },
        "with": -1206.35918137,
        "without": {"therapist": -1229.04584616, "service": -1220.20554186, "further": -1220.1704803},
    },
}


def fitted(name, folder):
    table = pd.read_csv(folder / "contraception/data.csv", dtype={"district": str, "livch": str})
    table["urban01"] = (table["urban"] == "Y").astype(float)
    table["band"] = np.floor(table["age"] / 3).astype(int).astype(str)
    if name == "slope":
        terms = [ter.linear("urban01"), ter.linear("age"), ter.factor("livch")]
        options = {"service": None, "severity_slope": "urban01"}
    else:
        terms, options = [ter.factor("urban")], {"service": "livch", "further": "band"}
    return table, ter.fit(
        table, case_mix=ter.CaseMix(terms), outcome="use01", therapist="district", engine="ml", **options
    )


@pytest.mark.reference
@pytest.mark.parametrize("name", LME4)
def test_against_lme4(name, reference_data):
    table, fit = fitted(name, reference_data)
    answer = LME4[name]
    intervals = fit.profile_intervals(table, level=0.95)
    assert list(intervals.index) == list(fit.groups.index)
    for factor, ends in answer["intervals"].items():
        # lme4 reads the ends off a spline through some twenty points of its profile.
        np.testing.assert_allclose(intervals.loc[factor, ["lower", "upper"]], ends, rtol=1e-3)
    for factor, without in answer["without"].items():
        test = fit.variance_test(table, factor)
        assert test.converged
        # lme4 ends up to 5e-5 from its maximum; ours without the factor is at an SD of 1e-4.
        assert test.without == pytest.approx(without, abs=1e-4)
        assert test.statistic == pytest.approx(2.0 * (answer["with"] - without), abs=2e-4)


def test_reference_distributions():
    design, _, _ = sloped(7, therapists=30, caseload=12, services=4, sd=(0.5, 0.8), sd_w=0.8)
    table = table_of(design)
    terms = ter.CaseMix([ter.linear("x0"), ter.linear("x1")])
    fit = ter.fit(table, case_mix=terms, outcome="y", engine="ml", severity_slope="x0")
    tests = {name: fit.variance_test(table, name) for name in fit.groups.index}
    t = {name: test.statistic for name, test in tests.items()}
    # Self and Liang (1987); Stram and Lee (1994).
    assert tests["service"].p_value == pytest.approx(0.5 * chi2.sf(t["service"], 1), rel=1e-9)
    slope = t["therapist slope"]
    expected = 0.5 * chi2.sf(slope, 1) + 0.5 * chi2.sf(slope, 2)
    assert tests["therapist slope"].p_value == pytest.approx(expected, rel=1e-9)
    block = tests["therapist"]
    assert t["therapist"] > slope > 0.0
    assert "chi-squared on 0 to 3 df" in repr(block)
    # Whatever the weights: never below what a variance alone gives, nor above three parameters inside.
    assert 0.5 * chi2.sf(block.statistic, 1) < block.p_value < chi2.sf(block.statistic, 3)
    # Rows in another order, the same bytes.
    shuffled = table.sample(frac=1.0, random_state=1)
    assert fit.variance_test(shuffled, "therapist") == block
    pd.testing.assert_frame_equal(
        fit.profile_intervals(shuffled), fit.profile_intervals(table), check_exact=True
    )
    with pytest.raises(ter.OptionError, match="factor must be one of service, therapist, therapist slope"):
        fit.variance_test(table, "further")


@pytest.mark.parametrize("y", [(0.1, 0.3, -0.2, -0.5, -0.9, 0.6), (0.1, 0.3, -0.2, -0.5, -0.9, 2.0)])
def test_gradient_in_the_angle_against_differences(y):
    design, _, _ = sloped(2, caseload=12)
    slope = by_angle(MixedLikelihood(by_therapist(design), (), design.severity.values).evaluate, 3)
    y = np.array(y)
    numeric = [(slope(y + h)[0] - slope(y - h)[0]) / 2e-5 for h in 1e-5 * np.eye(y.size)]
    np.testing.assert_allclose(slope(y)[1], numeric, rtol=1e-6, atol=1e-6)


def general_optimiser(lost, start):
    """The highest value that an optimiser finds that is given no derivatives."""
    return -minimize(lost, start, method="BFGS", options={"gtol": 1e-4}).fun


@pytest.mark.parametrize("factor", ["therapist", "therapist slope"])
def test_quadrature_with_slopes_against_brute_force(factor):
    design, _, _ = sloped(4, therapists=8, caseload=12, columns=1, sd=(0.8,), sd_w=0.9)
    found = fit_effects(design, 15)
    maxima = effects_maxima(design, 15, found)
    held = np.log(maxima.sd[factor]) + 0.5
    a = np.linspace(-8.0, 8.0, 49)
    t, e = np.meshgrid(a, a)
    log_prior = -0.5 * (t**2 + e**2) + 2.0 * np.log((a[1] - a[0]) / np.sqrt(2.0 * np.pi))
    y, z, j = design.successes[:, None, None], design.severity.values[:, None, None], design.therapist.index

    def lost(x):
        """Sums over a grid in the standard units of (u, w): smooth, and zero at the edges."""
        sd_u, sd_w = np.exp([held, x[2]] if factor == "therapist" else [x[2], held])
        u = sd_u * (np.sin(x[3]) * t + np.cos(x[3]) * e)
        eta = (design.X @ x[:2])[:, None, None] + u + sd_w * t * z
        log_f = np.add.reduceat(y * eta - np.logaddexp(0, eta), np.unique(j, return_index=True)[1])
        return -logsumexp(log_prior + log_f, axis=(1, 2)).sum()

    other = maxima.sd["therapist slope" if factor == "therapist" else "therapist"]
    best = general_optimiser(lost, [*found.beta, np.log(other), 0.3])
    # 15 nodes are exact to 1e-6 here, and the two optimisers end within 1e-6 of the maximum.
    assert maxima.value_at(factor, held) == pytest.approx(best, abs=2e-6)


@pytest.mark.parametrize("factor", ["therapist slope", "service"])
def test_crossed_slopes_against_a_general_optimiser(factor):
    design, _, _ = sloped(4, therapists=30, services=4, caseload=15, columns=1, sd=(1.0, 0.8), sd_w=0.9)
    found = fit_effects(design, 1)
    maxima = effects_maxima(design, 1, found)
    likelihood = MixedLikelihood(by_therapist(design), (design.service,), design.severity.values)
    log_sd = {name: float(np.log(maxima.sd[name])) for name in maxima.names}
    held = log_sd.pop(factor) + 0.5

    def lost(x):
        sd = dict(zip(log_sd, x[3:], strict=True)) | {factor: held}
        sd_w = np.exp(sd["therapist slope"])
        b, c = sd_w * np.sin(x[2]), sd_w * abs(np.cos(x[2]))
        theta = [sd["therapist"], b, np.log(c), sd["service"]]
        return -likelihood.evaluate(np.concatenate([x[:2], theta]))[0]

    best = general_optimiser(lost, [*found.beta, 0.3, *log_sd.values()])
    # The two optimisers end within 1e-6 of the maximum.
    assert maxima.value_at(factor, held) == pytest.approx(best, abs=2e-6)


def test_ends_of_intervals():
    design, _, _ = sloped(4, therapists=20, caseload=12, columns=1, sd_w=0.9)
    maxima = effects_maxima(design, 1, fit_effects(design, 1))
    profile = Profile(maxima, "therapist slope")
    interval = profile.interval(0.9)
    assert 0.0 < interval.lower < maxima.sd["therapist slope"] < interval.upper
    for end in (interval.lower, interval.upper):
        # The ends are found to 1e-6 in log sd, where the fall is some 5 a unit.
        assert profile.fall(np.log(end)) == pytest.approx(chi2.ppf(0.9, 1), abs=1e-4)


@pytest.mark.parametrize("factor", [0, 1])
def test_nested_factors_against_a_general_optimiser(factor):
    design = nested(2, services=8, therapists=24, caseload=10, sd=(0.9, 0.7))
    layout, names = laid_out(design), ("therapist", "service")
    found = fit_nested(layout, 15)
    maxima = nested_maxima(layout, 15, found, names)
    held = np.log(found.sd[factor]) + 0.4
    likelihood = NestedLikelihood(layout, 15)

    def lost(x):
        return -likelihood.evaluate(np.insert(x, 3 + factor, held))[0]

    best = general_optimiser(lost, [*found.beta, np.log(found.sd[1 - factor])])
    # The two optimisers end within 1e-6 of the maximum, and fewer nodes for the services change as little.
    assert maxima.value_at(names[factor], held) == pytest.approx(best, abs=2e-6)


def test_nested_factors_have_intervals_by_any_name():
    table = table_of(nested(5, services=8, therapists=40, caseload=12, sd=(0.9, 0.8)))
    terms = ter.CaseMix([ter.linear("x0"), ter.linear("x1")])
    options = {"case_mix": terms, "outcome": "y", "engine": "ml", "nodes": 11}
    fit = ter.fit(table, **options)
    intervals = fit.profile_intervals(table)
    assert (intervals["lower"] < intervals["sd"]).all()
    swapped = ter.fit(table, therapist="service_id", service="therapist_id", **options)
    # Ends are found to 1e-6 in log sd.
    np.testing.assert_allclose(swapped.profile_intervals(table).to_numpy()[::-1], intervals, atol=1e-5)
    test, other = fit.variance_test(table, "service"), swapped.variance_test(table, "therapist")
    assert test.statistic == pytest.approx(other.statistic, abs=1e-6)
    assert test.p_value == pytest.approx(0.5 * chi2.sf(test.statistic, 1), rel=1e-9)


def test_slopes_of_zero():
    # Every therapist has the same patients with the same outcomes: there is nothing that differs.
    design, _, _ = sloped(5, therapists=20, caseload=20)
    same = np.tile(np.arange(20), 20)
    design = replace(design, X=design.X[same], successes=design.successes[same])
    table = table_of(design)
    terms = ter.CaseMix([ter.linear("x0"), ter.linear("x1")])
    fit = ter.fit(table, case_mix=terms, service=None, outcome="y", engine="ml", severity_slope="x0")
    for name in ("therapist", "therapist slope"):
        assert fit.variance_test(table, name).p_value == 1.0
    intervals = fit.profile_intervals(table)
    assert (intervals["lower"] == 0.0).all()
    assert intervals["upper"].between(0.0, 0.3, inclusive="neither").all()
