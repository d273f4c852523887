"""Engine "nuts": the model against its formula, the posterior against engine "fast", the diagnostics."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from networks import network, table_of
from scipy import stats
from scipy.special import expit

import ter
from ter.models import NutsOptions, bayes
from ter.models.diagnostics import Diagnostics
from ter.ratings import publish

needs_pymc = pytest.mark.skipif(
    find_spec("pymc") is None, reason='engine "nuts" is an extra: pip install "ter[bayes]"'
)
needs_arviz = pytest.mark.skipif(
    find_spec("arviz") is None, reason='ArviZ is an extra: pip install "ter[bayes]"'
)
pytestmark = [
    # ArviZ 0.x announces ArviZ 1 whenever it is loaded.
    pytest.mark.filterwarnings("ignore:\nArviZ is undergoing a major refactor:FutureWarning"),
    # PyTensor regrets that pip brought it no BLAS.
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS:UserWarning"),
]
COLUMNS = {
    "case_mix": ter.CaseMix((ter.linear("x0"), ter.linear("x1"))),
    "outcome": "y",
    "therapist": "therapist_id",
}
GOOD = Diagnostics(
    r_hat=1.004, ess_bulk=900.0, ess_tail=800.0, divergences=1, e_bfmi=0.9, draws=4000, sampler="nutpie"
)


@pytest.fixture(scope="module")
def table():
    # The raw scale differs from the model's.
    return table_of(network(5, therapists=40, services=3)[0]).eval("x0 = 50 + 10 * x0")


@pytest.fixture(scope="module")
def fast(table):
    return ter.fit(table, **COLUMNS)


@pytest.fixture(scope="module")
def sampled(table):
    """A fit, and the chains that it was made from."""
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            bayes, "sample", lambda *args, original=bayes.sample: kept.append(original(*args)) or kept[0]
        )
        fit = ter.fit(table, engine="nuts", seed=3, nuts=NutsOptions(draws=1500, tune=700), **COLUMNS)
    return fit, kept[0]


@needs_pymc
@pytest.mark.parametrize(("services", "trials", "columns"), [(3, None, 2), (0, 7, 0)])
def test_log_density_is_likelihood_times_priors(services, trials, columns):
    design, _ = network(2, therapists=5, services=services, caseload=4, columns=columns, trials=trials)
    model = bayes.build_model(design)
    log_density = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    rng = np.random.default_rng(1)
    factors = [g for g in (design.therapist, design.service) if g is not None]
    differences = []
    for _ in range(5):
        beta = rng.normal(0, 1, columns + 1)
        ours, point, mean_effect, effects = 0.0, {}, 0.0, 0.0
        for g in factors:
            sd, z = rng.uniform(0.2, 2.0), rng.standard_normal(len(g.levels))
            ours += stats.halfnorm.logpdf(sd) + stats.norm.logpdf(z).sum()
            effects = effects + sd * z[g.index]
            mean_effect += np.average(sd * z[g.index], weights=design.trials)
            point |= {f"sd_{g.name}_log__": np.log(sd), f"z_{g.name}": z}
        ours += stats.norm.logpdf(beta, 0, 2.5).sum()
        p = expit(design.X @ beta + effects)
        ours += stats.binom.logpmf(design.successes, design.trials, p).sum()
        point["level"] = beta + mean_effect * (np.arange(columns + 1) == 0)
        differences.append(log_density(point) - ours)
    # Up to a constant, to the rounding of sums of some hundreds.
    np.testing.assert_allclose(differences, differences[0], atol=1e-8)
    assert set(model.coords) == {"term", "obs", *(g.name for g in factors)}
    assert model.named_vars_to_dims["u"] == ("therapist",)


def monte_carlo_error(x):
    """Four standard errors of a mean of chains, shape (C, n, K), in posterior SDs."""
    import arviz

    return 4 / np.sqrt([arviz.ess(x[..., k]) for k in range(x.shape[-1])])


@needs_pymc
@pytest.mark.slow
def test_the_posterior_is_that_of_engine_fast(sampled, fast):
    fit, chains = sampled
    assert fit.record.converged, fit.certificate
    a, b = fit.posterior, fast.posterior

    def moments(p, name):
        x = getattr(p, name)
        mean = p.weights @ x
        return mean, np.sqrt(p.weights @ (x - mean) ** 2)

    # The sampler's error is known from the effective sample size of each quantity, thinning by two included.
    # To it comes what engine "fast" is allowed with its 512 draws, in posterior SDs: 0.08 for intercept and
    # services, 0.03 for slopes and effects, 0.05 and 0.07 for the SDs.
    for name, allowed in (("beta", [0.08, 0.03, 0.03]), ("v", [0.08] * 3), ("sd", [0.05, 0.07])):
        (mean_a, sd_a), (mean_b, sd_b) = moments(a, name), moments(b, name)
        error = monte_carlo_error(getattr(chains, name)[:, ::2])
        np.testing.assert_array_less(np.abs(mean_a - mean_b) / sd_b, error + np.array(allowed))
        # Tails heavier than normal ones make an SD less sure than 1 / sqrt(2 n); sure to one mean's error.
        np.testing.assert_array_less(np.abs(np.log(sd_a / sd_b)), error + np.array(allowed))
    # u is integrated out, so that its error is below that of the sampler's own draws of it.
    error = monte_carlo_error(chains.u[:, ::2])
    np.testing.assert_array_less(np.abs(a.u_mean - b.u_mean) / b.u_sd, error + 0.03)
    np.testing.assert_array_less(np.abs(np.log(a.u_sd / b.u_sd)), error + 0.03)
    # Points: as with thousands of draws on larger networks, plus the level's share, which is as unsure
    # here as the intercept and the services' effects are.
    np.testing.assert_array_less(np.abs(a.ter_mean - b.ter_mean), 0.4)
    np.testing.assert_array_less(100 * np.abs(a.expected_mean - b.expected_mean), 0.4)
    np.testing.assert_array_less(np.abs(a.reliability - b.reliability), 0.04)
    # The log-likelihood is flat at its top: two estimates of the same point differ in it by their squares.
    assert fit.log_likelihood == pytest.approx(fast.log_likelihood, abs=0.1)


@needs_pymc
@pytest.mark.slow
def test_effects_integrated_out_are_those_that_were_sampled(sampled):
    fit, chains = sampled
    u = chains.u.reshape(-1, 40)
    # Effective sample sizes of the effects are above a third of the draws here.
    error = 4 / np.sqrt(len(u) / 3)
    np.testing.assert_array_less(np.abs(u.mean(axis=0) - fit.posterior.u_mean) / fit.posterior.u_sd, error)
    np.testing.assert_array_less(np.abs(np.log(u.std(axis=0) / fit.posterior.u_sd)), error)
    # Joint draws keep the ridge between the effects and the level of all patients.
    joint = fit.to_inference_data().posterior
    level = joint["beta"].values[..., 0] + joint["v"].values.mean(axis=-1)
    sampled_level = chains.beta[..., 0] + chains.v.mean(axis=-1)
    theirs = np.corrcoef(sampled_level.ravel(), chains.u.mean(axis=-1).ravel())[0, 1]
    raw_shift = fit.columns.to_raw[0, 1:] @ np.moveaxis(chains.beta[..., 1:], -1, 0).reshape(2, -1)
    ours = np.corrcoef(
        (level.ravel() - raw_shift.reshape(4, -1)[:, ::2].ravel()), joint["u"].values.mean(axis=-1).ravel()
    )[0, 1]
    assert theirs < -0.3
    assert ours == pytest.approx(theirs, abs=0.1)


@needs_pymc
@pytest.mark.slow
def test_the_record_and_the_file_hold_the_diagnostics(sampled, tmp_path):
    fit, chains = sampled
    assert fit.record.diagnostics.draws == chains.diverging.size == 6000
    # Thinned to no more draws than there are joint draws of the effects.
    assert fit.record.draws == 3000
    assert fit.certificate == str(fit.record.diagnostics)
    assert fit.certificate in fit.summary()
    assert {"pymc", chains.sampler} <= {name for name, _ in fit.record.versions}
    fit.save(tmp_path / "model.ter")
    back = ter.load_fit(tmp_path / "model.ter")
    assert back.record.diagnostics == fit.record.diagnostics
    assert back.settings == fit.settings
    assert publish(fit, ter.rate(fit)).model.engine == "nuts"


@needs_pymc
@pytest.mark.slow
def test_inference_data_has_names_and_chains(sampled, fast, table):
    fit, chains = sampled
    data = fit.to_inference_data()
    x = data.posterior
    assert x["beta"].dims == ("chain", "draw", "term")
    assert x["sd"].dims == ("chain", "draw", "factor")
    assert x["u"].dims == ("chain", "draw", "therapist")
    assert x["v"].dims == ("chain", "draw", "service")
    assert list(x["term"].values) == ["intercept", "x0", "x1"]
    assert list(x["factor"].values) == ["therapist", "service"]
    assert tuple(x["therapist"].values) == fit.units.ids
    assert tuple(x["service"].values) == fit.services.ids
    # The sampler's chains, draw for draw.
    np.testing.assert_array_equal(x["v"].values, chains.v[:, ::2])
    np.testing.assert_allclose(x["beta"].mean(("chain", "draw")), fit.fixed["mean"], rtol=1e-10)


@needs_arviz
def test_inference_data_of_engine_fast(fast, table):
    data = fast.to_inference_data()
    x = data.posterior
    assert dict(x.sizes) == {"chain": 1, "draw": 4096, "term": 3, "factor": 2, "therapist": 40, "service": 3}
    # Resampled 4096 times of 512: each weight is off by less than a draw in 4096.
    for name, column in (("beta", fast.fixed), ("v", fast.effects("service")), ("sd", fast.groups)):
        mean = column["mean"] if "mean" in column else column["sd"]
        sd = x[name].values.std(axis=(0, 1))
        assert (np.abs(x[name].mean(("chain", "draw")) - mean) < 0.02 * sd).all()
    np.testing.assert_array_less(
        np.abs(x["u"].mean(("chain", "draw")).values - fast.posterior.u_mean) / fast.posterior.u_sd,
        4 / np.sqrt(4096),
    )
    with_rows = fast.to_inference_data(table, draws=64)
    assert with_rows.posterior.sizes["draw"] == 64
    few = with_rows.posterior
    likelihood, replicated = with_rows.log_likelihood["y"], with_rows.posterior_predictive["y"]
    assert likelihood.dims == replicated.dims == ("chain", "draw", "obs")
    for row in (0, 17, 599):
        one = few.sel(therapist=table["therapist_id"][row], service=table["service_id"][row]).isel(chain=0)
        beta = one["beta"].values
        eta = beta[:, 0] + beta[:, 1] * table["x0"][row] + beta[:, 2] * table["x1"][row] + one["u"] + one["v"]
        expected = stats.bernoulli.logpmf(table["y"][row], expit(eta.values))
        np.testing.assert_allclose(likelihood.sel(obs=row).values[0], expected, rtol=1e-6)
    np.testing.assert_array_equal(with_rows.observed_data["y"].values, table["y"])
    # Of 38,400 drawn outcomes the mean is known to 0.0026; the posterior of the network's rate adds 0.02.
    assert replicated.values.mean() == pytest.approx(table["y"].mean(), abs=0.03)
    with pytest.raises(ter.OptionError, match="fingerprint"):
        fast.to_inference_data(table.iloc[1:])
    with pytest.raises(ter.OptionError, match="draws must be"):
        fast.to_inference_data(draws=0)


@needs_arviz
def test_inference_data_is_a_tree_where_arviz_has_no_class_of_its_own(fast, monkeypatch):
    import arviz
    import xarray

    monkeypatch.delattr(arviz, "InferenceData", raising=False)
    tree = fast.to_inference_data()
    assert isinstance(tree, xarray.DataTree)
    assert tree["posterior"]["u"].dims == ("chain", "draw", "therapist")


def test_maximum_likelihood_has_nothing_for_arviz(table):
    fit = ter.fit(table, engine="ml", nodes=1, **COLUMNS)
    with pytest.raises(ter.OptionError, match="no posterior"):
        fit.to_inference_data()
    assert fit.certificate == ""


@needs_pymc
@pytest.mark.slow
def test_a_short_run_must_not_be_published(monkeypatch):
    # PyMC samples where nutpie is absent.
    monkeypatch.setattr(bayes, "find_spec", lambda name: None)
    table = table_of(network(4, therapists=6, caseload=12)[0])
    options = {"engine": "nuts", "nuts": NutsOptions(draws=20, tune=20, chains=2), **COLUMNS, "service": None}
    fit = ter.fit(table, seed=1, **options)
    assert fit.record.diagnostics.sampler == "pymc"
    assert not fit.record.converged
    assert "take more draws" in " ".join(fit.record.notes)
    with pytest.raises(ter.FitError, match="did not converge"):
        publish(fit, ter.rate(fit))
    again = ter.fit(table.sample(frac=1.0, random_state=1), seed=1, **options)
    np.testing.assert_array_equal(again.posterior.beta, fit.posterior.beta)
    other = ter.fit(table, seed=2, **options)
    assert (other.posterior.beta != fit.posterior.beta).any()


def chains_of(rng, n=1000):
    """Four chains of independent draws."""

    def normal(*shape):
        return rng.standard_normal((4, n, *shape))

    return bayes.Chains(
        beta=normal(3), v=normal(0), sd=np.abs(normal(1)), u=normal(5), energy=normal(),
        diverging=np.zeros((4, n), bool), sampler="nutpie",
    )  # fmt: skip


@needs_arviz
def test_diagnostics_of_chains():
    good = chains_of(np.random.default_rng(1))
    found = bayes.diagnose(good)
    assert found.passed
    assert str(found).startswith("Chains agree (nutpie): R-hat 1.00")
    # Of independent draws: as many as there are, give or take the estimator's error, the least of nine; and
    # E-BFMI is 2.
    assert 3000 < found.ess_bulk <= 4500
    assert found.e_bfmi == pytest.approx(2.0, abs=0.3)
    apart = good.u.copy()
    apart[0, :, 4] += 0.5
    assert "R-hat" in bayes.diagnose(replace(good, u=apart)).faults[0]
    slow = np.repeat(good.beta[:, :50], 20, axis=1)
    assert any("few independent" in fault for fault in bayes.diagnose(replace(good, beta=slow)).faults)
    walk = np.cumsum(good.energy, axis=1)
    assert "E-BFMI" in bayes.diagnose(replace(good, energy=walk)).faults[0]
    diverging = good.diverging.copy()
    diverging[2, :5] = True
    assert "5 of 4000 draws diverged" in bayes.diagnose(replace(good, diverging=diverging)).faults[0]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"r_hat": 1.011}, "disagree"),
        ({"r_hat": float("nan")}, "disagree"),
        ({"ess_bulk": 399.0}, "few independent"),
        ({"ess_tail": 399.0}, "few independent"),
        ({"ess_tail": float("nan")}, "few independent"),
        ({"divergences": 5}, "diverged"),
        ({"e_bfmi": 0.29}, "energies"),
    ],
)
def test_each_bar(change, fault):
    assert GOOD.passed
    bad = replace(GOOD, **change)
    assert not bad.passed
    (only,) = bad.faults
    assert fault in only
    assert only in str(bad)


@pytest.mark.parametrize("missing", ["pymc", "arviz"])
def test_a_missing_library_is_named_with_its_extra(missing, fast, table, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ter.OptionError, match=rf'no {missing}: pip install "ter\[bayes\]"'):
        ter.fit(table, engine="nuts", **COLUMNS) if missing == "pymc" else fast.to_inference_data()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 3}, "draws must be a whole number from 4"),
        ({"tune": 0}, "tune must be"),
        ({"chains": 1}, "chains must be a whole number from 2 to 64"),
        ({"chains": 4.0}, "chains must be"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ter.OptionError, match=message):
        NutsOptions(**options)


def test_options_are_for_this_engine_alone(table):
    with pytest.raises(ter.OptionError, match='nuts is for engine "nuts"'):
        ter.fit(table, nuts=NutsOptions(), **COLUMNS)


def test_other_engines_do_not_load_the_sampler():
    code = (
        "import sys; sys.path.insert(0, 'tests/models'); from networks import *; import ter.models.bayes; "
        "ter.fit(table_of(network(1)[0]), case_mix=None, outcome='y', service=None); "
        "print(sorted({'pymc', 'nutpie', 'arviz', 'xarray', 'pytensor'} & set(sys.modules)))"
    )
    root = Path(ter.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@needs_pymc
@needs_arviz
@pytest.mark.slow
# ArviZ 0.23 calls Matplotlib 3.11 in a way that is to end.
@pytest.mark.filterwarnings("ignore:Passing a dict or None as alias_mapping:DeprecationWarning")
def test_the_notebook_of_all_engines_runs(monkeypatch):
    # No kernel: this environment has none.
    monkeypatch.setenv("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    path = Path(ter.__file__).parents[1] / "notebooks" / "04_three_engines.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    names = {}
    try:
        for cell in cells:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
        assert len(plt.get_fignums()) == 4
    finally:
        plt.close("all")
    assert names["fits"]["fast"].certificate.startswith("Certified")
    # What its text says, with room for other draws.
    assert names["fits"]["nuts"].record.diagnostics.r_hat < 1.02
    assert names["apart"].abs().to_numpy().max() < 0.25
    assert names["between"].abs().to_numpy().max() < 1.5
