"""Nested factors against exact maximum likelihood (nested trapezoidal sums on dense grids) on real data.

Laplace's approximation fails here: it halves the mothers' SD in guimmun and has no sensible maximum in
guprenat, whose SD of 7 with one or two births a mother takes a hundred nodes.
"""

import json

import pandas as pd
import pytest

import ter

CASES = [
    pytest.param("guimmun", "immun01", "comm", 25, id="guimmun"),
    pytest.param("guprenat", "modern", "cluster", 100, id="guprenat", marks=pytest.mark.slow),
]


@pytest.mark.reference
@pytest.mark.parametrize(("dataset", "outcome", "top", "nodes"), CASES)
def test_agrees_with_exact_maximum_likelihood(dataset, outcome, top, nodes, reference_data):
    folder = reference_data / dataset
    gold = json.loads((folder / "gold_m1.json").read_text())
    levels = json.loads((folder / "levels.json").read_text())
    names = [name.strip() for name in gold["formula"].split("~")[1].split("+") if "(" not in name]
    numeric = [name for name in names if name not in levels]
    table = pd.read_csv(folder / "data.csv", dtype=str).astype(
        {**dict.fromkeys(numeric, float), outcome: int}
    )
    terms = [ter.factor(n, levels=levels[n]) if n in levels else ter.linear(n) for n in names]
    fit = ter.fit(
        table, case_mix=ter.CaseMix(terms), outcome=outcome, therapist="mom", service=top,
        engine="ml", nodes=nodes,
    )  # fmt: skip
    assert fit.record.converged
    assert fit.record.structure.startswith("nested")
    assert fit.log_likelihood == pytest.approx(gold["logLik"], abs=0.01)
    assert fit.groups.loc["therapist", "sd"] == pytest.approx(gold["sd_low"]["sd"], rel=0.005)
    assert fit.groups.loc["service", "sd"] == pytest.approx(gold["sd_top"]["sd"], rel=0.005)
    for ours, theirs in zip(fit.fixed.itertuples(), gold["fixef"], strict=True):
        assert abs(ours.estimate - theirs["estimate"]) < 0.02 * theirs["se"]
        assert ours.se == pytest.approx(theirs["se"], rel=0.005)
    modes = pd.read_csv(folder / "gold_modes_m1.csv", dtype={"group": str})
    for factor, grouping in (("therapist", "mom"), ("service", top)):
        theirs = modes[modes["grouping"] == grouping].set_index("group")
        ours = fit.effects(factor).loc[theirs.index]
        assert ((ours["mean"] - theirs["post_mean"]).abs() / theirs["post_sd"]).max() < 0.02
        assert (ours["sd"] / theirs["post_sd"] - 1.0).abs().max() < 0.01
