"""Therapist effects that grow with severity."""

from dataclasses import replace

import numba
import numpy as np
import pytest
from networks import network, table_of
from scipy.special import expit, logsumexp
from scipy.stats import beta as betas
from scipy.stats import halfnorm, norm, qmc

import ter
from ter.features.design import Severity
from ter.models.effects_fast import fit_effects_fast
from ter.models.effects_marginal import EffectsDraws, condition, runs
from ter.models.effects_posterior import EffectsPosterior, half_normal, lkj_two
from ter.models.fast import fit_fast
from ter.models.layout import arrange
from ter.models.mixed import MixedLikelihood
from ter.models.slope import Sigma, SlopeLikelihood


def sloped(seed, *, sd_w=0.5, rho=0.4, **options):
    """A network whose therapist effects grow with its first covariate."""
    design, truth = network(seed, **options)
    rng = np.random.default_rng(seed + 1)
    z = (design.X[:, 1] - design.X[:, 1].mean()) / design.X[:, 1].std()
    w = sd_w * (rho * truth.u / truth.sd[0] + np.sqrt(1 - rho**2) * rng.standard_normal(truth.u.size))
    j = design.therapist.index
    eta = design.X @ truth.beta + truth.u[j] + w[j] * z
    if design.service is not None:
        eta += truth.v[design.service.index]
    y = rng.binomial(design.trials.astype(int), expit(eta)).astype(float)
    scale = Severity("x0", z, float(design.X[:, 1].mean()), float(design.X[:, 1].std()), 0)
    return replace(design, successes=y, severity=scale), truth, w


def by_therapist(design):
    return arrange(design, design.therapist, None)


def brute_force(design, beta, sd_u, sd_w, rho):
    """Trapezoidal sums over (u, w) in standard units: smooth, and zero at the edges."""
    a = np.linspace(-9, 9, 181)
    t, e = np.meshgrid(a, a, indexing="ij")
    w, u = sd_w * t, sd_u * (rho * t + np.sqrt(1 - rho**2) * e)
    log_prior = -0.5 * (t**2 + e**2) - np.log(2 * np.pi) + 2 * np.log(a[1] - a[0])
    total = 0.0
    for j in range(len(design.therapist.levels)):
        log_f = log_prior.copy()
        for i in np.flatnonzero(design.therapist.index == j):
            eta = design.X[i] @ beta + u + w * design.severity.values[i]
            log_f += design.successes[i] * eta - design.trials[i] * np.logaddexp(0, eta)
        total += logsumexp(log_f)
    return total


@pytest.mark.parametrize("sigma", [(0.6, 0.5, 0.4), (1.5, 1.2, -0.9), (0.4, 1e-6, 0.0), (0.5, 0.4, 1.0)])
@pytest.mark.parametrize("trials", [None, 6])
def test_likelihood_against_brute_force(sigma, trials):
    design, _, _ = sloped(1, therapists=5, caseload=[0, 1, 2, 7, 12], trials=trials)
    beta = np.array([0.1, 0.4, -0.3])
    likelihood = SlopeLikelihood(by_therapist(design), design.severity.values, 31)
    layout = likelihood.layout
    found = likelihood.run(layout.rows.X @ beta, Sigma(*sigma)).value
    # The sums are exact to rounding; 31 nodes to better than 1e-8 here. At rho = 1 the SD of u given w is
    # held at 1e-5, which moves the value by less than 1e-8.
    assert found == pytest.approx(brute_force(design, beta, *sigma), abs=1e-7)


@pytest.mark.parametrize("trials", [None, 6])
def test_given_draws_it_is_the_likelihood_at_each(trials):
    # Eighteen draws: more than are worked on side by side, and no multiple of that.
    design, _, _ = sloped(7, therapists=6, services=2, caseload=[0, 1, 2, 9, 15, 40], trials=trials)
    posterior = EffectsPosterior(design, by_therapist(design), 25, ter.Priors())
    rng = np.random.default_rng(3)
    q, b = rng.normal(-0.5, 0.8, (18, 4)), rng.normal(0.0, 0.4, (18, 5))
    scales = tuple(posterior.scales(x) for x in q)
    given = condition(posterior, EffectsDraws(q, b, b, scales, np.zeros(18)))
    for d in range(18):
        at = posterior.run(b[d], scales[d])
        u, w, uu, _, ww = at.moments.T
        # Nodes lie about modes found to 1/100 SD here, exactly there: 25 nodes integrate to 1e-9 from both.
        assert given.log_likelihood[d] == pytest.approx(at.value, abs=1e-8)
        expected = np.stack([u, np.sqrt(uu - u**2), w, np.sqrt(ww - w**2)], axis=1)
        np.testing.assert_allclose(given.moments[:, d][:, [0, 1, 3, 4]], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("x", [(0.1, 0.3, -0.2, -0.5, 0.3, -0.9), (0.1, 0.3, -0.2, 0.3, -0.6, -2.5)])
def test_gradients_against_differences(x):
    design, _, _ = sloped(2, services=3, caseload=[0, 1, 2, 30] + [5] * 16)
    layout, x = by_therapist(design), np.array(x)
    z = design.severity.values
    for likelihood, at in (
        (SlopeLikelihood(layout, z, 25), x),
        (MixedLikelihood(layout, (), z), x),
        (MixedLikelihood(layout, (design.service,), z), np.append(x, -0.7)),
        (MixedLikelihood(layout, (design.service,), None), np.append(x[:4], -0.7)),
    ):
        _, gradient = likelihood.evaluate(at)
        h = 1e-5 * np.eye(at.size)
        numeric = [(likelihood.evaluate(at + d)[0] - likelihood.evaluate(at - d)[0]) / 2e-5 for d in h]
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6)


def test_without_slopes_it_is_the_model_without():
    design, _, _ = sloped(3, services=3, sd_w=0.0)
    layout = by_therapist(design)
    x = np.array([0.1, 0.3, -0.2, -0.5])
    flat = MixedLikelihood(layout, (), None).evaluate(x)[0]
    with_slope = MixedLikelihood(layout, (), design.severity.values)
    # c = 1e-6: the slope's variance of 1e-12 moves the log-likelihood by as little.
    assert with_slope.evaluate(np.append(x, [0.0, np.log(1e-6)]))[0] == pytest.approx(flat, abs=1e-8)


@pytest.mark.parametrize("nodes", [1, 7])
def test_an_estimate_of_zero_is_said(nodes):
    # Every therapist has the same patients with the same outcomes: there is nothing that differs.
    design, _, _ = sloped(5, therapists=20, caseload=20)
    same = np.tile(np.arange(20), 20)
    design = replace(design, X=design.X[same], successes=design.successes[same])
    fit = ter.fit(table_of(design), severity_slope="x0", engine="ml", nodes=nodes, **columns())
    assert fit.record.converged
    assert fit.record.singular
    assert any("estimated as zero" in note for note in fit.record.notes)
    assert fit.slope.loc["sd_slope", "estimate"] == 0.0
    assert np.isnan(fit.slope.loc["correlation", "estimate"])
    flat = ter.fit(table_of(design), engine="ml", **columns())
    assert fit.log_likelihood == pytest.approx(flat.log_likelihood, abs=1e-3)


def test_scores_are_those_of_the_priors():
    for q in (-3.0, -0.5, 0.0, 1.0, 4.0):
        assert halfnorm.cdf(half_normal(q, 1.0)) == pytest.approx(norm.cdf(q), rel=1e-9)
        assert halfnorm.sf(half_normal(q, 1.0)) == pytest.approx(norm.sf(q), rel=1e-9)
        # LKJ(2) in two dimensions: (rho + 1) / 2 ~ Beta(2, 2).
        assert betas.cdf(0.5 * (1 + lkj_two(q)), 2, 2) == pytest.approx(norm.cdf(q), abs=1e-12)


def test_fast_without_slopes_is_fast():
    # The other route to the same posterior: a grid of SDs, and one effect a therapist.
    design, _, _ = sloped(6, therapists=12, caseload=10, services=3)
    design = replace(design, severity=None)
    a = fit_effects_fast(design, by_therapist(design), 9, 1, n_draws=256).posterior
    b = fit_fast(arrange(design, design.therapist, design.service), 9, 1).posterior
    # The tolerances of a posterior against NUTS: both have a Monte Carlo error of their own.
    assert np.abs((a.u_mean - b.u_mean) / b.u_sd).max() < 0.03
    assert np.abs(a.u_sd / b.u_sd - 1).max() < 0.03
    assert np.abs(a.ter_mean - b.ter_mean).max() < 0.3
    assert np.abs(a.expected_mean - b.expected_mean).max() < 0.003
    assert np.abs(a.predicted_mean - b.predicted_mean).max() < 0.003
    assert np.abs(a.reliability - b.reliability).max() < 0.02
    for k in range(2):
        mean, sd = (
            b.weights @ b.sd[:, k],
            np.sqrt(b.weights @ b.sd[:, k] ** 2 - (b.weights @ b.sd[:, k]) ** 2),
        )
        assert abs(a.weights @ a.sd[:, k] - mean) < 0.08 * sd


def test_posterior_of_three_therapists_against_draws_from_the_prior():
    design, _, _ = sloped(8, therapists=3, caseload=4, columns=1, trials=3)
    design = replace(design, X=design.X[:, :1], columns=("intercept",), centre=np.zeros(1), scale=np.ones(1))
    p = fit_effects_fast(design, by_therapist(design), 9, 1, n_draws=256).posterior
    points = qmc.Sobol(4, rng=np.random.default_rng(0)).random(8192)
    beta, sd_u, sd_w = 2.5 * norm.ppf(points[:, 0]), *halfnorm.ppf(points[:, 1:3].T)
    rho = 2 * betas.ppf(points[:, 3], 2, 2) - 1
    # Each therapist's integral on a grid in the standard units of (u, w).
    t, e = (x.ravel() for x in np.meshgrid(*[np.linspace(-4.5, 4.5, 25)] * 2))
    log_prior = -0.5 * (t**2 + e**2)
    log_prior -= logsumexp(log_prior)
    w = sd_w[:, None] * t
    u = sd_u[:, None] * (rho[:, None] * t + np.sqrt(1 - rho[:, None] ** 2) * e)
    log_l = np.zeros(8192)
    u_mean, w_mean, ter_mean = np.empty((3, 8192, 3))
    z, y, n = design.severity.values, design.successes, design.trials
    rate = np.mean([expit(beta[:, None] + u + w * z_i) for z_i in z], axis=0)
    for j in range(3):
        log_f = np.tile(log_prior, (8192, 1))
        for i in np.flatnonzero(design.therapist.index == j):
            eta = beta[:, None] + u + w * z[i]
            log_f += y[i] * eta - n[i] * np.logaddexp(0, eta)
        total = logsumexp(log_f, axis=1)
        share = np.exp(log_f - total[:, None])
        u_mean[:, j], w_mean[:, j] = (share * u).sum(axis=1), (share * w).sum(axis=1)
        ter_mean[:, j] = 100 * (share * rate).sum(axis=1)
        log_l += total
    weight = np.exp(log_l - log_l.max())
    weight /= weight.sum()

    def mean_sd(x):
        mean = weight @ x
        return mean, np.sqrt(weight @ (x - mean) ** 2)

    # Some thousand effective draws of the prior, evenly spread, leave an error of 0.03 posterior SDs; the
    # engine's own is below half of that.
    for ours, exact in (
        (p.weights @ p.beta[:, 0], beta),
        (p.weights @ p.sd[:, 0], sd_u),
        (p.weights @ p.slope.sd, sd_w),
        (p.weights @ p.slope.correlation, rho),
    ):
        mean, sd = mean_sd(exact)
        assert abs(ours - mean) < 0.06 * sd
    np.testing.assert_allclose(p.u_mean, weight @ u_mean, atol=0.06 * p.u_sd.min())
    np.testing.assert_allclose(p.slope.w_mean, weight @ w_mean, atol=0.06 * p.slope.w_sd.min())
    np.testing.assert_allclose(p.ter_mean, weight @ ter_mean, atol=0.8)


def test_the_same_bytes_on_any_number_of_threads():
    design, _, _ = sloped(12, therapists=16, caseload=12, services=3)
    assert len(runs(by_therapist(design))) == 3
    before, found = numba.get_num_threads(), []
    try:
        for threads in (1, 2):
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            found.append(fit_effects_fast(design, by_therapist(design), 5, 1, n_draws=128))
    finally:
        numba.set_num_threads(before)
    one, two = found
    assert one.log_likelihood == two.log_likelihood
    np.testing.assert_array_equal(one.row_expected, two.row_expected)
    for name in ("weights", "u_mean", "u_cdf", "ter_mean", "ter_cdf", "expected_mean", "predicted_mean"):
        np.testing.assert_array_equal(getattr(one.posterior, name), getattr(two.posterior, name))
    np.testing.assert_array_equal(one.posterior.slope.w_quantiles, two.posterior.slope.w_quantiles)


def columns(**more):
    return {
        "outcome": "y",
        "service": None,
        "case_mix": ter.CaseMix([ter.linear("x0"), ter.linear("x1")]),
        **more,
    }


def test_fit_shows_saves_and_predicts(tmp_path):
    design, _, w = sloped(9, therapists=15, caseload=24, sd_w=0.9, rho=0.0)
    table = table_of(design).astype({"y": float})
    # A therapist whose patients' outcomes are not known: the prior is all that is known of them.
    table.loc[design.therapist.index == 14, "y"] = np.nan
    fit = ter.fit(table, severity_slope="x0", engine="fast", nodes=7, **columns())
    assert fit.record.certificate.passed
    effects = fit.effects("therapist")
    assert np.corrcoef(effects["slope_mean"], w)[0, 1] > 0.5
    assert abs(effects["slope_mean"].iloc[14]) < 0.1 * effects["slope_sd"].iloc[14]
    assert (effects["slope_q05"] < effects["slope_q50"]).all()
    assert list(fit.groups.index) == ["therapist", "therapist slope"]
    by_severity = fit.variance_by_severity([-2.0, 0.0, 2.0])
    assert (by_severity["icc_q05"] < by_severity["icc_q95"]).all()
    assert by_severity["icc"].iloc[[0, 2]].min() > by_severity["icc"].iloc[1]
    # What no patient is like is said to be beyond the data.
    inside = (fit.severity.low, fit.severity.high)
    beyond = fit.variance_by_severity([-9.0, *inside, 9.0])["extrapolated"]
    assert beyond.tolist() == [True, False, False, True]
    expected = fit.expected(table.head(20))
    assert ((expected["q05"] < expected["expected"]) & (expected["expected"] < expected["q95"])).all()
    frame = ter.rate(fit).to_frame()
    assert frame["ter"].notna().sum() == 14
    # All patients are the reference case mix: with effects integrated the ratings average out to its rate.
    assert frame["ter"].mean() == pytest.approx(100 * table["y"].mean(), abs=3.0)
    fit.save(tmp_path / "fit.ter")
    back = ter.load_fit(tmp_path / "fit.ter")
    assert back.variance_by_severity().equals(fit.variance_by_severity())
    assert back.effects("therapist").equals(effects)
    assert ter.rate(back).to_frame().equals(frame)
    with pytest.raises(ter.OptionError, match="not offered"):
        fit.to_inference_data(table)


def test_slopes_survive_the_table_that_has_none():
    design, _, _ = sloped(10, therapists=20, caseload=15)
    table = table_of(design)
    plain = ter.fit(table, engine="ml", **columns())
    with pytest.raises(ter.OptionError, match="no severity slope"):
        plain.variance_by_severity()
    for bad, options, message in (
        (table.assign(x0=1.0), {"severity_slope": "x0"}, "does not vary"),
        (table, {"severity_slope": "gone"}, "no column"),
        (table, {"severity_slope": "y"}, "only one"),
        (table.rename(columns={"x1": "n_sessions"}), {"severity_slope": "n_sessions"}, "not measured before"),
    ):
        with pytest.raises((ter.OptionError, ter.DataError), match=message):
            ter.fit(bad, engine="ml", **{**columns(), **options, "case_mix": None})
    noted = ter.fit(table, engine="ml", severity_slope="x0", **{**columns(), "case_mix": None})
    assert any("no term of x0" in note for note in noted.record.notes)
    gaps = table.assign(x0=table["x0"].where(np.arange(len(table)) % 50 > 0))
    assert any(
        "missing in 6" in n for n in ter.fit(gaps, engine="ml", severity_slope="x0", **columns()).record.notes
    )


def test_a_third_factor():
    design, _, _ = sloped(11, therapists=15, caseload=30, services=3)
    rng = np.random.default_rng(3)
    table = table_of(design)
    table["department"] = rng.integers(0, 6, len(table)).astype(str)
    shift = 0.8 * rng.standard_normal(6)
    table["y"] = (rng.random(len(table)) < expit(shift[table["department"].astype(int)])).astype(int)
    options = {**columns(), "service": "service_id", "further": "department"}
    ml = ter.fit(table, engine="ml", **options)
    fast = ter.fit(table, engine="fast", nodes=7, **options)
    for fit in (ml, fast):
        assert list(fit.groups.index) == ["therapist", "service", "further"]
        assert np.corrcoef(fit.effects("further")["mean"], shift)[0, 1] > 0.95
        assert fit.effects("further").index.name == "department"
        assert fit.expected(table.head(5).assign(department="new"))["expected"].between(0, 1).all()
    # Six departments: the posterior mean of their SD lies above the estimate, but not far.
    assert 0.9 < fast.groups.loc["further", "sd"] / ml.groups.loc["further", "sd"] < 1.6
    more = ter.fit(table, engine="ml", nodes=7, **options)
    # Thirty patients each: Laplace's method is off by little.
    np.testing.assert_allclose(more.groups["sd"], ml.groups["sd"], rtol=0.05, atol=0.01)


@pytest.mark.slow
def test_the_truth_of_a_scenario_is_found():
    scenario = ter.Scenario.preset("england_2024_25", n_therapists=150, n_services=4, mean_caseload=100)
    scenario = replace(scenario, effects=replace(scenario.effects, severity_slope_sd=0.5))
    sim = ter.simulate(scenario, seed=1)
    fit = ter.fit(sim.episodes, severity_slope="phq9_first", engine="ml")
    # The scenario's slopes are for 6 points of the PHQ-9, the fit's for an SD of it.
    found = fit.slope.loc["sd_slope", "estimate"] * 6.0 / fit.severity.scale
    assert abs(np.log(found / 0.5)) < 3.0 * fit.estimates.slope.log_sd_se
    truth = sim.therapists.set_index("therapist_id")["severity_slope"]
    effects = fit.effects("therapist")
    assert np.corrcoef(effects["slope_mean"], truth.loc[effects.index])[0, 1] > 0.6
