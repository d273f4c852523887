"""Engine "fast" against NUTS on simulated networks, to the tolerances that both engines are held to.

`make test-nuts` runs this, in an environment that has PyMC and nutpie.

The tolerances were set on 7,423 episodes with 40,000 draws of NUTS. Networks as small as these leave the SDs,
and the intercept with all TERs and expected rates together, known badly; of 16,000 draws 2,500 to 5,000 are
effective there, so that two runs of NUTS on the same data differ by 0.1 points, or by 0.01 in the log SD of
all effects together. To each tolerance are therefore added three standard errors of NUTS, from consecutive
batches of its own draws.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from networks import network, table_of

import ter
from ter.models.layout import arrange
from ter.models.marginal import conditionals, marginalise
from ter.models.proposal import Draws
from ter.models.quadrature import QuadratureLikelihood
from ter.models.result import Fit

pytest.importorskip("nutpie")

NETWORKS = {
    "few, small, rare": {
        "seed": 21, "therapists": 60, "services": 3, "columns": 2, "intercept": -1.4, "sd": (0.6, 0.3),
        "caseload": np.random.default_rng(21).geometric(0.19, 60),
    },
    "forty therapists": {"seed": 22, "therapists": 40, "services": 4, "caseload": 15, "columns": 3},
    "one factor": {"seed": 23, "therapists": 80, "caseload": 12, "columns": 2, "sd": (0.4,)},
}  # fmt: skip


#: Batches of NUTS's draws, each a quarter of a chain: some hundred times as long as the draws are correlated.
BATCHES = 16
MINIMUM = 45.0


@dataclass(frozen=True)
class Compared:
    """Both fits, and three standard errors of what NUTS says, by figure."""

    fast: Fit
    nuts: Fit
    errors: dict

    def close(self, name, largest, root_mean_square, scale=1.0):
        """Both tolerances: of the largest difference, and of their root mean square over the therapists."""
        x = (figures(self.fast)[name] - figures(self.nuts)[name]) / scale
        error = self.errors[name] / scale
        assert (np.abs(x) < largest + error).all(), (name, np.abs(x).max())
        # Errors go together, as the intercept's, so that their mean square does not average out.
        assert rms(x) < root_mean_square + rms(error), (name, rms(x))


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def figures(fit):
    """What is compared of the therapists, each of shape (J,); ratings of those who passed the gate."""
    p, effects = fit.posterior, fit.effects("therapist")
    rated = ter.rate(fit, minimum=MINIMUM).to_frame().dropna(subset="ter")
    return {
        "effect": effects["mean"].to_numpy(),
        "log sd": np.log(effects["sd"].to_numpy()),
        "q05": effects["q05"].to_numpy(),
        "q95": effects["q95"].to_numpy(),
        "ter": p.ter_mean,
        "expected": 100 * p.expected_mean,
        "reliability": p.reliability,
        "ter_q05": rated["ter_q05"].to_numpy(),
        "ter_q95": rated["ter_q95"].to_numpy(),
        "rank": rated["expected_rank"].to_numpy(),
        "p_below": rated["p_below_minimum"].to_numpy(),
    }


def parts_of(nuts, design):
    """The fit of each batch of NUTS's draws."""
    layout, posterior = arrange(design, design.therapist, design.service), nuts.posterior
    for batch in np.split(np.arange(posterior.weights.size), BATCHES):
        draws = Draws(posterior.sd[batch], np.hstack([posterior.beta, posterior.v])[batch])
        likelihood = QuadratureLikelihood(layout, 11)
        given = conditionals(likelihood, draws)
        part, _ = marginalise(likelihood, draws, given, np.full(batch.size, 1 / batch.size), 1)
        yield replace(nuts, posterior=part)


@pytest.fixture(scope="module", params=NETWORKS)
def compared(request):
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
    # The case mix standardises its columns.
    X = (design.X - nuts.columns.centre) / nuts.columns.scale
    parts = [figures(part) for part in parts_of(nuts, replace(design, X=X))]
    errors = {
        name: 3 * np.std([part[name] for part in parts], axis=0, ddof=1) / np.sqrt(BATCHES)
        for name in parts[0]
    }
    return Compared(ter.fit(table, **options), nuts, errors)


def test_effects(compared):
    sd = compared.nuts.effects("therapist")["sd"].to_numpy()
    compared.close("effect", 0.03, 0.008, sd)
    compared.close("log sd", 0.03, 0.009)
    compared.close("q05", 0.06, 0.02, sd)
    compared.close("q95", 0.06, 0.02, sd)


def test_ratings(compared):
    compared.close("ter", 0.20, 0.06)
    compared.close("expected", 0.12, 0.04)
    compared.close("reliability", 0.04, 0.010)
    compared.close("ter_q05", 0.5, 0.15)
    compared.close("ter_q95", 0.5, 0.15)
    # The tolerance is for 300 therapists; here there are fewer.
    share = len(figures(compared.nuts)["rank"]) / 300
    compared.close("rank", 1.5 * share + 0.15, 0.45 * share + 0.05)
    compared.close("p_below", 0.010, 0.0026)


def test_parameters(compared):
    fast, nuts = compared.fast, compared.nuts
    posterior = nuts.posterior
    spread = np.sqrt(posterior.weights @ (posterior.sd - posterior.weights @ posterior.sd) ** 2)
    moved = (fast.groups["sd"] - nuts.groups["sd"]).to_numpy() / spread
    assert (np.abs(moved) < np.array([0.05, 0.07])[: len(moved)]).all()
    z = ((fast.fixed["mean"] - nuts.fixed["mean"]) / nuts.fixed["sd"]).abs()
    assert z["intercept"] < 0.08
    assert (z.drop("intercept") < 0.03).all()
    if "service" in fast.groups.index:
        a, b = (fit.effects("service") for fit in (fast, nuts))
        assert ((a["mean"] - b["mean"]).abs() / b["sd"]).max() < 0.08
