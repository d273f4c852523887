import numpy as np
import pytest
from r_answers import ANSWERS, SIZE, Z
from scipy.stats import norm

from ter.errors import DataError
from ter.ratings.empirical_null import Null, robust_null, sized_null


def test_centre_and_spread_are_those_of_rlm():
    null = robust_null(Z)
    mean, sd = ANSWERS["rlm"]
    # R divides the median deviation by .6745, statsmodels by the number behind it: 1.5e-5 of the SD, and of
    # what the SD bends the mean by.
    assert null.mean == pytest.approx(mean, abs=3e-6)
    assert null.sd == pytest.approx(sd, rel=2e-5)


def test_the_spread_by_size_is_that_of_its_authors_code():
    null = sized_null(Z, SIZE)
    # rlm stops at 1e-4 there.
    assert null.slope == pytest.approx(ANSWERS["slope"], rel=2e-3)
    assert null.sd == 1


def test_the_groups_are_those_of_r():
    from ter.ratings.empirical_null import _cut

    means = [np.sort(SIZE)[part].mean() for part in _cut(200, 4)]
    assert means == ANSWERS["split_size"]
    for J, groups in ((11, 4), (23, 5), (40, 3)):
        parts = _cut(J, groups)
        assert sum(part.stop - part.start for part in parts) == J
        assert np.ptp([part.stop - part.start for part in parts]) <= 1


def test_the_null_is_found_beside_outliers():
    rng = np.random.default_rng(5)
    z = rng.normal(0.2, 1.5, 20_000)
    z[:1000] -= 8
    null = robust_null(z)
    # Five percent of outliers on one side shift Huber's centre by some 1.345 SD / 19, and the median
    # deviation by a like share: biases of at most .15 and 8%. The plain mean and SD move by .4 and by half.
    assert null.mean == pytest.approx(0.2, abs=0.15)
    assert null.sd == pytest.approx(1.5, rel=0.08)
    assert abs(z.mean() - 0.2) > 0.35
    assert z.std() > 2


def test_the_null_by_size_is_found():
    rng = np.random.default_rng(9)
    size = rng.uniform(5, 60, 20_000)
    z = rng.normal(0, np.sqrt(1 + 0.05 * size))
    null = sized_null(z, size, groups=8)
    # Robust variances of 2,500 units each have errors of some 5%; the slope over eight groups of 2%.
    assert null.slope == pytest.approx(0.05, rel=0.08)
    p = null.p_value(z, size)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.006)
    # The theoretical null flags far more.
    assert (Null(0.0, 1.0).p_value(z) < 0.05).mean() > 0.15


def test_p_values_by_the_normal_distribution():
    null = Null(0.5, 2.0, 0.1)
    z, size = np.array([-4.0, 0.5, 3.0]), np.array([0.0, 10.0, 50.0])
    expected = 2 * norm.sf(np.abs(z - 0.5), scale=np.sqrt(4 + 0.1 * size))
    np.testing.assert_allclose(null.p_value(z, size), expected, rtol=1e-12)


def test_missing_scores_are_left_out():
    z = np.append(Z, [np.nan, np.nan])
    assert robust_null(z) == robust_null(Z)
    assert sized_null(z, np.append(SIZE, [3.0, 4.0])) == sized_null(Z, SIZE)


def test_too_few_units():
    with pytest.raises(DataError, match="10 units"):
        robust_null(Z[:9])
    with pytest.raises(DataError, match="10 units"):
        sized_null(Z[:30], SIZE[:30], groups=4)
    with pytest.raises(DataError, match="equal"):
        robust_null(np.array([0.0] * 8 + [1.0] * 4))
