"""Engine "nuts" with a severity slope and a third factor: its formula, and the posterior of engine "fast"."""

from dataclasses import replace

import numpy as np
import pytest
from networks import grouping, table_of
from scipy import stats
from scipy.special import expit
from test_slope import sloped

import ter
from ter.models import NutsOptions, bayes

pytest.importorskip("nutpie")
pytestmark = [
    # ArviZ 0.x announces ArviZ 1 whenever it is loaded.
    pytest.mark.filterwarnings("ignore:\nArviZ is undergoing a major refactor:FutureWarning"),
    # PyTensor regrets that pip brought it no BLAS.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
]


@pytest.mark.parametrize("trials", [None, 4])
def test_log_density_is_likelihood_times_priors(trials):
    design, _, _ = sloped(2, therapists=5, services=3, caseload=6, trials=trials)
    design = replace(design, further=grouping("further", np.arange(30) % 4, 4))
    model = bayes.build_model(design)
    log_density = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    rng = np.random.default_rng(1)
    j, severity, differences = design.therapist.index, design.severity.values, []
    for _ in range(5):
        beta, rho = rng.normal(0, 1, 3), rng.uniform(-0.9, 0.9)
        sd_u, sd_w, sd_v, sd_f = rng.uniform(0.2, 2.0, 4)
        z_u, z_w, z_v, z_f = (rng.standard_normal(n) for n in (5, 5, 3, 4))
        # The Cholesky factor of Sigma, w first.
        u, w = sd_u * (rho * z_w + np.sqrt(1 - rho**2) * z_u), sd_w * z_w
        effects = u[j] + w[j] * severity
        effects += sd_v * z_v[design.service.index] + sd_f * z_f[design.further.index]
        ours = stats.norm.logpdf(np.concatenate([z_u, z_w, z_v, z_f])).sum()
        ours += stats.halfnorm.logpdf([sd_u, sd_w, sd_v, sd_f]).sum() + np.log(0.75 * (1 - rho**2))
        ours += stats.norm.logpdf(beta, 0, 2.5).sum()
        ours += stats.binom.logpmf(design.successes, design.trials, expit(design.X @ beta + effects)).sum()
        half = 0.5 * (1 + rho)
        point = {
            "sd_therapist_log__": np.log(sd_u), "sd_slope_log__": np.log(sd_w),
            "sd_service_log__": np.log(sd_v), "sd_further_log__": np.log(sd_f),
            "half_rho_logodds__": np.log(half / (1 - half)),
            "z_therapist": z_u, "z_slope": z_w, "z_service": z_v, "z_further": z_f,
            "level": beta + np.average(effects, weights=design.trials) * (np.arange(3) == 0),
        }  # fmt: skip
        differences.append(log_density(point) - ours)
    # Up to a constant, to the rounding of sums of some hundreds.
    np.testing.assert_allclose(differences, differences[0], atol=1e-8)


def fits_of(design, **options):
    """The fits of both engines, and the chains."""
    table = table_of(design)
    if design.further is not None:
        table["department"] = design.further.index.astype(str)
        options["further"] = "department"
    options |= {
        "case_mix": ter.CaseMix([ter.linear("x0"), ter.linear("x1")]),
        "outcome": "y",
        "service": None if design.service is None else "service_id",
        "severity_slope": "x0",
    }
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            bayes, "sample", lambda *args, original=bayes.sample: kept.append(original(*args)) or kept[0]
        )
        nuts = ter.fit(table, engine="nuts", seed=3, nuts=NutsOptions(draws=4000, tune=2000), **options)
    fast = ter.fit(table, engine="fast", nodes=9, **options)
    assert nuts.record.converged, nuts.certificate
    assert fast.record.certificate.passed
    return fast, nuts, kept[0]


def three_errors(x, draws):
    """Three standard errors of means of chains (C, n, K), in posterior SDs, if so many draws are kept."""
    import arviz

    ess = np.array([arviz.ess(x[..., k]) for k in range(x.shape[-1])])
    return 3 / np.sqrt(np.minimum(ess, draws))


@pytest.mark.slow
@pytest.mark.parametrize("more", [False, True], ids=["slope", "slope, service and third factor"])
def test_the_posterior_is_that_of_engine_fast(more):
    design, _, _ = sloped(7, therapists=40, caseload=12, services=3 if more else 0)
    if more:
        design = replace(design, further=grouping("further", np.arange(480) % 7, 7))
    fast, nuts, chains = fits_of(design)
    a, b = fast.posterior, nuts.posterior
    D = len(b.weights)
    names = ["beta", "sd"] + ["v", "f"] * more
    parameters = [(getattr(a, name), getattr(b, name), getattr(chains, name)) for name in names]
    ours, theirs = (np.column_stack([p.slope.sd, p.slope.correlation]) for p in (a, b))
    # Engine "fast" has errors of its own from some hundreds of effective draws, on balanced points: 0.08
    # posterior SDs at the most.
    for x, y, draws in [*parameters, (ours, theirs, chains.slope)]:
        mean, sd = a.weights @ x, y.std(axis=0)
        error = three_errors(draws, D) + 0.08
        np.testing.assert_array_less(np.abs(mean - y.mean(axis=0)) / sd, error)
        np.testing.assert_array_less(np.abs(np.log(np.sqrt(a.weights @ (x - mean) ** 2) / sd)), error)
    # (u, w) is integrated given the draws of either engine, which leaves less error than its draws have.
    for x, sd, y, draws in (
        (a.u_mean, a.u_sd, b.u_mean, chains.u),
        (a.slope.w_mean, a.slope.w_sd, b.slope.w_mean, chains.w),
    ):
        np.testing.assert_array_less(np.abs(x - y) / sd, three_errors(draws, D) + 0.02)
        # The integral over (u, w) against the sampler's own draws of them.
        moments = draws.reshape(-1, 40)
        np.testing.assert_array_less(np.abs(moments.mean(axis=0) - y) / sd, three_errors(draws, D))
    np.testing.assert_array_less(np.abs(np.log(a.u_sd / b.u_sd)), 0.05)
    np.testing.assert_array_less(np.abs(np.log(a.slope.w_sd / b.slope.w_sd)), 0.05)
    # Points, of TERs known to some ten of them.
    assert np.abs(a.ter_mean - b.ter_mean).max() < 0.4
    assert 100 * np.abs(a.expected_mean - b.expected_mean).max() < 0.4
    assert np.abs(a.reliability - b.reliability).max() < 0.03
    ratings = [ter.rate(fit).to_frame() for fit in (fast, nuts)]
    for column in ("ter_q05", "ter_q95"):
        assert np.abs(ratings[0][column] - ratings[1][column]).max() < 1.0
    assert fast.log_likelihood == pytest.approx(nuts.log_likelihood, abs=0.2)
