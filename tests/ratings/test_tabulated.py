"""Against SciPy's PCHIP, point by point, and against the normal distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator
from scipy.stats import norm

from ter.ratings.tabulated import cdf_at, quantile


@st.composite
def tables(draw):
    """One distribution function on a grid of its own, with flat and steep parts."""
    G = draw(st.integers(3, 12))
    steps = draw(st.lists(st.floats(0.01, 10), min_size=G - 1, max_size=G - 1))
    rises = draw(st.lists(st.sampled_from([0.0, 0.001, 0.1, 1.0, 3.0]), min_size=G - 1, max_size=G - 1))
    grid = draw(st.floats(-50, 50)) + np.concatenate([[0.0], np.cumsum(steps)])
    cdf = np.concatenate([[0.0], np.cumsum([*rises[:-1], rises[-1] + 1.0])])
    return grid, cdf / cdf[-1]


@settings(max_examples=200, deadline=None)
@given(tables(), st.floats(0, 1))
def test_between_the_points_it_is_scipys_pchip(table, share):
    grid, cdf = table
    x = grid[0] + share * (grid[-1] - grid[0])
    # The same polynomial, evaluated in another order.
    assert cdf_at(grid[None], cdf[None], x)[0] == pytest.approx(PchipInterpolator(grid, cdf)(x), abs=1e-11)


@settings(max_examples=200, deadline=None)
@given(tables(), st.floats(0.001, 0.999))
def test_quantiles_invert_it(table, p):
    grid, cdf = table
    x = quantile(grid[None], cdf[None], p)
    # Beyond the grid's ends a distribution function is 0 and 1; inside, the inverse is exact to rounding.
    assert cdf_at(grid[None], cdf[None], float(x[0]))[0] == pytest.approx(p, abs=1e-9)


def test_what_is_known_for_certain_has_a_grid_without_width():
    grid, cdf = np.full((3, 5), 40.0), np.tile(np.linspace(0.0, 1.0, 5), (3, 1))
    assert cdf_at(grid, cdf, np.array([39.9, 40.0, 40.1])).tolist() == [0.0, 1.0, 1.0]
    assert quantile(grid, cdf, 0.05).tolist() == [40.0, 40.0, 40.0]


def test_outside_the_grid():
    grid, cdf = np.array([[0.0, 1.0, 2.0]]), np.array([[0.001, 0.5, 0.999]])
    assert cdf_at(grid, cdf, -0.1).tolist() == [0.0]
    assert cdf_at(grid, cdf, 2.1).tolist() == [1.0]
    assert cdf_at(grid, cdf, 0.0)[0] == pytest.approx(0.001)
    assert quantile(grid, cdf, 0.0005)[0] == pytest.approx(0.0)
    assert quantile(grid, cdf, 0.9995)[0] == pytest.approx(2.0)


def test_normal_distributions_of_many_therapists():
    mean, sd = np.array([40.0, 50.0, 61.5]), np.array([3.0, 0.5, 8.0])
    grid = mean[:, None] + sd[:, None] * np.linspace(-6.5, 6.5, 41)
    cdf = norm.cdf(grid, mean[:, None], sd[:, None])
    # 41 points a third of an SD apart: monotone cubics are good to a few thousandths of an SD.
    for p in (0.05, 0.25, 0.5, 0.95):
        np.testing.assert_allclose(quantile(grid, cdf, p), norm.ppf(p, mean, sd), atol=0.005 * 8)
    np.testing.assert_allclose(cdf_at(grid, cdf, 45.0), norm.cdf(45.0, mean, sd), atol=0.002)
