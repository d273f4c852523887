"""The natural spline: its space is that of patsy's `cr`; its shape is that of its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patsy import dmatrix

from ter.features.spline_basis import natural_spline, quantile_knots

LIVELY = [
    np.array([0.0, 1.0, 2.0, 3.0, 4.0]),
    np.array([-3.0, -2.9, 0.0, 10.0]),
    np.array([1.0, 5, 6, 7, 7.5, 40, 90]),
]


def _with_constant(x, knots):
    return np.column_stack([np.ones(len(x)), natural_spline(x, knots)])


def _left_over(columns, basis):
    """Largest part of columns outside the span of a basis, as a share of their size."""
    fitted = basis @ np.linalg.lstsq(basis, columns, rcond=None)[0]
    return np.abs(columns - fitted).max() / np.abs(columns).max()


@pytest.mark.parametrize("knots", LIVELY)
def test_spans_the_space_of_patsys_natural_cubic_splines(knots):
    # Inside and beyond the knots; 1e-10 is rounding in the least squares (condition below 1e4).
    span = knots[-1] - knots[0]
    x = np.linspace(knots[0] - 0.2 * span, knots[-1] + 0.2 * span, 400)
    ours = _with_constant(x, knots)
    theirs = np.asarray(
        dmatrix(
            "cr(x, knots=inner, lower_bound=low, upper_bound=high) - 1",
            {"x": x, "inner": knots[1:-1], "low": knots[0], "high": knots[-1]},
        )
    )
    assert ours.shape == theirs.shape == (400, len(knots))
    assert _left_over(ours, theirs) < 1e-10
    assert _left_over(theirs, ours) < 1e-10


@pytest.mark.parametrize("knots", LIVELY)
def test_is_a_straight_line_beyond_the_outer_knots_and_smooth_at_them(knots):
    h = 1e-3
    for edge, outward in ((knots[0], -1.0), (knots[-1], 1.0)):
        outside = natural_spline(edge + outward * np.array([0.0, 1.0, 2.0, 3.0]), knots)
        assert np.abs(np.diff(outside, n=2, axis=0)).max() < 1e-9 * (1 + np.abs(outside).max())
        across = natural_spline(edge + h * np.array([-1.0, 0.0, 1.0]), knots)
        # The second derivative vanishes at the knot, so the second difference is of third order in h.
        scale = np.abs(natural_spline(np.linspace(*knots[[0, -1]], 50), knots)).max()
        narrowest = np.diff(knots).min()
        assert np.abs(np.diff(across, n=2, axis=0)).max() < 20 * scale * (h / narrowest) ** 3


def test_is_zero_at_the_first_knot():
    for knots in LIVELY:
        assert np.abs(natural_spline(knots[:1], knots)).max() == 0.0


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=4, max_size=9, unique=True),
    st.floats(-5, 5),
    st.floats(-5, 5),
)
def test_reproduces_every_straight_line(places, a, b):
    # A line is a natural spline, whatever the knots: the oracle needs no other program.
    knots = np.array(sorted(places), dtype=float)
    x = np.linspace(knots[0] - 10, knots[-1] + 10, 60)
    line = a + b * x
    basis = _with_constant(x, knots)
    fitted = basis @ np.linalg.lstsq(basis, line, rcond=None)[0]
    # Up to 1000 in size and some conditioning: rounding stays far below 1e-6.
    assert np.abs(fitted - line).max() < 1e-6


@pytest.mark.parametrize("df", [3, 4, 6])
@pytest.mark.parametrize("draw", ["normal", "lognormal", "scores"])
def test_is_well_conditioned_where_the_knots_are_quantiles(df, draw):
    rng = np.random.default_rng(5)
    x = {
        "normal": rng.normal(40, 14, 4000),
        "lognormal": rng.lognormal(0.0, 2.0, 4000),
        "scores": np.clip(rng.normal(16, 5, 4000).round(), 0, 27),
    }[draw]
    columns = natural_spline(x, quantile_knots(x, df))
    standardised = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    # The usual basis (R's ns) reaches 20 here; a truncated power basis, 1e3 and more.
    assert np.linalg.cond(standardised) < 25


def test_knots_are_the_quantiles():
    assert quantile_knots(np.arange(101.0), 4).tolist() == [0, 25, 50, 75, 100]
