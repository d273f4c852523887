"""The grid over the SDs, and draws from it."""

import numpy as np
import pytest
from networks import network
from scipy.interpolate import CubicSpline, RectBivariateSpline
from scipy.stats import halfnorm

from ter.models.explore import explore
from ter.models.grid import ConditionalPosterior, fine_cells, spline_weights
from ter.models.layout import arrange
from ter.models.priors import Priors
from ter.models.proposal import Shape, draw, draw_sds
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
