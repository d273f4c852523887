"""Simulation-based calibration of engine "fast" (Talts et al. 2018): truths from the priors, data from them.

The probability that the posterior gives to values below the truth is then uniform, for every quantity. Prior,
model and data are plain NumPy here. Truths from such wide priors make extreme data, so that this is a test of
robustness as well.
"""

import numpy as np
import pytest
from networks import grouping
from scipy.special import expit
from scipy.stats import chisquare, kstest

from ter.features.design import Design
from ter.models.fast import fit_fast
from ter.models.layout import arrange

NETWORKS = 60
THERAPISTS, SERVICES, COLUMNS = 40, 4, 2
BINS = 10


def draw(rng):
    """Truth and data: (design, truths by name, fixed part of the linear predictor)."""
    counts = rng.integers(3, 31, THERAPISTS)
    therapist = np.repeat(np.arange(THERAPISTS), counts)
    N = therapist.size
    service = rng.integers(0, SERVICES, N)
    X = np.column_stack([np.ones(N), rng.standard_normal(N), rng.integers(0, 2, N)])
    beta = rng.normal(0, 2.5, COLUMNS + 1)
    sd = np.abs(rng.standard_normal(2))
    u, v = sd[0] * rng.standard_normal(THERAPISTS), sd[1] * rng.standard_normal(SERVICES)
    fixed = X @ beta + v[service]
    y = (rng.random(N) < expit(fixed + u[therapist])).astype(float)
    design = Design(
        X=X, columns=("intercept", "x0", "x1"), centre=np.zeros(3), scale=np.ones(3),
        successes=y, trials=np.ones(N),
        therapist=grouping("therapist", therapist, THERAPISTS),
        service=grouping("service", service, SERVICES),
        rows=np.arange(N), n_rows=N, left_out=(),
    )  # fmt: skip
    return design, beta, sd, u, v, fixed


def at_truth(posterior, beta, sd, u, v, fixed, unit):
    """Posterior probability below the truth, by quantity."""

    def below(draws, truth):
        return float(posterior.weights @ (draws < truth))

    out = {f"beta {k}": below(posterior.beta[:, k], beta[k]) for k in range(beta.size)}
    out |= {f"sd {k}": below(posterior.sd[:, k], sd[k]) for k in range(2)}
    out["v"] = below(posterior.v[:, 0], v[0])
    out["u"] = float(np.interp(u[unit], posterior.u_grid[unit], posterior.u_cdf[unit]))
    ter = 100 * expit(fixed + u[unit]).mean()
    out["ter"] = float(np.interp(ter, posterior.ter_grid[unit], posterior.ter_cdf[unit]))
    return out


@pytest.mark.slow
def test_posterior_probabilities_of_the_truth_are_uniform():
    rng = np.random.default_rng(1)
    found = []
    for seed in range(NETWORKS):
        design, *truth = draw(rng)
        result = fit_fast(arrange(design, design.therapist, design.service), 11, seed)
        assert np.isfinite(result.posterior.ter_mean).all()
        found.append(at_truth(result.posterior, *truth, unit=seed % THERAPISTS))
    # Bonferroni over quantities and the two tests, at 1% in all.
    level = 0.01 / (2 * len(found[0]))
    for name in found[0]:
        p = np.array([f[name] for f in found])
        counts = np.histogram(p, BINS, (0, 1))[0]
        assert chisquare(counts).pvalue > level, (name, counts)
        assert kstest(p, "uniform").pvalue > level, name
