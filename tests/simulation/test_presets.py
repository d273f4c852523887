"""Presets against the published figures that they are calibrated to."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ter.simulation import Scenario, simulate

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TER_REFERENCE_DATA", ROOT / "../shared/data")) / "nhs_tt"

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the real reference data are not in {DATA}: set TER_REFERENCE_DATA"
)


@pytest.fixture(scope="module")
def england():
    # Many therapists and services, so that none of them moves the national figures: the SE of recovery from
    # their effects is 0.25 * (0.416 / sqrt(4000) + 0.15 / sqrt(2000)) = 0.002.
    episodes = simulate(
        Scenario.preset("england_2024_25", n_therapists=4000, n_services=2000, mean_caseload=60), 17
    ).episodes
    return episodes[episodes["completed"]]


def published(kind, level=None, sub=None):
    table = pd.read_csv(DATA / "england_annual.csv", keep_default_na=False, na_values=["", "NULL"])
    rows = table[(table["reporting_period"] == "2024-25") & (table["variable_type"] == kind)]
    if level is not None:
        rows = rows[rows["variable_a"] == level]
    if sub is not None:
        rows = rows[rows["variable_b"] == sub]
    (row,) = rows.to_dict("records")
    return row


def logit(p):
    return math.log(p / (1 - p))


@pytest.mark.reference
@needs_data
def test_england_outcomes(england):
    total = published("Total")
    counted = england[england["at_caseness"]]
    finished = total["finished_course_treatment"]
    # 3 SE of the effects of therapists and services, as above; what is not recovery moves half as much.
    assert counted["recovered"].mean() == pytest.approx(total["recovery"] / total["at_caseness"], abs=0.006)
    assert counted["reliable_recovery"].mean() == pytest.approx(
        total["reliable_recovery"] / total["at_caseness"], abs=0.006
    )
    assert england["reliable_improvement"].mean() == pytest.approx(total["improvement"] / finished, abs=0.006)
    assert england["reliable_deterioration"].mean() == pytest.approx(
        total["deterioration"] / finished, abs=0.003
    )
    assert 1 - england["at_caseness"].mean() == pytest.approx(total["not_at_caseness"] / finished, abs=0.003)


@pytest.mark.reference
@needs_data
def test_england_scores(england):
    table = pd.read_csv(DATA / "england_scores_by_therapy_2024_25.csv")
    cbt = table[(table["problem"] == "Total") & table["therapy"].str.contains("CBT")].iloc[0]
    for measure, name in (("phq", "phq9_first"), ("gad", "gad7_first")):
        # Published to one decimal; the mean shift of severity has an SE of 0.03 points.
        assert england[name].mean() == pytest.approx(cbt[f"{measure}_mean_start"], abs=0.15)
        assert england[name].astype(float).std() == pytest.approx(cbt[f"{measure}_sd_start"], abs=0.1)
    # Those who recover more than CBT's patients end a little lower: within 0.8 points.
    for measure, name in (("phq", "phq9_last"), ("gad", "gad7_last")):
        assert england[name].mean() == pytest.approx(cbt[f"{measure}_mean_end"], abs=0.8)
    r = np.corrcoef(england["phq9_first"].astype(float), england["gad7_first"].astype(float))[0, 1]
    assert r == pytest.approx(0.65, abs=0.01)


PROBLEMS = {
    "depression": ("Depression", None),
    "generalised_anxiety": ("Anxiety and stress related disorders", "Generalised anxiety disorder"),
    "post_traumatic_stress": ("Anxiety and stress related disorders", "Post-traumatic stress disorder"),
    "obsessive_compulsive": ("Anxiety and stress related disorders", "Obsessive-compulsive disorder"),
    "social_anxiety": ("Anxiety and stress related disorders", "Social phobias"),
    "panic": ("Anxiety and stress related disorders", "Panic disorder [episodic paroxysmal anxiety]"),
}
LEVELS = [
    *(("problem", level, "Presenting Complaint", *names) for level, names in PROBLEMS.items()),
    ("gender", "female", "Gender", "Female", None),
    ("gender", "male", "Gender", "Male", None),
    ("ethnicity", "white", "Ethnic Group", "White", "All"),
    ("ethnicity", "asian", "Ethnic Group", "Asian or Asian British", "All"),
    ("ethnicity", "black", "Ethnic Group", "Black or Black British", "All"),
    ("long_term_condition", "yes", "Long Term Condition Status", "Long term condition", None),
    ("long_term_condition", "no", "Long Term Condition Status", "No long term condition", None),
]


@pytest.mark.reference
@needs_data
@pytest.mark.parametrize(
    ("column", "level", "kind", "a", "b"), LEVELS, ids=[f"{column}-{level}" for column, level, *_ in LEVELS]
)
def test_england_crude_recovery_by_level(england, column, level, kind, a, b):
    row = published(kind, a, b)
    counted = england[england["at_caseness"] & (england[column] == level)]
    rate = counted["recovered"].astype(float).mean()
    # 4 SE of the level's own recoveries, and 0.04: effects are rounded to 0.01 and found by iteration.
    tolerance = 0.04 + 4 / math.sqrt(len(counted) * rate * (1 - rate))
    assert logit(rate) == pytest.approx(logit(row["recovery"] / row["at_caseness"]), abs=tolerance)
    if column != "long_term_condition":  # mostly not stated in England, which the preset does not follow
        finished = published("Total")["finished_course_treatment"]
        assert (england[column] == level).mean() == pytest.approx(
            row["finished_course_treatment"] / finished, rel=0.06
        )


@pytest.mark.reference
@needs_data
def test_england_gradient_of_deprivation(england):
    table = pd.read_csv(DATA / "england_annual.csv", keep_default_na=False, na_values=["", "NULL"])
    rows = table[
        (table["reporting_period"] == "2024-25") & (table["variable_type"] == "Indices of Deprivation Decile")
    ]
    rows = rows[rows["variable_a"].str.match(r"\d\d ")].sort_values("variable_a", ascending=False)
    deciles = np.arange(1, 11)  # 1 = most deprived: the published "10"
    real = np.polyfit(deciles, [logit(p) for p in rows["recovery"] / rows["at_caseness"]], 1)[0]
    counted = england[england["at_caseness"] & england["imd_decile"].notna()]
    rates = counted["recovered"].astype(float).groupby(counted["imd_decile"].astype(int)).mean()
    # Within 10% on the log scale, and 4 SE of the slope.
    se = 2 / math.sqrt(len(counted) * 8.25)
    assert np.polyfit(deciles, [logit(p) for p in rates], 1)[0] == pytest.approx(
        real, abs=0.1 * real + 4 * se
    )


@pytest.mark.reference
@needs_data
def test_england_gradient_of_age(england):
    bands = {"18 to 25": (18, 25), "65 to 74": (65, 74), "75 to 89": (75, 89)}
    counted = england[england["at_caseness"]]

    def crude(low, high):
        rates = counted.loc[counted["age"].between(low, high), "recovered"].astype(float)
        return logit(rates.mean()), 1 / (len(rates) * rates.mean() * (1 - rates.mean()))

    def real(name):
        row = published("Age Group", name)
        return logit(row["recovery"] / row["at_caseness"])

    middle, variance = crude(26, 64)
    for name, (low, high) in bands.items():
        value, own = crude(low, high)
        log_ratio = real(name) - real("26 to 64")
        # Within 10% on the log scale, and 4 SE. The preset's line in age is the straight one that is nearest:
        # it falls short by 11% at 65 to 74 and goes 5% too far above.
        assert value - middle == pytest.approx(
            log_ratio, abs=0.1 * abs(log_ratio) + 4 * math.sqrt(own + variance)
        )


@pytest.mark.reference
@needs_data
def test_england_long_term_condition(england):
    kind, counted = "Long Term Condition Status", england[england["at_caseness"]]
    yes, no = (published(kind, level) for level in ("Long term condition", "No long term condition"))
    real = logit(yes["recovery"] / yes["at_caseness"]) - logit(no["recovery"] / no["at_caseness"])
    rates = [
        counted.loc[counted["long_term_condition"] == level, "recovered"].astype(float)
        for level in ("yes", "no")
    ]
    se = math.sqrt(sum(4 / len(rate) for rate in rates))
    assert logit(rates[0].mean()) - logit(rates[1].mean()) == pytest.approx(
        real, abs=0.1 * abs(real) + 4 * se
    )


def test_england_hangs_together(england):
    """What goes with what, by its sign and its rough size: assumptions, not published figures."""
    poor, rich = (england[england["imd_decile"] == decile] for decile in (1, 10))
    for column, level in (("employment", "unemployed"), ("long_term_condition", "yes")):
        assert (poor[column] == level).mean() > 1.15 * (rich[column] == level).mean()
    assert poor["phq9_first"].mean() > rich["phq9_first"].mean() + 1
    old, young = england[england["age"] > 64], england[england["age"] < 40]
    assert (old["employment"] == "retired").mean() > 0.4 > 0.02 > (young["employment"] == "retired").mean()
    assert (old["long_term_condition"] == "yes").mean() > 1.3 * (young["long_term_condition"] == "yes").mean()
    by_problem = england.groupby("problem")["phq9_first"].mean()
    assert by_problem["depression"] > by_problem["panic"] > by_problem["specific_phobia"]
    assert england["wsas_first"].astype(float).corr(england["phq9_first"].astype(float)) > 0.4


@pytest.mark.parametrize(
    ("name", "patients", "sessions", "recovery", "completing"),
    [
        ("gloucestershire_2018_19", 209, 1081 / 209, 0.402, 0.70),
        ("essex_2017_19", 282, 7.0, 0.52, 0.70),
        ("lincolnshire_2016_21", 528, None, 0.505, 0.70),
    ],
)
def test_disclosed_contracts(name, patients, sessions, recovery, completing):
    own = Scenario.preset(name)
    assert own.network.n_therapists * own.network.mean_caseload == pytest.approx(patients)
    assert own.network.n_services == 1
    # The same contract many times over: one service's effect would move all of it.
    episodes = simulate(
        own.replace(n_therapists=4000, service_sd=0, service_shift_sd=0, service_deprivation_sd=0), 2
    ).episodes
    assert set(episodes["modality"]) == {"typed"}
    counted = episodes[episodes["completed"] & episodes["at_caseness"]]
    # 3 SE, of which the therapists' effects make 0.0016 and the patients' outcomes 0.003.
    assert counted["recovered"].mean() == pytest.approx(recovery, abs=0.011)
    assert episodes["completed"].mean() == pytest.approx(completing, abs=0.01)
    if sessions is not None:
        assert episodes["n_sessions"].mean() == pytest.approx(sessions, rel=0.02)


def test_typed_therapy_network():
    scenario = Scenario.preset("typed_therapy_network")
    assert scenario.network.n_therapists == 700
    episodes = simulate(scenario, 1).episodes
    # A national provider completes 5,000 to 20,000 treatments a year; the period is two years.
    assert 10_000 < episodes["completed"].sum() < 40_000
    assert set(episodes["modality"]) == {"typed"}
