import numpy as np
import pandas as pd
import pytest

from ter.errors import DataError
from ter.features.columns import numbers, require, texts


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 0, 10], dtype="int64"),
        pd.Series([1.0, 0.0, 10.0]),
        pd.Series(["1", "0", "10"]),
        pd.Series(["1", "0", "10"], dtype="object"),
        pd.Series([1, 0, 10], dtype="Int64"),
        pd.Series(["1", "0", "10"], dtype="category"),
        pd.Series([1, 0, 10], dtype="category"),
    ],
)
def test_levels_do_not_depend_on_how_the_column_is_stored(values):
    codes, levels = texts(values)
    assert levels == ("0", "1", "10")
    assert codes.tolist() == [1, 0, 2]


@pytest.mark.parametrize("dtype", ["bool", "object", "boolean"])
def test_booleans_are_true_and_false(dtype):
    codes, levels = texts(pd.Series([True, False, True], dtype=dtype))
    assert (levels, codes.tolist()) == (("False", "True"), [1, 0, 1])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(["b", None, "a"], dtype="object"),
        pd.Series(["b", np.nan, "a"], dtype="object"),
        pd.Series(["b", None, "a"], dtype="string"),
        pd.Series(["b", None, "a"], dtype="category"),
    ],
)
def test_missing_has_no_level(values):
    codes, levels = texts(values)
    assert (levels, codes.tolist()) == (("a", "b"), [1, -1, 0])


def test_the_words_nan_and_none_are_levels():
    assert texts(pd.Series(["NaN", "None", "007"]))[1] == ("007", "NaN", "None")


def test_numbers_of_every_kind_of_column():
    for values in ([1, 0], [True, False], [1.0, 0.0]):
        assert numbers(pd.DataFrame({"x": values}), "x").tolist() == [1.0, 0.0]
    got = numbers(pd.DataFrame({"x": pd.array([1, None], dtype="Int64")}), "x")
    assert got[0] == 1.0
    assert np.isnan(got[1])


def test_refuses_text_and_infinite_numbers():
    with pytest.raises(DataError, match=r'"x" holds .*not numbers'):
        numbers(pd.DataFrame({"x": ["1", "2"]}), "x")
    with pytest.raises(DataError, match="1 infinite numbers, first in row 1"):
        numbers(pd.DataFrame({"x": [0.0, np.inf]}), "x")


def test_names_every_absent_column():
    with pytest.raises(DataError, match=r'no column "b", "c", which the case mix names. It has: "a"'):
        require(pd.DataFrame({"a": [1]}), ("a", "b", "c", "b"), "the case mix")
