"""Fitting. Beside a pass that no fit can do without, and beside a peer that does less."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

import ter
from benchmarks.answers import integrated_log_likelihood, laplace_log_likelihood, steepest
from benchmarks.problems import SERVICE_SD, THERAPIST_SD, FloatArray, Network
from benchmarks.side_by_side import Yardstick
from ter.models import Fit
from ter.ratings import Ratings


def normal_matrix(network: Network) -> Yardstick:
    """One X'WX in NumPy: what a single Newton step of a plain logistic regression costs at the least."""
    X, w = network.X, np.random.default_rng(0).random(network.y.size)
    return Yardstick("X'WX (numpy)", lambda: X.T @ (w[:, None] * X), repeats=10)


def pooled(network: Network) -> Yardstick:
    """The peer: a pooled logistic regression. Another, smaller model, without therapists or services."""

    def run() -> None:
        family = sm.families.Binomial()
        assert sm.GLM(network.y, network.X, family=family).fit().converged

    return Yardstick("pooled logistic (statsmodels)", run)


def estimates(fit: Fit) -> tuple[FloatArray, FloatArray]:
    """Estimates and standard errors of (beta, log sd), on the scale of the columns."""
    sd = fit.groups["sd"].to_numpy()
    log_sd_se = np.log(fit.groups["q95"] / fit.groups["sd"]).to_numpy() / 1.645
    return (
        np.concatenate([fit.fixed["estimate"], np.log(sd)]),
        np.concatenate([fit.fixed["se"], log_sd_se]),
    )


def test_ml_laplace(beside, network: Network):
    fit = beside(
        lambda: ter.fit(network.table, case_mix=network.case_mix, outcome="y", engine="ml", nodes=1),
        normal_matrix(network),
        pooled(network),
        rounds=5,
    )

    def value(x: FloatArray) -> float:
        return laplace_log_likelihood(network, x[:-2], np.exp(x[-2:]))

    x, se = estimates(fit)
    # Both evaluate the same function, and rounding in sums of so many terms is far below this.
    assert fit.log_likelihood == pytest.approx(value(x), abs=1e-7)
    # What differences over a tenth of a standard error leave: the likelihood's skewness / 600.
    assert steepest(value, x, se) < 3e-3


@pytest.mark.parametrize("nodes", [9, 25])
def test_ml_quadrature(beside, network: Network, nodes: int):
    fit = beside(
        lambda: ter.fit(
            network.table, case_mix=network.case_mix, outcome="y", service=None, engine="ml", nodes=nodes
        ),
        normal_matrix(network),
        pooled(network),
        rounds=5,
    )

    def value(x: FloatArray) -> float:
        return integrated_log_likelihood(network, x[:-1], np.exp(x[-1]))

    x, se = estimates(fit)
    # What nine nodes leave of the therapists' integrals (2e-9 of 10,000 patients); 25 leave nothing.
    assert fit.log_likelihood == pytest.approx(value(x), abs=1e-6)
    assert steepest(value, x, se) < 3e-3


def test_posterior_and_ratings(beside, network: Network):
    def work() -> tuple[Fit, Ratings]:
        fit = ter.fit(network.table, case_mix=network.case_mix, outcome="y", engine="fast")
        return fit, ter.rate(fit, minimum=45.0)

    fit, ratings = beside(work, normal_matrix(network), pooled(network), rounds=3)
    assert fit.record.converged
    assert ratings.to_frame()["ter"].notna().sum() == (fit.units.n_completed >= 10).sum()
    # Of so many intervals of the effects, 90% hold the truth, within four standard errors of a share.
    effects = fit.effects("therapist")
    held = ((effects["q05"] < network.u) & (network.u < effects["q95"])).mean()
    assert held == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / network.u.size))
    # The truth lies within the largest of 21 normal deviations that one in ten thousand runs would exceed.
    assert (np.abs(network.beta - fit.fixed["mean"]) / fit.fixed["sd"]).max() < 4.6
    # The same of the two SDs, whose posteriors are skewed: the spread is read off the 90% interval.
    spread = (fit.groups["q95"] - fit.groups["q05"]) / 3.29
    assert (np.abs(fit.groups["sd"] - np.array([THERAPIST_SD, SERVICE_SD])) / spread).max() < 4.0
