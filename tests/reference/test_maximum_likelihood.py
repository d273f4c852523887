"""Engine "ml" against lme4 and glmmTMB on real data.

Tolerances: log-likelihoods agree to 1e-4, where the two programs agree with each other to about 1e-5
(insteval: 5e-4, where they differ by 3.4e-4). Estimates agree to a thousandth of a standard error, which no
reader could notice; the stored fits are converged to about 1e-5 of one. Modes agree to 1e-4 in log-odds.
"""

import json
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from answers import PROGRAMS, read_answer, read_modes

import ter


@dataclass(frozen=True)
class Problem:
    dataset: str
    model: str
    outcome: str
    groups: dict[str, str]
    terms: tuple = ()
    trials: str | None = None
    text: tuple[str, ...] = ()
    nodes: tuple[int, ...] = (1,)
    tolerance: float = 1e-4
    file: str = "data.csv"
    # Our column for each of the reference's terms.
    names: dict[str, str] = field(default_factory=dict)


CONTRACEPTION = {
    "dataset": "contraception",
    "outcome": "use01",
    "groups": {"therapist": "district"},
    "text": ("district", "livch"),
    "nodes": (1, 25),
}
LEVELS = {"urbanY": "urban[Y]", "livch1": "livch[1]", "livch2": "livch[2]", "livch3+": "livch[3+]"}

PROBLEMS = [
    Problem(model="m0", **CONTRACEPTION),
    Problem(
        model="m1",
        terms=(ter.factor("urban"), ter.linear("age"), ter.factor("livch")),
        names=LEVELS,
        **CONTRACEPTION,
    ),
    Problem(
        model="m2",
        terms=(ter.factor("urban"), ter.linear("age"), ter.linear("age2"), ter.factor("livch")),
        names={**LEVELS, "I(age^2)": "age2"},
        **CONTRACEPTION,
    ),
    Problem(
        "cbpp",
        "m1",
        "incidence",
        {"therapist": "herd"},
        terms=(ter.factor("period"),),
        trials="size",
        text=("herd", "period"),
        nodes=(1, 25),
        names={"period2": "period[2]", "period3": "period[3]", "period4": "period[4]"},
    ),
    Problem(
        "medpar",
        "m1",
        "died",
        {"therapist": "provnum"},
        terms=(ter.linear("age80"), ter.linear("white"), ter.linear("hmo"), ter.factor("type")),
        text=("provnum", "type"),
        nodes=(1, 25),
        names={"type2": "type[2]", "type3": "type[3]"},
    ),
    Problem(
        "btheb",
        "m1_recovered",
        "better",
        {"therapist": "subject"},
        terms=(
            ter.linear("bdi_pre"),
            ter.linear("month"),
            ter.factor("treatment", levels=["TAU", "BtheB"]),
            ter.factor("drug", levels=["No", "Yes"]),
            ter.factor("length", levels=["<6m", ">6m"]),
        ),
        text=("subject",),
        # With an SD of 4 and four visits each, 25 nodes are not enough; the exact maximum is tested below.
        names={"treatmentBtheB": "treatment[BtheB]", "drugYes": "drug[Yes]", "length>6m": "length[>6m]"},
    ),
    Problem(
        "insteval",
        "m1",
        "y4",
        {"therapist": "s", "service": "d"},
        terms=(ter.factor("service"),),
        text=("s", "d", "service"),
        tolerance=5e-4,
        names={"service1": "service[1]"},
    ),
    Problem(
        "nhs_tt",
        "y2324_m0",
        "recovery",
        {"therapist": "org_code"},
        trials="at_caseness",
        text=("org_code",),
        nodes=(1, 25),
        file="provider_year.csv",
    ),
]
CASES = [pytest.param(p, k, id=f"{p.dataset}-{p.model}-{k}") for p in PROBLEMS for k in p.nodes]


def load(problem, folder):
    table = pd.read_csv(folder / problem.dataset / problem.file, dtype=dict.fromkeys(problem.text, str))
    if problem.dataset == "contraception":
        table["age2"] = table["age"] ** 2
    if problem.dataset == "btheb":
        table = table[(table["bdi_pre"] >= 14) & table["bdi"].notna()]
        table = table.assign(better=table["recovered"].astype(int))
    if problem.dataset == "nhs_tt":
        table = table[table["reporting_period"] == "2023-24"]
    return table


@pytest.mark.reference
@pytest.mark.parametrize(("problem", "nodes"), CASES)
def test_agrees_with_lme4_and_glmmtmb(problem, nodes, reference_data):
    answer = read_answer(reference_data, problem.dataset, problem.model, PROGRAMS[nodes])
    fit = ter.fit(
        load(problem, reference_data),
        case_mix=ter.CaseMix(problem.terms) if problem.terms else None,
        outcome=problem.outcome,
        trials=problem.trials,
        therapist=problem.groups["therapist"],
        service=problem.groups.get("service"),
        engine="ml",
        nodes=nodes,
    )
    assert fit.record.converged
    assert fit.log_likelihood == pytest.approx(answer.log_likelihood, abs=problem.tolerance)
    names = ["intercept" if t == "(Intercept)" else problem.names.get(t, t) for t in answer.terms]
    fixed = fit.fixed.loc[names]
    np.testing.assert_array_less(np.abs(fixed["estimate"] - answer.estimate) / answer.se, 1e-3)
    # Standard errors: the reference differentiates numerically, to about three digits.
    np.testing.assert_allclose(fixed["se"], answer.se, rtol=2e-3)
    for factor, column in problem.groups.items():
        sd = fit.groups["sd"][factor]
        # A standard error of an SD estimated from J groups is at least sd / sqrt(2 J).
        assert abs(sd - answer.sd[column]) < 1e-3 * sd / np.sqrt(2 * len(fit.effects(factor)))
        modes = read_modes(reference_data, problem.dataset, problem.model, PROGRAMS[nodes]).loc[column]
        effects = fit.effects(factor).loc[modes.index]
        np.testing.assert_allclose(effects["mean"], modes["mode"], atol=1e-4)
        np.testing.assert_allclose(effects["sd"], modes["sd"], atol=1e-4)


TOENAIL = Problem(
    "toenail",
    "m1",
    "y",
    {"therapist": "patientID"},
    terms=(
        ter.factor("treatment", levels=["itraconazole", "terbinafine"]),
        ter.linear("time"),
        ter.linear("treated_time"),
    ),
    text=("patientID",),
    names={
        "treatmentterbinafine": "treatment[terbinafine]",
        "treatmentterbinafine:time": "treated_time",
    },
)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("problem", "nodes"),
    [
        pytest.param(problem, nodes, id=problem.dataset)
        for problem, nodes in ((PROBLEMS[1], 25), (PROBLEMS[3], 25), (PROBLEMS[5], 121), (TOENAIL, 121))
    ],
)
def test_agrees_with_exact_maximum_likelihood(problem, nodes, reference_data):
    """The reference integrates each group by a trapezoid rule; SDs of up to 5 take many nodes."""
    gold = json.loads((reference_data / problem.dataset / f"gold_{problem.model}.json").read_text())
    table = load(problem, reference_data)
    if problem is TOENAIL:
        table["treated_time"] = (table["treatment"] == "terbinafine") * table["time"]
    fit = ter.fit(
        table,
        case_mix=ter.CaseMix(problem.terms),
        outcome=problem.outcome,
        trials=problem.trials,
        therapist=problem.groups["therapist"],
        service=None,
        engine="ml",
        nodes=nodes,
    )
    assert fit.record.converged
    # 121 points of the trapezoid rule are 3e-5 short of 401 on the hardest of these.
    assert fit.log_likelihood == pytest.approx(gold["logLik_401_nodes"], abs=1e-4)
    sd = fit.groups["sd"]["therapist"]
    assert sd == pytest.approx(gold["sd"], abs=1e-3)
    for term in gold["fixef"]:
        name = "intercept" if term["term"] == "(Intercept)" else problem.names.get(term["term"], term["term"])
        ours = fit.fixed.loc[name]
        assert abs(ours["estimate"] - term["estimate"]) < 1e-3 * term["se"]
        assert ours["se"] == pytest.approx(term["se"], rel=2e-3)
