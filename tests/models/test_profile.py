"""Profile intervals and the test of a variance, against lme4, brute force and simulation."""

import json

import numpy as np
import pandas as pd
import pytest
from networks import network, table_of
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import chi2

import ter
from ter.errors import OptionError
from ter.models.boundary import EVEN
from ter.models.laplace import LaplaceLikelihood
from ter.models.layout import arrange
from ter.models.maxima import SurfaceMaxima
from ter.models.ml import fit_ml
from ter.models.profile import Profile
from ter.models.quadrature import CrossedQuadrature, QuadratureLikelihood
from ter.models.variance_test import variance_test

# R 4.2.2, lme4 1.1.31:
#   m <- glmer(use01 ~ urban + age + livch + (1 | district), d, family = binomial,
#              control = glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-8)))
#   confint(profile(m, which = "theta_", signames = FALSE), level = 0.9)   # and 0.95; logLik(m)
#   logLik(glm(use01 ~ urban + age + livch, binomial, d))
# and cbpp the same, with cbind(incidence, size - incidence) ~ period + (1 | herd). "without" is the glm's
# logLik; the maximum with the factor is glmmTMB's in the reference data, since lme4 ends 3e-4 short of it.
LME4 = {
    "contraception": {
        0.90: (0.34350635, 0.60458752),
        0.95: (0.32320791, 0.63611766),
        "without": -1228.36457314,
    },
    "cbpp": {
        0.90: (0.38892249, 1.0076376),
        0.95: (0.34607319, 1.0999748),
        "without": -99.0291994894,
    },
}


FACTORS = ("therapist", "service")


def maxima_of(layout, nodes, found):
    return SurfaceMaxima(layout, nodes, found, FACTORS[: found.sd.size])


def therapist_test(layout, nodes, found):
    maxima = maxima_of(layout, nodes, found)
    return variance_test(maxima, "therapist", maxima.without("therapist"), EVEN)


def fitted(name, folder):
    if name == "contraception":
        table = pd.read_csv(folder / name / "data.csv", dtype={"district": str, "livch": str})
        case_mix = ter.CaseMix([ter.factor("urban"), ter.linear("age"), ter.factor("livch")])
        options = {"outcome": "use01", "therapist": "district"}
    else:
        table = pd.read_csv(folder / name / "data.csv", dtype={"herd": str, "period": str})
        case_mix = ter.CaseMix([ter.factor("period")])
        options = {"outcome": "incidence", "trials": "size", "therapist": "herd"}
    return table, ter.fit(table, case_mix=case_mix, service=None, engine="ml", nodes=1, **options)


@pytest.mark.reference
@pytest.mark.parametrize("name", LME4)
def test_against_lme4(name, reference_data):
    table, fit = fitted(name, reference_data)
    for level in (0.90, 0.95):
        row = fit.profile_intervals(table, level=level).loc["therapist"]
        # lme4 reads the ends off a spline through some twenty points of its profile.
        np.testing.assert_allclose([row["lower"], row["upper"]], LME4[name][level], rtol=1e-3)
    answer = json.loads((reference_data / name / "ref_m1.json").read_text())["fits"]["glmmTMB"]["logLik"]
    expected = 2 * (answer - LME4[name]["without"])
    test = fit.variance_test(table)
    assert repr(test) == f"<ter.VarianceTest: {test.summary()}>"
    # Two programs' maxima, each to 1e-5.
    assert test.statistic == pytest.approx(expected, abs=5e-5)
    assert test.p_value == pytest.approx(0.5 * chi2.sf(expected, 1), rel=1e-4)
    assert "even mixture" in test.summary()


@pytest.mark.parametrize("factor", [0, 1])
def test_crossed_profile_against_a_general_optimiser(factor):
    design, _ = network(3, services=4, therapists=30)
    layout = arrange(design, design.therapist, design.service)
    found = fit_ml(layout, 1)
    maxima = maxima_of(layout, 1, found)
    profile = Profile(maxima, FACTORS[factor])
    likelihood = LaplaceLikelihood(layout)
    held = np.log(found.sd[factor]) + 0.4
    others = np.arange(5) != 3 + factor

    def lost(part):
        x = np.empty(5)
        x[others], x[3 + factor] = part, held
        return -likelihood.value(x)

    start = np.concatenate([found.beta, np.log(found.sd)])[others]
    best = minimize(
        lost, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4000}
    )
    # What the simplex leaves.
    assert maxima.value_at(FACTORS[factor], held) == pytest.approx(-best.fun, abs=1e-6)
    interval = profile.interval(0.9)
    for end in (interval.lower, interval.upper):
        if 0.0 < end < np.inf:
            # The ends are found to 1e-6 in log sd, where the fall is some 5 a unit.
            assert profile.fall(np.log(end)) == pytest.approx(chi2.ppf(0.9, 1), abs=1e-4)
    assert interval.lower < found.sd[factor] < interval.upper


def test_by_quadrature_against_brute_force():
    design, _ = network(0, therapists=25, caseload=6, columns=0, sd=(1.0,))
    layout = arrange(design, design.therapist, None)
    found = fit_ml(layout, 15)
    maxima = maxima_of(layout, 15, found)
    likelihood = QuadratureLikelihood(layout, 41)
    for log_sd in np.log(found.sd[0]) + np.array([-0.7, 0.5]):

        def lost(b, s=log_sd):
            return -likelihood.value(np.array([b]), float(np.exp(s)))

        best = minimize_scalar(lost, bounds=(-3, 3), method="bounded", options={"xatol": 1e-8})
        # 15 nodes are exact to 1e-6 here.
        assert maxima.value_at("therapist", log_sd) == pytest.approx(-best.fun, abs=1e-5)


def test_crossed_quadrature_has_intervals():
    design, _ = network(2, services=3, therapists=25, columns=1, sd=(1.0, 0.4))
    layout = arrange(design, design.therapist, design.service)
    found = fit_ml(layout, 9)
    interval = Profile(maxima_of(layout, 9, found), "therapist").interval(0.9)
    assert 0.0 < interval.lower < found.sd[0] < interval.upper
    likelihood = CrossedQuadrature(layout, 9, found.v)
    for log_sd in np.log([interval.lower, interval.upper]):

        def lost(part, s=log_sd):
            return -likelihood.value(np.array([part[0], part[1], s, part[2]]))

        start = np.concatenate([found.beta, np.log(found.sd[1:])])
        best = minimize(lost, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7})
        # What nine nodes leave between the value and the derivatives of the integrals.
        assert 2 * (found.log_likelihood + best.fun) == pytest.approx(chi2.ppf(0.9, 1), abs=2e-3)


def test_no_variance():
    design, _ = network(6, services=4, therapists=20, sd=(0.0, 0.5))
    layout = arrange(design, design.therapist, design.service)
    found = fit_ml(layout, 1)
    test = therapist_test(layout, 1, found)
    assert found.sd[0] == 0.0
    assert (test.statistic, test.p_value) == (pytest.approx(0.0, abs=1e-6), 1.0)
    interval = Profile(maxima_of(layout, 1, found), "therapist").interval(0.9)
    assert interval.lower == 0.0
    assert 0.0 < interval.upper < 1.0


def test_size_of_the_test_under_no_variance():
    # Half of all samples have no excess variance, and the test at 10% rejects a tenth of the time: 120 draws
    # give +-0.14 and +-0.085 at three standard errors.
    p_values = []
    for seed in range(120):
        design, _ = network(seed, therapists=40, caseload=12, columns=0, sd=(0.0, 0.0))
        layout = arrange(design, design.therapist, None)
        p_values.append(therapist_test(layout, 9, fit_ml(layout, 9)).p_value)
    p_values = np.array(p_values)
    assert np.mean(p_values > 0.5) == pytest.approx(0.55, abs=0.15)
    assert np.mean(p_values < 0.1) == pytest.approx(0.1, abs=0.085)


def test_on_the_fit():
    design, _ = network(3, services=4, therapists=30)
    table = table_of(design)
    options = {"case_mix": ter.CaseMix([ter.linear("x0"), ter.linear("x1")]), "outcome": "y", "engine": "ml"}
    fit = ter.fit(table, **options)
    intervals = fit.profile_intervals(table.sample(frac=1.0, random_state=1), level=0.8)
    assert list(intervals.index) == ["therapist", "service"]
    np.testing.assert_array_equal(intervals["sd"], fit.groups["sd"])
    assert (intervals["lower"] <= intervals["sd"]).all()
    assert (intervals["sd"] < intervals["upper"]).all()
    # The same model with the names of the factors exchanged.
    swapped = ter.fit(table, therapist="service_id", service="therapist_id", **options)
    again = swapped.profile_intervals(table, level=0.8)
    np.testing.assert_allclose(again.to_numpy()[::-1], intervals.to_numpy(), atol=1e-4)
    test = fit.variance_test(table, "service")
    assert test.statistic == pytest.approx(swapped.variance_test(table).statistic, abs=1e-5)
    with pytest.raises(OptionError, match="not the table"):
        fit.profile_intervals(table.assign(y=1 - table["y"]))
    with pytest.raises(OptionError, match="level"):
        fit.profile_intervals(table, level=90)
    with pytest.raises(OptionError, match="factor must be"):
        fit.variance_test(table, "region")
