"""Rows in the order of two factors and of their content."""

import numpy as np
import pandas as pd
import pytest

from ter.errors import DataError
from ter.features import CaseMix, build_design, factor, linear
from ter.features.each import in_turn
from ter.features.ordering import in_order


@pytest.mark.parametrize(("n_inner", "n_outer"), [(1, 1), (40, 3), (3, 500), (400, 5_000)])
def test_the_order_is_that_of_a_lexical_sort(n_inner, n_outer):
    rng = np.random.default_rng(n_inner)
    n = 3_000
    inner, outer = rng.integers(0, n_inner, n), rng.integers(0, n_outer, n)
    # Some keys are equal: their rows stay as they stand.
    keys = rng.integers(0, 2**64, n, dtype=np.uint64)
    keys[::7] = keys[0]
    got = in_order(inner, n_inner, outer, n_outer, lambda: keys, in_turn)
    expected = np.lexsort((np.arange(n), keys, outer, inner))
    np.testing.assert_array_equal(got.order, expected)
    np.testing.assert_array_equal(got.inner, inner[expected])
    np.testing.assert_array_equal(got.outer, outer[expected])
    pairs = inner[expected] * n_outer + outer[expected]
    np.testing.assert_array_equal(got.starts, np.unique(pairs, return_index=True)[1])
    # Without keys, and from rows that are sorted already.
    alone = in_order(inner, n_inner, outer, n_outer, None, in_turn)
    np.testing.assert_array_equal(alone.order, np.lexsort((outer, inner)))
    again = in_order(got.inner, n_inner, got.outer, n_outer, None, in_turn)
    np.testing.assert_array_equal(again.order, np.arange(n))
    np.testing.assert_array_equal(again.starts, got.starts)


def test_keys_at_the_ends_of_their_range():
    top = 2**64 - 1
    keys = np.array([top, 0, top - 1, 2**63, 1, top, 2**32, 2**32 - 1, 0], dtype=np.uint64)
    got = in_order(np.zeros(9, np.int64), 1, None, 0, lambda: keys, in_turn)
    np.testing.assert_array_equal(got.order, np.argsort(keys, kind="stable"))


TERMS = CaseMix([linear("age"), factor("gender")])


@pytest.fixture
def table():
    rng = np.random.default_rng(2)
    n = 400
    return pd.DataFrame(
        {
            "therapist_id": rng.choice([f"T{k}" for k in range(9)], n),
            "service_id": rng.choice(["a", "b", "c"], n),
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.integers(18, 80, n)),
            "gender": rng.choice(["f", "m", None], n),
            "note": rng.random(n),
            "y": rng.choice([0.0, 1.0, np.nan], n),
        }
    )


def designed(table):
    return build_design(
        table, case_mix=TERMS, outcome="y", therapist="therapist_id", service="service_id", by_content=True
    )


def test_a_design_by_content_does_not_depend_on_the_order_of_the_table_nor_on_its_storage(table):
    one = designed(table)
    shuffled = table.sample(frac=1, random_state=4)
    stored = shuffled.astype({"therapist_id": "category", "gender": object, "age": "Int16"})
    for other in (shuffled, stored, shuffled.drop(columns="note")):
        two = designed(other)
        for name in ("X", "successes", "trials", "centre", "scale"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
        for group in ("therapist", "service"):
            np.testing.assert_array_equal(getattr(one, group).index, getattr(two, group).index)
    # The positions are those in the table that was given.
    np.testing.assert_array_equal(one.successes, table["y"].to_numpy()[one.rows])
    np.testing.assert_array_equal(
        np.array(one.therapist.levels)[one.therapist.index], table["therapist_id"].to_numpy()[one.rows]
    )


def test_it_holds_the_rows_of_a_design_in_the_order_of_the_table(table):
    sorted_, plain = (
        designed(table),
        build_design(table, case_mix=TERMS, outcome="y", therapist="therapist_id", service="service_id"),
    )
    back = np.argsort(sorted_.rows)
    np.testing.assert_array_equal(sorted_.rows[back], plain.rows)
    # Means and scales are sums in another order.
    np.testing.assert_allclose(sorted_.X[back], plain.X, rtol=0, atol=1e-13)
    assert (sorted_.columns, sorted_.left_out) == (plain.columns, plain.left_out)


def test_an_error_names_the_row_of_the_users_table(table):
    row = int(table.index[table["y"].notna()][7])
    table.loc[row, "age"] = np.inf
    with pytest.raises(DataError, match=f'"age" holds 1 infinite numbers, first in row {row}:'):
        designed(table)
