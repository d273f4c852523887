import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

import ter
from ter.errors import OptionError
from ter.monitoring import explain_change, history, watch
from ter.monitoring.history import PARTS, posterior_of_effect
from ter.ratings import RatingOptions

TERMS = ter.CaseMix([ter.linear("phq9_first")])


@pytest.fixture(scope="module")
def months():
    scenario = ter.Scenario.preset("england_2024_25", n_therapists=20, n_services=3, mean_caseload=45)
    now = ter.simulate(scenario, seed=2).episodes
    before = ter.as_known_at(now, dt.date(2026, 8, 31))
    return before, now


@pytest.fixture(scope="module")
def fits(months):
    return tuple(ter.fit(table, case_mix=TERMS) for table in months)


@pytest.fixture(scope="module")
def changes(fits, months):
    return explain_change(*fits, *months)


def test_the_parts_add_up_to_the_change(fits, changes):
    table = changes.to_frame().set_index("therapist_id")
    assert len(table) > 5
    np.testing.assert_allclose(table[list(PARTS)].sum(axis=1), table["change"], atol=1e-9)
    ratings = [ter.rate(fit).to_frame().loc[table.index, "ter"] for fit in fits]
    np.testing.assert_allclose(table["previous"], ratings[0], atol=1e-12)
    np.testing.assert_allclose(table["current"], ratings[1], atol=1e-12)
    assert (table["model"] == 0).all()
    assert table["own_patients"].abs().max() > 0.1
    assert "rated in both months" in changes.summary()


def test_who_has_no_new_patient_owes_nothing_to_own_patients(changes, months):
    counted = [
        table[table["completed"] & table["at_caseness"]].groupby("therapist_id").size() for table in months
    ]
    same = counted[1][counted[1] == counted[0].reindex(counted[1].index)].index
    table = changes.to_frame().set_index("therapist_id")
    unchanged = table.loc[table.index.intersection(same)]
    assert (unchanged["own_patients"].abs() < 1e-9).all()
    # And the others do move.
    assert (table.drop(index=unchanged.index)["own_patients"] != 0).all()


def test_better_patients_of_ones_own_raise_a_rating(fits, months, changes):
    """The sign is right: where more new patients recover than were expected, the part is positive."""
    before, now = months
    fit = fits[0]
    new = now[~now["episode_id"].isin(before.loc[before["completed"], "episode_id"])]
    new = new[new["completed"] & new["at_caseness"]]
    gap = (new["recovered"].astype(float) - fit.expected(new)["expected"]).groupby(new["therapist_id"]).sum()
    table = changes.to_frame().set_index("therapist_id")
    both = table.index.intersection(gap[gap.abs() > 0.8].index)
    assert len(both) > 3
    assert np.corrcoef(gap[both], table.loc[both, "own_patients"])[0, 1] > 0.8


def test_the_effect_is_integrated_as_by_quadrature():
    rng = np.random.default_rng(1)
    eta, y, sigma = rng.standard_normal((12, 2)), (rng.random(12) < 0.7) * 1.0, np.array([0.4, 1.1])
    u, density = posterior_of_effect(eta, y, np.ones(12), sigma)
    for d in range(2):

        def weight(x, d=d):
            rate = 1 / (1 + np.exp(-(eta[:, d] + x)))
            return np.prod(np.where(y == 1, rate, 1 - rate)) * np.exp(-(x**2) / (2 * sigma[d] ** 2))

        mean = quad(lambda x: x * weight(x), -8, 8)[0] / quad(weight, -8, 8)[0]
        # The trapezoid rule at 0.3 posterior SDs is exact to rounding; 8 SDs either way leave nothing out.
        assert density[:, d] @ u[:, d] == pytest.approx(mean, abs=1e-7)


def test_ters_are_those_of_the_fit(fits, months, monkeypatch):
    """Another computation of the same integral: what is left is that draws are resampled."""
    monkeypatch.setattr(history, "DRAWS", 1024)
    fit, table = fits[1], history._patients(fits[1], months[1])
    ids = [name for name, n in zip(fit.units.ids, fit.units.n, strict=True) if n > 0]
    position = [fit.units.ids.index(name) for name in ids]
    found = history.ters_of(fit, ids, table, table)
    np.testing.assert_allclose(found, fit.posterior.ter_mean[position], atol=0.05)


def test_nobody_behind_the_gate_in_either_month_is_explained(fits, months, changes):
    counts = [pd.Series(fit.units.n_completed, fit.units.ids) for fit in fits]
    ids = set(changes.to_frame()["therapist_id"])
    behind = {name for count in counts for name in count.index[count < 10]}
    assert behind
    assert not ids & behind
    raised = explain_change(*fits, *months, options=RatingOptions(completed=30)).to_frame()
    assert set(raised["therapist_id"]) < ids


def test_a_change_of_terms_is_the_models(months):
    _, now = months
    other = ter.CaseMix([ter.linear("gad7_first")])
    a, b = ter.fit(now, case_mix=TERMS), ter.fit(now, case_mix=other)
    table = explain_change(a, b, now, now).to_frame()
    np.testing.assert_allclose(table[list(PARTS)].sum(axis=1), table["change"], atol=1e-9)
    assert table["own_patients"].abs().max() == 0.0
    assert table["reference"].abs().max() == 0.0
    assert table["model"].abs().max() > 0.2
    assert table["others"].abs().max() < 0.5 * table["model"].abs().max()


def test_what_cannot_be_compared_is_refused(fits, months):
    ml = ter.fit(months[0], case_mix=TERMS, engine="ml")
    with pytest.raises(OptionError, match="posterior"):
        explain_change(ml, fits[1], *months)
    other = ter.fit(months[0], case_mix=TERMS, outcome="reliable_improvement")
    with pytest.raises(OptionError, match="different outcomes"):
        explain_change(other, fits[1], *months)
    with pytest.raises(OptionError, match="previous_episodes is not the table"):
        explain_change(*fits, *reversed(months))
    with pytest.raises(OptionError, match=r"^episodes is not the table"):
        explain_change(*fits, months[0], months[0])


def test_charts_are_behind_the_gate_and_in_order_of_time(fits, months):
    fit, table = fits[1], months[1]
    found = watch(fit, table)
    counts = pd.Series(fit.units.n_completed, fit.units.ids)
    assert set(found.charts) <= set(counts.index[counts >= 10])
    name = next(iter(found.charts))
    assert found.ended[name].is_monotonic_increasing
    theirs = table[(table["therapist_id"] == name) & table["completed"] & table["at_caseness"]]
    expected = fit.expected(theirs)["expected"]
    by_hand = theirs["recovered"].astype(float).sum() - expected.sum()
    assert found.charts[name].table["vlad"].iloc[-1] == pytest.approx(by_hand)
    shuffled = watch(fit, table.sample(frac=1.0, random_state=3))
    pd.testing.assert_frame_equal(found.to_frame(), shuffled.to_frame())
    late = watch(fit, table, since=pd.Timestamp("2026-03-01"))
    assert late.to_frame()["n"].sum() < found.to_frame()["n"].sum()
    assert "by chance" in found.summary()
