"""Predictors and expected rates of rows, beside plain NumPy and SciPy's adaptive integration."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from ter.features.design import Grouping
from ter.models import rates


@pytest.fixture(params=[100_000, 7])
def size_of_parts(monkeypatch, request):
    monkeypatch.setattr(rates, "ROWS_A_PART", request.param)


def test_predictors(size_of_parts):
    rng = np.random.default_rng(3)
    X, beta, effect = rng.normal(size=(40, 3)), rng.normal(size=3), rng.normal(size=5)
    group = Grouping("service", "s", tuple("abcde"), rng.integers(0, 5, 40))
    # Rounding of a sum of four.
    np.testing.assert_allclose(
        rates.predictors(X, beta, [(group, effect)]), X @ beta + effect[group.index], atol=1e-14
    )
    assert rates.largest_predictor(X, beta) == pytest.approx(np.abs(X @ beta).max(), rel=1e-14)


@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_marginal_rates(size_of_parts, sigma):
    eta = np.linspace(-6.0, 5.0, 23)
    exact = [
        quad(lambda u, e=e: expit(e + u) * norm.pdf(u, scale=sigma), -9 * sigma, 9 * sigma, epsabs=1e-12)[0]
        for e in eta
    ]
    # The table's own error, cubic between points an eighth apart.
    np.testing.assert_allclose(rates.marginal_rates(eta, sigma), exact, atol=1e-6)
