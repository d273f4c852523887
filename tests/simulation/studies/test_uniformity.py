import numpy as np
import pytest
from scipy.stats import binom

from ter.simulation.studies.uniformity import ecdf, outside_band, points_of, simultaneous_band


@pytest.mark.parametrize("n", [20, 150])
def test_whole_uniform_samples_stay_inside_as_often_as_asked(n):
    rng = np.random.default_rng(6)
    low, high = simultaneous_band(n, 0.9)
    inside = np.mean([outside_band(rng.random(n), low, high) == 0 for _ in range(2000)])
    # Four standard errors of 2,000 samples, and those of the 4,000 that the level was found with. Counts are
    # whole, so that the band of a small sample is wider than asked.
    error = 4 * np.sqrt(0.09 / 2000 + 0.09 / 4000)
    assert 0.9 - error <= inside <= 0.9 + error + 2 / n


def test_samples_that_are_not_uniform_leave_the_band():
    rng = np.random.default_rng(7)
    low, high = simultaneous_band(300, 0.95)
    assert outside_band(rng.beta(1.5, 1.5, 300), low, high) > 0
    assert outside_band(rng.beta(0.6, 0.6, 300), low, high) > 0
    assert outside_band(np.clip(rng.random(300) + 0.15, 0, 1), low, high) > 0


def test_limits_are_binomial_quantiles_of_one_level():
    low, high = simultaneous_band(100, 0.95)
    z = points_of(100)
    assert (low <= z).all()
    assert (z <= high).all()
    # Beyond each limit lies the same probability, up to what whole counts allow; one more count lies within.
    below = binom.cdf(100 * low - 1, 100, z)
    above = binom.sf(np.round(100 * high), 100, z)
    level = max(below.max(), above.max())
    assert (binom.cdf(np.round(100 * low), 100, z) > level * (1 - 1e-6)).all()
    assert (binom.sf(np.round(100 * high) - 1, 100, z) > level * (1 - 1e-6)).all()
    # Many looks at 95%: far below 2.5% each, but not below the Bonferroni level.
    assert 0.025 / z.size < level < 0.01


def test_a_distribution_function_counts_what_is_at_or_below():
    np.testing.assert_allclose(
        ecdf(np.array([0.5, 0.1, 0.9]), np.array([0.0, 0.1, 0.5, 1.0])), [0, 1 / 3, 2 / 3, 1]
    )
