import numpy as np
import pytest
import statsmodels.api as sm
from made_cases import drawn_cases
from scipy.optimize import minimize
from scipy.stats import mannwhitneyu, ttest_1samp
from statsmodels.multivariate.manova import MANOVA
from statsmodels.stats.proportion import proportion_confint

import ter
from ter.checks import calibrate
from ter.checks.calibration import area, compare, discriminate, holm, recalibrate, worse_than_none
from ter.checks.cases import Cases, bins, cases_from_sums, cases_of, only, pooled
from ter.checks.cluster import joint_p, total_gap
from ter.errors import DataError


@pytest.fixture(scope="module")
def cases():
    return drawn_cases(np.random.default_rng(3))[0]


def test_the_gap_of_a_group_is_a_t_test_by_therapist(cases):
    group = (np.arange(len(cases.n)) % 3 == 0).astype(np.int64)
    table = compare(cases, group, ("a", "b"))
    inside = group == 1
    y, p, who = cases.observed[inside], cases.expected[inside], cases.therapist[inside]
    sums = [np.sum(y[who == j] - p[who == j]) for j in np.unique(who)]
    row = table.loc["b"]
    assert row["observed"] == pytest.approx(y.mean())
    assert row["expected"] == pytest.approx(p.mean())
    assert row["o_e"] == pytest.approx(y.sum() / p.sum())
    found = ttest_1samp(sums, 0.0)
    assert row["p"] == pytest.approx(found.pvalue, rel=1e-9)
    low, high = found.confidence_interval(0.95)
    J = len(sums)
    assert row["o_e_low"] == pytest.approx(1 + J * low / p.sum(), rel=1e-9)
    assert row["o_e_high"] == pytest.approx(1 + J * high / p.sum(), rel=1e-9)
    wilson = proportion_confint(y.sum(), y.size, method="wilson")
    assert (row["low"], row["high"]) == pytest.approx(wilson, rel=1e-12)


def test_small_groups_are_compared_but_not_tested(cases):
    group = np.zeros(len(cases.n), np.int64)
    group[:19] = 1
    table = compare(cases, group, ("most", "few"))
    assert table.loc["few", "n"] == 19
    assert np.isnan(table.loc["few", "p"])


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_joint_test_is_hotellings(k):
    rng = np.random.default_rng(k)
    sums = rng.standard_normal((40, k)) @ rng.standard_normal((k, k)) + 0.2
    if k == 1:
        expected = ttest_1samp(sums[:, 0], 0.0).pvalue
    else:
        # One-sample T squared: the intercept's test in a MANOVA that has nothing else.
        found = MANOVA(sums, np.ones((40, 1))).mv_test([("mean", np.eye(1))])
        expected = found.results["mean"]["stat"].loc["Wilks' lambda", "Pr > F"]
    assert joint_p(sums) == pytest.approx(float(expected), rel=1e-8)


def test_too_few_therapists_are_not_tested():
    assert np.isnan(total_gap(np.arange(9.0)).p)
    assert np.isnan(joint_p(np.random.default_rng(0).standard_normal((12, 4))))


def test_p_values_of_a_right_model_are_even_though_therapists_differ():
    """What patients taken as independent would get wrong: therapists' spread is no miscalibration."""
    p = []
    for seed in range(300):
        cases, _ = drawn_cases(np.random.default_rng(seed), therapists=40, caseload=20, sd=0.8)
        p.append(compare(cases, np.zeros(len(cases.n), np.int64), ("",))["p"].iloc[0])
    # A binomial of 300 at 0.1 has an SD of 5.2: 14 to 46 is 3 SD either way.
    assert 14 <= np.sum(np.array(p) < 0.1) <= 46


def test_slope_and_intercept_are_those_of_a_logistic_regression(cases):
    logit = np.log(cases.expected / (1 - cases.expected))

    def loss(b):
        eta = b[0] + b[1] * logit
        return np.sum(np.logaddexp(0, eta) - cases.observed * eta)

    found = recalibrate(cases)
    assert found.slope == pytest.approx(minimize(loss, [0.0, 1.0], tol=1e-10).x[1], abs=1e-5)
    only_level = minimize(lambda b: loss([b[0], 1.0]), [0.0], tol=1e-10).x[0]
    assert found.intercept == pytest.approx(only_level, abs=1e-5)
    logistic = sm.Logit(cases.observed, sm.add_constant(logit)).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": cases.therapist}
    )
    assert found.slope_se == pytest.approx(logistic.bse[1], rel=1e-6)


def test_slope_finds_rates_that_are_too_extreme():
    rng = np.random.default_rng(5)
    cases, _ = drawn_cases(rng, therapists=200, caseload=40, sd=0.0)
    logit = 2.0 * np.log(cases.expected / (1 - cases.expected))
    bold = Cases(cases.therapist, cases.ids, cases.n, cases.observed, 1 / (1 + np.exp(-logit)), cases.row)
    found = recalibrate(bold)
    assert abs(found.slope - 0.5) < 4 * found.slope_se
    assert found.slope_se < 0.05


def test_a_slope_of_few_therapists_has_no_standard_error():
    cases, _ = drawn_cases(np.random.default_rng(0), therapists=29)
    assert np.isnan(recalibrate(cases).slope_se)


def test_area_is_that_of_mann_and_whitney_and_its_error_delongs():
    rng = np.random.default_rng(8)
    y = rng.random(300) < 0.4
    score = np.round(rng.standard_normal(300) + y, 1)  # with ties
    auc, se = area(score, y.astype(float), (~y).astype(float))
    a, b = score[y], score[~y]
    assert auc == pytest.approx(mannwhitneyu(a, b).statistic / (a.size * b.size), rel=1e-12)
    wins = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    brute = np.var(wins.mean(axis=1), ddof=1) / a.size + np.var(wins.mean(axis=0), ddof=1) / b.size
    assert se == pytest.approx(np.sqrt(brute), rel=1e-12)


def test_brier_score_of_counts_is_that_of_their_patients():
    n, y, p = np.array([3.0, 2.0]), np.array([1.0, 2.0]), np.array([0.4, 0.7])
    cases = Cases(np.array([0, 1]), ("a", "b"), n, y, p, np.arange(2))
    outcomes, rates = np.array([1, 0, 0, 1, 1]), np.array([0.4, 0.4, 0.4, 0.7, 0.7])
    brier = np.mean((outcomes - rates) ** 2)
    found = discriminate(cases)
    assert found.brier == pytest.approx(brier)
    assert found.brier_scaled == pytest.approx(1 - brier / (0.6 * 0.4))
    excess = worse_than_none(cases).total
    assert excess == pytest.approx(5 * (brier - 0.6 * 0.4))


def test_holm_multiplies_and_never_falls():
    assert holm(np.array([0.01, np.nan, 0.04, 0.03])) == pytest.approx(
        [0.03, np.nan, 0.06, 0.06], nan_ok=True
    )


def test_bins_are_of_equal_weight_and_keep_ties_together():
    rng = np.random.default_rng(0)
    values, weights = rng.standard_normal(1000), rng.integers(1, 4, 1000).astype(float)
    found = bins(values, weights, 10)
    mass = np.bincount(found, weights)
    assert np.all(np.abs(mass - weights.sum() / 10) <= 3.0)
    assert np.all(np.diff(found[np.argsort(values)]) >= 0)
    assert len(np.unique(bins(np.zeros(50), np.ones(50), 10))) == 1


def test_pooling_and_the_fits_own_sums_keep_every_recovery(fit, episodes):
    cases = cases_of(fit, episodes)
    cells = pooled(cases)
    from_fit = cases_from_sums(fit.deciles, fit.units)
    for other in (cells, from_fit):
        assert other.ids == cases.ids
        for name in ("n", "observed"):
            a, b = cases.by_therapist(getattr(cases, name)), other.by_therapist(getattr(other, name))
            np.testing.assert_allclose(a, b, atol=1e-9)
        np.testing.assert_allclose(
            cases.by_therapist(cases.n * cases.expected),
            other.by_therapist(other.n * other.expected),
            # The fit's own sums are of its quadrature, `expected` of the draws: to a hundredth of a patient.
            atol=1e-9 if other is cells else 0.01,
        )


def test_restriction_numbers_therapists_anew(fit, episodes):
    cases = cases_of(fit, episodes)
    kept = only(cases, cases.therapist >= 2)
    assert kept.ids == cases.ids[2:]
    assert kept.therapist.min() == 0
    assert kept.n.sum() == (cases.therapist >= 2).sum()


def test_a_variable_left_out_of_the_case_mix_is_found(steep):
    fit = ter.fit(steep, case_mix=ter.CaseMix([ter.linear("age")]), engine="ml")
    found = calibrate(fit, steep)
    by_variable = found.groups["p_adjusted"].groupby(level="variable").min()
    assert by_variable["phq9_first"] < 1e-6
    assert by_variable["age"] > 0.05
    assert "Least like chance" in found.summary()
    assert set(found.to_frame().index.get_level_values("variable")) >= {"all", "phq9_first", "service_id"}


def test_a_column_that_is_not_there_is_named(fit, episodes):
    with pytest.raises(DataError, match="shoe_size"):
        calibrate(fit, episodes, ["shoe_size"])
