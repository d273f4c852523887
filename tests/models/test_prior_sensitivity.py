"""Prior sensitivity by reweighting, against fits with those priors."""

import numpy as np
import pytest
from networks import network, table_of

import ter
from ter.errors import OptionError
from ter.models.priors import Priors
from ter.models.sensitivity import scaled_priors

OPTIONS = {"case_mix": ter.CaseMix([ter.linear("x0"), ter.linear("x1")]), "outcome": "y"}


@pytest.fixture(scope="module")
def table():
    return table_of(network(5, therapists=25, services=4, caseload=14)[0])


@pytest.fixture(scope="module")
def fit(table):
    return ter.fit(table, **OPTIONS)


@pytest.mark.parametrize("part", ["fixed effects", "standard deviations", "all"])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_reweighting_is_refitting(table, fit, part, factor):
    said = fit.prior_sensitivity()
    assert said.changes["reliable"].all()
    again = ter.fit(table, **OPTIONS, priors=scaled_priors(Priors(), part, factor))
    # Both have Monte Carlo error, the reweighted draws the more: a hundred effective draws of a Sobol set are
    # good for 0.03 posterior SDs. SDs have skewed posteriors, which takes more.
    np.testing.assert_allclose(
        fit.posterior.ter_mean + said.ter[part, factor], again.posterior.ter_mean, atol=0.15
    )
    u, v = fit.effects("therapist"), again.effects("therapist")
    moved = u["mean"] + said.effect[part, factor] - v["mean"]
    assert np.abs(moved / v["sd"]).max() < 0.03
    sds = again.groups["sd"].to_numpy()
    spread = (again.groups["q95"] - again.groups["q05"]).to_numpy() / 3.29
    changed = said.changes.loc[part, factor][["sd_therapist", "sd_service"]].to_numpy(float)
    np.testing.assert_array_less(np.abs(changed - sds) / spread, 0.07)
    fixed = fit.fixed["mean"] + said.fixed[part, factor] - again.fixed["mean"]
    assert (np.abs(fixed) / again.fixed["sd"]).max() < 0.05


@pytest.fixture(scope="module")
def with_slopes():
    design, _ = network(7, therapists=20, services=3, caseload=16)
    table = table_of(design).assign(region=design.service.index % 2)
    return table, {**OPTIONS, "service": None, "severity_slope": "x0", "further": "region"}


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_reweighting_is_refitting_with_slopes_and_a_third_factor(with_slopes, factor):
    table, options = with_slopes
    fit = ter.fit(table, **options)
    said = fit.prior_sensitivity()
    assert said.changes.loc["standard deviations", factor]["reliable"]
    again = ter.fit(table, **options, priors=scaled_priors(Priors(), "standard deviations", factor))
    p, q, weights = fit.posterior, again.posterior, again.posterior.weights
    # As above; engine "fast" with slopes lets itself a Monte Carlo error of 0.05 points of TER, and each SD
    # has the more the wider its posterior, which two regions leave to the prior.
    np.testing.assert_allclose(p.ter_mean + said.ter["standard deviations", factor], q.ter_mean, atol=0.3)
    changes = said.changes.loc["standard deviations", factor]
    for name, draws in (("therapist", q.sd[:, 0]), ("further", q.sd[:, 1]), ("slope", q.slope.sd)):
        mean = weights @ draws
        spread = np.sqrt(weights @ (draws - mean) ** 2)
        assert abs(changes[f"sd_{name}"] - mean) < 0.1 * spread, name
    assert np.isnan(changes["sd_service"])
    assert "sd_service" not in said.summary()
    assert "sd_slope" in said.summary()


def test_the_priors_move_what_they_are_on(fit):
    said = fit.prior_sensitivity()
    sd = said.changes["sd_service"]
    # With four services the prior of their SD tells; a narrower one makes it smaller.
    assert sd["standard deviations", 0.5] < fit.groups["sd"]["service"] < sd["standard deviations", 2.0]
    assert "points of TER" in said.summary()
    assert repr(said) == f"<ter.PriorSensitivity: {said.summary().splitlines()[0]}>"


def test_a_posterior_out_of_reach_is_refused():
    # Seven patients, perfectly split by a covariate: the prior of its coefficient decides alone.
    table = table_of(network(5, therapists=7, caseload=1)[0])
    table["y"] = (table["x0"] > 0).astype(int)
    fit = ter.fit(
        table, case_mix=ter.CaseMix([ter.linear("x0"), ter.linear("x1")]), outcome="y", service=None,
        priors=Priors(beta=30.0),
    )  # fmt: skip
    said = fit.prior_sensitivity()
    refused = said.changes[~said.changes["reliable"]]
    assert ("fixed effects", 0.5) in refused.index or ("fixed effects", 2.0) in refused.index
    assert refused["ter_largest"].isna().all()
    assert said.ter[refused.index].isna().all().all()
    assert "fit again" in said.summary()


def test_priors_are_checked(table):
    for wrong in (0.0, -1.0, np.inf, np.nan, True, "wide"):
        with pytest.raises(OptionError, match="therapist must be a positive number"):
            Priors(therapist=wrong)
    with pytest.raises(OptionError, match=r"ter\.Priors"):
        ter.fit(table, **OPTIONS, priors={"beta": 1.0})
    with pytest.raises(OptionError, match="has none"):
        ter.fit(table, **OPTIONS, engine="ml", priors=Priors())


def test_engine_ml_has_no_priors(table):
    with pytest.raises(OptionError, match="no priors"):
        ter.fit(table, **OPTIONS, engine="ml").prior_sensitivity()


def test_priors_are_saved_with_the_fit(table, tmp_path):
    fit = ter.fit(table, **OPTIONS, priors=Priors(beta=1.5))
    fit.save(tmp_path / "model.ter")
    assert ter.load_fit(tmp_path / "model.ter").settings.priors == Priors(beta=1.5)
