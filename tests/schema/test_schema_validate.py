"""A good table comes out canonical and otherwise as it was; a bad one is refused with all its faults."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ter.errors import DataError
from ter.schema import (
    COLUMNS,
    text_series,
    validate_counts,
    validate_episodes,
    validate_patients,
    validate_sessions,
    validate_therapists,
)
from ter.schema.text import TEXT_DTYPE


def faults(table, validate=validate_episodes, **options):
    """The lines of the error, one per kind of fault."""
    with pytest.raises(DataError) as caught:
        validate(table, **options)
    first, *lines = str(caught.value).splitlines()
    assert first.endswith(f"{len(lines)} kind{'s' if len(lines) > 1 else ''} of fault")
    return lines


def fault(table, **options):
    """The only line of the error."""
    lines = faults(table, **options)
    assert len(lines) == 1, lines
    return lines[0]


# A good table.


def test_canonical_dtypes(episodes):
    table = validate_episodes(
        episodes.assign(age=[30, 40, None], gender=["f", None, "m"], imd_decile=[1, 10, 5])
    )
    text = pd.Series(["x"], dtype=TEXT_DTYPE).dtype
    assert table.dtypes.to_dict() == {
        **dict.fromkeys(["episode_id", "patient_id", "therapist_id", "service_id", "gender"], text),
        **dict.fromkeys(["start_date", "end_date"], np.dtype("datetime64[s]")),
        **dict.fromkeys(
            ["n_sessions", "phq9_first", "phq9_last", "gad7_first", "gad7_last"], pd.Int16Dtype()
        ),
        "imd_decile": pd.Int16Dtype(),
        "age": np.dtype("float64"),
    }
    assert table["end_date"].tolist() == [pd.Timestamp("2026-02-01"), pd.Timestamp("2026-02-02"), pd.NaT]
    assert table["phq9_last"].tolist()[:2] == [5, 0]
    assert table["phq9_last"].isna().tolist() == [False, False, True]


def test_validating_twice_changes_nothing(episodes):
    once = validate_episodes(episodes)
    pd.testing.assert_frame_equal(validate_episodes(once), once)


def test_the_given_table_is_left_alone(episodes):
    before = episodes.copy()
    validate_episodes(episodes)
    pd.testing.assert_frame_equal(episodes, before)


def test_order_index_and_unknown_columns_stay(episodes):
    table = episodes[["gad7_last", *episodes.columns[:-1]]].assign(extra=[[1], {"a": 1}, None])
    table.index = ["x", "x", "y"]
    found = validate_episodes(table)
    assert list(found.columns) == list(table.columns)
    assert found.index.tolist() == ["x", "x", "y"]
    assert found["extra"].tolist() == [[1], {"a": 1}, None]
    assert found["episode_id"].tolist() == ["E1", "E2", "E3"]


@pytest.mark.parametrize("dtype", ["float64", "Int64", "object", "float32", "Float64"])
def test_whole_numbers_may_be_stored_in_any_way(episodes, dtype):
    table = validate_episodes(episodes.astype({"phq9_last": dtype, "n_sessions": dtype}))
    pd.testing.assert_frame_equal(table, validate_episodes(episodes))


@pytest.mark.parametrize(
    "value", ["14", "14.0", "014", "+14", "1.4e1", 14, 14.0, np.int8(14), decimal.Decimal(14)]
)
def test_numbers_may_be_text_that_is_a_plain_number(episodes, value):
    table = episodes.astype({"phq9_first": object})
    table.loc[0, "phq9_first"] = value
    assert validate_episodes(table)["phq9_first"].tolist() == [14, 10, 27]


@pytest.mark.parametrize(
    "dates",
    [
        ["2026-01-01", "2026-01-02", "2026-01-03"],
        pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"]),
        [dt.date(2026, 1, 1), dt.date(2026, 1, 2), dt.date(2026, 1, 3)],
        [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 2), pd.Timestamp("2026-01-03")],
        pd.Categorical(["2026-01-01", "2026-01-02", "2026-01-03"]),
        np.array(["2026-01-01", "2026-01-02", "2026-01-03"], "datetime64[ns]"),
        pd.Series(["2026-01-01", "2026-01-02", "2026-01-03"], dtype="string"),
    ],
)
def test_dates_may_be_iso_text_or_dates(episodes, dates):
    table = validate_episodes(episodes.assign(start_date=dates))
    pd.testing.assert_frame_equal(table, validate_episodes(episodes))


def test_the_time_of_the_day_is_kept_to_the_second(episodes):
    table = validate_episodes(episodes.assign(start_date=pd.Timestamp("2026-01-01 14:30:15.25")))
    assert table["start_date"].tolist() == [pd.Timestamp("2026-01-01 14:30:15")] * 3


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        (["007", "NaN", "None"], ["007", "NaN", "None"]),
        (["../../etc/passwd", "=cmd|' /C calc'!A0", "<script>alert(1)</script>"], None),
        (["😀", "x" * 300, " padded "], None),
        (["NA", "nan", "NULL"], None),
        ([7, 2**62, -1], ["7", str(2**62), "-1"]),
        ([2**70, 1, 2], [str(2**70), "1", "2"]),
        (pd.array([1, 2, 3], dtype="Int64"), ["1", "2", "3"]),
        (pd.Categorical(["b", "a", "c"]), ["b", "a", "c"]),
        (pd.Series([1, 2, 3], dtype="category"), ["1", "2", "3"]),
        (pd.Series(["a", "b", "c"], dtype="string"), ["a", "b", "c"]),
    ],
)
def test_ids_are_kept_exactly(episodes, ids, texts):
    table = validate_episodes(episodes.assign(episode_id=ids, therapist_id=ids))
    assert table["episode_id"].tolist() == (ids if texts is None else texts)
    assert table["therapist_id"].tolist() == table["episode_id"].tolist()


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True))
@settings(max_examples=200, deadline=None)
def test_any_text_is_an_id(ids):
    table = pd.DataFrame(
        {"therapist_id": pd.Series(ids, dtype=object), "agency": pd.Series(ids, dtype=object)}
    )
    found = validate_therapists(table)
    assert found["therapist_id"].tolist() == ids
    assert found["agency"].tolist() == ids


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["NaN", "None", "NULL"], ["NaN", "None", "NULL"]),
        ([1, 2, 3], ["1", "2", "3"]),
        ([1.0, 2.0, 3.0], ["1", "2", "3"]),
        ([True, False, True], ["True", "False", "True"]),
        (pd.Categorical(["b", "a", "b"]), ["b", "a", "b"]),
        (["b", 1, True], ["b", "1", "True"]),
    ],
)
def test_factors_become_text(episodes, values, words):
    assert validate_episodes(episodes.assign(step=values))["step"].tolist() == words


@pytest.mark.parametrize("empty", [None, np.nan, pd.NA, ""])
def test_missing_stays_missing_in_factors(episodes, empty):
    step = pd.Series(["a", empty, "b"], dtype=object)
    assert validate_episodes(episodes.assign(step=step))["step"].isna().tolist() == [False, True, False]


def test_an_anxiety_measure_is_known_by_key_or_name_and_stored_by_key(episodes):
    table = episodes.assign(
        anxiety_measure=["PCL-5", "mobility_inventory", None], anxiety_first=[80, 2.35, None]
    )
    assert validate_episodes(table)["anxiety_measure"].tolist()[:2] == ["pcl5", "mobility_inventory"]


def test_the_ends_of_every_range_are_inside(episodes):
    for column in COLUMNS.values():
        if column.low is not None and not column.name.startswith("anxiety"):
            for value in (column.low, column.high):
                validate_episodes(episodes.assign(**{column.name: value}))


def test_an_episode_may_start_and_end_on_one_day(episodes):
    validate_episodes(episodes.assign(end_date=episodes["start_date"], n_sessions=1))


def test_outcome_columns_are_not_looked_at(episodes):
    assert validate_episodes(episodes.assign(recovered="perhaps"))["recovered"].tolist() == ["perhaps"] * 3


# Faults of the whole table.


def test_an_empty_table(episodes):
    assert "has no rows" in fault(episodes.iloc[:0])


def test_all_missing_columns_are_listed():
    lines = faults(pd.DataFrame({"x": [1]}))
    required = [name for name, column in COLUMNS.items() if column.required]
    assert [line.split("'")[1] for line in lines] == required
    assert all("is missing" in line for line in lines)


def test_an_empty_table_without_columns_is_told_both():
    lines = faults(pd.DataFrame())
    assert sum("is missing" in line for line in lines) == 11
    assert sum("has no rows" in line for line in lines) == 1


def test_a_column_that_occurs_twice(episodes):
    assert "'phq9_first' occurs 2 times" in fault(pd.concat([episodes, episodes[["phq9_first"]]], axis=1))


def test_faults_in_rows_are_listed_beside_missing_columns(episodes):
    lines = faults(episodes.drop(columns="gad7_last").assign(phq9_first=30))
    assert len(lines) == 2
    assert "'phq9_first' is outside 0 to 27 in 3 rows" in lines[0]
    assert "'gad7_last' is missing" in lines[1]


# Faults in rows: each is found alone, with its column, its count, its rows and how to mend it.

HALF_CHARACTER = "\ud800"


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("phq9_first", 28, "is outside 0 to 27"),
        ("phq9_first", -1, "is outside 0 to 27"),
        ("phq9_last", 10**12, "is outside 0 to 27"),
        ("gad7_first", 22, "is outside 0 to 21"),
        ("gad7_last", np.inf, "is outside 0 to 21"),
        ("wsas_first", 41, "is outside 0 to 40"),
        ("phq9_first", 9.5, "is not a whole number"),
        ("phq9_first", "nine", "is not a number"),
        ("phq9_first", "NaN", "is not a number"),
        ("phq9_first", "NA", "is not a number"),
        ("phq9_first", "inf", "is not a number"),
        ("phq9_first", "1_0", "is not a number"),
        ("phq9_first", "١٢", "is not a number"),
        ("phq9_first", " 9", "is not a number"),
        ("phq9_first", True, "is not a number"),
        ("phq9_first", [9], "is not a number"),
        ("n_sessions", 2.5, "is not a whole number"),
        ("n_sessions", -1, "is outside 0 to 1000"),
        ("n_sessions", None, "is empty although the episode has ended"),
        ("n_dna", -1, "is outside 0 to 1000"),
        ("n_cancelled", -1, "is outside 0 to 1000"),
        ("prior_episodes", -1, "is outside 0 to 1000"),
        ("wait_days", -1, "is outside 0 to 10000"),
        ("imd_decile", 0, "is outside 1 to 10"),
        ("imd_decile", 11, "is outside 1 to 10"),
        ("age", -0.5, "is outside 0 to 120"),
        ("age", 121, "is outside 0 to 120"),
        ("modality", "telepathy", "is none of typed, video, phone, in_person"),
        ("gender", 1.5, "is not text, a whole number or true/false"),
        ("gender", b"f", "is not text, a whole number or true/false"),
        ("anxiety_measure", "HADS", "is not an anxiety measure that ter knows"),
        ("anxiety_measure", "phq9", "is not an anxiety measure that ter knows"),
        ("anxiety_measure", 5, "is not an anxiety measure that ter knows"),
        ("episode_id", None, "is empty"),
        ("episode_id", "", "is empty"),
        ("patient_id", np.nan, "is empty"),
        ("therapist_id", None, "is empty"),
        ("service_id", "", "is empty"),
        ("therapist_id", 7, "is a number among texts"),
        ("therapist_id", 7.0, "is no text or whole number"),
        ("therapist_id", b"T1", "is no text or whole number"),
        ("therapist_id", ("T", 1), "is no text or whole number"),
        ("therapist_id", HALF_CHARACTER, "is no text or whole number"),
        ("start_date", None, "is empty"),
        ("start_date", "01/02/2026", "is not a date of the form yyyy-mm-dd"),
        ("start_date", "2026-1-2", "is not a date of the form yyyy-mm-dd"),
        ("start_date", "20260102", "is not a date of the form yyyy-mm-dd"),
        ("start_date", "2026-01-02 10:00", "is not a date of the form yyyy-mm-dd"),
        ("start_date", "2026-02-30", "is not a date of the form yyyy-mm-dd"),
        ("start_date", "0000-01-01", "is not a date of the form yyyy-mm-dd"),
        ("start_date", "NaT", "is not a date of the form yyyy-mm-dd"),
        ("start_date", 46023, "is not a date of the form yyyy-mm-dd"),
        ("start_date", pd.Timestamp("2026-01-02", tz="UTC"), "is not a date of the form yyyy-mm-dd"),
        ("start_date", "1999-12-31", "is not between 2000 and 2099"),
        ("start_date", "0001-01-01", "is not between 2000 and 2099"),
        ("start_date", dt.date(1900, 1, 1), "is not between 2000 and 2099"),
        ("end_date", "2100-01-01", "is not between 2000 and 2099"),
        ("end_date", "2025-12-31", "is before start_date"),
    ],
)  # fmt: skip
def test_a_fault_in_one_row(episodes, column, value, problem):
    table = episodes.copy()
    cells = table[column].astype(object).tolist() if column in table else [None] * 3
    cells[1] = value
    line = fault(table.assign(**{column: pd.Series(cells, dtype=object)}))
    assert line.startswith(f"  - column '{column}' {problem} in 1 row: row 1")
    assert ("(episode_id 'E2')" in line) == (column != "episode_id")
    assert "To mend it: " in line
    assert line.isprintable()


@pytest.mark.parametrize(
    ("measure", "first", "problem"),
    [
        ("pcl5", 81, "is outside the range of its anxiety_measure"),
        ("pswq", 15, "is outside the range of its anxiety_measure"),
        ("mobility_inventory", 0.9, "is outside the range of its anxiety_measure"),
        ("mobility_inventory", 5.1, "is outside the range of its anxiety_measure"),
        ("gad7", 22, "is outside the range of its anxiety_measure"),
        ("oci", 169, "is outside 0 to 168"),
        ("pcl5", 40.5, "is not a whole number"),
        (None, 40, "has no known anxiety_measure"),
    ],
)
@pytest.mark.parametrize("column", ["anxiety_first", "anxiety_last"])
def test_an_anxiety_score_must_fit_its_measure(episodes, column, measure, first, problem):
    table = episodes.assign(
        anxiety_measure=text_series([None, measure, None]), **{column: [np.nan, first, np.nan]}
    )
    lines = faults(table)
    assert lines[0].startswith(f"  - column '{column}' {problem} in 1 row: row 1 (episode_id 'E2'): {first}")


def test_an_unknown_measure_is_not_blamed_on_its_scores_as_well(episodes):
    assert "'HADS'" in fault(episodes.assign(anxiety_measure="HADS", anxiety_first=10, anxiety_last=5))


def test_duplicate_ids_count_all_their_rows(episodes):
    table = pd.concat([episodes, episodes.iloc[:1]], ignore_index=True)
    assert "'episode_id' is not unique in 2 rows: row 0: 'E1'; row 3: 'E1'" in fault(table)


def test_a_patient_may_come_again(episodes):
    validate_episodes(episodes.assign(patient_id="P1"))


@pytest.mark.parametrize("column", ["episode_id", "therapist_id"])
def test_float_ids_are_refused_even_if_whole(episodes, column):
    assert "is no text or whole number in 3 rows" in fault(episodes.assign(**{column: [1.0, 2.0, 3.0]}))


def test_dates_of_a_time_zone_are_refused(episodes):
    table = episodes.assign(start_date=pd.to_datetime(episodes["start_date"]).dt.tz_localize("Europe/London"))
    assert "is not a date of the form yyyy-mm-dd in 3 rows" in fault(table)


def test_one_error_lists_every_kind_in_the_order_of_the_columns(episodes):
    table = episodes.assign(
        episode_id=["E1", "E1", None], start_date=["1/1/2026", "2026-01-02", "1999-01-01"],
        phq9_first=pd.Series([30, "x", 2.5], dtype=object), age=200,
    )  # fmt: skip
    assert [line.partition(" in ")[0].removeprefix("  - column ") for line in faults(table)] == [
        "'episode_id' is empty",
        "'episode_id' is not unique",
        "'start_date' is not a date of the form yyyy-mm-dd",
        "'start_date' is not between 2000 and 2099",
        "'phq9_first' is not a number",
        "'phq9_first' is not a whole number",
        "'phq9_first' is outside 0 to 27",
        "'age' is outside 0 to 120",
    ]


def test_rows_go_by_the_index_and_three_are_shown(episodes):
    table = pd.concat([episodes] * 4, ignore_index=True)
    table = table.assign(episode_id=range(12), phq9_first=99).set_axis(range(2, 14), axis=0)
    line = fault(table)
    assert (
        "in 12 rows: row 2 (episode_id 0): 99; row 3 (episode_id 1): 99; row 4 (episode_id 2): 99; …" in line
    )


def test_a_message_stays_short_whatever_is_in_the_table(episodes):
    table = episodes.assign(
        episode_id=["\n" * 5000, "x" * 10**6, "\x1b[31m"], phq9_first="<script>" + "y" * 10**6
    )
    line = fault(table)
    assert len(line) < 600
    assert line.isprintable()


def test_the_table_is_named(episodes):
    with pytest.raises(DataError, match=r"^october\.csv: 1 kind of fault"):
        validate_episodes(episodes.assign(age=200), table="october.csv")


@given(
    st.integers(0, 2**32 - 1),
    st.sets(st.integers(0, 199), max_size=20),
    st.sets(st.integers(0, 199), max_size=20),
)
@settings(max_examples=25, deadline=None)
def test_every_planted_fault_is_counted_and_nothing_else(seed, high, early):
    rng = np.random.default_rng(seed)
    n = 200
    start = np.datetime64("2025-01-01") + rng.integers(0, 300, n).astype("timedelta64[D]")
    table = pd.DataFrame({name: [f"{name}{i}" for i in range(n)] for name in COLUMNS if name.endswith("_id")})
    table = table.assign(start_date=start, end_date=start + np.timedelta64(30, "D"), n_sessions=4)
    for name in ("phq9_first", "phq9_last", "gad7_first", "gad7_last"):
        table[name] = rng.integers(0, 22, n)
    validate_episodes(table)
    table.loc[list(high), "phq9_last"] = 28
    table.loc[list(early), "end_date"] = table["start_date"] - pd.Timedelta(days=1)
    expected = []
    if early:
        expected.append(f"'end_date' is before start_date in {len(early)} row")
    if high:
        expected.append(f"'phq9_last' is outside 0 to 27 in {len(high)} row")
    lines = faults(table) if expected else []
    assert len(lines) == len(expected)
    assert all(part in line for part, line in zip(expected, lines, strict=True))


# The other tables.


@pytest.fixture
def sessions():
    return pd.DataFrame(
        {"session_id": ["A", "B"], "episode_id": ["E1", "E1"], "date": ["2026-01-01", "2026-01-08"],
         "status": ["attended", "dna"], "phq9": [20, None], "gad7": [15, None], "minutes": [50, None],
         "modality": ["typed", "typed"], "anxiety": [2.5, None], "wsas": [20, None]}
    )  # fmt: skip


def test_good_sessions(sessions):
    table = validate_sessions(sessions)
    assert table.dtypes[["phq9", "date", "anxiety"]].tolist() == [
        pd.Int16Dtype(), np.dtype("datetime64[s]"), np.dtype("float64")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("session_id", "A", "is not unique in 2 rows"),
        ("episode_id", None, "is empty in 1 row"),
        ("status", "cancelled_late", "is none of attended, dna, late_cancelled, cancelled in 1 row"),
        ("status", None, "is empty in 1 row"),
        ("date", "8/1/2026", "is not a date of the form yyyy-mm-dd in 1 row"),
        ("phq9", 28, "is outside 0 to 27 in 1 row"),
        ("gad7", 1.5, "is not a whole number in 1 row"),
        ("minutes", -1, "is outside 0 to 1440 in 1 row"),
        ("anxiety", 169, "is outside 0 to 168 in 1 row"),
        ("therapist_id", 1.5, "is no text or whole number in 1 row"),
    ],
)
def test_bad_sessions(sessions, column, value, problem):
    cells = sessions[column].astype(object).tolist() if column in sessions else [None] * 2
    table = sessions.assign(**{column: pd.Series([cells[0], value], dtype=object)})
    assert fault(table, validate=validate_sessions).startswith(f"  - column '{column}' {problem}")


def test_therapists():
    table = pd.DataFrame(
        {"therapist_id": [1, 2], "joined_date": ["2020-01-01", None], "desired_caseload": [10, None]}
    )
    assert validate_therapists(table)["therapist_id"].tolist() == ["1", "2"]
    lines = faults(table.assign(therapist_id="T", desired_caseload=-1), validate=validate_therapists)
    assert ["'therapist_id' is not unique" in lines[0], "'desired_caseload' is outside" in lines[1]] == [
        True
    ] * 2


NAMES = {"unit": "org", "trials": "n", "recovered": "y"}


def test_counts_keep_rows_with_blank_counts():
    table = pd.DataFrame(
        {"org": ["A", "A", "B", "C"], "n": [10, None, 5, 0], "y": [5, None, None, 0], "who": 1}
    )
    found = validate_counts(table, **NAMES)
    assert found["n"].dtype == found["y"].dtype == pd.Int64Dtype()
    assert found["n"].tolist() == [10, pd.NA, 5, 0]
    assert found["y"].isna().tolist() == [False, True, True, False]
    assert found["org"].tolist() == ["A", "A", "B", "C"]


def test_counts_are_exact_far_beyond_the_small_whole_numbers():
    table = pd.DataFrame({"org": ["A"], "n": [2**53], "y": [2**53 - 1]})
    assert validate_counts(table, **NAMES)["y"].tolist() == [2**53 - 1]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("A", 10, 11), "'y' is above n"),
        (("A", -1, None), "'n' is outside 0 to"),
        (("A", 10, -1), "'y' is outside 0 to"),
        (("A", 10, 2.5), "'y' is not a whole number"),
        (("A", "ten", 2), "'n' is not a number"),
        ((None, 10, 2), "'org' is empty"),
    ],
)
def test_bad_counts(row, problem):
    table = pd.DataFrame([("Z", 10, 5), row], columns=["org", "n", "y"])
    assert problem in fault(table, validate=validate_counts, **NAMES)


def test_counts_need_one_row_that_tells_something():
    table = pd.DataFrame({"org": ["A", "B"], "n": [10, None], "y": [None, 1]})
    assert "has no row with both n and y" in fault(table, validate=validate_counts, **NAMES)


def test_counts_without_their_columns_or_rows():
    assert len(faults(pd.DataFrame({"x": [1]}), validate=validate_counts, **NAMES)) == 3
    assert "no rows" in fault(pd.DataFrame({"org": [], "n": [], "y": []}), validate=validate_counts, **NAMES)


def test_patients_need_only_what_the_model_asks_for(episodes):
    table = episodes[["phq9_first", "service_id"]].assign(
        phq9_first=["20", "", "3"], service_id=["S1", None, "S2"]
    )
    found = validate_patients(table, ["phq9_first", "service_id"])
    assert found["phq9_first"].tolist() == [20, pd.NA, 3]
    assert found["service_id"].isna().tolist() == [False, True, False]
    assert "'age' is missing" in fault(table, validate=validate_patients, needs=["phq9_first", "age"])
    high = table.assign(phq9_first=28)
    assert "'phq9_first' is outside 0 to 27 in 3 rows" in fault(
        high, validate=validate_patients, needs=["phq9_first"]
    )
