"""Kernels give the same numbers when they run as plain Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from networks import network
from ter.models.laplace import LaplaceLikelihood
from ter.models.layout import arrange
from ter.models.marginal import conditionals, marginalise
from ter.models.proposal import Draws
from ter.models.quadrature import CrossedQuadrature, QuadratureLikelihood
from ter.kernels.tables import logistic_normal, standardised_rate, inverse_logit_rate, count_predictors

design, _ = network(3, therapists=6, services=2, caseload=[0, 1, 4, 9, 2, 3])
layout = arrange(design, design.therapist, design.service)
x = np.linspace(-0.4, 0.3, 7)
value, gradient, hessian = QuadratureLikelihood(layout, 7).evaluate(x[:-2], 0.6)
surface, at = LaplaceLikelihood(layout), np.r_[x[:3], -0.7, -0.2]
laplace = surface.evaluate(at)
exact, steep = surface.evaluate_exactly(at), surface.gradient(at)[1]
crossed = CrossedQuadrature(layout, 7, np.zeros(2)).evaluate(np.r_[x[:3], -0.7, -0.2])
table, expected = np.empty((2, 20)), np.empty((2, 30))
rows = layout.rows
outer = np.repeat(rows.cell_outer, np.diff(rows.cell_ptr))
counted = np.zeros((2, 450))
eta = np.ascontiguousarray(rows.X @ np.stack([x[:3], 2 * x[:3]], axis=1))
count_predictors(eta, np.stack([x[3:5], x[3:5]], axis=1), outer, rows.trials, 0, -7.0, counted)
counts = counted.ravel()
standardised_rate(counted[0], -7.0, -1.0, table)
inverse = np.empty((8, 2))
inverse_logit_rate(table, -1.0, -0.5, inverse)
draws = Draws(sd=np.array([[0.6, 0.4], [0.5, 0.2]]), b=np.stack([x[:5], x[1:6]]))
likelihood, weights = QuadratureLikelihood(layout, 7), np.array([0.3, 0.7])
posterior, row_expected = marginalise(likelihood, draws, conditionals(likelihood, draws), weights, 1)
logistic_normal(0.8, -2.0, expected)
out = [[value], gradient, hessian.ravel(), [laplace[0]], laplace[1], laplace[2].ravel()]
out += [[crossed[0]], crossed[1], crossed[2].ravel(), exact[1], exact[2].ravel(), steep]
out += [[QuadratureLikelihood(layout, 7).value(x[:-2], 0.6)]]
out += [counts, table.ravel(), inverse.ravel(), expected.ravel(), row_expected]
names = ("u_mean", "u_cdf", "ter_mean", "ter_cdf")
out += [getattr(posterior, name).ravel() for name in names]
print(json.dumps([list(map(float, part)) for part in out]))
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


def test_same_numbers_with_and_without_jit():
    for compiled, plain in zip(run(), run(NUMBA_DISABLE_JIT="1"), strict=True):
        # Compiled sums may be reordered: rounding apart, nothing else may differ.
        np.testing.assert_allclose(compiled, plain, rtol=1e-9, atol=1e-11)
