"""Engine "fast" where data are extreme: the right answer, by brute force where there is one."""

import numpy as np
import pandas as pd
import pytest
from networks import network, table_of
from scipy.special import expit, logit

import ter
from ter.models.fast import fit_fast
from ter.models.layout import arrange


def rates_given(b, sigma, nodes=101):
    """E[expit(b + sigma z)], and the mean of sigma z given a success."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / w.sum()
    p = expit(b[..., None] + sigma[..., None] * z)
    rate = p @ w
    return rate, ((p * sigma[..., None] * z) @ w) / rate


def plane(b, sigma):
    """A grid over (intercept, sigma) with the log of their priors."""
    b, sigma = np.meshgrid(b, sigma, indexing="ij")
    return b, sigma, -0.5 * (b / 2.5) ** 2 - 0.5 * sigma**2


# The errors of the rule add up over therapists: where 10,000 of them leave SDs from 0 to 4 open, 11 nodes
# would shift the SD's mean by .04 of its own SD. That is seen, and 22 are taken.
@pytest.mark.parametrize("n", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_therapists_with_one_patient_each(n):
    # Without covariates the data are a single count: the posterior is an integral over intercept and sigma.
    k = int(0.42 * n)
    y = (np.arange(n) < k).astype(int)
    table = pd.DataFrame({"therapist_id": [f"T{i:05d}" for i in range(n)], "y": y})
    fit = ter.fit(table, case_mix=None, outcome="y", service=None)
    assert fit.record.certificate.nodes == 22
    b, sigma, log_p = plane(np.linspace(-1.2, 0.2, 701), np.linspace(0.005, 4.5, 300))
    rate, u_success = rates_given(b, sigma)
    log_p = log_p + k * np.log(rate) + (n - k) * np.log1p(-rate)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    sd = fit.groups.loc["therapist"]
    spread = np.sqrt((p * sigma**2).sum() - (p * sigma).sum() ** 2)
    # A fiftieth of a posterior SD, which is what 512 draws leave of an SD that the data say nothing about.
    assert sd["sd"] == pytest.approx((p * sigma).sum(), abs=0.02 * spread)
    effects = fit.effects("therapist")["mean"].to_numpy()
    assert np.ptp(effects[:k]) < 1e-9
    assert effects[0] == pytest.approx((p * u_success).sum(), abs=0.03 * fit.posterior.u_sd[0])
    assert fit.posterior.expected_mean[0] == pytest.approx((p * rate).sum(), abs=4e-4)
    assert fit.record.converged


def test_rows_of_a_million_patients():
    # So many patients say what beta + u is: what is left is the distribution of five known numbers.
    theta = np.array([-0.8, -0.1, 0.1, 0.4, 1.3])
    trials = 1_000_000
    y = np.round(trials * expit(theta)).astype(int)
    table = pd.DataFrame({"therapist_id": list("abcde"), "y": y, "n": trials})
    fit = ter.fit(table, case_mix=None, outcome="y", trials="n", service=None)
    p = fit.posterior
    np.testing.assert_allclose(
        p.u_mean + p.weights @ p.beta[:, 0], logit(y / trials), atol=2 / np.sqrt(trials)
    )
    np.testing.assert_allclose(p.predicted_mean, y / trials, atol=1e-4)
    b, sigma, log_p = plane(np.linspace(-6, 6, 601), np.linspace(0.1, 6, 600))
    log_p = log_p - 5 * np.log(sigma) - 0.5 * ((theta[:, None, None] - b) ** 2).sum(axis=0) / sigma**2
    w = np.exp(log_p - log_p.max())
    w /= w.sum()
    mean = (w * sigma).sum()
    spread = np.sqrt((w * sigma**2).sum() - mean**2)
    assert fit.groups["sd"]["therapist"] == pytest.approx(mean, abs=0.05 * spread)
    assert fit.fixed["mean"]["intercept"] == pytest.approx(
        (w * b).sum(), abs=0.05 * fit.fixed["sd"]["intercept"]
    )
    # Everybody's rank is certain, and so are TERs relative to each other.
    assert (np.argsort(np.argsort(p.u_draws, axis=0), axis=0) == np.arange(5)[:, None]).all()


def test_a_caseload_of_a_hundred_thousand():
    design, _ = network(6, therapists=12, services=3, caseload=[100_000] + [15] * 11)
    found = fit_fast(arrange(design, design.therapist, design.service), 11, 1)
    p = found.posterior
    assert found.certificate.usable
    observed = np.bincount(design.therapist.index, design.successes) / np.bincount(design.therapist.index)
    # The model fits the total of so many patients, to within their own sampling error.
    assert p.predicted_mean[0] == pytest.approx(observed[0], abs=2 * np.sqrt(0.25 / 100_000))
    assert np.isfinite(p.ter_mean).all()
    # TER_j averages over all patients, nearly all of whom are the one therapist's own.
    assert p.ter_mean[0] == pytest.approx(100 * observed[0], abs=0.5)
    for cdf in (p.u_cdf, p.ter_cdf):
        assert (np.diff(cdf, axis=1) >= 0).all()
        assert (cdf[:, 0] < 1e-3).all()
        assert (cdf[:, -1] > 1 - 1e-3).all()


def test_a_huge_scale_changes_nothing():
    table = table_of(network(2, therapists=20, services=3, caseload=12)[0])
    options = {"case_mix": ter.CaseMix([ter.linear("x0")]), "outcome": "y"}
    plain = ter.fit(table, **options)
    huge = ter.fit(table.assign(x0=1e12 + 1e9 * table["x0"]), **options)
    # Of sixteen digits the offset leaves the standardised column some thirteen.
    np.testing.assert_allclose(huge.posterior.ter_mean, plain.posterior.ter_mean, atol=1e-6)
    np.testing.assert_allclose(huge.posterior.u_sd, plain.posterior.u_sd, rtol=1e-6)


@pytest.mark.parametrize("services", [None, "service_id"])
def test_separation_leaves_a_proper_posterior(services):
    table = table_of(network(2, therapists=20, services=3, caseload=12)[0])
    table["x0"] = np.where(table["y"] == 1, 1.0, -1.0) * (1.0 + table["x0"].abs())
    fit = ter.fit(table, case_mix=ter.CaseMix([ter.linear("x0")]), outcome="y", service=services)
    assert (
        any("separation" in note or "small" in note for note in fit.record.notes) or not fit.record.converged
    )
    assert np.isfinite(fit.effects("therapist").to_numpy()).all()
    assert np.isfinite(fit.posterior.ter_mean).all()
    # The prior bounds what the data do not: the coefficient is some multiple of its SD of 2.5.
    assert 0 < fit.fixed["mean"]["x0"] * table["x0"].std() < 25


@pytest.mark.parametrize("caseload", [[20, 20], [1, 1], [400, 1], [3000] + [2] * 30])
def test_few_or_unequal_therapists(caseload):
    design, _ = network(6, therapists=len(caseload), caseload=caseload, columns=1)
    found = fit_fast(arrange(design, design.therapist, None), 11, 1)
    p = found.posterior
    assert found.certificate.modes_found
    for x in (p.u_mean, p.u_sd, p.ter_mean, p.expected_mean, p.predicted_mean, p.reliability):
        assert np.isfinite(x).all()
    assert ((p.reliability > -1e-9) & (p.reliability < 1)).all()
