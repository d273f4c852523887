"""Means of the case mix by therapist, against pandas."""

import numpy as np
import pandas as pd
import pytest

from ter.features import CaseMix, build_design, factor, interaction, linear, spline
from ter.features.columns import TableView
from ter.models.case_mix_means import summarise_case_mix

TERMS = CaseMix(
    [spline("phq9_first"), linear("age"), factor("gender"), interaction(linear("age"), factor("urban"))]
)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    n = 90
    return pd.DataFrame(
        {
            "therapist_id": rng.choice(["T1", "T2", "T3"], n),
            "phq9_first": rng.integers(10, 28, n),
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.integers(18, 90, n)),
            "gender": rng.choice(["f", "m", None], n),
            "urban": rng.random(n) < 0.5,
            "y": rng.choice([0.0, 1.0, np.nan], n),
            "seen": rng.integers(1, 4, n),
        }
    )


@pytest.mark.parametrize("trials", [None, "seen"])
def test_means_and_shares_of_every_variable(table, trials):
    view = TableView(table)
    design = build_design(
        view, case_mix=TERMS, outcome="y", trials=trials, therapist="therapist_id", by_content=True
    )
    beta = np.linspace(-1.0, 1.0, len(design.columns))
    rate = np.random.default_rng(4).uniform(0.2, 0.8, len(design.rows))
    got = summarise_case_mix(view, design, beta, rate)
    assert got.labels == (
        ("phq9_first", ""), ("age", ""), ("gender", "f"), ("gender", "m"), ("gender", "missing"),
        ("urban", "False"), ("urban", "True"),
    )  # fmt: skip
    assert got.variables == tuple(term.name for term in TERMS.terms)
    rows = table[table["y"].notna()]
    weights = rows["seen"] if trials else pd.Series(1.0, rows.index)
    raw = pd.DataFrame(
        {
            "phq9_first": rows["phq9_first"],
            "age": rows["age"],
            "f": rows["gender"] == "f",
            "m": rows["gender"] == "m",
            "none": rows["gender"].isna(),
            "rural": ~rows["urban"],
            "urban": rows["urban"],
        }
    ).astype(float)

    def mean(part):
        w = weights.loc[part.index].to_numpy()[:, None] * part.notna()
        return ((w * part.fillna(0)).sum() / w.sum()).to_numpy()

    units = np.array([mean(part) for _, part in raw.groupby(rows["therapist_id"])])
    np.testing.assert_allclose(got.units, units, rtol=1e-13)
    np.testing.assert_allclose(got.network, mean(raw), rtol=1e-13)
    # What moves the rate: the mean of a term's part of the log-odds beside the network's, times the slope.
    w = design.trials
    slope = np.average(rate * (1 - rate), weights=w)
    for v, s in enumerate(design.case_mix.term_slices.values()):
        part = design.X[:, s] @ beta[s]
        for j in range(3):
            own = design.therapist.index == j
            gap = np.average(part[own], weights=w[own]) - np.average(part, weights=w)
            assert got.shift[j, v] == pytest.approx(slope * gap, rel=1e-10, abs=1e-14)


def test_nothing_to_describe(table):
    view = TableView(table)
    design = build_design(view, case_mix=None, outcome="y", therapist="therapist_id", by_content=True)
    got = summarise_case_mix(view, design, np.zeros(1), np.full(len(design.rows), 0.5))
    assert (got.labels, got.variables) == ((), ())
    assert got.units.shape == got.shift.shape == (3, 0)
