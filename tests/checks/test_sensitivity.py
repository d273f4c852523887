import numpy as np
import pandas as pd
import pytest

import ter
from ter.checks import sensitivity
from ter.checks.sensitivity import DESCRIPTIONS, VARIANTS, moved_minimum
from ter.errors import OptionError
from ter.measures import OUTCOME_COLUMNS

CHOSEN = ("completion", "everyone_started", "after_allocation", "last_12_months", "last_24_months")


@pytest.fixture(scope="module")
def small():
    scenario = ter.Scenario.preset(
        "england_2024_25", n_therapists=16, n_services=1, mean_caseload=45, caseload_cv=0.5
    )
    return ter.simulate(scenario, seed=5).episodes


TERMS = ter.CaseMix([ter.linear("phq9_first")])


@pytest.fixture(scope="module")
def found(small):
    steps = []
    out = sensitivity(
        small, case_mix=TERMS, service=None, minimum=48, variants=CHOSEN, progress=lambda *s: steps.append(s)
    )
    assert steps[-1] == (5, 5)
    return out


def ratings(table, outcome="recovered", case_mix=TERMS, minimum=48):
    fit = ter.fit(table, outcome=outcome, case_mix=case_mix, service=None, completed="completed")
    return ter.rate(fit, minimum=minimum).to_frame()


def test_each_variant_is_the_fit_that_it_says(small, found):
    table = found.to_frame()
    main = ratings(small)
    ended = small["end_date"].notna()
    last = max(small["end_date"].max(), small["start_date"].max())
    by_hand = {
        "completion": ratings(
            small.assign(x=small["completed"].astype(float).where(ended)), "x", minimum=None
        ),
        "everyone_started": ratings(
            small.assign(
                x=small["recovered"].fillna(False).astype(float).where(ended & small["at_caseness"])
            ),
            "x",
            minimum=None,
        ),
        "last_12_months": ratings(small[~(small["end_date"] <= last - pd.DateOffset(years=1))]),
        "after_allocation": ratings(
            small.assign(a=small["n_sessions"], b=small["n_dna"], c=small["n_cancelled"]),
            case_mix=ter.CaseMix([ter.linear("phq9_first"), *map(ter.linear, "abc")]),
        ),
    }
    for name, other in by_hand.items():
        part = table.loc[name]
        both = (main["status"] != "provisional") & (other["status"].reindex(main.index) != "provisional")
        both &= other["ter"].reindex(main.index).notna()
        np.testing.assert_allclose(part["ter"][both], other["ter"].reindex(main.index)[both], rtol=1e-9)
        np.testing.assert_allclose(part["ter_main"][both], main["ter"][both], rtol=1e-9)
        assert part.loc[~both, ["ter", "ter_main", "moved", "percentile"]].isna().all().all()
    np.testing.assert_allclose(table["moved"], table["ter"] - table["ter_main"])
    assert table["moved_apart"].groupby(level="variant").mean().abs().max() < 1e-9


def test_the_gate_holds_in_every_variant(small, found):
    table = found.to_frame()
    behind = small.groupby("therapist_id")["completed"].sum() < 10
    assert behind.any()
    part = table[table.index.get_level_values("therapist_id").isin(behind.index[behind])]
    assert part.drop(columns=["status_main", "status", "status_changed"]).isna().all().all()
    assert not part["status_changed"].any()
    assert (part["status"] == "provisional").all()


def test_a_window_as_long_as_the_table_is_not_run(found):
    assert dict(found.skipped)["last_24_months"].startswith("No treatment ended by")
    assert "last_24_months: not run" in found.summary()
    assert set(found.by_variant().index) == set(CHOSEN) - {"last_24_months"}
    assert "<table" in found._repr_html_()


def test_whoever_loses_hard_cases_is_told_by_completion(small):
    """A therapist whose unrecovered patients all leave early looks better, and rates low in completion."""
    spoilt = small.drop(columns=[c for c in small if c in OUTCOME_COLUMNS])
    name = small.groupby("therapist_id")["completed"].sum().idxmax()
    lost = (small["therapist_id"] == name) & small["completed"] & ~small["recovered"].fillna(True)
    lost &= np.arange(len(small)) % 4 > 0
    spoilt.loc[lost, "n_sessions"] = 1
    variants = ("completion", "everyone_started")
    table = sensitivity(spoilt, case_mix=TERMS, service=None, variants=variants).to_frame()
    assert table.loc[("completion", name), "percentile_main"] > 75
    assert table.loc[("completion", name), "percentile"] < 25
    assert table.loc[("everyone_started", name), "moved_apart"] < -3


def test_the_minimum_moves_with_the_network():
    assert moved_minimum(45.0, 50.0, 50.0) == pytest.approx(45.0)
    assert moved_minimum(50.0, 50.0, 70.0) == pytest.approx(70.0)
    # log(45/55) + log(70/30) = log(1.909): 65.6%
    assert moved_minimum(45.0, 50.0, 70.0) == pytest.approx(100 * 1.9090909 / 2.9090909)


def test_late_columns_stay_refused_everywhere_else(small):
    with pytest.raises(OptionError, match="n_sessions"):
        ter.CaseMix([ter.linear("n_sessions")])
    with pytest.raises(OptionError, match="No variant"):
        sensitivity(small, variants=("everything",))
    assert set(DESCRIPTIONS) == set(VARIANTS)
