import numpy as np
import pandas as pd
import pytest

from ter.simulation.studies.monte_carlo import Statistic, jackknife, ratio, root_ratio, sums_by_cell, tabulate


def counts(rng, replicates, cases, p):
    """Sums of a study that counts successes: shape (R, 1, 2)."""
    return np.stack([np.full(replicates, float(cases)), rng.binomial(cases, p, replicates)], axis=1)[
        :, None, :
    ]


def test_the_error_of_a_share_is_that_of_the_binomial():
    share = ratio(1, 0)
    rng = np.random.default_rng(1)
    estimate, mcse = jackknife(counts(rng, 4000, 25, 0.3), share)
    exact = np.sqrt(0.3 * 0.7 / (4000 * 25))
    # An SD from 4,000 values has a relative error of 1.1%: 4 of those.
    np.testing.assert_allclose(mcse, exact, rtol=0.045)
    assert abs(estimate[0] - 0.3) < 4 * exact


def test_for_equal_replicates_the_jackknife_is_the_error_of_a_mean():
    sums = counts(np.random.default_rng(2), 30, 10, 0.4)
    each = sums[:, 0, 1] / 10
    estimate, mcse = jackknife(sums, ratio(1, 0))
    np.testing.assert_allclose(estimate, each.mean(), rtol=1e-12)
    np.testing.assert_allclose(mcse, each.std(ddof=1) / np.sqrt(30), rtol=1e-12)


def test_cases_of_one_replicate_count_as_the_cluster_that_they_are():
    # p differs between replicates: Var(mean) = [p(1-p)/n (1 - rho) + p(1-p) rho] / R, a beta-binomial.
    rng = np.random.default_rng(3)
    a, b, n, R = 2.0, 3.0, 50, 4000
    successes = rng.binomial(n, rng.beta(a, b, R))
    sums = np.stack([np.full(R, float(n)), successes], axis=1)[:, None, :]
    rho, p = 1 / (a + b + 1), a / (a + b)
    exact = np.sqrt(p * (1 - p) * (1 + (n - 1) * rho) / n / R)
    _, mcse = jackknife(sums, ratio(1, 0))
    # As above; the beta-binomial has lighter tails than a normal distribution.
    np.testing.assert_allclose(mcse, exact, rtol=0.045)
    naive = np.sqrt(p * (1 - p) / (n * R))
    assert mcse[0] > 2.5 * naive


def test_replicates_may_be_of_any_size():
    # Of a ratio of sums the error is that of the mean of its influence, y - share * n (Cochran 1977, ch. 6).
    rng = np.random.default_rng(4)
    n = rng.integers(5, 50, 500).astype(float)
    y = rng.binomial(n.astype(int), 0.25).astype(float)
    estimate, mcse = jackknife(np.stack([n, y], axis=1)[:, None, :], ratio(1, 0))
    influence = (y - estimate[0] * n) / n.mean()
    # The two agree to order 1 / R.
    np.testing.assert_allclose(mcse, influence.std(ddof=1) / np.sqrt(500), rtol=0.01)


def test_what_is_not_defined_is_nan_and_warns_of_nothing():
    sums = np.zeros((3, 2, 2))
    sums[1, 0] = [4.0, 2.0]
    estimate, mcse = jackknife(sums, ratio(1, 0))
    # With the one replicate that has cases left out, nothing is defined.
    assert estimate[0] == 0.5
    assert np.isnan(mcse).all()
    assert np.isnan(estimate[1])
    assert np.isnan(jackknife(sums[1:2], ratio(1, 0))[1]).all()


def test_a_root_mean_square_and_its_error():
    squares = np.random.default_rng(5).chisquare(1, 2000)
    sums = np.stack([np.ones(2000), squares], axis=1)[:, None, :]
    estimate, mcse = jackknife(sums, root_ratio(1, 0))
    # The SD of n normal values is known to SD / sqrt(2 n).
    assert estimate[0] == pytest.approx(1.0, abs=4 / np.sqrt(4000))
    np.testing.assert_allclose(mcse, 1 / np.sqrt(4000), rtol=0.1)


def test_a_table_has_a_row_for_each_cell_and_statistic():
    sums = np.array([[[2.0, 1.0], [4.0, 4.0]], [[2.0, 0.0], [0.0, 0.0]]])
    table = tabulate(pd.DataFrame({"cell": ["a", "b"]}), sums, [Statistic("share", ratio(1, 0))])
    assert table.columns.tolist() == ["cell", "statistic", "estimate", "mcse", "n"]
    assert table["estimate"].tolist() == [0.25, 1.0]
    assert table["n"].tolist() == [4, 4]
    np.testing.assert_allclose(table["mcse"], [0.25, np.nan])


def test_sums_by_cell_leave_out_what_is_in_none():
    sums = sums_by_cell(np.array([1, -1, 1]), 2, [np.ones(3), np.array([True, True, False])])
    np.testing.assert_array_equal(sums, [[0, 0], [2, 1]])
