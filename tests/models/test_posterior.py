"""Engine "fast" against brute force, and against the truth of simulated networks."""

import numpy as np
import pytest
from networks import network
from scipy.special import expit

from ter.models.fast import fit_fast
from ter.models.layout import arrange


def prior_sampling(design, draws=2_000_000, seed=1):
    """Posterior by drawing from the prior and weighting with the likelihood, nothing else."""
    rng = np.random.default_rng(seed)
    P, J = design.X.shape[1], len(design.therapist.levels)
    S = len(design.service.levels) if design.service else 0
    beta = rng.normal(0, 2.5, (draws, P))
    sd = np.abs(rng.standard_normal((draws, 2 if S else 1)))
    u = sd[:, :1] * rng.standard_normal((draws, J))
    v = sd[:, 1:] * rng.standard_normal((draws, S)) if S else np.zeros((draws, 1))
    log_lik = np.zeros(draws)
    ter = np.zeros((draws, J))
    expected = np.zeros((draws, J))
    for i in range(len(design.successes)):
        j = design.therapist.index[i]
        fixed = beta @ design.X[i] + (v[:, design.service.index[i]] if S else 0.0)
        eta = fixed + u[:, j]
        log_lik += design.successes[i] * eta - design.trials[i] * np.logaddexp(0, eta)
        ter += expit(fixed[:, None] + u)
        # A therapist drawn at random has an effect of the same distribution: one more draw integrates it.
        expected[:, j] += expit(fixed + sd[:, 0] * rng.standard_normal(draws))
    weights = np.exp(log_lik - log_lik.max())
    weights /= weights.sum()
    caseload = np.bincount(design.therapist.index, minlength=J)
    quantities = {
        "beta": beta,
        "sd": sd,
        "u": u,
        "v": v,
        "ter": 100 * ter / len(design.successes),
        "expected": expected / caseload,
    }
    out = {}
    for name, x in quantities.items():
        mean = weights @ x
        spread = np.sqrt(weights @ (x - mean) ** 2)
        error = np.sqrt((weights**2) @ (x - mean) ** 2)
        out[name] = (mean, spread, error)
    return out, 1.0 / (weights**2).sum()


@pytest.mark.slow
@pytest.mark.parametrize("services", [0, 2])
def test_three_therapists_against_brute_force(services):
    design, _ = network(11, therapists=3, services=services, caseload=[4, 6, 8], columns=0, sd=(0.8, 0.4))
    truth, effective = prior_sampling(design)
    assert effective > 20_000
    found = fit_fast(arrange(design, design.therapist, design.service), 21, 1).posterior

    def check(name, mean, sd):
        brute_mean, brute_sd, error = truth[name]
        # Four Monte Carlo errors of the brute force, and a fiftieth of a posterior SD for the engine's 512
        # draws.
        np.testing.assert_array_less(np.abs(mean - brute_mean), 4 * error + 0.02 * brute_sd)
        if sd is not None:
            np.testing.assert_allclose(sd, brute_sd, rtol=0.03)

    def moments(x):
        mean = found.weights @ x
        return mean, np.sqrt(found.weights @ (x - mean) ** 2)

    check("beta", *moments(found.beta))
    check("sd", *moments(found.sd))
    if services:
        check("v", *moments(found.v))
    check("u", found.u_mean, found.u_sd)
    check("ter", found.ter_mean, None)
    check("expected", found.expected_mean, None)
    # The tabulated distributions belong to the same posterior as the moments.
    for grid, cdf, mean in (
        (found.u_grid, found.u_cdf, found.u_mean),
        (found.ter_grid, found.ter_cdf, found.ter_mean),
    ):
        from_table = (0.5 * (grid[:, 1:] + grid[:, :-1]) * np.diff(cdf, axis=1)).sum(axis=1)
        np.testing.assert_allclose(from_table, mean, atol=0.01 * np.ptp(grid, axis=1).max() / 12)
        # The tables reach 6 SDs on either side; with three therapists the tails are heavier than normal ones.
        assert (cdf[:, 0] < 1e-3).all()
        assert (cdf[:, -1] > 1 - 1e-3).all()


def test_joint_draws_belong_to_the_posterior():
    design, _ = network(3, therapists=12, services=3)
    found = fit_fast(arrange(design, design.therapist, design.service), 11, 1).posterior
    draws = found.u_draws.astype(float)
    # Errors of means and SDs of so many draws, with room for the four largest of twelve.
    error = found.u_sd / np.sqrt(draws.shape[1])
    np.testing.assert_array_less(np.abs(draws.mean(axis=1) - found.u_mean), 4 * error)
    np.testing.assert_allclose(draws.std(axis=1), found.u_sd, rtol=4 / np.sqrt(2 * draws.shape[1]))


def test_therapists_without_patients_keep_the_prior():
    design, _ = network(3, therapists=6, caseload=[0, 10, 10, 10, 10, 0])
    found = fit_fast(arrange(design, design.therapist, None), 11, 1).posterior
    empty = [0, 5]
    np.testing.assert_allclose(found.u_mean[empty], 0.0, atol=1e-12)
    # Var(u) = E[sigma^2] for a therapist of whom nothing is known.
    np.testing.assert_allclose(found.u_sd[empty], np.sqrt(found.weights @ found.sd[:, 0] ** 2), rtol=1e-6)
    np.testing.assert_allclose(found.reliability[empty], 0.0, atol=1e-6)
    assert np.isnan(found.expected_mean[empty]).all()
    assert np.isfinite(found.ter_mean).all()


def test_expected_is_the_integral_over_a_random_therapist():
    design, _ = network(8, therapists=8)
    found = fit_fast(arrange(design, design.therapist, None), 11, 1)
    z, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    p = found.posterior
    eta = design.X @ p.beta.T
    rates = sum(wk * expit(eta + p.sd[:, 0] * zk) for zk, wk in zip(z, w, strict=True)) @ p.weights
    by_unit = np.bincount(design.therapist.index, rates) / np.bincount(design.therapist.index)
    # The engine reads M(eta) off a table whose error is below 1e-7.
    np.testing.assert_allclose(p.expected_mean, by_unit, atol=1e-6)


def test_ter_is_the_standardised_rate():
    # Given a draw, TER is the mean over all patients of expit(eta + u); here u has a density that is nearly a
    # point.
    design, _ = network(8, therapists=4, caseload=[400, 400, 5, 5])
    p = fit_fast(arrange(design, design.therapist, None), 11, 1).posterior
    eta = design.X @ p.beta.T
    draws = np.random.default_rng(0).choice(p.weights.size, 400, p=p.weights)
    for j in range(2):
        plug_in = 100 * np.mean([expit(eta[:, d] + p.u_mean[j]).mean() for d in draws])
        # The curvature of the rate over a posterior SD of 0.15 moves its mean by some hundredths of a point;
        # beta's uncertainty over 400 draws by a tenth.
        assert p.ter_mean[j] == pytest.approx(plug_in, abs=0.5)
