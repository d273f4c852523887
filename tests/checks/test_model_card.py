from dataclasses import replace as altered

import numpy as np
import pytest
from made_cases import drawn_cases

import ter
from ter.checks import bars, model_card, normality, replicate, spread, verdicts
from ter.checks.bars import Bar, worst
from ter.checks.predictive import REPLICATES
from ter.checks.publishing import publish
from ter.checks.verdicts import completion_rates, share_missing
from ter.errors import FitError, OptionError
from ter.options import CHECKS
from ter.ratings import Check, ModelCard, RatingOptions
from ter.sources import fingerprint


@pytest.fixture(scope="module")
def card(fit, episodes):
    return model_card(fit, episodes)


def status(card, name):
    return card.to_frame().loc[name, "status"]


def test_a_healthy_network_passes_with_every_check_run(card):
    assert [check.name for check in card.checks] == list(CHECKS)
    assert card.failed == ()
    assert "not_run" not in set(card.to_frame()["status"])
    assert card.verdict in ("trust", "care")
    assert card.answer.startswith("Yes")
    assert "AUC" in dict(card.facts)


def test_the_card_of_a_fit_alone_says_what_was_not_checked(fit):
    card = model_card(fit)
    assert card.failed == ()
    assert status(card, "calibration_by_decile") == "passed"
    assert status(card, "new_therapists") == "not_run"
    assert card.verdict == "unknown"
    assert card.answer == "Not known. Too little was checked to tell. 7 of 14 checks were not run."


def test_nothing_is_praised_that_could_not_be_otherwise(episodes):
    """A model without case mix expects the same of everybody, and its own sums agree whatever is true."""
    fit = ter.fit(episodes, case_mix=None, service=None, engine="ml")
    by_name = {check.name: check for check in model_card(fit, episodes, refits=False).checks}
    tenths = by_name["calibration_by_decile"]
    assert tenths.status == by_name["calibration_slope"].status == "not_run"
    assert "as many recover as expected" not in tenths.words
    assert "On the data that a model was made from they always do" in by_name["calibration_overall"].words


@pytest.mark.parametrize(
    ("statuses", "verdict", "words"),
    [
        ("ppp", "trust", "Yes. These ratings can be trusted."),
        ("pppn", "trust", "Yes, as far as was checked. 1 of 4 checks was not run."),
        ("pcn", "care", "Yes, with care."),
        ("pn", "unknown", "Not known."),
        ("cnn", "unknown", "Not known."),
        ("fnnn", "do_not_trust", "No."),
        ("", "unknown", "Not known."),
    ],
)
def test_the_verdict_knows_what_was_not_checked(statuses, verdict, words):
    word = {"p": "passed", "c": "caution", "n": "not_run", "f": "failed"}
    made = ModelCard(tuple(Check("spread", "", word[s], "", "", "") for s in statuses), ())
    assert made.verdict == verdict
    assert made.answer.startswith(words)


def test_two_things_must_come_together():
    bar = Bar(fail=2.0, caution=1.0)
    assert bar.judge(3.0, 0.0009) == "failed"
    assert bar.judge(3.0, 0.00091) == "caution"
    assert bar.judge(1.9, 1e-9) == "caution"
    assert bar.judge(0.9, 1e-9) == "passed"
    assert bar.judge(3.0, 0.5) == "passed"
    assert bar.judge(float("nan"), 0.5) == bar.judge(3.0, float("nan")) == "not_run"
    assert worst("passed", "caution", "not_run") == "caution"
    assert worst("not_run") == "not_run"
    # Eleven figures with a p-value: by Bonferroni a right model fails in at most 1% of months.
    assert 11 * bars.FAIL_P <= 0.01
    assert 2 / (REPLICATES + 1) <= bars.FAIL_P


def test_severity_left_out_fails_the_groups(steep):
    fit = ter.fit(steep, case_mix=ter.CaseMix([ter.linear("age")]), engine="ml")
    found = model_card(fit, steep, refits=False)
    assert status(found, "calibration_by_group") == "failed"
    assert "phq9_first" in found.to_frame().loc["calibration_by_group", "remedy"]
    assert found.verdict == "do_not_trust"


def having_seen(fit, table):
    """The same model, as if this had been its table."""
    return altered(fit, fingerprint=fingerprint(table))


def test_missing_scores_fail(fit, episodes):
    spoilt = episodes.copy()
    spoilt.loc[spoilt.index[::3], "phq9_last"] = np.nan
    assert status(model_card(having_seen(fit, spoilt), spoilt, refits=False), "missing_outcomes") == "failed"


def test_months_that_differ_fail(episodes, case_mix):
    spoilt = episodes.copy()
    late = (spoilt["end_date"] > "2026-08-01") & spoilt["recovered"].fillna(False).astype(bool)
    spoilt.loc[late & (np.arange(len(spoilt)) % 5 > 0), "recovered"] = False
    fit = ter.fit(spoilt, case_mix=case_mix, engine="ml")
    found = model_card(fit, spoilt)
    assert status(found, "next_months") == "failed"


def test_a_therapist_far_out_fails_spread_and_shape():
    """150 therapists, of whom one has lost nearly every patient of 300."""
    effects = 0.3 * np.random.default_rng(1).standard_normal(150)
    effects[7] = -6.0
    caseload = np.full(150, 40)
    caseload[7] = 300
    cases, _ = drawn_cases(
        np.random.default_rng(2), therapists=150, caseload=caseload, effects=effects, level=0.5
    )
    drawn = replicate(cases, np.full(2000, 0.35), 1)
    assert verdicts.spread(spread(drawn, cases)).status == "failed"
    assert verdicts.normality(normality(drawn)).status == "failed"


def test_no_outcome_behind_the_gate_moves_a_letter(fit, episodes):
    """The same model, and other outcomes of those behind the gate."""
    ungated = [name for name, n in zip(fit.units.ids, fit.units.n_completed, strict=True) if n < 25]
    options = RatingOptions(completed=25)
    theirs = episodes["therapist_id"].isin(ungated) & episodes["recovered"].notna()
    assert theirs.sum() > 20
    other = episodes.copy()
    other.loc[theirs, "recovered"] = ~other.loc[theirs, "recovered"]
    a, b = (
        model_card(having_seen(fit, table), table, options=options, refits=False)
        for table in (episodes, other)
    )
    assert a == b
    # And the check can fail: outcomes of the others do move it.
    shown = ~episodes["therapist_id"].isin(ungated) & episodes["recovered"].notna()
    moved = episodes.copy()
    moved.loc[shown, "recovered"] = ~moved.loc[shown, "recovered"]
    assert model_card(having_seen(fit, moved), moved, options=options, refits=False) != a


def test_a_failure_stops_the_publication_unless_accepted_by_name(fit, card):
    ratings = ter.rate(fit)
    broken = altered(
        card,
        checks=tuple(altered(c, status="failed") if c.name == "spread" else c for c in card.checks),
    )
    with pytest.raises(FitError, match="--accept-failed spread") as error:
        publish(fit, ratings, broken)
    assert error.value.exit_code == 4
    with pytest.raises(FitError):
        publish(fit, ratings, broken.accepting(["normality"]))
    publication = publish(fit, ratings, broken.accepting(["spread"]))
    assert publication.card.overridden == ("spread",)
    assert publication.card.verdict == "do_not_trust"
    assert "accepted by name: spread" in publication.card.answer
    assert publish(fit, ratings).card is not None
    with pytest.raises(OptionError, match="No check is called sprad"):
        card.accepting(["sprad"])


def test_another_table_is_refused(fit, episodes):
    with pytest.raises(OptionError, match="episodes is not the table that the model was fitted to"):
        model_card(fit, episodes.iloc[:-1], refits=False)


def test_a_card_shows_itself():
    check = Check("spread", "A?", "caution", "1 < 2", "bar", "Words.", "Do.")
    made = ModelCard((check,), (("AUC", "0.7"),))
    assert made.verdict == "care"
    assert "caution  spread: 1 < 2. Words. Do." in made.summary()
    assert "1 &lt; 2" in made._repr_html_()
    assert "with care" in repr(made)
    assert made.to_frame().loc["spread", "bar"] == "bar"


def test_missing_and_completion_are_counted(episodes):
    counted = episodes[episodes["completed"] & episodes["at_caseness"]]
    by_hand = (counted["phq9_last"].isna() | counted["gad7_last"].isna()).mean()
    assert share_missing(episodes) == pytest.approx(by_hand)
    rate, sd = completion_rates(episodes, "therapist_id")
    ended = episodes[episodes["end_date"].notna()]
    assert rate == pytest.approx(ended["completed"].mean())
    # The scenario's therapists differ in completion by 0.25 in log-odds: some 6 points.
    assert 0.02 < sd < 0.10
