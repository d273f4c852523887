"""Engine "fast" against NUTS on simulated networks, to the tolerances that both engines are held to.

`make test-bayes` runs this, in an environment that has PyMC and nutpie.

The tolerances were set on 7,423 episodes with 40,000 draws of NUTS. Networks as small as these leave the
intercept, and with it all TERs and expected rates together, known to 5 points only; of 16,000 draws 4,000 to
5,000 are effective there, so that two runs of NUTS on the same data differ by 0.1 points. To each tolerance
are therefore added three standard errors of NUTS's mean, from its own chains.
"""

import numpy as np
import pytest
from networks import network, table_of

import ter

pytest.importorskip("nutpie")

NETWORKS = {
    "few, small, rare": {
        "seed": 21, "therapists": 60, "services": 3, "columns": 2, "intercept": -1.4, "sd": (0.6, 0.3),
        "caseload": np.random.default_rng(21).geometric(0.19, 60),
    },
    "forty therapists": {"seed": 22, "therapists": 40, "services": 4, "caseload": 15, "columns": 3},
    "one factor": {"seed": 23, "therapists": 80, "caseload": 12, "columns": 2, "sd": (0.4,)},
}  # fmt: skip


@pytest.fixture(scope="module", params=NETWORKS)
def fits(request):
    spec = dict(NETWORKS[request.param])
    design, _ = network(spec.pop("seed"), **{**spec, "sd": (*spec.get("sd", (0.5, 0.3)), 0.3)[:2]})
    table = table_of(design)
    options = {
        "case_mix": ter.CaseMix([ter.linear(name) for name in design.columns[1:]]),
        "outcome": "y",
        "service": "service_id" if design.service is not None else None,
    }
    nuts = ter.fit(
        table, engine="nuts", nuts=ter.models.records.NutsOptions(draws=4000, tune=1000, chains=4), **options
    )
    assert nuts.record.converged, nuts.certificate
    return ter.fit(table, **options), nuts


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def close(x, largest, root_mean_square, error=0.0):
    """Both tolerances: of the largest difference, and of their root mean square over the therapists.

    `error` is NUTS's standard error, of each therapist's figure or of all of them.
    """
    error = np.broadcast_to(error, np.shape(x))
    assert (np.abs(x) < largest + 3.0 * error).all()
    # Errors go together, as the intercept's, so that their mean square does not average out.
    assert rms(x) < root_mean_square + 3.0 * rms(error)


def standard_error(values, chains=4):
    """Of the means of a chain's draws (J, D), chain after chain: from their autocorrelation."""
    import arviz as az
    import xarray as xr

    x = np.asarray(values, np.float64).reshape(len(values), chains, -1)
    data = xr.Dataset({"x": (("unit", "chain", "draw"), x)}).transpose("chain", "draw", "unit")
    return np.asarray(az.mcse(data)["x"])


def test_effects(fits):
    error = standard_error(fits[1].posterior.given_mean)
    fast, nuts = (fit.effects("therapist") for fit in fits)
    close((fast["mean"] - nuts["mean"]) / nuts["sd"], 0.03, 0.008, error / nuts["sd"])
    close(np.log(fast["sd"] / nuts["sd"]), 0.03, 0.009)
    for q in ("q05", "q95"):
        close((fast[q] - nuts[q]) / nuts["sd"], 0.06, 0.02)


def test_ratings(fits):
    fast, nuts = (fit.posterior for fit in fits)
    ter_error = 100 * standard_error(nuts.given_ter)
    expected_error = 100 * standard_error(nuts.given_expected)
    close(fast.ter_mean - nuts.ter_mean, 0.20, 0.06, ter_error)
    close(100 * (fast.expected_mean - nuts.expected_mean), 0.12, 0.04, expected_error)
    close(fast.reliability - nuts.reliability, 0.04, 0.010)
    tables = [ter.rate(fit, minimum=45.0).to_frame().dropna(subset="ter") for fit in fits]
    a, b = tables
    for q in ("ter_q05", "ter_q95"):
        close(a[q] - b[q], 0.5, 0.15)
    # The tolerance is for 300 therapists; here there are fewer.
    close(a["expected_rank"] - b["expected_rank"], 1.5 * len(a) / 300 + 0.15, 0.45 * len(a) / 300 + 0.05)
    close(a["p_below_minimum"] - b["p_below_minimum"], 0.010, 0.0026)


def test_parameters(fits):
    fast, nuts = fits
    posterior = nuts.posterior
    spread = np.sqrt(posterior.weights @ (posterior.sd - posterior.weights @ posterior.sd) ** 2)
    moved = (fast.groups["sd"] - nuts.groups["sd"]).to_numpy() / spread
    assert (np.abs(moved) < np.array([0.05, 0.07])[: len(moved)]).all()
    z = ((fast.fixed["mean"] - nuts.fixed["mean"]) / nuts.fixed["sd"]).abs()
    assert z["intercept"] < 0.08
    assert (z.drop("intercept") < 0.03).all()
    if "service" in fast.groups.index:
        a, b = (fit.effects("service") for fit in fits)
        assert ((a["mean"] - b["mean"]).abs() / b["sd"]).max() < 0.08
