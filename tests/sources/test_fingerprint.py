"""The fingerprint depends on the content alone, and on all of it."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ter.measures import add_outcomes
from ter.schema import validate_episodes
from ter.sources import fingerprint, is_comparable, read_episodes

BASE = pd.DataFrame(
    {
        "id": ["b", "a", "c"],
        "n": [1, 2, 3],
        "x": [0.5, np.nan, -1.0],
        "day": pd.to_datetime(["2026-01-01", None, "2026-01-03"]),
        "word": ["u", None, "v"],
        "yes": [True, False, True],
    }
)


def test_it_is_a_version_and_a_sha256():
    version, digest = fingerprint(BASE).split("-")
    assert int(version) >= 2
    assert len(digest) == len(hashlib.sha256().hexdigest())
    assert int(digest, 16) >= 0
    assert is_comparable(fingerprint(BASE))
    # As the first definition wrote it.
    assert not is_comparable("ab" * 32)


def test_it_is_the_same_in_every_process():
    # Hashes of Python's own differ from process to process; more rows than a part has.
    table = pd.DataFrame({"x": np.arange(70_000) % 977, "name": [f"T{i % 31}" for i in range(70_000)]})
    code = (
        "import pandas as pd; from ter.sources import fingerprint\n"
        "table = pd.DataFrame({'x': [i % 977 for i in range(70_000)], "
        "'name': ['T' + str(i % 31) for i in range(70_000)]})\nprint(fingerprint(table))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert fingerprint(table) == other.stdout.strip()


def test_one_cell_among_many_rows_matters():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"x": rng.integers(0, 3, 50_000), "y": rng.integers(0, 3, 50_000)})
    first = fingerprint(table)
    for row in (0, 32_767, 32_768, 49_999):
        other = table.copy()
        other.loc[row, "y"] += 1
        assert fingerprint(other) != first
    # Two cells of a column exchanged: the column holds what it held, the rows do not.
    i, j = (
        table.index[(table["x"] == 0) & (table["y"] == 1)][0],
        table.index[(table["x"] == 1) & (table["y"] == 2)][0],
    )
    other = table.copy()
    other.loc[[i, j], "x"] = [1, 0]
    assert fingerprint(other) != first


def test_infinite_numbers_are_content_too():
    prints = {fingerprint(pd.DataFrame({"x": [x, 1.0]})) for x in (np.inf, -np.inf, np.nan, 0.0)}
    assert len(prints) == 4
    assert fingerprint(pd.DataFrame({"x": [np.inf, -np.inf]}))


@pytest.mark.parametrize(
    "same",
    [
        BASE.iloc[::-1],
        BASE.iloc[:, ::-1],
        BASE.set_axis(["x", "x", "y"], axis=0),
        BASE.astype({"n": "int8"}),
        BASE.astype({"n": "Int16"}),
        BASE.astype({"n": "float32"}),
        BASE.astype({"n": object}).infer_objects(),
        BASE.astype({"x": "Float64"}),
        BASE.astype({"x": "float32"}),
        BASE.astype({"id": "category", "word": "category"}),
        BASE.astype({"id": object, "word": object}),
        BASE.astype({"word": "string"}),
        BASE.astype({"yes": "boolean"}),
        BASE.astype({"yes": "int64"}),
        BASE.astype({"day": "datetime64[s]"}),
        BASE.astype({"day": "datetime64[ns]"}),
    ],
)
def test_order_index_and_storage_do_not_matter(same):
    assert fingerprint(same) == fingerprint(BASE)


@pytest.mark.parametrize(
    ("empty", "dtypes"),
    [
        (None, [object, "string", "float64", "Int16", "datetime64[s]", "boolean", "category"]),
        (np.nan, [object, "string", "float64", "Int16", "datetime64[s]", "boolean", "category"]),
        (pd.NA, [object, "string", "Int16", "boolean"]),
        (pd.NaT, [object, "datetime64[s]"]),
    ],
)
def test_a_column_of_nothing_is_nothing_in_any_storage(empty, dtypes):
    nothing = fingerprint(BASE.assign(gone=[None] * 3))
    for dtype in dtypes:
        assert fingerprint(BASE.assign(gone=pd.Series([empty] * 3, dtype=dtype))) == nothing


def test_minus_zero_is_zero():
    assert fingerprint(pd.DataFrame({"x": [-0.0]})) == fingerprint(pd.DataFrame({"x": [0.0]}))


@pytest.mark.parametrize(
    "other",
    [
        BASE.iloc[:2],
        pd.concat([BASE, BASE.iloc[:1]]),
        BASE.drop(columns="yes"),
        BASE.rename(columns={"n": "m"}),
        BASE.rename(columns={"id": "word", "word": "id"}),
        BASE.assign(n=[2, 1, 3]),
        BASE.assign(x=[0.5, 0.0, -1.0]),
        BASE.assign(x=[0.5, np.nan, np.nextafter(-1, 0)]),
        BASE.assign(word=["u", "", "v"]),
        BASE.assign(word=["u", "None", "v"]),
        BASE.assign(word=["u", "nan", "v"]),
        BASE.assign(word=[None, "u", "v"]),
        BASE.assign(n=["1", "2", "3"]),
        BASE.assign(day=BASE["day"].astype(str)),
        BASE.assign(day=BASE["day"] + pd.Timedelta(seconds=1)),
        BASE.assign(gone=None),
    ],
)
def test_every_change_of_content_matters(other):
    assert fingerprint(other) != fingerprint(BASE)


def test_texts_do_not_run_into_each_other():
    pairs = [["ab", "c"], ["a", "bc"], ["abc", ""], ["abc", None]]
    assert len({fingerprint(pd.DataFrame({"id": [1, 2], "x": pair})) for pair in pairs}) == 4


def test_whole_numbers_beyond_float64_are_told_apart():
    assert fingerprint(pd.DataFrame({"n": [2**53]})) != fingerprint(pd.DataFrame({"n": [2**53 + 1]}))
    assert fingerprint(pd.DataFrame({"n": [2**62, 5]})) == fingerprint(pd.DataFrame({"n": [5, 2**62]}))


def test_rows_without_an_id_may_repeat():
    table = pd.DataFrame({"x": [1, 1, 2, 2, 1], "y": [None, "a", "a", None, "a"]})
    assert fingerprint(table) == fingerprint(table.sample(frac=1, random_state=3))
    assert fingerprint(table) != fingerprint(table.drop_duplicates())
    # The same columns one by one, but other rows.
    assert fingerprint(table) != fingerprint(
        table.assign(y=["a", None, "a", None, "a"]).assign(x=[1, 2, 1, 2, 1])
    )


def test_any_cell_at_all():
    table = pd.DataFrame({"x": [[1, 2], {"a": 1}, None], "z": [1 + 2j, 3, 4]})
    assert fingerprint(table) == fingerprint(table.iloc[::-1])


def test_tables_of_nothing():
    prints = {fingerprint(t) for t in (pd.DataFrame(), BASE.iloc[:0], pd.DataFrame(index=range(3)))}
    assert len(prints) == 3


CELLS = st.one_of(st.none(), st.text(max_size=3))


@given(
    st.lists(st.tuples(CELLS, st.one_of(st.none(), st.integers(-3, 3))), min_size=1, max_size=6),
    st.lists(st.tuples(CELLS, st.one_of(st.none(), st.integers(-3, 3))), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
@settings(max_examples=200, deadline=None)
def test_equal_exactly_if_the_rows_are_the_same_in_some_order(one, other, random):
    def table(rows):
        df = pd.DataFrame(rows, columns=["text", "number"])
        return df.astype({"text": object, "number": "Int16"})

    shuffled = random.sample(one, len(one))
    assert fingerprint(table(one)) == fingerprint(table(shuffled))

    def ordered(rows):
        return sorted(rows, key=repr)

    assert (fingerprint(table(one)) == fingerprint(table(other))) == (ordered(one) == ordered(other))


def test_files_of_the_same_table_have_the_same_fingerprint(tmp_path, episodes):
    expected = fingerprint(add_outcomes(validate_episodes(episodes)))
    episodes.to_csv(tmp_path / "e.csv", index=False)
    episodes.iloc[::-1, ::-1].astype({"end_reason": "category", "phq9_first": "int8"}).to_parquet(
        tmp_path / "e.parquet"
    )
    assert fingerprint(read_episodes(tmp_path / "e.csv")) == expected
    assert fingerprint(read_episodes(tmp_path / "e.parquet")) == expected
