import numpy as np
import pandas as pd

from ter.features import CaseMix, describe, factor, interaction, linear, spline


def test_means_and_shares_of_every_variable():
    df = pd.DataFrame(
        {
            "phq9_first": [10, 12, 20, 22, 14],
            "age": [20.0, np.nan, 40.0, 60.0, 61.0],
            "gender": ["f", "m", None, "f", "f"],
            "urban": [True, False, True, True, False],
        }
    )
    case_mix = CaseMix(
        [spline("phq9_first"), linear("age"), factor("gender"), interaction(linear("age"), factor("urban"))]
    )
    labels, matrix = describe(df, case_mix.learn(df))
    assert labels == (
        ("phq9_first", ""), ("age", ""), ("gender", "f"), ("gender", "m"), ("gender", "missing"),
        ("urban", "False"), ("urban", "True"),
    )  # fmt: skip
    assert matrix.shape == (5, 7)
    np.testing.assert_allclose(
        np.nanmean(matrix, axis=0), [15.6, 181 / 4, 0.6, 0.2, 0.2, 0.4, 0.6], rtol=1e-15
    )
    assert np.isnan(matrix[1, 1])


def test_nothing_to_describe():
    labels, matrix = describe(pd.DataFrame({"x": [1, 2]}), None)
    assert labels == ()
    assert matrix.shape == (2, 0)
