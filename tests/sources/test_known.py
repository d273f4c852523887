"""What was known at a month's end does not change with what happens later."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ter.errors import DataError, OptionError
from ter.measures import OUTCOME_COLUMNS, add_outcomes
from ter.schema import COLUMNS, validate_episodes, validate_sessions
from ter.sources import as_known_at, episodes_from_sessions, fingerprint, month_end, sessions_known_at

JANUARY = dt.date(2026, 1, 31)
LATE = [c.name for c in COLUMNS.values() if c.measured == "after_allocation" and c.kind != "outcome"]


@pytest.mark.parametrize(
    ("month", "day"),
    [("2026-10", (2026, 10, 31)), ("2026-02", (2026, 2, 28)), ("2028-02", (2028, 2, 29)),
     ("2000-12", (2000, 12, 31)), ("2099-04", (2099, 4, 30))],
)  # fmt: skip
def test_month_end(month, day):
    assert month_end(month) == dt.date(*day)


@pytest.mark.parametrize(
    "month",
    ["2026-13", "2026-00", "2026-1", "2026-10-31", "10-2026", "October", "", "1999-12", "2100-01",
     "2026-10\n", "٢٠٢٦-١٠", "../2026-10", None, 202610],
)  # fmt: skip
def test_a_month_that_is_none(month):
    with pytest.raises(OptionError, match="write it as yyyy-mm"):
        month_end(month)


def test_by_hand(episodes):
    """E1 ended on the last day, E2 started on it, E3 has not ended, E4 is not there yet."""
    known = as_known_at(add_outcomes(validate_episodes(episodes)), JANUARY)
    assert known["episode_id"].tolist() == ["E1", "E2", "E3"]
    assert known.index.tolist() == [0, 1, 2]
    assert known["completed"].tolist() == [True, False, False]
    assert known["recovered"].tolist() == [True, False, False]
    assert known["at_caseness"].tolist() == [True, True, True]
    late = [name for name in LATE if name in known]
    assert known.loc[0, late].tolist() == [pd.Timestamp("2026-01-31"), 5, 5, 5, "completed", 0]
    # Also what the table already has of E3, which is in treatment: by February it may be something else.
    assert known.loc[1:, late].isna().all(axis=None)
    early = [name for name in validate_episodes(episodes).columns if name not in late]
    pd.testing.assert_frame_equal(known[early], validate_episodes(episodes).iloc[:3][early])


def test_what_was_known_is_a_valid_table(episodes):
    known = as_known_at(validate_episodes(episodes), JANUARY)
    pd.testing.assert_frame_equal(validate_episodes(known), known)


def test_dtypes_stay(episodes):
    table = add_outcomes(validate_episodes(episodes))
    assert as_known_at(table, JANUARY).dtypes.to_dict() == table.dtypes.to_dict()


def test_without_outcome_columns_none_are_added(episodes):
    assert not set(OUTCOME_COLUMNS) & set(as_known_at(validate_episodes(episodes), JANUARY))


def test_excluded_outcomes_stay_excluded(episodes):
    table = validate_episodes(episodes.assign(phq9_last=[None, 12, 11, 2]))
    known = as_known_at(add_outcomes(table, missing_outcome="exclude"), JANUARY)
    assert known["recovered"].isna().tolist() == [True, False, False]


def test_a_disorder_measure_whose_last_score_comes_later_gives_way_to_gad7(episodes):
    table = episodes.assign(
        anxiety_measure="pcl5", anxiety_first=50, anxiety_last=10, phq9_first=0, gad7_first=7
    )
    known = as_known_at(add_outcomes(validate_episodes(table)), JANUARY)
    assert known["at_caseness"].tolist() == [True, False, False]


def test_the_hour_does_not_matter(episodes):
    table = episodes.assign(
        start_date=pd.Timestamp("2026-01-31 23:59:59"), end_date=pd.Timestamp("2026-01-31 23:59:59")
    )
    assert as_known_at(add_outcomes(validate_episodes(table)), JANUARY)["completed"].tolist() == [True] * 4
    table = episodes.assign(
        end_date=pd.Timestamp("2026-02-01 00:00:00"), start_date=pd.Timestamp("2026-01-01")
    )
    assert as_known_at(add_outcomes(validate_episodes(table)), JANUARY)["completed"].tolist() == [False] * 4


def test_nothing_known_yet(episodes):
    with pytest.raises(
        DataError, match="nothing is known at 2025-12-31: the first episode starts on 2026-01-01"
    ):
        as_known_at(validate_episodes(episodes), dt.date(2025, 12, 31))


def test_the_given_table_is_left_alone(episodes):
    table = add_outcomes(validate_episodes(episodes))
    before = table.copy()
    as_known_at(table, JANUARY)
    pd.testing.assert_frame_equal(table, before)


def test_a_table_that_was_not_validated(episodes):
    with pytest.raises(DataError, match="start_date holds no dates"):
        as_known_at(episodes.assign(start_date="2026-01-01"), JANUARY)
    with pytest.raises(DataError, match="end_date holds no dates"):
        as_known_at(episodes.drop(columns="end_date"), JANUARY)


def test_sessions_up_to_the_day():
    dates = [dt.datetime(2026, 2, 1), dt.datetime(2026, 1, 31, 18), dt.datetime(2026, 1, 1)]
    table = pd.DataFrame({"session_id": ["a", "b", "c"], "episode_id": "E1", "date": dates})
    table = validate_sessions(table.assign(status="attended", phq9=1, gad7=1))
    assert sessions_known_at(table, JANUARY)["session_id"].tolist() == ["b", "c"]
    assert len(sessions_known_at(table, dt.date(2025, 1, 1))) == 0


def network(rng, n):
    """Random episodes from October 2025 to March 2026, some of them in treatment, and their sessions."""
    start = np.datetime64("2025-10-01") + rng.integers(0, 180, n).astype("timedelta64[D]")
    end = pd.Series(start + rng.integers(0, 120, n).astype("timedelta64[D]")).astype("datetime64[s]")
    ids = pd.Series([f"E{i:03d}" for i in range(n)])
    episodes = pd.DataFrame({
        "episode_id": ids, "patient_id": ids, "therapist_id": rng.choice(["T1", "T2"], n),
        "service_id": rng.choice(["S1", "S2"], n), "start_date": start.astype("datetime64[s]"),
        "end_date": end.mask(pd.Series(rng.random(n) < 0.2)), "n_sessions": rng.integers(0, 9, n),
        "phq9_first": rng.integers(0, 28, n), "phq9_last": rng.integers(0, 28, n),
        "gad7_first": rng.integers(0, 22, n), "gad7_last": rng.integers(0, 22, n),
        "end_reason": rng.choice(["completed", "dropped out"], n), "n_dna": rng.integers(0, 3, n),
    })  # fmt: skip
    owner = rng.integers(0, n, 6 * n)
    sessions = pd.DataFrame({
        "session_id": [f"X{i}" for i in range(6 * n)], "episode_id": ids.to_numpy()[owner],
        "date": start[owner] + rng.integers(0, 100, 6 * n).astype("timedelta64[D]"),
        "status": rng.choice(["attended", "dna"], 6 * n), "phq9": rng.integers(0, 28, 6 * n),
        "gad7": rng.integers(0, 22, 6 * n), "therapist_id": rng.choice(["T1", "T2", "T3"], 6 * n),
    })  # fmt: skip
    return episodes, sessions


def later(rng, episodes, sessions, day):
    """The same tables a while later: all that happened by `day` stays as it was, anything else may change."""
    after = np.datetime64(day) + 1
    open_still = ~(episodes["end_date"] < after)
    moved = after + rng.integers(0, 60, len(episodes)).astype("timedelta64[D]")
    changed = episodes.assign(
        end_date=episodes["end_date"].mask(open_still, pd.Series(moved).astype("datetime64[s]")),
        **{name: episodes[name].mask(open_still, pd.Series(rng.integers(0, 9, len(episodes))))
           for name in ("n_sessions", "phq9_last", "gad7_last", "n_dna")},
        end_reason=episodes["end_reason"].mask(open_still, "completed"),
    )  # fmt: skip
    # No new episode has an end before its own later start.
    changed = changed[changed["start_date"] < after]
    fresh, fresh_sessions = network(rng, 15)
    shift = pd.Timestamp(after) - min(fresh["start_date"].min(), fresh_sessions["date"].min())
    fresh = fresh.assign(episode_id="N" + fresh["episode_id"], start_date=fresh["start_date"] + shift,
                         end_date=fresh["end_date"] + shift)  # fmt: skip
    fresh_sessions = fresh_sessions.assign(
        session_id="N" + fresh_sessions["session_id"], episode_id="N" + fresh_sessions["episode_id"],
        date=fresh_sessions["date"] + shift,
    )  # fmt: skip
    old = sessions[sessions["episode_id"].isin(changed["episode_id"])]
    more = old[old["date"] < after].sample(frac=0.5, random_state=int(rng.integers(1000)))
    more = more.assign(session_id="L" + more["session_id"], date=after + np.timedelta64(3, "D"))
    tables = pd.concat([changed, fresh]), pd.concat([old[old["date"] < after], more, fresh_sessions])
    return tuple(table.sample(frac=1, random_state=1) for table in tables)


@given(st.integers(0, 2**32 - 1), st.integers(15, 150))
@settings(max_examples=40, deadline=None)
def test_later_episodes_endings_and_sessions_change_nothing(seed, days):
    rng = np.random.default_rng(seed)
    day = dt.date(2025, 10, 1) + dt.timedelta(days=days)
    episodes, sessions = network(rng, 30)
    if not (episodes["start_date"] < np.datetime64(day) + 1).any():
        return
    episodes_later, sessions_later = later(rng, episodes, sessions, day)

    def known(episodes, sessions):
        table = add_outcomes(validate_episodes(episodes))
        seen = sessions_known_at(validate_sessions(sessions), day)
        derived = as_known_at(episodes_from_sessions(table, seen), day)
        return [
            frame.sort_values("episode_id", ignore_index=True) for frame in (as_known_at(table, day), derived)
        ]

    for now, then in zip(known(episodes, sessions), known(episodes_later, sessions_later), strict=True):
        pd.testing.assert_frame_equal(now, then)
        assert fingerprint(now) == fingerprint(then)


def test_the_last_day_of_the_data_shows_all_that_has_ended(episodes):
    table = add_outcomes(validate_episodes(episodes))
    known = as_known_at(table, dt.date(2026, 12, 31))
    ended = table["end_date"].notna()
    pd.testing.assert_frame_equal(known[ended], table[ended])


def test_a_month_stands_for_its_last_day(episodes: pd.DataFrame) -> None:
    by_month = as_known_at(episodes, "2026-01")
    pd.testing.assert_frame_equal(by_month, as_known_at(episodes, JANUARY))
    with pytest.raises(OptionError, match="yyyy-mm"):
        as_known_at(episodes, "June")
