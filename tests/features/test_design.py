import numpy as np
import pandas as pd
import pytest

from ter.errors import DataError, OptionError
from ter.features import CaseMix, build_design, factor, linear, modelled_rows


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "therapist_id": ["b", "a", "10", "9", "b", "ä"],
            "service_id": ["s2", "s1", "s1", "s3", "s1", "s1"],
            "age": [30.0, 40.0, 50.0, 99.0, 60.0, 20.0],
            "y": pd.array([True, False, True, None, False, True], dtype="boolean"),
        }
    )


def _design(df, **options):
    defaults = {"case_mix": None, "outcome": "y", "therapist": "therapist_id", "service": "service_id"}
    return build_design(df, **(defaults | options))


def test_levels_are_those_of_the_whole_table_sorted_as_text(table):
    design = _design(table)
    # Therapist 9 and service s3 have no modelled row, and are not lost.
    assert design.therapist.levels == ("10", "9", "a", "b", "ä")
    assert design.therapist.index.tolist() == [3, 2, 0, 3, 4]
    assert design.service.levels == ("s1", "s2", "s3")
    assert design.service.index.tolist() == [1, 0, 0, 0, 0]
    assert (design.therapist.name, design.therapist.column) == ("therapist", "therapist_id")


def test_rows_and_outcomes(table):
    design = _design(table)
    assert design.rows.tolist() == [0, 1, 2, 4, 5]
    assert design.successes.tolist() == [1, 0, 1, 0, 1]
    assert (design.n_rows, design.left_out) == (6, (("y is missing", 1),))


def test_without_a_case_mix_there_is_the_intercept(table):
    design = _design(table, service=None)
    assert design.service is None
    assert design.columns == ("intercept",)
    assert design.X.tolist() == [[1.0]] * 5
    assert (design.centre.tolist(), design.scale.tolist()) == ([0.0], [1.0])


def test_columns_give_back_the_table(table):
    rows = modelled_rows(table, outcome="y").rows
    learned = CaseMix([linear("age")]).learn(table.iloc[rows])
    design = _design(table, case_mix=learned)
    # The age of the row left out, 99, moves neither mean nor scale: the mean is 40.
    assert design.centre.tolist() == [0.0, 40.0]
    raw = design.X * design.scale + design.centre
    np.testing.assert_allclose(raw[:, 1], [30, 40, 50, 60, 20], rtol=1e-14)


def test_order_of_rows_moves_nothing_but_the_rows(table):
    order = [5, 3, 1, 0, 2, 4]
    design, shuffled = _design(table), _design(table.iloc[order].reset_index(drop=True))
    assert shuffled.therapist.levels == design.therapist.levels
    back = np.argsort(np.array(order)[shuffled.rows])
    assert (shuffled.therapist.index[back] == design.therapist.index).all()
    assert (shuffled.successes[back] == design.successes).all()


def test_an_index_of_the_table_means_nothing(table):
    design = _design(table.set_index(pd.Index([7, 7, 3, 3, 1, 1])))
    assert design.rows.tolist() == [0, 1, 2, 4, 5]
    assert design.successes.tolist() == [1, 0, 1, 0, 1]


@pytest.mark.parametrize("column", ["therapist_id", "service_id"])
def test_refuses_a_row_without_an_id_even_if_it_is_not_modelled(table, column):
    table.loc[3, column] = None
    with pytest.raises(DataError, match=f'"{column}" is empty in 1 rows .first: 3.'):
        _design(table)


def test_refuses_a_single_therapist(table):
    with pytest.raises(DataError, match="nobody to compare with"):
        _design(table.assign(therapist_id="t"))
    one_modelled = table.assign(therapist_id=["t", "t", "t", "u", "t", "t"])
    with pytest.raises(DataError, match="One of the 2 therapists"):
        _design(one_modelled)


def test_refuses_a_column_with_two_roles(table):
    with pytest.raises(OptionError, match='"therapist_id" is both the therapist and the service'):
        _design(table, service="therapist_id")
    learned = CaseMix([factor("y")]).learn(table)
    with pytest.raises(OptionError, match='"y" is both the case mix and the outcome'):
        _design(table, case_mix=learned)


def test_refuses_an_absent_group(table):
    with pytest.raises(DataError, match='no column "ward", which the service names'):
        _design(table, service="ward")
