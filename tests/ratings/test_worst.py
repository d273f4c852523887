import numpy as np
import pytest
from scipy.stats import norm

from ter.ratings.worst import expected_extremes, extreme_quantile, marginal_z, p_below_worst, worse_than_worst


@pytest.mark.parametrize(
    ("n", "expected"),
    # Harter (1961), table 1: the expected value of the largest of n standard normals.
    [(2, 0.56419), (5, 1.16296), (10, 1.53875), (20, 1.86748), (50, 2.24907), (100, 2.50759)],
)
def test_expected_extremes_are_those_of_the_tables(n, expected):
    assert expected_extremes(n, 1.0) == pytest.approx(expected, abs=5e-6)
    assert expected_extremes(n, 0.4) == pytest.approx(0.4 * expected, abs=5e-6)


def test_one_therapist_is_neither_best_nor_worst():
    assert expected_extremes(1, 0.5) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n", [1, 30, 300])
def test_quantiles_of_the_extreme(n):
    for p in (0.05, 0.5, 0.95):
        # P(max <= q) = Phi(q / sd)^n.
        assert norm.cdf(extreme_quantile(n, p, 0.4), scale=0.4) ** n == pytest.approx(p, rel=1e-10)


def test_the_worst_of_so_many_by_simulation():
    rng = np.random.default_rng(3)
    worst = rng.normal(size=(40_000, 60)).min(axis=1)
    for z in (-1.0, -2.5, -3.5):
        # Standard error of a share over 40,000 networks: at most .0025; four of these.
        assert worse_than_worst(np.array([z]), 60)[0] == pytest.approx((worst <= z).mean(), abs=0.01)
    # Far out it is J times the tail.
    assert worse_than_worst(np.array([-8.0]), 60)[0] == pytest.approx(60 * norm.cdf(-8), rel=1e-9)


def test_estimates_of_a_normal_network_have_standard_scores():
    # Therapists with different caseloads: shrunk means, divided by sd sqrt(reliability), are all N(0, 1), so
    # that the worst of them is as low as it should be in the share of networks that it should.
    rng = np.random.default_rng(11)
    sd, J = 0.4, 80
    se = rng.uniform(0.2, 0.9, J)
    reliability = sd**2 / (sd**2 + se**2)
    u = rng.normal(0, sd, (4000, J))
    effect = reliability * (u + rng.normal(0, se, (4000, J)))
    z = marginal_z(effect, np.broadcast_to(reliability, effect.shape), sd)
    # 320,000 scores; each share over 4,000 networks has a standard error of at most .008.
    assert z.std() == pytest.approx(1, abs=0.01)
    p = worse_than_worst(z.min(axis=1), J)
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=0.032)


def test_the_true_effect_against_new_therapists_by_simulation():
    # Effect and standard deviation hang together over two draws of the parameters.
    rng = np.random.default_rng(13)
    mean = np.array([[-1.0, -1.4], [-0.6, -0.6], [0.1, 0.2]])
    spread = np.array([[0.15, 0.25], [0.3, 0.35], [0.2, 0.2]])
    sd, weights = np.array([0.3, 0.5]), np.array([0.25, 0.75])
    got = p_below_worst(mean.astype(np.float32), spread.astype(np.float32), sd, weights, 40)
    d = rng.choice(2, 40_000, p=weights)
    lowest = rng.normal(size=(40_000, 40)).min(axis=1) * sd[d]
    for j in range(3):
        u = rng.normal(mean[j, d], spread[j, d])
        # A share over 40,000 has a standard error of at most .0025; four of these.
        assert got[j] == pytest.approx((u < lowest).mean(), abs=0.01)


@pytest.mark.parametrize("n", [1, 30, 300, 10_000])
@pytest.mark.parametrize(("mean", "spread", "sd"), [(-1.0, 0.3, 0.42), (-0.4, 0.25, 0.42), (-2.0, 0.5, 0.6)])
def test_the_true_effect_by_integration(n, mean, spread, sd):
    from scipy.integrate import quad

    def below(u):
        return norm.sf(u / sd) ** n * norm.pdf(u, mean, spread)

    exact = quad(below, mean - 9 * spread, mean + 9 * spread, epsabs=1e-10, limit=200)[0]
    got = p_below_worst(np.array([[mean]]), np.array([[spread]]), np.array([sd]), np.ones(1), n)
    # Fifteen nodes for an integrand that falls within a fraction of the SD of u.
    assert got[0] == pytest.approx(exact, abs=2e-3)


def test_without_patients_there_is_no_score():
    z = marginal_z(np.array([0.0, 0.2]), np.array([0.0, 0.25]), 0.4)
    assert np.isnan(z[0])
    assert z[1] == pytest.approx(1.0)
