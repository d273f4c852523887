"""Kernels of nested factors, slopes and further factors give the same numbers as plain Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
import numpy as np
from networks import grouping, network
from ter.features.design import Severity
from ter.models.effects_marginal import EffectsDraws, condition, marginalise_effects, rate_draws
from ter.models.effects_posterior import EffectsPosterior
from ter.models.layout import arrange
from ter.models.mixed import MixedLikelihood
from ter.models.nested import NestedLikelihood
from ter.models.outer import OuterQuadrature
from ter.models.priors import Priors
from ter.models.slope import SlopeLikelihood

design, _ = network(3, therapists=5, services=2, caseload=[0, 1, 4, 6, 2])
z = (design.X[:, 1] - design.X[:, 1].mean()) / design.X[:, 1].std()
design = replace(design, severity=Severity("x0", z, 0.0, 1.0, 0))
home = grouping("service", np.array([0, 0, 1, 1, 1])[design.therapist.index], 2)
nested = NestedLikelihood(arrange(design, design.therapist, home), 5)
layout = arrange(design, design.therapist, None)
x = np.array([0.1, 0.3, -0.2, -0.5, 0.3, -0.9, -0.6])
out = [nested.evaluate(x[[0, 1, 2, 3, 6]])[1], *nested.moments(x[[0, 1, 2, 3, 6]])]
out += [MixedLikelihood(layout, (design.service,), z).evaluate(x)[1]]
out += [SlopeLikelihood(layout, z, 5).evaluate(x[:-1])[1]]
outer = OuterQuadrature(layout, (design.service,), z, 5)
out += [outer.evaluate(x)[1], outer.effects(x)[1]]
posterior = EffectsPosterior(design, layout, 5, Priors())
q = np.array([[-0.5, -0.6, -0.4, 0.2], [-0.8, -0.3, -0.7, -0.5]])
b = np.array([[0.1, 0.3, -0.2, 0.1, -0.1], [0.2, 0.2, -0.3, 0.0, 0.2]])
draws = EffectsDraws(q, b, b, tuple(posterior.scales(x) for x in q), np.zeros(2))
given = condition(posterior, draws)
weights = np.array([0.3, 0.7])
rated = rate_draws(posterior, draws, given, weights)
found = marginalise_effects(posterior, design, draws, given, rated, weights, 1)
out += [given.log_likelihood, given.moments, rated.row_expected, found.slope.w_mean]
out += [getattr(found, name) for name in ("u_mean", "u_cdf", "ter_mean", "ter_cdf", "reliability")]
print(json.dumps([list(map(float, np.ravel(part))) for part in out]))
"""


def run(**environment):
    here = Path(__file__).parents[1] / "models"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(here)],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return [np.array(part) for part in json.loads(done.stdout)]


def test_without_jit():
    for compiled, plain in zip(run(), run(NUMBA_DISABLE_JIT="1"), strict=True):
        # Compiled sums come in another order.
        np.testing.assert_allclose(compiled, plain, rtol=1e-8, atol=1e-9)
