import datetime as dt

import numpy as np
import pandas as pd
import pytest

import ter
from ter.checks import influence, over_therapists, over_time
from ter.checks.card import change_p
from ter.checks.influence import most_pulling
from ter.errors import DataError, OptionError


def test_everybody_is_held_out_once(fit, episodes):
    steps = []
    found = over_therapists(fit, episodes, folds=3, progress=lambda done, of: steps.append((done, of)))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert found.converged
    modelled = (episodes["completed"] & episodes["at_caseness"] & episodes["recovered"].notna()).sum()
    assert found.cases.n.sum() == modelled
    assert not np.isnan(found.cases.expected).any()


def test_leaving_out_one_at_a_time_is_a_fit_without_that_one():
    scenario = ter.Scenario.preset("england_2024_25", n_therapists=8, n_services=1, mean_caseload=60)
    few = ter.simulate(scenario, seed=1).episodes
    terms = ter.CaseMix([ter.linear("phq9_first")])
    fit = ter.fit(few, case_mix=terms, service=None, engine="ml")
    found = over_therapists(fit, few, folds=8)
    for name in found.cases.ids[:2]:
        mask = found.cases.therapist == found.cases.ids.index(name)
        without = ter.fit(few[few["therapist_id"] != name], case_mix=terms, service=None, engine="ml")
        by_hand = without.expected(few.iloc[found.cases.row[mask]])["expected"]
        np.testing.assert_allclose(found.cases.expected[mask], by_hand, rtol=1e-12)


def test_row_order_does_not_matter(fit, episodes):
    a = over_therapists(fit, episodes, folds=2, seed=4)
    b = over_therapists(fit, episodes.sample(frac=1.0, random_state=1), folds=2, seed=4)
    assert a.calibration.discrimination.brier == pytest.approx(b.calibration.discrimination.brier, abs=1e-12)


def test_later_months_are_told_by_a_model_that_knows_nothing_of_them(fit, episodes, case_mix):
    until = dt.date(2026, 6, 30)
    found = over_time(fit, episodes, until)
    by_hand = ter.fit(ter.as_known_at(episodes, until), case_mix=case_mix, engine="ml")
    rows = episodes[episodes["end_date"] > pd.Timestamp(until)]
    assert set(rows.iloc[found.cases.row]["episode_id"]) <= set(rows["episode_id"])
    np.testing.assert_allclose(
        found.cases.expected, by_hand.expected(rows.iloc[found.cases.row])["expected"], rtol=1e-12
    )
    with pytest.raises(DataError, match="earlier day"):
        over_time(fit, episodes, dt.date(2030, 1, 1))
    with pytest.raises(OptionError, match="folds"):
        over_therapists(fit, episodes, folds=1)


def test_a_change_counts_the_error_of_what_was_before(fit, episodes):
    found = over_time(fit, episodes, dt.date(2026, 6, 30))
    later = found.cases
    p = change_p(later, later)
    # Twice the variance: the t statistic falls by the square root of 2.
    alone = found.calibration.overall["p"].iloc[0]
    assert p > alone


def test_influence_is_the_fit_without_the_therapist(episodes):
    fit = ter.fit(episodes, case_mix=None, service=None, engine="ml")
    ids = most_pulling(fit, 2)
    found = influence(fit, episodes, candidates=2).to_frame()
    assert list(found.index) == ids
    without = ter.fit(episodes[episodes["therapist_id"] != ids[0]], case_mix=None, service=None, engine="ml")
    row = found.loc[ids[0]]
    assert row["sd"] == pytest.approx(without.groups.loc["therapist", "sd"], rel=1e-6)
    moved = (without.effects("therapist")["mean"] - fit.effects("therapist")["mean"]).abs().max()
    assert row["others"] == pytest.approx(moved, rel=1e-6)
    step = abs(without.fixed["estimate"].iloc[0] - fit.fixed["estimate"].iloc[0]) / fit.fixed["se"].iloc[0]
    assert row["beta"] == pytest.approx(step, rel=1e-6)


def test_the_one_who_pulls_most_is_tried_first(episodes):
    spoilt = episodes.copy()
    name = spoilt.groupby("therapist_id")["completed"].sum().idxmax()
    theirs = (spoilt["therapist_id"] == name) & spoilt["recovered"].notna()
    spoilt.loc[theirs, "recovered"] = False
    fit = ter.fit(spoilt, case_mix=None, engine="ml")
    assert most_pulling(fit, 1) == [name]
    assert influence(fit, spoilt, candidates=1).to_frame()["sd_moved"].iloc[0] > 0.5
