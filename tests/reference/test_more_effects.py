"""A random slope and a third factor against lme4 and glmmTMB on real data, as the other models are held."""

import json

import numpy as np
import pandas as pd
import pytest
from answers import read_answer, read_modes

import ter


@pytest.fixture(scope="module")
def contraception(reference_data):
    table = pd.read_csv(reference_data / "contraception/data.csv", dtype={"district": str, "livch": str})
    return table.assign(urban01=(table["urban"] == "Y").astype(float))


@pytest.mark.reference
@pytest.mark.parametrize("program", ["glmmTMB", "glmer_nAGQ1"])
def test_slope_of_contraception(contraception, reference_data, program):
    answer = read_answer(reference_data, "contraception", "m3_slope", program)
    fit = ter.fit(
        contraception,
        case_mix=ter.CaseMix([ter.linear("urban01"), ter.linear("age"), ter.factor("livch")]),
        outcome="use01", therapist="district", service=None, severity_slope="urban01", engine="ml",
    )  # fmt: skip
    assert fit.record.converged
    assert fit.log_likelihood == pytest.approx(answer.log_likelihood, abs=1e-4)
    terms = ["intercept", "urban01", "age", "livch[1]", "livch[2]", "livch[3+]"]
    fixed = fit.fixed.loc[terms]
    np.testing.assert_array_less(np.abs(fixed["estimate"] - answer.estimate) / answer.se, 1e-3)
    np.testing.assert_allclose(fixed["se"], answer.se, rtol=2e-3)
    # Theirs is the covariance of intercept and slope of the column as it is: at 0 and from 0 to 1.
    reference = json.loads((reference_data / "contraception/ref_m3_slope.json").read_text())["fits"][program]
    (sd0, sd1), rho = reference["random"][0]["sd"], reference["random"][0]["corr"][0][1]
    at = fit.variance_by_severity([0.0, 1.0])["sd"]
    assert at[0.0] == pytest.approx(sd0, abs=2e-5)
    assert at[1.0] == pytest.approx(np.sqrt(sd0**2 + 2 * rho * sd0 * sd1 + sd1**2), abs=2e-5)
    slope, scale = fit.slope.loc["sd_slope", "estimate"], fit.severity.scale
    assert slope / scale == pytest.approx(sd1, abs=5e-5)
    modes = pd.read_csv(reference_data / f"contraception/modes_m3_slope_{program}.csv", dtype={"group": str})
    theirs = modes.pivot_table(index="group", columns="effect", values="mode")
    effects = fit.effects("therapist").loc[theirs.index]
    np.testing.assert_allclose(effects["slope_mean"] / scale, theirs["urbanY"], atol=1e-4)
    zero = effects["mean"] - effects["slope_mean"] * fit.severity.centre / scale
    np.testing.assert_allclose(zero, theirs["(Intercept)"], atol=1e-4)


@pytest.mark.reference
@pytest.mark.slow
def test_three_factors_of_insteval(reference_data):
    answer = read_answer(reference_data, "insteval", "m2", "glmmTMB")
    levels = json.loads((reference_data / "insteval/levels.json").read_text())
    table = pd.read_csv(reference_data / "insteval/data.csv", dtype=str).astype({"y4": int})
    names = ("service", "studage", "lectage")
    fit = ter.fit(
        table,
        case_mix=ter.CaseMix([ter.factor(name, levels=levels[name]) for name in names]),
        outcome="y4", therapist="s", service="d", further="dept", engine="ml",
    )  # fmt: skip
    assert fit.record.converged
    # The two programs differ from each other by 3.4e-4.
    assert fit.log_likelihood == pytest.approx(answer.log_likelihood, abs=5e-4)
    np.testing.assert_array_less(np.abs(fit.fixed["estimate"] - answer.estimate) / answer.se, 1e-3)
    np.testing.assert_allclose(fit.fixed["se"], answer.se, rtol=2e-3)
    for factor, column in (("therapist", "s"), ("service", "d"), ("further", "dept")):
        sd = fit.groups["sd"][factor]
        assert abs(sd - answer.sd[column]) < 1e-3 * sd / np.sqrt(2 * len(fit.effects(factor)))
        modes = read_modes(reference_data, "insteval", "m2", "glmmTMB").loc[column]
        effects = fit.effects(factor).loc[modes.index]
        np.testing.assert_allclose(effects["mean"], modes["mode"], atol=1e-4)
        np.testing.assert_allclose(effects["sd"], modes["sd"], atol=1e-4)
