import string

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ter.reports.names import file_stem, spreadsheet_frame, spreadsheet_text

TEXT = st.text(st.characters(codec="utf-8"), max_size=400)


@given(TEXT)
def test_a_file_stem_is_a_short_plain_name(identifier: str) -> None:
    stem = file_stem(identifier)
    assert 0 < len(stem) <= 57
    assert set(stem) <= set(string.ascii_lowercase + string.digits + "-")
    assert not stem.startswith("-")
    assert stem == file_stem(identifier)


def test_ids_that_look_alike_have_different_files() -> None:
    ids = [
        "a",
        "A",
        " a",
        "a ",
        "a/",
        "a.",
        "",
        "é",
        "e\u0301",
        "x" * 300,
        "x" * 301,
        "con",
        "..",
        "../a",
        "nan",
        "NaN",
    ]
    assert len({file_stem(name) for name in ids}) == len(ids)


def test_a_file_stem_keeps_what_is_readable() -> None:
    assert file_stem("Therapist_0042").startswith("therapist-0042-")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "'=1", "=cmd|' /C calc'!A0"]
)
def test_what_a_spreadsheet_takes_for_a_formula_is_escaped(text: str) -> None:
    assert spreadsheet_text(text) == "'" + text


@given(TEXT)
def test_escaping_is_undone_by_taking_one_apostrophe_away(text: str) -> None:
    escaped = spreadsheet_text(text)
    assert escaped.removeprefix("'") == text
    # '=' and the like never come first.
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_ordinary_ids_are_left_alone() -> None:
    for text in ("007", "NaN", "None", "O'Brien", "a=b", ""):
        assert spreadsheet_text(text) == text


def test_only_text_columns_of_a_table_are_escaped() -> None:
    frame = pd.DataFrame({"id": ["=1", None, "b"], "ter": [-1.0, 2.0, None], "n": [-1, 2, 3]})
    escaped = spreadsheet_frame(frame)
    assert escaped["id"].tolist()[::2] == ["'=1", "b"]
    assert pd.isna(escaped["id"][1])
    pd.testing.assert_frame_equal(escaped[["ter", "n"]], frame[["ter", "n"]])
    assert frame["id"][0] == "=1"
