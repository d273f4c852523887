"""Ratings of normal posteriors, in closed form."""

import numpy as np
import pytest
from scipy.stats import norm

from ter.errors import OptionError
from ter.ratings import rate

#: The columns that other programs rely on, in their order.
COLUMNS = [
    "status", "n_completed", "n_at_caseness", "observed", "expected", "predicted", "o_e", "p_e",
    "ter", "ter_q05", "ter_q95", "effect", "effect_sd", "reliability", "expected_rank", "rank_q05",
    "rank_q95", "percentile", "p_below_minimum", "p_top_quartile",
]  # fmt: skip
OUTCOMES = COLUMNS[3:]


@pytest.fixture
def fit(make_fit):
    return make_fit([9, 10, 11, 40, 0, 120, 3, 25, 60, 14])


def test_the_columns_are_those_that_were_promised(fit):
    table = rate(fit).to_frame()
    assert list(table.columns) == COLUMNS
    assert table.index.name == "therapist_id"
    assert tuple(table.index) == fit.units.ids


def test_nine_is_out_and_ten_is_in(fit):
    table = rate(fit).to_frame()
    assert table["status"].tolist() == [
        "provisional", "rated", "rated", "rated", "provisional",
        "rated", "provisional", "rated", "rated", "rated",
    ]  # fmt: skip
    behind = table["status"] == "provisional"
    assert table.loc[behind, OUTCOMES].isna().all(axis=None)
    assert table.loc[~behind, OUTCOMES].drop(columns="p_below_minimum").notna().all(axis=None)
    assert table["n_completed"].tolist() == fit.units.n_completed.tolist()
    assert table["n_at_caseness"].tolist() == fit.units.n_at_caseness.tolist()


def test_the_gate_can_be_raised(fit):
    table = rate(fit, completed=26).to_frame()
    assert table.index[table["status"] != "provisional"].tolist() == ["t003", "t005", "t008"]
    assert table.loc["t009", OUTCOMES].isna().all()


def test_observed_is_observed(fit):
    row = rate(fit).to_frame().loc["t003"]
    units, posterior = fit.units, fit.posterior
    assert row["observed"] == units.observed[3] / units.n[3]
    assert row["o_e"] == pytest.approx(row["observed"] / posterior.expected_mean[3], rel=1e-14)
    assert row["p_e"] == pytest.approx(posterior.predicted_mean[3] / posterior.expected_mean[3], rel=1e-14)


@pytest.mark.parametrize("interval", [0.5, 0.9, 0.95])
def test_intervals_are_those_of_the_normal_posterior(fit, interval):
    table = rate(fit, interval=interval).to_frame()
    low, high = (name for name in table if name.startswith("ter_q"))
    sd = 20 * fit.posterior.u_sd
    for j in (1, 2, 3):
        expected = norm.interval(interval, fit.posterior.ter_mean[j], sd[j])
        # 201 points .065 SD apart: interpolation costs less than 1e-4 SD, and an SD is at most 8 points.
        np.testing.assert_allclose(table.iloc[j][[low, high]].astype(float), expected, atol=1e-3)


def test_the_probability_below_the_minimum_and_what_follows_from_it(fit):
    minimum = 52.0
    table = rate(fit, minimum=minimum, support=0.7).to_frame()
    rated = table[table["status"] != "provisional"]
    posterior = fit.posterior
    exact = norm.cdf(minimum, posterior.ter_mean, 20 * posterior.u_sd)[table["status"] != "provisional"]
    np.testing.assert_allclose(rated["p_below_minimum"], exact, atol=1e-5)
    for (_, row), p in zip(rated.iterrows(), exact, strict=True):
        expected = "support" if p >= 0.7 else "watch" if row["ter"] < minimum else "rated"
        assert row["status"] == expected
    # The case has all three.
    assert set(rated["status"]) == {"support", "watch", "rated"}


def test_without_a_minimum_nobody_is_below_it(fit):
    table = rate(fit).to_frame()
    assert table["p_below_minimum"].isna().all()
    assert set(table["status"]) == {"rated", "provisional"}


def test_ranks_are_among_the_rated(fit):
    table = rate(fit).to_frame()
    rated = table[table["status"] != "provisional"]
    assert rated["expected_rank"].between(1, 7).all()
    # Ranks of seven sum to 28, in every draw.
    assert rated["expected_rank"].sum() == pytest.approx(28)
    assert rated["p_top_quartile"].sum() == pytest.approx(2)
    assert (rated["rank_q05"] <= rated["rank_q95"]).all()
    assert rated["percentile"].mean() == pytest.approx(50)


def test_a_therapist_with_nobody_at_caseness_is_rated_and_has_nothing_observed(make_fit):
    fit = make_fit([12, 30, 30], n=[0, 25, 25])
    row = rate(fit).to_frame().loc["t000"]
    assert row["status"] == "rated"
    assert (row["n_completed"], row["n_at_caseness"]) == (12, 0)
    assert row[["observed", "expected", "predicted", "o_e", "p_e"]].isna().all()
    assert row["ter"] == fit.posterior.ter_mean[0]
    assert row["reliability"] == fit.posterior.reliability[0]


def test_nobody_rated(make_fit):
    ratings = rate(make_fit([3, 9, 1]))
    assert ratings.to_frame()[OUTCOMES].isna().all(axis=None)
    assert "3 provisional" in ratings.summary()


def test_a_fit_without_a_posterior_cannot_be_rated(fit, without_posterior):
    with pytest.raises(OptionError, match='engine="fast"'):
        rate(without_posterior(fit))


def test_a_fit_that_did_not_converge_is_rated_with_a_warning(make_fit):
    ratings = rate(make_fit([20, 30], converged=False))
    assert "did not converge" in ratings.notes[0]
    assert "did not converge" in ratings.summary()


def test_the_table_is_a_copy(fit):
    ratings = rate(fit)
    table = ratings.to_frame()
    table["ter"] = 0.0
    assert (ratings.to_frame()["ter"] != 0.0).all()


def test_what_jupyter_shows_is_text_and_not_code(make_fit):
    from dataclasses import replace

    fit = make_fit([20, 30, 5])
    fit = replace(fit, units=replace(fit.units, ids=("<script>alert(1)</script>", "b", "c")))
    page = rate(fit, minimum=45)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "1 provisional (fewer than 10 completed)" in page


def test_ten_thousand_therapists_take_little_memory(make_fit):
    import tracemalloc

    from ter.ratings.ranks import summarise_ranks

    draws = np.random.default_rng(1).normal(size=(10_000, 250)).astype(np.float32)
    tracemalloc.start()
    summarise_ranks(draws, (0.05, 0.95))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The ranks are as large as the draws (10 MB); the work in chunks adds less than 60 MB whatever the draws.
    assert peak < 100e6
