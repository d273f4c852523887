import numpy as np
from statsmodels.stats.proportion import proportion_confint

from ter.ratings.standardise import divide, wilson


def test_nothing_is_divided_by_nothing():
    got = divide(np.array([3.0, 0.0, 1.0, np.nan]), np.array([4.0, 0.0, np.nan, 2.0]))
    assert got[0] == 0.75
    assert np.isnan(got[1:]).all()


def test_wilson_is_that_of_statsmodels():
    successes, n = np.array([0.0, 5.0, 10.0, 37.0]), np.array([10.0, 10.0, 10.0, 91.0])
    low, high = proportion_confint(successes, n, method="wilson")
    np.testing.assert_allclose(wilson(successes, n), (low, high), atol=1e-12)
