"""The outcome rules against truth tables made by hand, and against the rules written out for one patient."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ter.errors import DataError, OptionError
from ter.measures import (
    ANXIETY_MEASURES,
    DENOMINATORS,
    MEASURES,
    OUTCOME_COLUMNS,
    add_outcomes,
    anxiety_measure_key,
)

NA = pd.NA
COLUMNS = ["phq9_first", "phq9_last", "gad7_first", "gad7_last"]


def one(phq9_first, phq9_last, gad7_first, gad7_last, measure=None, first=None, last=None, **more):
    """A table of one episode that has ended after five sessions."""
    row = {
        "end_date": pd.Timestamp("2026-02-01"),
        "n_sessions": 5,
        "phq9_first": phq9_first,
        "phq9_last": phq9_last,
        "gad7_first": gad7_first,
        "gad7_last": gad7_last,
        "anxiety_measure": measure,
        "anxiety_first": first,
        "anxiety_last": last,
    }
    return pd.DataFrame([row | more])


def outcomes(*scores, missing_outcome="not_recovered", **more):
    """Outcome columns of one episode, as True, False or None."""
    row = add_outcomes(one(*scores, **more), missing_outcome=missing_outcome).iloc[0]
    return {name: None if row[name] is pd.NA else bool(row[name]) for name in OUTCOME_COLUMNS}


# The table as DESIGN gives it: range, caseness, reliable change.
PUBLISHED = {
    "phq9": (0, 27, 10, 6),
    "gad7": (0, 21, 8, 4),
    "spin": (0, 68, 19, 10),
    "pdss": (0, 28, 8, 5),
    "oci": (0, 168, 40, 32),
    "pcl5": (0, 80, 32, 10),
    "ies_r": (0, 88, 33, 9),
    "mobility_inventory": (1, 5, 2.3, 0.73),
    "hai": (0, 54, 18, 4),
    "pswq": (16, 80, 45, 10),
    "wsas": (0, 40, None, None),
}


def test_the_table_holds_the_published_figures():
    assert {k: (m.low, m.high, m.caseness, m.reliable_change) for k, m in MEASURES.items()} == PUBLISHED


def test_every_figure_names_its_source_and_only_the_two_checked_ones_are_confirmed():
    assert all(m.source for m in MEASURES.values())
    assert [k for k, m in MEASURES.items() if m.confirmed] == ["phq9", "gad7"]


def test_only_the_mobility_inventory_is_an_item_mean():
    assert [k for k, m in MEASURES.items() if not m.integer] == ["mobility_inventory"]


def test_wsas_and_phq9_never_stand_for_anxiety():
    assert set(MEASURES) - set(ANXIETY_MEASURES) == {"wsas", "phq9"}


@pytest.mark.parametrize(
    ("text", "key"),
    [("pcl5", "pcl5"), ("PCL-5", "pcl5"), ("Mobility Inventory", "mobility_inventory"), ("IES-R", "ies_r"),
     ("GAD-7", "gad7"), ("PHQ-9", None), ("WSAS", None), ("", None), ("pcl", None), (None, None)],
)  # fmt: skip
def test_a_measure_is_named_by_key_or_name(text, key):
    assert anxiety_measure_key(text) == key


# Completed


@pytest.mark.parametrize(
    ("end", "n", "completed"),
    [("2026-02-01", 2, True), ("2026-02-01", 1, False), ("2026-02-01", 0, False), ("2026-02-01", None, False),
     (None, 2, False), (None, None, False)],
)  # fmt: skip
def test_completed_is_discharged_after_two_sessions(end, n, completed):
    found = outcomes(20, 2, 20, 2, end_date=pd.to_datetime(end), n_sessions=n)
    assert found["completed"] is completed
    assert found["at_caseness"] is True
    # Outside the denominator every outcome is False.
    for name in ("recovered", "reliable_improvement", "reliable_recovery"):
        assert found[name] is completed


# Caseness


@pytest.mark.parametrize(
    ("phq9", "gad7", "case"),
    [(9, 7, False), (10, 7, True), (9, 8, True), (10, 8, True), (0, 0, False), (None, 7, False),
     (None, 8, True), (9, None, False), (10, None, True), (None, None, False)],
)  # fmt: skip
def test_at_caseness_by_the_first_scores_that_there_are(phq9, gad7, case):
    assert outcomes(phq9, 0, gad7, 0)["at_caseness"] is case


@pytest.mark.parametrize("key", [k for k in ANXIETY_MEASURES if k != "gad7"])
def test_exactly_at_the_caseness_threshold_of_every_disorder_measure(key):
    measure = MEASURES[key]
    step = 1.0 if measure.integer else 0.01
    at, below = measure.caseness, measure.caseness - step
    # PHQ-9 and GAD-7 below caseness throughout: only this measure can decide.
    assert outcomes(0, 0, 0, 0, key, at, at)["at_caseness"] is True
    assert outcomes(0, 0, 0, 0, key, below, below)["at_caseness"] is False
    assert outcomes(0, 0, 0, 0, key, at, below)["recovered"] is True
    assert outcomes(0, 0, 0, 0, key, at, at)["recovered"] is False
    # Not at caseness is outside the denominator, whatever the last score.
    assert outcomes(0, 0, 0, 0, key, below, below)["recovered"] is False


@pytest.mark.parametrize(
    ("scores", "recovered"),
    [((10, 9, 0, 0), True), ((10, 10, 0, 0), False), ((0, 0, 8, 7), True), ((0, 0, 8, 8), False),
     ((10, 9, 8, 7), True), ((10, 9, 8, 8), False), ((10, 10, 8, 7), False),
     # At caseness on one measure only, and the other one rose to caseness.
     ((10, 9, 0, 8), False), ((9, 10, 8, 7), False),
     # Not at caseness.
     ((9, 0, 7, 0), False)],
)  # fmt: skip
def test_recovered_needs_both_last_scores_below(scores, recovered):
    assert outcomes(*scores)["recovered"] is recovered


# Reliable change


@pytest.mark.parametrize(
    ("scores", "improved", "deteriorated"),
    [
        ((20, 14, 10, 10), True, False),  # PHQ-9 fell by exactly 6
        ((20, 15, 10, 10), False, False),  # by 5
        ((14, 20, 10, 10), False, True),  # rose by exactly 6
        ((15, 20, 10, 10), False, False),
        ((10, 10, 12, 8), True, False),  # GAD-7 fell by exactly 4
        ((10, 10, 11, 8), False, False),  # by 3
        ((10, 10, 8, 12), False, True),
        ((10, 10, 8, 11), False, False),
        ((20, 10, 12, 5), True, False),  # both fell
        ((10, 20, 5, 12), False, True),  # both rose
        ((20, 14, 8, 12), False, False),  # one down, one up
        ((14, 20, 12, 8), False, False),  # one up, one down
        ((20, 14, 8, 11), True, False),  # one down, the other up by less than reliable
        ((20, 20, 10, 10), False, False),
    ],
)
def test_reliable_change(scores, improved, deteriorated):
    found = outcomes(*scores)
    assert (found["reliable_improvement"], found["reliable_deterioration"]) == (improved, deteriorated)


@pytest.mark.parametrize("key", [k for k in ANXIETY_MEASURES if k != "gad7"])
def test_exactly_at_the_reliable_change_of_every_disorder_measure(key):
    measure = MEASURES[key]
    step = 1.0 if measure.integer else 0.01
    low = measure.low
    at, short = low + measure.reliable_change, low + measure.reliable_change - step
    assert outcomes(0, 0, 0, 0, key, at, low)["reliable_improvement"] is True
    assert outcomes(0, 0, 0, 0, key, short, low)["reliable_improvement"] is False
    assert outcomes(0, 0, 0, 0, key, low, at)["reliable_deterioration"] is True
    assert outcomes(0, 0, 0, 0, key, low, short)["reliable_deterioration"] is False


@pytest.mark.parametrize("first", [f"{x / 100:.2f}" for x in range(173, 500, 9)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_difference_of_item_means_of_0_73_counts_in_any_binary_disguise(first, dtype):
    # 3.00 - 2.27 is 0.7299999999999998 in float64: compared as it stands, this change would be lost.
    last = f"{float(first) - 0.73:.2f}"
    df = one(0, 0, 0, 0, "mobility_inventory", float(first), float(last))
    df = df.astype({"anxiety_first": dtype, "anxiety_last": dtype})
    assert add_outcomes(df)["reliable_improvement"].tolist() == [True]
    short = df.assign(anxiety_last=df["anxiety_last"] + np.dtype(dtype).type(0.01))
    assert add_outcomes(short)["reliable_improvement"].tolist() == [False]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_item_mean_of_2_3_is_at_caseness_also_in_float32(dtype):
    df = one(0, 0, 0, 0, "mobility_inventory", 2.3, 2.3).astype(
        {"anxiety_first": dtype, "anxiety_last": dtype}
    )
    assert add_outcomes(df)["at_caseness"].tolist() == [True]


def test_reliable_recovery_is_recovered_and_reliably_improved():
    assert outcomes(10, 9, 8, 7)["recovered"] is True
    assert outcomes(10, 9, 8, 7)["reliable_recovery"] is False  # fell by 1 and 1
    assert outcomes(15, 9, 8, 7)["reliable_recovery"] is True  # fell by 6
    assert outcomes(20, 10, 8, 7)["reliable_recovery"] is False  # improved, not recovered
    assert outcomes(16, 9, 3, 7)["reliable_recovery"] is False  # recovered, but GAD-7 rose by 4


# The disorder-specific measure


def test_the_disorder_measure_replaces_gad7_where_both_its_scores_exist():
    # GAD-7 at caseness at the start, below at the end; PCL-5 at caseness at both.
    assert outcomes(0, 0, 15, 2)["recovered"] is True
    assert outcomes(0, 0, 15, 2, "pcl5", 50, 40)["recovered"] is False
    # GAD-7 never recovers, but it is not looked at.
    assert outcomes(0, 0, 15, 15, "pcl5", 50, 31)["recovered"] is True
    # PCL-5 below caseness at the start: not at caseness although GAD-7 was.
    assert outcomes(0, 0, 15, 2, "pcl5", 31, 0)["at_caseness"] is False


@pytest.mark.parametrize(("first", "last"), [(50, None), (None, 40), (None, None)])
def test_a_half_present_or_absent_disorder_measure_gives_way_to_gad7(first, last):
    found = outcomes(0, 0, 15, 2, "pcl5", first, last)
    assert found == outcomes(0, 0, 15, 2)
    assert found["recovered"] is True
    assert found["reliable_improvement"] is True


def test_scores_without_a_measure_are_not_used():
    assert outcomes(0, 0, 15, 2, None, 50, 50) == outcomes(0, 0, 15, 2)


def test_without_the_optional_columns_gad7_is_the_anxiety_measure():
    df = one(0, 0, 15, 2).drop(columns=["anxiety_measure", "anxiety_first", "anxiety_last"])
    assert add_outcomes(df)["recovered"].tolist() == [True]


def test_rows_use_their_own_measures():
    rows = [one(0, 0, 0, 0, key, MEASURES[key].caseness, MEASURES[key].low) for key in ANXIETY_MEASURES[1:]]
    rows += [one(0, 0, 7, 7), one(0, 0, 8, 7)]
    df = add_outcomes(pd.DataFrame([row.iloc[0].to_dict() for row in rows]))
    assert df["at_caseness"].tolist() == [True] * 8 + [False, True]


# Missing scores


@pytest.mark.parametrize(
    ("scores", "national", "exclude"),
    [
        # A missing last score counts as not recovered; excluded only where it could have decided.
        ((20, None, 10, 2), False, None),
        ((20, None, 10, None), False, None),
        ((20, 2, 10, None), False, None),
        ((20, None, 10, 8), False, False),  # GAD-7 still at caseness: PHQ-9 could not have changed it
        ((20, 10, 10, None), False, False),
        ((9, None, 7, None), False, False),  # not at caseness
        # A missing first score hides no outcome: both last scores are there.
        ((None, 2, 10, 2), True, True),
        ((20, 2, None, 2), True, True),
        ((None, None, 10, 2), False, None),
    ],
)
def test_recovery_with_missing_scores(scores, national, exclude):
    assert outcomes(*scores)["recovered"] is national
    assert outcomes(*scores, missing_outcome="exclude")["recovered"] is exclude


@pytest.mark.parametrize(
    ("scores", "national", "exclude"),
    [
        # (improved, deteriorated): a change that is not seen is neither fall nor rise.
        ((20, None, 10, 2), (True, False), (None, False)),  # PHQ-9 may have risen
        ((20, None, 2, 10), (False, True), (False, None)),  # PHQ-9 may have fallen
        ((20, None, 10, 10), (False, False), (None, None)),
        ((20, None, 10, None), (False, False), (None, None)),
        # Without a first score the last could not have shown a change.
        ((None, None, 10, 2), (True, False), (True, False)),
        ((None, 5, 10, 10), (False, False), (False, False)),
    ],
)
def test_reliable_change_with_missing_scores(scores, national, exclude):
    found = outcomes(*scores)
    assert (found["reliable_improvement"], found["reliable_deterioration"]) == national
    found = outcomes(*scores, missing_outcome="exclude")
    assert (found["reliable_improvement"], found["reliable_deterioration"]) == exclude


@pytest.mark.parametrize(
    ("scores", "exclude"),
    [
        ((20, None, 10, 2), None),
        ((20, None, 10, 8), False),
        ((20, None, 2, 7), False),
        ((9, None, 7, None), False),
    ],
)
def test_reliable_recovery_is_open_only_where_neither_part_is_known_to_fail(scores, exclude):
    assert outcomes(*scores, missing_outcome="exclude")["reliable_recovery"] is exclude


def test_in_treatment_nothing_is_excluded_because_nothing_is_counted():
    found = outcomes(20, None, 10, None, missing_outcome="exclude", end_date=pd.NaT)
    assert found == dict.fromkeys(OUTCOME_COLUMNS, False) | {"at_caseness": True}


# Against the rules written out for one patient


def by_hand(p1, p2, g1, g2):
    """The national rules in plain Python, for PHQ-9 and GAD-7, None where missing."""

    def at_least(score, threshold):
        return score is not None and score >= threshold

    def change(first, last, size):
        if first is None or last is None or abs(last - first) < size:
            return 0
        return 1 if last > first else -1

    case = at_least(p1, 10) or at_least(g1, 8)
    recovered = case and p2 is not None and g2 is not None and p2 < 10 and g2 < 8
    changes = {change(p1, p2, 6), change(g1, g2, 4)}
    improved, deteriorated = -1 in changes and 1 not in changes, 1 in changes and -1 not in changes
    return [True, case, recovered, improved, recovered and improved, deteriorated]


def test_every_combination_of_scores_around_the_thresholds():
    phq9, gad7 = [None, 0, 3, 4, 9, 10, 15, 16, 27], [None, 0, 3, 4, 7, 8, 11, 12, 21]
    rows = list(itertools.product(phq9, phq9, gad7, gad7))
    df = pd.DataFrame(rows, columns=COLUMNS, dtype="Int16").assign(
        end_date=pd.Timestamp("2026-01-01"), n_sessions=2
    )
    found = add_outcomes(df)[list(OUTCOME_COLUMNS)].to_numpy(bool)
    np.testing.assert_array_equal(found, [by_hand(*row) for row in rows])


def test_excluded_outcomes_are_those_that_the_missing_scores_decide():
    """Fill every missing last score in with every possible value: open is what then comes out both ways."""
    phq9, gad7 = range(28), range(22)
    for p1, p2, g1, g2 in itertools.product([12, 20], [None, 9, 10, 14], [10, 14], [None, 7, 8, 14]):
        found = outcomes(p1, p2, g1, g2, missing_outcome="exclude")
        fills = itertools.product(phq9 if p2 is None else [p2], gad7 if g2 is None else [g2])
        possible = np.array([by_hand(p1, q2, g1, h2) for q2, h2 in fills])
        for name, values in zip(OUTCOME_COLUMNS, possible.T, strict=True):
            expected = bool(values[0]) if values.min() == values.max() else None
            assert found[name] is expected, (name, p1, p2, g1, g2)


# The thin layer


def test_dtypes_and_a_new_table():
    df = one(20, None, 10, 2)
    before = df.copy()
    found = add_outcomes(df, missing_outcome="exclude")
    pd.testing.assert_frame_equal(df, before)
    assert list(found.columns) == [*df.columns, *OUTCOME_COLUMNS]
    assert found[["completed", "at_caseness"]].dtypes.tolist() == [np.dtype(bool)] * 2
    assert found[list(DENOMINATORS)].dtypes.tolist() == [pd.BooleanDtype()] * 4


def test_outcomes_are_computed_anew_and_the_index_kept():
    df = one(20, 2, 10, 2, recovered=False)
    df.index = ["a"]
    found = add_outcomes(add_outcomes(df))
    assert found["recovered"].tolist() == [True]
    assert found.index.tolist() == ["a"]


@pytest.mark.parametrize("dtype", ["int64", "Int16", "float32", "float64", "Float64", "int8"])
def test_any_number_will_do(dtype):
    df = one(20, 2, 10, 2).astype(dict.fromkeys(COLUMNS, dtype))
    assert add_outcomes(df)["recovered"].tolist() == [True]


def test_an_empty_table_has_empty_outcomes():
    assert add_outcomes(one(20, 2, 10, 2).iloc[:0])[list(OUTCOME_COLUMNS)].shape == (0, 6)


def test_missing_columns_are_all_named():
    with pytest.raises(DataError, match="end_date, gad7_last"):
        add_outcomes(one(20, 2, 10, 2).drop(columns=["end_date", "gad7_last"]))


def test_text_scores_are_refused_by_name():
    with pytest.raises(DataError, match="phq9_first holds no numbers"):
        add_outcomes(one("20", 2, 10, 2))


def test_an_unknown_measure_is_refused_by_name():
    with pytest.raises(DataError, match="'HADS'"):
        add_outcomes(one(20, 2, 10, 2, "HADS", 10, 2))


def test_missing_outcome_takes_two_words():
    with pytest.raises(OptionError, match="'not_recovered' or 'exclude'"):
        add_outcomes(one(20, 2, 10, 2), missing_outcome="drop")
