"""The grid over the SDs, and draws from it."""

import numpy as np
import pytest
from networks import network
from scipy.interpolate import CubicSpline, RectBivariateSpline
from scipy.stats import halfnorm

from ter.models.explore import explore
from ter.models.grid import ConditionalPosterior, fine_cells, spline_weights, unpacked
from ter.models.layout import arrange
from ter.models.priors import Priors
from ter.models.proposal import ProposalDraws, Shape, draw, draw_sds, reshape, skewed
from ter.models.quadrature import QuadratureLikelihood
from ter.models.weighted import mean_and_sd, quantiles


def conditional(**options):
    design, _ = network(7, **options)
    likelihood = QuadratureLikelihood(arrange(design, design.therapist, design.service), 11)
    return ConditionalPosterior(likelihood)


def test_prior_of_the_sds_is_half_normal():
    sd = np.array([[0.1, 0.5], [1.0, 2.0]])
    np.testing.assert_allclose(Priors().log_sd(sd), halfnorm.logpdf(sd).sum(axis=1), rtol=1e-12)


def test_spline_weights_are_scipys_splines():
    rng = np.random.default_rng(1)
    x, y = np.linspace(0, 1, 7), np.linspace(-1, 2, 9)
    f, points = rng.standard_normal((7, 9)), (rng.random(20), 3 * rng.random(20) - 1)
    one = spline_weights((x,), points[:1]) @ f
    np.testing.assert_allclose(one, CubicSpline(x, f)(points[0]), atol=1e-12)
    two = spline_weights((x, y), points) @ f.ravel()
    # The tensor product of two not-a-knot splines, which FITPACK builds with the same end conditions.
    np.testing.assert_allclose(two, RectBivariateSpline(x, y, f).ev(*points), atol=1e-10)


@pytest.mark.parametrize("services", [0, 4])
def test_the_grid_holds_the_posterior_of_the_sds(services):
    posterior = conditional(therapists=30, services=services)
    grid = explore(posterior)
    assert grid.converged
    _, p = fine_cells(grid)
    assert p.sum() == pytest.approx(1.0)
    # What lies beyond the highest SD: a further grid point, by the density itself.
    for k, axis in enumerate(grid.axes):
        sd = np.array(
            [a[np.argmax(p if p.ndim == 1 else p.sum(axis=1 - i)) // 30] for i, a in enumerate(grid.axes)]
        )
        inside = posterior.mode(sd, np.zeros(posterior.likelihood.n_b), 1e-8).log_marginal + Priors().log_sd(
            sd
        )
        sd[k] = axis[-1] + 2 * (axis[1] - axis[0])
        beyond = posterior.mode(sd, np.zeros(posterior.likelihood.n_b), 1e-8).log_marginal + Priors().log_sd(
            sd
        )
        assert beyond < inside - 5
        assert axis[0] < 0.1


def test_draws_of_the_sds_have_the_density_that_they_are_given():
    posterior = conditional(therapists=30, services=4)
    grid = explore(posterior)
    uniforms = np.random.default_rng(0).random((200_000, 2))
    sd, log_density = draw_sds(grid, uniforms)
    # The mean of 1 / q over draws from q is the area of its support: the grid's rectangle.
    area = np.prod([a[-1] - a[0] for a in grid.axes])
    edges, p = fine_cells(grid)
    for k in range(2):
        centres = 0.5 * (edges[k][1:] + edges[k][:-1])
        mean = (p.sum(axis=1 - k) * centres).sum()
        assert sd[:, k].mean() == pytest.approx(mean, abs=5 * sd[:, k].std() / np.sqrt(len(sd)))
    probable = p > 1e-7
    share = probable.mean()
    inside = np.exp(-log_density)[np.exp(log_density) > 1e-7 / (area / p.size)].sum() / len(sd)
    assert inside == pytest.approx(share * area, rel=0.1)


def test_draws_are_repeatable_and_seeded():
    posterior = conditional(therapists=20, services=3)
    grid = explore(posterior)
    a, b, c = (draw(grid, 3, seed, 64, Shape.of_laplace(6)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.b, b.b)
    assert not np.array_equal(a.b, c.b)


@pytest.mark.parametrize("bend", [-0.1, 0.0, 0.03, 0.1])
def test_skewed_numbers_have_the_moments_and_the_density_that_they_are_given(bend):
    z, w = np.polynomial.hermite_e.hermegauss(40)
    w = w / w.sum()
    x, log_slope = skewed(z[:, None], np.array([bend]))
    assert w @ x[:, 0] == pytest.approx(0.0, abs=1e-9)
    assert w @ x[:, 0] ** 2 == pytest.approx(1.0, abs=1e-9)
    # Of a shifted log-normal: 3 bend to first order.
    skewness = np.sign(bend) * (np.exp(bend**2) + 2.0) * np.sqrt(np.expm1(bend**2))
    assert w @ x[:, 0] ** 3 == pytest.approx(skewness, abs=1e-5)
    step = 1e-5
    ahead, behind = (skewed(z[:, None] + h, np.array([bend]))[0] for h in (step, -step))
    np.testing.assert_allclose(np.exp(log_slope), (ahead - behind) / (2 * step), rtol=1e-6)


def test_the_third_order_finds_the_mean_that_laplace_misses():
    # Few recoveries and rare effects: means lie up to a fifth of an SD from the mode.
    posterior = conditional(therapists=15, services=3, caseload=6, intercept=-2.2)
    grid = explore(posterior)
    at = np.unravel_index(int(grid.log_density.argmax()), grid.log_density.shape)
    sd = np.array([axis[k] for axis, k in zip(grid.axes, at, strict=True)])
    B = posterior.likelihood.n_b
    factor = unpacked(grid.factors[grid.place[at]], B)
    # By brute force: importance sampling at these SDs alone.
    z = np.random.default_rng(3).standard_normal((20_000, B))
    b = grid.centre[at] + np.linalg.solve(factor.T, z.T).T
    log_p = np.array(
        [posterior.likelihood.value(x, sd[0]) + posterior.log_prior(x, sd) for x in b * posterior.unit(sd)]
    )
    log_w = log_p + 0.5 * (z**2).sum(axis=1)
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    mean = w @ z
    error = np.sqrt(w**2 @ (z - mean) ** 2)
    found = Shape.third_order(posterior, grid, 1).centre
    far = np.abs(mean) > 6 * error
    assert far.any()
    # What is left are higher orders.
    assert np.linalg.norm(found - mean) < 0.2 * np.linalg.norm(mean)


def test_many_coordinates_that_are_right_stay_as_they_are():
    # With equal weights nothing is wrong: no noise of a thousand means may enter the next proposal.
    rng = np.random.default_rng(0)
    z = rng.standard_normal((256, 1000))
    z[:, 0] += 0.7
    z[:, 1] *= 1.8
    draws = ProposalDraws(np.ones((256, 1)), z, z, np.zeros(256))
    shape = reshape(Shape.of_laplace(1000), draws, np.full(256, 1 / 256))
    assert shape.centre[0] == pytest.approx(0.7, abs=0.2)
    assert shape.scale[1] == pytest.approx(1.8, abs=0.25)
    assert (shape.centre[2:] != 0).sum() <= 2
    assert (shape.scale[2:] != 1).sum() <= 6


def test_weighted_moments_and_quantiles():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5000, 2))
    weights = rng.random(5000)
    weights /= weights.sum()
    mean, sd = mean_and_sd(x, weights)
    np.testing.assert_allclose(mean, np.average(x, weights=weights, axis=0))
    np.testing.assert_allclose(sd, np.sqrt(np.average((x - mean) ** 2, weights=weights, axis=0)))
    low, high = quantiles(x, weights, (0.05, 0.95))
    for q, p in ((low, 0.05), (high, 0.95)):
        below = np.array([weights[x[:, k] < q[k]].sum() for k in range(2)])
        # Half a step of the distribution function on either side.
        np.testing.assert_allclose(below, p, atol=weights.max())
