import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from ter.ratings.variance import (
    icc_latent,
    icc_probability,
    interval_odds_ratio,
    median_odds_ratio,
    recovery_gap,
)


def test_the_latent_icc_by_hand():
    assert icc_latent(np.array([0.173148])) == pytest.approx(0.05, abs=1e-6)
    assert icc_latent(np.array([1.0]), 0.5)[0] == pytest.approx(1 / (1.5 + np.pi**2 / 3))


@pytest.mark.parametrize(("sd", "eta"), [(0.2, 0.0), (0.6, -1.0), (1.5, 2.0)])
def test_the_icc_of_probabilities_by_integration(sd, eta):
    def mean(power):
        return quad(
            lambda u: expit(eta + u) ** power * norm.pdf(u, scale=sd), -12 * sd, 12 * sd, epsabs=1e-12
        )[0]

    m, s = mean(1), mean(2)
    assert icc_probability(np.array([sd]), eta)[0] == pytest.approx((s - m**2) / (m - m**2), rel=1e-8)


def test_two_patients_of_a_therapist_correlate_by_the_icc():
    rng = np.random.default_rng(1)
    p = expit(0.3 + rng.normal(0, 0.7, 400_000))
    first, second = rng.random(p.size) < p, rng.random(p.size) < p
    # A correlation over 400,000 pairs has a standard error of .0016.
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(
        icc_probability(np.array([0.7]), 0.3)[0], abs=0.006
    )


def test_the_median_odds_ratio_by_simulation():
    rng = np.random.default_rng(2)
    pairs = rng.normal(0, 0.5, (400_000, 2))
    ratio = np.exp(np.abs(pairs[:, 0] - pairs[:, 1]))
    assert median_odds_ratio(np.array([0.5]))[0] == pytest.approx(np.median(ratio), rel=0.005)
    # Larsen and Merlo's constant: exp(0.95 times the SD).
    assert np.log(median_odds_ratio(np.array([1.0]))[0]) == pytest.approx(0.9539, abs=1e-4)


def test_the_median_odds_ratio_is_that_of_the_fit():
    from ter.models.result import MEDIAN_ODDS

    assert median_odds_ratio(np.array([0.42]))[0] == pytest.approx(np.exp(MEDIAN_ODDS * 0.42), rel=1e-14)


def test_the_interval_odds_ratio_by_simulation():
    rng = np.random.default_rng(3)
    u = rng.normal(0, 0.4, (400_000, 2))
    ratio = np.exp(0.3 + u[:, 0] - u[:, 1])
    low, high = interval_odds_ratio(0.3, 0.4)
    assert (low, high) == pytest.approx(tuple(np.quantile(ratio, [0.1, 0.9])), rel=0.01)


def test_the_gap_by_the_sum_over_patients():
    rng = np.random.default_rng(4)
    eta, weight = rng.normal(0.1, 1.0, 500), rng.integers(1, 4, 500).astype(float)
    sd = np.array([0.0, 0.4, 0.9])
    expected = [
        100
        * np.average(
            expit(eta + 1.2815515655446004 * s) - expit(eta - 1.2815515655446004 * s), weights=weight
        )
        for s in sd
    ]
    # The table of log-odds has steps of 1/64, which cost each of the two rates less than
    # 3e-6: .0006 points.
    np.testing.assert_allclose(recovery_gap(eta, weight, sd), expected, atol=6e-4)
