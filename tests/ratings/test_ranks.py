import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ter.models.posterior import Posterior
from ter.ratings.ranks import summarise_ranks


def _brute_force(draws, quantiles):
    J, M = draws.shape
    ranks = np.empty((J, M))
    for m in range(M):
        for j in range(J):
            above = sum(draws[k, m] > draws[j, m] for k in range(J))
            level = sum(draws[k, m] == draws[j, m] for k in range(J))
            ranks[j, m] = above + (level + 1) / 2
    ordered = np.sort(ranks, axis=1)
    # The smallest rank that at least a share p of the draws do not exceed.
    low, high = (ordered[:, int(np.ceil(p * M - 1e-12)) - 1] for p in quantiles)
    best = -(-J // 4)
    return ranks.mean(axis=1), low, high, (ranks <= best).mean(axis=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 140), st.booleans())
def test_ranks_by_brute_force(seed, J, M, ties):
    rng = np.random.default_rng(seed)
    draws = (rng.integers(-2, 3, (J, M)) if ties else rng.normal(size=(J, M))).astype(np.float32)
    ranks = summarise_ranks(draws, (0.05, 0.95))
    expected, low, high, top = _brute_force(draws, (0.05, 0.95))
    np.testing.assert_allclose(ranks.expected, expected, rtol=1e-6)
    assert (ranks.low == low).all()
    assert (ranks.high == high).all()
    np.testing.assert_allclose(ranks.top_quartile, top, rtol=1e-12)
    np.testing.assert_allclose(ranks.percentile, 100 * (1 - (expected - 0.5) / J), rtol=1e-6)


def test_independent_normals_have_the_expected_ranks_of_the_closed_form():
    # E rank_j = 1 + sum over k of P(u_k > u_j), for normals Phi((m_k - m_j) / sqrt(s_k^2 + s_j^2)).
    from scipy.stats import norm

    rng = np.random.default_rng(4)
    mean, sd = rng.normal(0, 0.4, 70), rng.uniform(0.1, 0.4, 70)
    draws = (mean[:, None] + sd[:, None] * rng.normal(size=(70, 4000))).astype(np.float32)
    beats = norm.cdf((mean[:, None] - mean) / np.hypot(sd[:, None], sd))
    np.fill_diagonal(beats, 0.0)
    expected = 1 + beats.sum(axis=0)
    ranks = summarise_ranks(draws, (0.05, 0.95))
    # SD of a rank is at most 35 / sqrt(3) = 20, its mean over 4,000 draws at most .32; four of these.
    np.testing.assert_allclose(ranks.expected, expected, atol=1.3)
    assert ranks.expected.mean() == pytest.approx(35.5)


@pytest.mark.parametrize("J", [6, 40, 300])
def test_expected_ranks_of_a_weighted_posterior(J):
    """From joint draws of a posterior, against a million enumerated pairs: the ranks that `rate` shows."""
    from scipy.special import ndtr

    rng = np.random.default_rng(J)
    D = 64
    weights = rng.dirichlet(np.full(D, 3.0))
    mean = (rng.normal(0, 0.4, (J, 1)) + rng.normal(0, 0.1, D)).astype(np.float32)
    mean += rng.normal(0, 0.05, (J, D)).astype(np.float32)
    sd = (rng.uniform(0.1, 0.4, (J, 1)) * rng.uniform(0.8, 1.2, D)).astype(np.float32)
    fields = dict.fromkeys((f.name for f in dataclasses.fields(Posterior)), np.empty(0))
    posterior = Posterior(
        **{
            **fields, "weights": weights, "given_mean": mean, "given_sd": sd, "seed": 1,
            "slope": None, "f": None, "given_skewness": np.zeros((J, D), np.float32), "units": np.arange(J),
        }
    )  # fmt: skip
    expected = np.ones(J)
    for d in range(D):
        beats = ndtr((mean[:, d, None] - mean[:, d]) / np.hypot(sd[:, d, None], sd[:, d]))
        expected += weights[d] * (beats.sum(axis=0) - 0.5)
    ranks = summarise_ranks(posterior.u_draws, (0.05, 0.95))
    # Four standard errors of 4,096 independent draws of an even rank.
    np.testing.assert_allclose(ranks.expected, expected, atol=4 * J / np.sqrt(12) / 64)
    # Latin hypercubes leave far less on average: half of what independent draws do.
    spread = posterior.u_draws.argsort(axis=0)[::-1].argsort(axis=0).std(axis=1)
    error = np.sqrt(np.mean((ranks.expected - expected) ** 2))
    assert error < 0.7 * np.sqrt(np.mean(spread**2) / posterior.u_draws.shape[1])


def test_certain_ranks():
    draws = np.array([[3.0], [1.0], [2.0], [0.0]], dtype=np.float32).repeat(10, axis=1)
    ranks = summarise_ranks(draws, (0.05, 0.95))
    assert ranks.expected.tolist() == [1, 3, 2, 4]
    assert ranks.low.tolist() == ranks.high.tolist() == [1, 3, 2, 4]
    assert ranks.percentile.tolist() == [87.5, 37.5, 62.5, 12.5]
    assert ranks.top_quartile.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(("J", "best"), [(1, 1), (2, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_the_top_quartile_is_never_empty(J, best):
    draws = np.random.default_rng(J).normal(size=(J, 200)).astype(np.float32)
    # Without ties, exactly so many are in it in each draw.
    assert summarise_ranks(draws, (0.05, 0.95)).top_quartile.sum() == pytest.approx(best)


def test_nobody():
    ranks = summarise_ranks(np.empty((0, 50), dtype=np.float32), (0.05, 0.95))
    assert ranks.expected.shape == ranks.low.shape == (0,)
