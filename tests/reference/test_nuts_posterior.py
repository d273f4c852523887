"""Engine "fast" against a stored NUTS posterior (PyMC and nutpie, 8,000 draws, the same priors) on real data.

Both have Monte Carlo error. The reference's is known from its effective sample size: z, the difference over
it, should look standard normal. The engine's own, from 512 Sobol draws with u integrated out, is below a
hundredth of a posterior SD.
"""

import json

import numpy as np
import pandas as pd
import pytest

import ter

ENGINE_ERROR = 0.01


@pytest.fixture(scope="module")
def reference(reference_data):
    folder = reference_data / "contraception"
    posterior = json.loads((folder / "bayes_m1.json").read_text())
    districts = pd.read_csv(folder / "bayes_m1_district.csv", dtype={"district": str}).set_index("district")
    table = pd.read_csv(folder / "data.csv", dtype={"district": str, "livch": str})
    # The reference standardises its dummies, as `linear` does.
    table["urbanY"] = (table["urban"] == "Y").astype(float)
    terms = [ter.linear("urbanY"), ter.linear("age")]
    for level in ("1", "2", "3+"):
        table[f"livch{level}"] = (table["livch"] == level).astype(float)
        terms.append(ter.linear(f"livch{level}"))
    fit = ter.fit(
        table,
        case_mix=ter.CaseMix(terms),
        outcome="use01",
        therapist="district",
        service=None,
        nodes=11,
        seed=1,
    )
    return posterior, districts, fit


@pytest.mark.reference
def test_fixed_effects_and_sd(reference):
    posterior, _, fit = reference
    effective = posterior["min_ess_bulk"]
    names = {"intercept": "(Intercept)_raw", "age": "age_raw", "urbanY": "urbanY_raw"}
    names |= {f"livch{k}": f"livch{k}_raw" for k in ("1", "2", "3+")}
    rows = [(fit.fixed.loc[ours], posterior["parameters"][theirs]) for ours, theirs in names.items()]
    rows.append((fit.groups.loc["therapist"], posterior["parameters"]["sigma"]))
    for ours, theirs in rows:
        sd = theirs["sd"]
        mean = ours["mean"] if "mean" in ours else ours["sd"]
        assert abs(mean - theirs["mean"]) < 4 * sd / np.sqrt(effective) + ENGINE_ERROR * sd
        for q05, key in (("q05", "q5"), ("q95", "q95")):
            # The error of a 5% quantile is about twice that of a mean.
            assert abs(ours[q05] - theirs[key]) < 2 * (4 / np.sqrt(effective) + ENGINE_ERROR) * sd


@pytest.mark.reference
def test_effects(reference):
    _, districts, fit = reference
    ours = fit.effects("therapist").loc[districts.index]
    error = districts["sd"] / np.sqrt(districts["ess_bulk"])
    z = (ours["mean"] - districts["mean"]) / error
    # Sixty standard normals: their root mean square is 1 +- 0.09 and their largest below 3.5; the engine's
    # error of up to 0.01 SD is about 1 in z here.
    assert np.sqrt((z**2).mean()) < 1.5
    assert z.abs().max() < 4.0
    assert (
        np.abs(np.log(ours["sd"] / districts["sd"])).max()
        < 4 / np.sqrt(2 * districts["ess_bulk"].min()) + 0.01
    )
    for q, key in (("q05", "q5"), ("q95", "q95")):
        assert (np.abs(ours[q] - districts[key]) / districts["sd"]).max() < 2 * 4 / np.sqrt(
            districts["ess_bulk"].min()
        ) + 0.02


@pytest.mark.reference
def test_ranks(reference):
    _, districts, fit = reference
    # The reference ranks from the lowest effect.
    ranks = ter.rate(fit).to_frame()["expected_rank"]
    open_ = ranks.dropna().index
    u = fit.posterior.u_draws.astype(float)
    ours = pd.Series((u.argsort(0).argsort(0) + 1).mean(axis=1), index=fit.units.ids).loc[districts.index]
    # A rank has an SD of up to 17 among 60; both sides have thousands of draws.
    limit = 4 * 17 * np.sqrt(1 / districts["ess_bulk"].min() + 1 / u.shape[1])
    assert np.abs(ours - districts["rank_mean"]).max() < limit
    assert len(open_) == (districts["n"] >= 10).sum()
