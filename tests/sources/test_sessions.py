"""Episodes from sessions: worked by hand, and against the rules written out session by session."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ter.errors import DataError
from ter.measures import OUTCOME_COLUMNS, add_outcomes
from ter.schema import validate_episodes, validate_sessions
from ter.sources import episodes_from_sessions

STATUSES = ["attended", "dna", "late_cancelled", "cancelled"]


@pytest.fixture
def known(episodes):
    return validate_episodes(episodes)


def sessions_of(*rows, columns=("episode_id", "date", "status", "phq9", "gad7", "therapist_id")):
    """Sessions in the order given, a day of January 2026 in place of the date."""
    table = pd.DataFrame(rows, columns=list(columns))
    table["date"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(table["date"] - 1, unit="D")
    table.insert(0, "session_id", [f"X{i:03d}" for i in range(len(table))])
    return validate_sessions(table)


def test_first_and_last_paired_scores_of_attended_sessions(known):
    sessions = sessions_of(
        ("E1", 1, "attended", 25, None, "T1"),  # no pair
        ("E1", 2, "cancelled", 24, 20, "T1"),  # not attended
        ("E1", 3, "attended", 23, 19, "T1"),  # the first
        ("E1", 5, "attended", 3, 2, "T1"),  # the last
        ("E1", 4, "attended", 12, 11, "T1"),
        ("E1", 6, "attended", None, 1, "T1"),
        ("E1", 7, "dna", 0, 0, "T1"),
    )
    row = episodes_from_sessions(known, sessions).iloc[0]
    assert row[["phq9_first", "gad7_first", "phq9_last", "gad7_last"]].tolist() == [23, 19, 3, 2]
    assert row[["n_sessions", "n_dna", "n_cancelled"]].tolist() == [5, 1, 1]
    assert row["recovered"] is True or row["recovered"] == np.True_


def test_cancellations_late_or_in_time_are_counted_together(known):
    sessions = sessions_of(
        ("E1", 1, "late_cancelled", None, None, "T1"), ("E1", 2, "cancelled", None, None, "T1"),
        ("E1", 3, "attended", 5, 5, "T1"),
    )  # fmt: skip
    row = episodes_from_sessions(known, sessions).iloc[0]
    assert row[["n_sessions", "n_dna", "n_cancelled"]].tolist() == [1, 0, 2]


def test_a_single_pair_is_a_first_score_and_no_last_one(known):
    sessions = sessions_of(("E1", 1, "attended", 20, 15, "T1"), ("E1", 2, "attended", 20, None, "T1"))
    row = episodes_from_sessions(known, sessions, missing_outcome="exclude").iloc[0]
    assert row[["phq9_first", "gad7_first"]].tolist() == [20, 15]
    assert row[["phq9_last", "gad7_last", "recovered"]].isna().all()


def test_an_episode_whose_sessions_hold_no_pair_has_no_scores_and_is_not_lost(known):
    sessions = sessions_of(("E1", 1, "attended", 20, None, "T1"), ("E1", 2, "dna", None, None, "T1"))
    found = episodes_from_sessions(known, sessions)
    assert found["episode_id"].tolist() == known["episode_id"].tolist()
    assert found.loc[0, ["phq9_first", "gad7_first", "phq9_last", "gad7_last"]].isna().all()
    assert found.loc[0, "n_sessions"] == 1


def test_an_episode_without_sessions_keeps_its_own_values(known):
    sessions = sessions_of(("E1", 1, "attended", 20, 15, "T9"))
    found = episodes_from_sessions(known, sessions).drop(columns="n_cancelled")
    expected = add_outcomes(known)
    pd.testing.assert_frame_equal(found.iloc[1:], expected.iloc[1:], check_like=True)


def test_sessions_of_one_day_count_in_the_order_of_their_ids(known):
    sessions = sessions_of(*[("E1", 1, "attended", score, 10, "T1") for score in (20, 15, 5)])
    backwards = sessions.iloc[::-1]
    for table in (sessions, backwards):
        row = episodes_from_sessions(known, table).iloc[0]
        assert row[["phq9_first", "phq9_last"]].tolist() == [20, 5]


def test_the_disorder_measure_comes_from_the_same_two_sessions(known):
    columns = ("episode_id", "date", "status", "phq9", "gad7", "anxiety", "wsas")
    sessions = sessions_of(
        ("E1", 1, "attended", 20, None, 70, 39), ("E1", 2, "attended", 20, 15, 60, 30),
        ("E1", 3, "attended", 5, 5, 20, 3), ("E2", 1, "attended", 20, 15, 50, None),
        ("E2", 2, "attended", 5, 5, None, 2), columns=columns,
    )  # fmt: skip
    known = validate_episodes(
        known.assign(anxiety_measure=["pcl5", "pcl5", None, None], wsas_first=[1, 2, 3, 4])
    )
    found = episodes_from_sessions(known, sessions)
    assert found["anxiety_first"].tolist()[:2] == [60, 50]
    assert found["anxiety_last"].isna().tolist() == [False, True, True, True]
    assert found["anxiety_last"][0] == 20
    # The first pair's WSAS where there is one, else the episode's own.
    assert found["wsas_first"].tolist() == [30, 2, 3, 4]


@pytest.mark.parametrize(
    ("measure", "score", "problem"),
    [
        (None, 10, "has no known anxiety_measure"),
        ("pdss", 29, "is outside the range"),
        ("pdss", 9.5, "is not a whole"),
    ],
)
def test_anxiety_scores_must_fit_the_measure_of_their_episode(known, measure, score, problem):
    columns = ("episode_id", "date", "status", "phq9", "gad7", "anxiety")
    sessions = sessions_of(("E1", 1, "attended", 20, 15, score), columns=columns)
    table = known if measure is None else validate_episodes(known.assign(anxiety_measure=measure))
    with pytest.raises(DataError, match=f"'anxiety' {problem}.*row 0 .session_id 'X000'.: {score}"):
        episodes_from_sessions(table, sessions)


@pytest.mark.parametrize(
    ("given", "therapist"),
    [
        (["A", "B", "B"], "B"),
        (["B", "B", "A"], "B"),  # most, although another came last
        (["A", "B"], "B"),  # a tie goes to the last
        (["B", "A", "A", "B"], "B"),
        (["B", "A", "B", "A"], "A"),
        (["A", None, None], "A"),
        ([None, None], "T1"),  # the episode's own
    ],
)
def test_the_therapist_of_most_attended_sessions_and_of_the_last_in_a_tie(known, given, therapist):
    rows = [("E1", day, "attended", 5, 5, name) for day, name in enumerate(given, start=1)]
    rows += [("E1", 20 + day, "dna", None, None, "Z") for day in range(9)]  # only attended sessions count
    found = episodes_from_sessions(known, sessions_of(*rows))
    assert found["therapist_id"].tolist() == [therapist, "T1", "T2", "T2"]


def test_without_therapists_in_sessions_episodes_keep_theirs(known):
    sessions = sessions_of(("E1", 1, "attended", 20, 15, "T9")).drop(columns="therapist_id")
    assert episodes_from_sessions(known, sessions)["therapist_id"].tolist() == ["T1", "T1", "T2", "T2"]


def test_sessions_of_unknown_episodes_are_a_fault(known):
    sessions = sessions_of(("E1", 1, "attended", 20, 15, "T1"), ("E9", 1, "attended", 20, 15, "T1"))
    with pytest.raises(DataError, match=r"'episode_id' names an episode that is not there in 1 row: row 1 "):
        episodes_from_sessions(known, sessions)


def test_no_sessions_at_all(known):
    sessions = sessions_of(("E1", 1, "attended", 20, 15, "T1")).iloc[:0]
    found = episodes_from_sessions(known, sessions)
    shared = [*known.columns, *OUTCOME_COLUMNS]
    pd.testing.assert_frame_equal(found[shared], add_outcomes(known)[shared])


def by_hand(sessions, own_therapist):
    """The rules in plain Python for the sessions of one episode; None where missing."""
    rows = sorted(sessions, key=lambda s: (s["date"], s["session_id"]))
    attended = [s for s in rows if s["status"] == "attended"]
    pairs = [s for s in attended if s["phq9"] is not None and s["gad7"] is not None]
    names = [s["therapist_id"] for s in attended if s["therapist_id"] is not None]
    therapist = own_therapist
    if names:
        most = max(names.count(name) for name in names)
        therapist = [name for name in names if names.count(name) == most][-1]
    return {
        "n_sessions": len(attended),
        "n_dna": sum(s["status"] == "dna" for s in rows),
        "n_cancelled": sum("cancelled" in s["status"] for s in rows),
        "phq9_first": pairs[0]["phq9"] if pairs else None,
        "phq9_last": pairs[-1]["phq9"] if len(pairs) > 1 else None,
        "gad7_first": pairs[0]["gad7"] if pairs else None,
        "gad7_last": pairs[-1]["gad7"] if len(pairs) > 1 else None,
        "therapist_id": therapist,
    }


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_against_the_rules_written_out(seed):
    rng = np.random.default_rng(seed)
    n, m = 12, 60
    scores = dict.fromkeys(["phq9_first", "phq9_last", "gad7_first", "gad7_last"], 1)
    episodes = pd.DataFrame({"episode_id": [f"E{i}" for i in range(n)]}).assign(
        patient_id="P", therapist_id="own", service_id="S", start_date="2026-01-01", end_date="2026-06-01",
        n_sessions=0, **scores,
    )  # fmt: skip

    def some(values, share):
        return [None if rng.random() > share else v for v in values]

    sessions = pd.DataFrame({
        "session_id": rng.permutation(m).astype(str),
        "episode_id": [f"E{i}" for i in rng.integers(0, n - 2, m)],
        "date": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 8, m), unit="D"),
        "status": rng.choice(STATUSES, m, p=[0.7, 0.1, 0.1, 0.1]),
        "phq9": pd.array(some(rng.integers(0, 28, m), 0.7), dtype="Int16"),
        "gad7": pd.array(some(rng.integers(0, 22, m), 0.7), dtype="Int16"),
        "therapist_id": some([str(t) for t in rng.choice(["A", "B", "C"], m)], 0.8),
    })  # fmt: skip
    found = episodes_from_sessions(validate_episodes(episodes), validate_sessions(sessions)).set_index(
        "episode_id"
    )
    records = sessions.astype(object).where(sessions.notna(), None).to_dict("records")
    for episode in episodes["episode_id"]:
        own = [record for record in records if record["episode_id"] == episode]
        if own:
            expected = by_hand(own, "own")
            row = {
                name: None if pd.isna(found.loc[episode, name]) else found.loc[episode, name]
                for name in expected
            }
            assert row == expected
