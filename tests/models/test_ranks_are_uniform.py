"""Simulation-based calibration of engine "fast" (Talts et al. 2018): truths from the priors, data from them.

The probability that the posterior gives to values below the truth is then uniform, for every quantity. Prior,
model and data are plain NumPy here. Truths from such wide priors make extreme data, so that this is a test of
robustness as well. Two thousand networks are a study: `ter study calibration --replicates 2000`.
"""

import numpy as np
import pytest
from networks import grouping
from scipy.special import expit
from scipy.stats import chisquare, kstest

from ter.features.design import Design
from ter.models.fast import fit_fast
from ter.models.layout import arrange

NETWORKS = 200
#: Of the first round: ranks need no rating to a hundredth of a point.
DRAWS = 256
THERAPISTS, SERVICES, COLUMNS = 40, 4, 2
BINS = 20


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


def share_inside(posterior, u, fixed):
    """Shares of all therapists whose effect and whose TER lie in their 90% intervals."""

    def inside(truth, grid, cdf):
        p = [np.interp(*one) for one in zip(truth, grid, cdf, strict=True)]
        return np.mean(np.abs(np.array(p) - 0.5) < 0.45)

    ter = np.array([100 * expit(fixed + one).mean() for one in u])
    return inside(u, posterior.u_grid, posterior.u_cdf), inside(ter, posterior.ter_grid, posterior.ter_cdf)


@pytest.mark.slow
def test_posterior_probabilities_of_the_truth_are_uniform():
    rng = np.random.default_rng(1)
    found, inside, recovered = [], [], []
    for seed in range(NETWORKS):
        design, *truth = draw(rng)
        result = fit_fast(arrange(design, design.therapist, design.service), 11, seed, DRAWS, precise=False)
        assert np.isfinite(result.posterior.ter_mean).all()
        found.append(at_truth(result.posterior, *truth, unit=seed % THERAPISTS))
        _, _, u, _, fixed = truth
        inside.append(share_inside(result.posterior, u, fixed))
        n = np.bincount(design.therapist.index, minlength=THERAPISTS)
        recovered.append((n @ result.posterior.predicted_mean, design.successes.sum()))
    # Bonferroni over quantities and the two tests, at 1% in all.
    level = 0.01 / (2 * len(found[0]))
    for name in found[0]:
        p = np.array([f[name] for f in found])
        counts = np.histogram(p, BINS, (0, 1))[0]
        assert chisquare(counts).pvalue > level, (name, counts)
        assert kstest(p, "uniform").pvalue > level, name
    # All 8,000 effects and TERs. Those of a network go together, so that the standard error (some 0.6 points)
    # is from network to network. Two looks at four of it.
    inside = np.array(inside)
    error = inside.std(axis=0, ddof=1) / np.sqrt(NETWORKS)
    assert (np.abs(inside.mean(axis=0) - 0.9) < 4 * error).all()
    # Predicted recoveries add up to those observed, but for a pull towards the average rate.
    predicted, observed = np.sum(recovered, axis=0)
    assert predicted == pytest.approx(observed, rel=0.005)
