"""Joint draws of the effects, and what they are made of."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtri
from scipy.stats import norm, rankdata

from ter.kernels.effects import effect_at, joint_effects, normal_quantile, rank_draws, stratum
from ter.kernels.elementary import logarithms
from ter.kernels.lanes import conditional_cdf, skew_shape


def test_logarithms():
    x = np.concatenate([np.geomspace(1e-300, 1e300, 4001), 1.0 + np.linspace(-0.4, 0.5, 1001)])
    out = np.empty_like(x)
    logarithms(x, out, np.empty(x.size))
    # The last bits of a number of up to 700, and of numbers next to zero.
    np.testing.assert_allclose(out, np.log(x), rtol=3e-16, atol=3e-16)


def test_normal_quantiles():
    p = np.concatenate(
        [np.geomspace(1e-12, 0.02, 50), np.linspace(0.02, 0.98, 97), 1 - np.geomspace(1e-9, 0.02, 9)]
    )
    # What Acklam states of his approximation.
    np.testing.assert_allclose([normal_quantile(q) for q in p], ndtri(p), rtol=1.2e-9, atol=1e-14)


@pytest.mark.parametrize("skewness", [-0.9, -0.2, 0.0, 0.4, 0.9])
def test_effects_have_the_distribution_that_they_are_said_to_have(skewness):
    z = np.linspace(-5, 5, 101)
    back = [norm.cdf(z_) for z_ in z]
    shape = skew_shape(skewness)
    np.testing.assert_allclose(
        [conditional_cdf(effect_at(z_, skewness, *shape), skewness) for z_ in z], back, atol=1e-7
    )
    assert (np.diff([effect_at(z_, skewness, *shape) for z_ in z]) > 0).all()
    # It has the moments that it is named after.
    for k, moment in ((1, 0.0), (2, 1.0), (3, skewness)):
        found = quad(lambda z_, k=k: effect_at(z_, skewness, *shape) ** k * norm.pdf(z_), -9, 9)[0]
        assert found == pytest.approx(moment, abs=1e-7)


@pytest.mark.parametrize(
    ("n", "successes", "sigma", "closest"), [(1, 1, 1.0, 1.5e-3), (8, 8, 1.0, 2e-3), (20, 20, 2.0, 4e-3)]
)
def test_it_is_near_what_patients_say_of_an_effect(n, successes, sigma, closest):
    # The density of u after n patients of whom so many recovered, by brute force. All of twenty, with effects
    # as wide as 2, is about the most skewed that there is (0.55); a normal density would be off by 0.03.
    # Ranks, which come from such draws, need probabilities to 0.01.
    u = np.linspace(-12 * sigma, 12 * sigma, 200_001)
    log_density = successes * u - n * np.logaddexp(0, u) - 0.5 * (u / sigma) ** 2
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    mean = density @ u
    sd = np.sqrt(density @ (u - mean) ** 2)
    skewness = density @ ((u - mean) / sd) ** 3
    exact = np.cumsum(density) - 0.5 * density
    z = np.linspace(-3, 4, 57)
    found = [conditional_cdf(x, skewness) for x in z]
    np.testing.assert_allclose(found, np.interp(mean + sd * z, u, exact), atol=closest)


@pytest.mark.parametrize("log2", [1, 2, 5, 10, 12])
def test_strata_are_permutations(log2):
    seen = set()
    for key in (1, 2**63 + 12345, 987654321987654321):
        order = [int(stratum(np.uint64(m), np.uint64(key), log2)) for m in range(2**log2)]
        assert sorted(order) == list(range(2**log2))
        seen.add(tuple(order))
    if log2 > 4:
        assert len(seen) == 3


def test_orders_of_two_therapists_are_independent():
    J, M = 40, 1024
    draws = np.empty((J, M), np.float32)
    zeros, ones = np.zeros((J, 1), np.float32), np.ones((J, 1), np.float32)
    joint_effects(0, J, np.arange(J), np.zeros(M, np.int64), np.uint64(1), zeros, ones, zeros, draws)
    # Latin hypercube: every one of 1,024 equal strata once.
    strata = np.floor(norm.cdf(np.sort(draws.astype(float), axis=1)) * M - 1e-3)
    assert (np.abs(strata - np.arange(M)) <= 1).all()
    # 780 correlations of independent orders, of standard error 1 / 32 each.
    r = np.corrcoef(draws)[np.triu_indices(J, 1)]
    assert np.abs(r).max() < 4.5 / np.sqrt(M)
    assert r.std() == pytest.approx(1 / np.sqrt(M), rel=0.1)
    # And of what a rank depends on: who is ahead, in pairs of pairs.
    ahead = (draws[:-1] > draws[1:]).astype(float)
    pairs = np.corrcoef(ahead[::2])[np.triu_indices(20, 1)]
    assert np.abs(pairs).max() < 4.5 / np.sqrt(M)


@pytest.mark.parametrize("ties", [False, True])
def test_ranks_are_scipys(ties):
    rng = np.random.default_rng(3)
    draws = (rng.integers(0, 5, (30, 50)) if ties else rng.standard_normal((30, 50))).astype(np.float32)
    ranks = np.empty_like(draws)
    rank_draws(0, 50, draws, ranks)
    np.testing.assert_array_equal(ranks, rankdata(-draws, axis=0))
