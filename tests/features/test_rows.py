import numpy as np
import pandas as pd
import pytest

from ter.errors import DataError
from ter.features import modelled_rows


@pytest.fixture
def episodes():
    return pd.DataFrame(
        {
            "completed": [True, True, False, True, False, True],
            "at_caseness": [True, False, True, True, False, True],
            "recovered": pd.array([True, False, False, None, False, False], dtype="boolean"),
            "reliable_improvement": pd.array([True, True, False, None, False, False], dtype="boolean"),
        }
    )


def test_recovery_counts_completed_treatments_at_caseness(episodes):
    chosen = modelled_rows(episodes, outcome="recovered")
    assert chosen.rows.tolist() == [0, 5]
    assert chosen.successes.tolist() == [1.0, 0.0]
    assert chosen.trials.tolist() == [1.0, 1.0]
    # Row 4 is neither completed nor at caseness: counted once, for the first reason.
    assert chosen.left_out == (
        ("treatment not completed", 2),
        ("not at caseness at the start", 1),
        ("recovered is missing", 1),
    )


def test_improvement_counts_completed_treatments(episodes):
    chosen = modelled_rows(episodes, outcome="reliable_improvement")
    assert chosen.rows.tolist() == [0, 1, 5]
    assert chosen.left_out == (("treatment not completed", 2), ("reliable_improvement is missing", 1))


@pytest.mark.parametrize(
    "values", [[True, False, True], [1, 0, 1], [1.0, 0.0, 1.0], pd.array([1, 0, 1], dtype="Int64")]
)
def test_any_other_outcome_counts_where_it_is_known(values):
    chosen = modelled_rows(pd.DataFrame({"died": values}), outcome="died")
    assert chosen.successes.tolist() == [1, 0, 1]
    assert chosen.left_out == ()


def test_groups_count_where_somebody_was_treated():
    df = pd.DataFrame({"n": [10.0, 0.0, np.nan, 5.0, 7.0], "recovery": [4.0, 0.0, 3.0, np.nan, 7.0]})
    chosen = modelled_rows(df, outcome="recovery", trials="n")
    assert chosen.rows.tolist() == [0, 4]
    assert chosen.successes.tolist() == [4, 7]
    assert chosen.trials.tolist() == [10, 7]
    assert chosen.left_out == (("recovery or n is blank", 2), ("n is 0", 1))


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        (
            {"died": [0, 1, 2]},
            {"outcome": "died"},
            r'"died" holds 1 values that are neither 0 nor 1.*row 2: 2',
        ),
        ({"died": ["yes", "no"]}, {"outcome": "died"}, r'not true/false .* table\["died"\] == "yes"'),
        ({"died": [0, 1]}, {"outcome": "recovered"}, "ter.add_outcomes"),
        ({"recovered": [0, 1]}, {"outcome": "recovered"}, "ter.add_outcomes"),
        ({"died": [0, 1]}, {"outcome": "dead"}, 'no column "dead".*one of recovered, .* or a column of true'),
        ({"y": [3, 1], "n": [2, 2]}, {"outcome": "y", "trials": "n"}, 'above the count in "n"'),
        ({"y": [-1, 1], "n": [2, 2]}, {"outcome": "y", "trials": "n"}, "not counts"),
        ({"y": [0.5, 1], "n": [2, 2]}, {"outcome": "y", "trials": "n"}, "not counts"),
        ({"y": [0, 1], "n": [2, 2.5]}, {"outcome": "y", "trials": "n"}, '"n" holds 1 values'),
        ({"y": [0, 1]}, {"outcome": "y", "trials": "n"}, 'no column "n"'),
        ({"died": [0, 0]}, {"outcome": "died"}, "none of them"),
        ({"died": [1, 1]}, {"outcome": "died"}, "all of them"),
        ({"y": [2, 3], "n": [2, 3]}, {"outcome": "y", "trials": "n"}, "same for all 5 patients"),
        ({"died": [np.nan, np.nan]}, {"outcome": "died"}, "died is missing: 2"),
        ({"y": [0, 0], "n": [0, 0]}, {"outcome": "y", "trials": "n"}, "n is 0: 2"),
    ],
)
def test_refuses_outcomes_that_cannot_be_modelled(columns, options, says):
    with pytest.raises(DataError, match=says):
        modelled_rows(pd.DataFrame(columns), **options)


def test_refuses_a_table_with_nobody_at_caseness(episodes):
    with pytest.raises(DataError, match="not at caseness at the start: 4"):
        modelled_rows(episodes.assign(at_caseness=False), outcome="recovered")
