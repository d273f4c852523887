"""Files are read exactly as written, or refused with one clear error."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ter.errors import DataError, OptionError
from ter.sources import read_episodes, read_table

GOOD = "1,1,1,1,2026-01-01,2026-02-01,5,20,5,15,5,30.5"
NASTY = [
    "../../etc/passwd", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "😀", "x" * 300, "NaN", "None",
    "NA", "NULL", "null", "007", "1e5", "8E123", "-0", "TRUE", " padded ", 'quo"ted', "com,ma", "new\nline",
    "#N/A", "٣",
]  # fmt: skip


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


# CSV, what comes in.


def test_ids_and_factors_are_text_exactly_as_written(csv):
    lines = [f"{quoted(word)},{quoted(word)},{quoted(word)}" for word in NASTY]
    table = read_table(csv(*lines, header="episode_id,therapist_id,gender"))
    for column in table:
        assert table[column].tolist() == NASTY


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, max_size=4
    )
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_id_survives_both_formats(tmp_path, ids):
    lines = "".join(f"{quoted(text)},1\n" for text in ids)
    (tmp_path / "ids.csv").write_bytes(f"therapist_id,x\n{lines}".encode())
    assert read_table(tmp_path / "ids.csv")["therapist_id"].tolist() == ids
    pd.DataFrame({"therapist_id": ids}).to_parquet(tmp_path / "ids.parquet")
    assert read_table(tmp_path / "ids.parquet")["therapist_id"].tolist() == ids


def test_only_an_empty_field_is_missing(csv):
    table = read_table(csv("NaN,,NA", '"",x,', header="therapist_id,gender,extra"))
    assert table.isna().to_numpy().tolist() == [[False, True, False], [True, False, True]]


@pytest.mark.parametrize(
    ("fields", "values", "kind"),
    [
        (["1", "-2", "", "0"], [1, -2, None, 0], "number"),
        (["1", "2.50", "0.1"], [1, 2.5, 0.1], "number"),
        (["007", "8"], ["007", "8"], "text"),
        (["1e5", "2"], ["1e5", "2"], "text"),
        (["8E123", "8E124"], ["8E123", "8E124"], "text"),
        (["1", "x"], ["1", "x"], "text"),
        (["1", "NaN"], ["1", "NaN"], "text"),
        (["1", "inf"], ["1", "inf"], "text"),
        (["+1", "1"], ["+1", "1"], "text"),
        (["1" * 30, "1"], ["1" * 30, "1"], "text"),
        (["2026-01-01", "1"], ["2026-01-01", "1"], "text"),
        (["True", "False"], ["True", "False"], "text"),
    ],
)
def test_columns_that_ter_does_not_know_become_numbers_only_if_plainly_so(csv, fields, values, kind):
    table = read_table(csv(*(f"{i},{field}" for i, field in enumerate(fields)), header="episode_id,extra"))
    assert pd.api.types.is_numeric_dtype(table["extra"]) == (kind == "number")
    pd.testing.assert_series_equal(
        table["extra"].reset_index(drop=True), pd.Series(values, name="extra"), check_dtype=False
    )


def test_a_column_may_be_asked_for_as_text(csv):
    path = csv("1,2", header="org,n")
    assert read_table(path, text=["org"])["org"].tolist() == ["1"]
    assert read_table(path)["org"].tolist() == [1]


def test_rows_are_numbered_as_a_spreadsheet_does(csv):
    assert read_table(csv("a,1", "b,2", header="episode_id,x")).index.tolist() == [2, 3]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_byte_order_mark_and_line_ends_do_not_matter(tmp_path, start, newline, end):
    path = tmp_path / "table.csv"
    path.write_bytes(
        start + "episode_id,gender\n1,ä\n2,ö".encode().replace(b"\n", newline) + end.replace(b"\n", newline)
    )
    table = read_table(path)
    assert table.to_dict("list") == {"episode_id": ["1", "2"], "gender": ["ä", "ö"]}


def test_a_name_in_capitals_is_still_a_csv(csv):
    assert len(read_table(csv(GOOD, name="E.CSV"))) == 1


# CSV, what is refused.


def refused(path, read=read_episodes):
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_file(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert "is empty" in refused(path)


@pytest.mark.parametrize("content", [b"a,b", b"a,b\n", b"a,b\r\n\r\n", b"\xef\xbb\xbfa,b\n"])
def test_a_header_alone(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert "has a header and no rows" in refused(path)


@pytest.mark.parametrize(
    "content",
    [
        "ä,b\n1,2\n".encode("latin-1"),
        "a,b\n1,ä\n".encode("latin-1"),
        "a,b\n1,ä".encode("latin-1"),
        b"a,b\n" + b"1,2\n" * 10 + "1,ä\n".encode("cp1252"),
        "a,b\n1,2\n".encode("utf-16"),
        "a,b\n1,2\n".encode("utf-32"),
        b"\x89PNG\r\n\x1a\n\x00\x00\x00",
    ],
)
def test_another_encoding(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert "is not encoded in UTF-8" in refused(path)


def test_a_wrong_byte_far_into_the_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"episode_id,x\n" + b"1234567,1\n" * 2_000_000 + b"\xe4,1\n")
    assert "is not encoded in UTF-8" in refused(path)


def test_a_character_across_the_borders_of_blocks_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    # Three bytes each, so that no power of two falls between two of them.
    path.write_bytes(b"episode_id,gender\n" + "1,€€€€€\n".encode() * 2_000_000)
    assert read_table(path)["gender"].unique().tolist() == ["€€€€€"]


@pytest.mark.parametrize("content", [b"a,b\n1,\x00\n", b"a\x00,b\n1,2\n"])
def test_text_with_null_bytes_is_none(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert "is not a text table" in refused(path)


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_another_separator(csv, separator, word):
    assert f"separated by {word}" in refused(csv("1,2".replace(",", separator), header=f"a{separator}b"))


def test_rows_of_another_length_are_counted_and_their_content_is_not_shown(csv):
    message = refused(csv(GOOD, "secret,1", GOOD, GOOD + ",secret"))
    assert "in 2 rows: row 3: 2 fields, not 12; row 5: 13 fields, not 12" in message
    assert "secret" not in message


@pytest.mark.parametrize("body", ['"secret,1\n2,3\n', 'secret\n"' + "x,1\n" * 100])
def test_a_quote_that_is_never_closed(tmp_path, body):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + body)
    assert "secret" not in refused(path)


def test_fifty_megabytes_of_one_column(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"x\n" + b"123456789\n" * 5_000_000)
    message = refused(path)
    assert message.count("is missing") == 11
    assert len(message) < 2000


@pytest.mark.parametrize("byte", [b"x", b'"'])
def test_fifty_megabytes_without_a_line_end(tmp_path, byte):
    path = tmp_path / "table.csv"
    path.write_bytes(byte * 50_000_000)
    assert "its first line is longer than" in refused(path)


def test_fifty_megabytes_within_one_quote(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b'a\n"' + b"x\n" * 25_000_000)
    assert "is not a table" in refused(path)


@pytest.mark.parametrize(
    "content", ['{"a": 1}\n{"a": 2}\n', "<html>\n<body>\n", "Dear colleague\nplease find\n"]
)
def test_a_text_that_is_no_table_of_episodes(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_text(content)
    assert refused(path).count("is missing") == 11


def test_a_column_name_that_occurs_twice(csv):
    message = refused(csv("1,2", header="episode_id,episode_id"), read=read_episodes)
    assert "'episode_id' occurs 2 times" in message


# Other files.


def test_no_such_file(tmp_path):
    with pytest.raises(OptionError, match="does not exist"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(OptionError, match="is a folder"):
        read_table(tmp_path)


@pytest.mark.parametrize("name", ["table.xlsx", "table.txt", "table", "table.csv.gz", "table.json"])
def test_another_kind_of_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    assert "store it as .csv or .parquet" in refused(tmp_path / name)


def test_a_parquet_file_called_csv(tmp_path):
    path = tmp_path / "table.csv"
    pd.DataFrame({"a": [1]}).to_parquet(path)
    assert "let its name end in .parquet" in refused(path)


# Parquet.


def parquet(tmp_path, columns):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_broken_parquet_file(tmp_path, content):
    path = tmp_path / "table.parquet"
    path.write_bytes(content)
    assert ("is empty" if not content else "is not a whole Parquet file") in refused(path)


def test_a_truncated_parquet_file(tmp_path):
    path = parquet(tmp_path, {"a": list(range(1000))})
    path.write_bytes(path.read_bytes()[:-100])
    assert "is not a whole Parquet file" in refused(path)


def test_a_damaged_parquet_file(tmp_path):
    path = parquet(tmp_path, {"episode_id": [str(i) for i in range(1000)]})
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(content)
    assert "is not a whole Parquet file" in refused(path)


def test_a_parquet_file_without_rows(tmp_path):
    assert "has a header and no rows" in refused(parquet(tmp_path, {"a": pa.array([], pa.int64())}))


def test_whole_number_ids_are_exact_also_beside_a_null(tmp_path):
    path = parquet(tmp_path, {"therapist_id": pa.array([2**62 + 1, None, 7], pa.int64())})
    assert read_table(path)["therapist_id"].tolist()[::2] == [str(2**62 + 1), "7"]
    assert read_table(path)["therapist_id"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", "b", None]),
        pa.array(["a", "b", None], pa.large_string()),
        pa.array(["a", "b", None]).dictionary_encode(),
    ],
)
def test_text_in_any_storage(tmp_path, array):
    table = read_table(parquet(tmp_path, {"gender": array, "step": array}))
    assert table["gender"].tolist()[:2] == ["a", "b"]
    assert table["gender"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    "unit", [pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("ns")]
)
def test_dates_in_any_storage(tmp_path, unit):
    days = pa.array([pd.Timestamp("2026-01-01").to_pydatetime(), None]).cast(unit)
    table = read_table(parquet(tmp_path, {"joined_date": days}))
    assert table["joined_date"].tolist() == [pd.Timestamp("2026-01-01"), pd.NaT]


def test_a_parquet_column_name_that_occurs_twice(tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["episode_id", "episode_id"]), path)
    assert "'episode_id' occurs 2 times" in refused(path)


def test_a_pandas_index_in_the_file_is_no_row_number(tmp_path):
    path = tmp_path / "table.parquet"
    pd.DataFrame({"episode_id": ["a", "b"]}, index=[5, 9]).to_parquet(path)
    assert read_table(path).index.tolist() == [0, 1]
