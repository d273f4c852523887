"""Reference distributions on the boundary, against projections onto the cone and enumerated outcomes."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, chi2

from ter.models.boundary import EVEN, SLOPE, block_information, block_mixture


def test_even_mixtures():
    assert EVEN.p_value(0.0) == 1.0
    # 2.7055 is the 90% point of chi-squared on one degree of freedom: half of the remaining tenth.
    assert EVEN.p_value(2.705543454095404) == pytest.approx(0.05, rel=1e-9)
    # Stram and Lee (1994): half on one degree of freedom, half on two.
    assert SLOPE.p_value(5.14) == pytest.approx(0.5 * chi2.sf(5.14, 1) + 0.5 * np.exp(-2.57), rel=1e-9)
    assert str(EVEN) == "even mixture of 0 and chi-squared on 1 df"
    assert str(SLOPE) == "even mixture of chi-squared on 1 and 2 df"


def test_a_circular_cone():
    # With the metric of tr(A^2) the definite matrices are a circular cone of half-angle 45 degrees: a cap of
    # it is (1 - cos 45) / 2 of the sphere, and it is its own polar cone.
    mixture = block_mixture(np.diag([1.0, 2.0, 1.0]))
    cap = (1.0 - np.sqrt(0.5)) / 2.0
    np.testing.assert_allclose(mixture.weights, [cap, 0.5 - cap, 0.5 - cap, cap], rtol=1e-12)
    assert "weights 0.15, 0.35, 0.35, 0.15" in str(mixture)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mixture_against_projections(seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((3, 5))
    information = root @ root.T
    x = rng.standard_normal((20_000, 3)) @ np.linalg.cholesky(np.linalg.inv(information)).T
    # Onto the ray of each matrix of rank one, which the boundary consists of; points inside stay.
    a = np.linspace(0.0, np.pi, 721)
    rays = np.column_stack([np.cos(a) ** 2, np.cos(a) * np.sin(a), np.sin(a) ** 2])
    along = np.maximum(x @ information @ rays.T, 0.0) ** 2 / np.sum(rays @ information * rays, axis=1)
    inside = (x[:, 0] > 0.0) & (x[:, 0] * x[:, 2] > x[:, 1] ** 2)
    length = np.where(inside, np.sum(x @ information * x, axis=1), along.max(axis=1))
    mixture = block_mixture(information)
    assert sum(mixture.weights) == pytest.approx(1.0, abs=1e-12)
    for t in (0.1, 1.0, 3.0, 6.0):
        # 20,000 draws: four standard errors are at most 0.014.
        assert mixture.p_value(t) == pytest.approx(np.mean(length >= t), abs=0.014)


def test_information_against_enumerated_outcomes():
    rng = np.random.default_rng(3)
    unit = np.array([0, 0, 0, 1, 1, 1])
    X = np.column_stack([np.ones(6), rng.standard_normal(6)])
    z, trials = rng.standard_normal(6), np.array([1.0, 2.0, 1.0, 3.0, 1.0, 1.0])
    rate = rng.uniform(0.2, 0.9, 6)
    y = np.array(list(product(*(range(int(n) + 1) for n in trials))), float)
    p = binom.pmf(y, trials, rate).prod(axis=1)
    r, w = y - trials * rate, trials * rate * (1 - rate)
    gu, gw = (np.stack([(r * f)[:, unit == j].sum(axis=1) for j in (0, 1)]) for f in (np.ones(6), z))
    uu, uw, ww = (
        np.array([(w * f)[unit == j].sum() for j in (0, 1)])[:, None] for f in (1 + 0 * z, z, z * z)
    )
    # The scores of (var u, cov, var w) at zero, and those of beta.
    scores = [0.5 * (gu**2 - uu).sum(0), (gu * gw - uw).sum(0), 0.5 * (gw**2 - ww).sum(0), *(r @ X).T]
    covariance = (scores * p) @ np.transpose(scores)
    np.testing.assert_allclose(p @ np.transpose(scores), 0.0, atol=1e-12)
    # All outcomes are summed over: exact but for rounding.
    cross = covariance[:3, 3:]
    expected = covariance[:3, :3] - cross @ np.linalg.inv(covariance[3:, 3:]) @ cross.T
    np.testing.assert_allclose(block_information(X, unit, z, trials, rate), expected, rtol=1e-10)
