"""Outliers of a normal posterior in closed form, of a real fit by hand, and the gate before both."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from ter.errors import OptionError
from ter.features import CaseMix, linear
from ter.models.fit import fit as fit_model
from ter.ratings import RatingOptions
from ter.ratings.outliers import OutlierOptions, find_outliers
from ter.ratings.poisson_binomial import exact_test

COMPLETED = [9, 10, 11, 40, 0, 120, 3, 25, 60, 14]


@pytest.fixture
def normal(make_fit):
    return make_fit(COMPLETED)


def test_figures_of_a_normal_posterior(normal):
    outliers = find_outliers(normal, options=OutlierOptions(RatingOptions(minimum=50)))
    table = outliers.to_frame()
    passed = np.array(COMPLETED) >= 10
    p = normal.posterior
    rated = table[passed]
    z = p.u_mean[passed] / (0.4 * np.sqrt(p.reliability[passed]))
    np.testing.assert_allclose(rated["marginal_z"], z, rtol=1e-12)
    np.testing.assert_allclose(rated["p_worst"], 1 - norm.sf(z) ** 7, rtol=1e-9)
    # 201 points .065 SD apart: the probability is linear between them.
    exact = norm.cdf(50, p.ter_mean[passed], 20 * p.u_sd[passed])
    np.testing.assert_allclose(rated["p_below_minimum"], exact, atol=1e-5)
    assert rated["flag_loss"].tolist() == (exact > 0.5).tolist()
    n, r = normal.units.n[passed], p.reliability[passed]
    np.testing.assert_allclose(rated["cases_until"], n * 0.7 / 0.3 * (1 - r) / r, rtol=1e-12)
    assert outliers.network.loc["sd", "value"] == pytest.approx(0.4)
    # Seven rated: the median error is that of the median reliability.
    assert outliers.network.loc["rankability", "value"] == pytest.approx(np.median(r))
    assert outliers.network.loc["median_odds_ratio", "value"] == pytest.approx(
        np.exp(0.9538726 * 0.4), rel=1e-6
    )


def test_nothing_of_a_therapist_behind_the_gate_is_shown_or_used(normal):
    before = find_outliers(normal, options=OutlierOptions(RatingOptions(minimum=50)))
    table = before.to_frame()
    behind = np.array(COMPLETED) < 10
    assert table.loc[behind].drop(columns="n_completed").isna().all(axis=None)
    assert table.loc[~behind, "marginal_z"].notna().all()
    # Other figures of theirs change nothing at all.
    p = normal.posterior
    rows = {
        name: np.where(behind.reshape(-1, *[1] * (getattr(p, name).ndim - 1)), -7.0, getattr(p, name))
        for name in (
            "u_mean",
            "u_sd",
            "u_grid",
            "reliability",
            "ter_mean",
            "ter_grid",
            "predicted_mean",
            "given_mean",
        )
    }
    observed = np.where(behind, 0.0, normal.units.observed)
    other = replace(normal, posterior=replace(p, **rows), units=replace(normal.units, observed=observed))
    after = find_outliers(other, options=OutlierOptions(RatingOptions(minimum=50)))
    pd.testing.assert_frame_equal(after.to_frame(), table)
    pd.testing.assert_frame_equal(after.network, before.network)


def test_the_summary_counts_what_the_table_holds(normal):
    outliers = find_outliers(normal, options=OutlierOptions(RatingOptions(minimum=50)))
    table, words = outliers.to_frame(), outliers.summary()
    low = table["level"].isin(["low alert", "low alarm"]).sum()
    assert f"7 of 10 therapists compared; low alert or alarm: {low}" in words
    assert f"Below the minimum by the stated costs: {table['flag_loss'].sum()}" in words
    assert "median odds ratio 1.46" in words  # exp(.95387 x .4)
    other = replace(normal, units=replace(normal.units, ids=("<b>", *normal.units.ids[1:])))
    assert "<b>" not in find_outliers(other)._repr_html_()


def test_the_gate_can_be_raised(normal):
    table = find_outliers(normal, options=OutlierOptions(RatingOptions(completed=26))).to_frame()
    assert table.index[table["marginal_z"].notna()].tolist() == ["t003", "t005", "t008"]


def test_without_a_minimum_nobody_is_flagged_for_it(normal):
    table = find_outliers(normal).to_frame()
    assert table[["p_below_minimum", "flag_loss", "flag_fdr"]].isna().all(axis=None)


def test_a_dearer_miss_flags_more(normal):
    def flags(missed):
        options = OutlierOptions(RatingOptions(minimum=50), missed=missed)
        return find_outliers(normal, options=options).to_frame()["flag_loss"].sum()

    assert flags(0.1) < flags(20.0)


def test_nobody_is_an_outlier_without_patients(make_fit):
    table = find_outliers(make_fit([12, 30, 30], n=[0, 25, 25])).to_frame()
    assert table.loc["t000", ["marginal_z", "level", "p_worst", "p_below_worst", "cases_until"]].isna().all()
    # The worst is one of the two who have some.
    z = table["marginal_z"].iloc[1]
    assert table["p_worst"].iloc[1] == pytest.approx(1 - norm.sf(z) ** 2)


def test_options_that_cannot_be():
    for bad in (
        {"false_alarm": 0},
        {"missed": -1.0},
        {"missed": float("nan")},
        {"fdr": 1.0},
        {"reliability": 0},
    ):
        with pytest.raises(OptionError):
            OutlierOptions(**bad)


def test_nobody_rated(make_fit):
    outliers = find_outliers(make_fit([3, 9, 1]))
    assert outliers.to_frame()["marginal_z"].isna().all()
    assert "0 of 3 therapists compared" in repr(outliers)


def test_a_fit_that_did_not_converge_says_so(make_fit):
    outliers = find_outliers(make_fit([20, 30], converged=False))
    assert "did not converge" in outliers.notes[0]
    assert "did not converge" in outliers.summary()


def test_without_a_posterior(normal, without_posterior):
    with pytest.raises(OptionError, match='engine="fast"'):
        find_outliers(without_posterior(normal))


def _episodes():
    rng = np.random.default_rng(8)
    rows = []
    for j in range(24):
        u, completed = rng.normal(0, 0.6), 6 + j
        for i in range(completed):
            score = int(rng.integers(10, 28))
            y = rng.random() < expit(u - 0.1 * (score - 18))
            rows.append(
                (f"t{j:02d}", f"s{i % 3}", score, True, j != 5 or i < 3, bool(y) and (j != 5 or i < 3))
            )
    names = ["therapist_id", "service_id", "phq9_first", "completed", "at_caseness", "recovered"]
    return pd.DataFrame(rows, columns=names)


@pytest.fixture(scope="module")
def episodes():
    return _episodes()


@pytest.fixture(scope="module")
def fitted(episodes):
    return fit_model(episodes, case_mix=CaseMix([linear("phq9_first")]))


def test_a_real_fit_by_hand(fitted, episodes):
    outliers = find_outliers(fitted, episodes)
    table = outliers.to_frame()
    fixed, service = fitted.fixed["mean"], fitted.effects("service")["mean"]
    modelled = episodes[episodes["at_caseness"]]
    eta = (
        fixed["intercept"]
        + fixed["phq9_first"] * modelled["phq9_first"]
        + modelled["service_id"].map(service).to_numpy()
    )
    for name in ("t10", "t23"):
        own = (modelled["therapist_id"] == name).to_numpy()
        observed = float(modelled["recovered"][own].sum())
        test = exact_test(expit(eta[own].to_numpy()), np.zeros(own.sum(), dtype=int), np.array([observed]))
        assert table.loc[name, "exact_z"] == pytest.approx(test.z[0], abs=1e-9)
        assert table.loc[name, "exact_p"] == pytest.approx(test.two_sided_mid[0], abs=1e-9)
        # P/E at the ends of the interval of u, which the fit gives as well (linear between points of its
        # grid, a monotone cubic here: some .001 apart).
        ends = fitted.effects("therapist").loc[name, ["q05", "q95"]]
        position = fitted.units.ids.index(name)
        for end, column in zip(ends, ("p_e_low", "p_e_high"), strict=True):
            rate = expit(eta[own] + end).mean()
            expected = rate / fitted.posterior.expected_mean[position]
            assert table.loc[name, column] == pytest.approx(expected, abs=2e-3)
        assert table.loc[name, "p_e_low"] < table.loc[name, "p_e"] < table.loc[name, "p_e_high"]
    sd = fitted.posterior.sd[:, 0]
    gap = [100 * (expit(eta + 1.28155 * s) - expit(eta - 1.28155 * s)).mean() for s in sd]
    # The table of log-odds costs up to .0006 points.
    assert outliers.network.loc["recovery_gap", "value"] == pytest.approx(
        fitted.posterior.weights @ np.array(gap), abs=1e-3
    )
    per_patient = np.mean(expit(eta) * (1 - expit(eta)))
    assert outliers.network.loc["cases_needed", "value"] == pytest.approx(
        fitted.posterior.weights @ (0.7 / 0.3 / (sd**2 * per_patient)), rel=1e-9
    )
    assert outliers.network.loc["icc", "value"] == pytest.approx(fitted.groups.loc["therapist", "icc"])
    assert outliers.network.loc["median_odds_ratio", "value"] == pytest.approx(
        fitted.groups.loc["therapist", "median_odds_ratio"]
    )
    assert 0 < outliers.network.loc["icc_probability", "value"] < outliers.network.loc["icc", "value"]


def test_the_true_effect_against_the_lowest_by_joint_draws(fitted):
    from ter.models.inference_data import joint_draws_of

    joint = joint_draws_of(fitted, None)
    u, sd = joint.u[0], joint.sd[0][:, :1]
    got = find_outliers(fitted).to_frame()["p_below_worst"].dropna()
    below = norm.sf(u / sd) ** len(got)
    expected = pd.Series(below.mean(axis=0), fitted.units.ids)[got.index]
    # Thousands of joint draws of a probability with an SD of at most .3: errors of .005; and u given the
    # parameters is taken as normal here.
    np.testing.assert_allclose(got, expected, atol=0.015)
    assert got.max() > 0.05


def test_flags_against_the_null_are_held_to_the_rate_asked_for(fitted, episodes):
    from scipy.stats import false_discovery_control

    for fdr in (0.1, 0.6, 0.95):
        table = find_outliers(fitted, episodes, OutlierOptions(fdr=fdr)).to_frame().dropna(subset="null_p")
        adjusted = false_discovery_control(table["null_p"].to_numpy(float))
        assert table["flag_unusual"].tolist() == (adjusted <= fdr).tolist()
    # Some are flagged at the last, so that a wrong rate shows.
    assert table["flag_unusual"].sum() > 0


def test_few_patients_and_the_gate_with_the_table(fitted, episodes):
    table = find_outliers(fitted, episodes).to_frame()
    outcomes = ["exact_p", "exact_z", "null_z", "null_p", "flag_unusual", "p_e", "p_e_low", "p_e_high"]
    # Four therapists have fewer than ten completed; a fifth has three patients at caseness.
    assert table.iloc[:4].drop(columns="n_completed").isna().all(axis=None)
    assert table.loc["t05", outcomes].isna().all()
    assert np.isfinite(table.loc["t05", "marginal_z"])
    assert table.drop(index=["t00", "t01", "t02", "t03", "t05"])[outcomes].notna().all(axis=None)


def test_outcomes_behind_the_gate_do_not_matter_for_the_tests(fitted, episodes):
    units = fitted.units
    behind = units.n_completed < 10
    assert behind.sum() == 4
    other = replace(fitted, units=replace(units, observed=np.where(behind, 0.0, units.observed)))
    pd.testing.assert_frame_equal(
        find_outliers(other, episodes).to_frame(), find_outliers(fitted, episodes).to_frame()
    )


def test_another_table_is_refused(fitted, episodes):
    with pytest.raises(OptionError, match="not the table"):
        find_outliers(fitted, episodes.iloc[1:])


def test_rows_in_any_order_give_the_same_tests(fitted, episodes):
    from ter.ratings.own_patients import own_patients

    passed = fitted.units.n_completed >= 10
    own = own_patients(fitted, episodes, passed)
    p, unit = own.patients()
    order = np.random.default_rng(1).permutation(len(p))
    observed = fitted.units.observed[passed]
    assert (exact_test(p, unit, observed).z == exact_test(p[order], unit[order], observed).z).all()


def test_too_few_for_an_empirical_null():
    episodes = _episodes()
    few = episodes[episodes["therapist_id"].isin([f"t{j:02d}" for j in range(14, 20)])].reset_index(drop=True)
    outliers = find_outliers(fit_model(few, case_mix=None, service=None), few)
    assert outliers.null is None
    assert "10 units" in outliers.notes[-1]
    assert outliers.to_frame()["null_p"].isna().all()
    assert outliers.to_frame()["exact_p"].notna().all()


def test_a_third_factor_belongs_to_what_is_expected():
    episodes = _episodes().query("therapist_id >= 't14'").reset_index(drop=True)
    region = np.where(np.arange(len(episodes)) % 2 == 0, "north", "south")
    episodes = episodes.assign(region=region)
    found = fit_model(episodes, case_mix=None, service=None, further="region")
    table = find_outliers(found, episodes).to_frame()
    modelled = episodes[episodes["at_caseness"]]
    f = pd.Series(found.posterior.weights @ found.posterior.f, ["north", "south"])
    p = expit(found.fixed["mean"]["intercept"] + modelled["region"].map(f).to_numpy())
    own = (modelled["therapist_id"] == "t20").to_numpy()
    observed = float(modelled["recovered"][own].sum())
    test = exact_test(p[own], np.zeros(own.sum(), dtype=int), np.array([observed]))
    assert table.loc["t20", "exact_z"] == pytest.approx(test.z[0], abs=1e-9)


def test_with_a_severity_slope_p_e_has_no_interval(fitted, episodes):
    sloped = replace(fitted, settings=replace(fitted.settings, severity_slope="phq9_first"))
    outliers = find_outliers(sloped, episodes)
    table = outliers.to_frame()
    assert "severity slope" in outliers.notes[-1]
    assert table[["p_e_low", "p_e_high"]].isna().all(axis=None)
    assert table[["p_e", "exact_p"]].notna().any().all()


def test_grouped_counts_are_tested_patient_by_patient():
    # One row stands for many patients: the same test as of a binomial count.
    rng = np.random.default_rng(3)
    n = rng.integers(20, 60, 30)
    counts = pd.DataFrame(
        {"org": [f"p{j:02d}" for j in range(30)], "n": n, "r": rng.binomial(n, expit(rng.normal(0, 0.4, 30)))}
    )
    fitted = fit_model(counts, outcome="r", trials="n", therapist="org", service=None, case_mix=None)
    table = find_outliers(fitted, counts).to_frame()
    from scipy.stats import binom

    p = expit(fitted.fixed["mean"]["intercept"])
    mid = binom.cdf(counts["r"], n, p) - binom.pmf(counts["r"], n, p) / 2
    np.testing.assert_allclose(table["exact_z"], norm.ppf(mid), atol=1e-7)
