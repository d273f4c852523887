"""Quadrature over one factor and Laplace's method over the other, against SciPy."""

from dataclasses import replace

import numpy as np
import pytest
from networks import network
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

from ter.models.laplace import LaplaceLikelihood
from ter.models.layout import arrange
from ter.models.ml import Start, fit_ml
from ter.models.quadrature import CrossedQuadrature

POINT = np.array([0.2, 0.5, -0.3, np.log(0.6), np.log(0.4)])


def differences(value, x, step=1e-4):
    return np.array([(value(x + h) - value(x - h)) / (2 * step) for h in step * np.eye(x.size)])


def therapist_by_therapist(design, beta, v, sigma):
    """Sum over therapists of the log of the integral over u, by SciPy's adaptive quadrature."""
    total = 0.0
    for j in range(len(design.therapist.levels)):
        rows = design.therapist.index == j
        eta = design.X[rows] @ beta + v[design.service.index[rows]]
        y, n = design.successes[rows], design.trials[rows]

        def log_density(u, eta=eta, y=y, n=n):
            return float((y * (eta + u) - n * np.logaddexp(0, eta + u)).sum() + norm.logpdf(u, scale=sigma))

        top = max(log_density(u) for u in np.linspace(-3, 3, 61))
        area, _ = quad(lambda u, f=log_density, t=top: np.exp(f(u) - t), -8, 8, limit=200, epsabs=1e-12)
        total += top + np.log(area)
    return total


def test_value_against_scipy():
    design, _ = network(4, therapists=6, services=2, caseload=8)
    layout = arrange(design, design.therapist, design.service)
    sigma_u, sigma_v = np.exp(POINT[3:])

    def lost(v):
        return -therapist_by_therapist(design, POINT[:3], v, sigma_u) - norm.logpdf(v, scale=sigma_v).sum()

    found = minimize(lost, np.zeros(2), method="BFGS", options={"gtol": 1e-6})
    step = 1e-3
    grid = [
        [
            (lost(found.x + a + b) - lost(found.x + a - b) - lost(found.x - a + b) + lost(found.x - a - b))
            / (4 * step**2)
            for b in step * np.eye(2)
        ]
        for a in step * np.eye(2)
    ]
    expected = -found.fun + np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(grid)[1]
    likelihood = CrossedQuadrature(layout, 25, np.zeros(2))
    # Differences over 1e-3 leave about 1e-6 of the second derivatives.
    assert likelihood.value(POINT) == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(likelihood.modes(POINT)[0], found.x, atol=1e-5)


def test_value_is_near_the_integral_over_both_factors():
    # Laplace's method over two services with some 24 patients each: its error is of the order of one over
    # these, in log-likelihood.
    design, _ = network(4, therapists=6, services=2, caseload=8)
    layout = arrange(design, design.therapist, design.service)
    sigma_u, sigma_v = np.exp(POINT[3:])
    z, w = np.polynomial.hermite_e.hermegauss(25)
    likelihood = CrossedQuadrature(layout, 25, np.zeros(2)).full
    values = np.array(
        [[likelihood.value(np.array([*POINT[:3], a, b]), sigma_u) for b in sigma_v * z] for a in sigma_v * z]
    )
    top = values.max()
    integral = top + np.log((np.exp(values - top) * np.outer(w, w)).sum() / (2 * np.pi))
    assert CrossedQuadrature(layout, 25, np.zeros(2)).value(POINT) == pytest.approx(integral, abs=0.02)


@pytest.mark.parametrize(
    "options", [{"services": 3}, {"services": 3, "trials": 7}, {"services": 5, "caseload": 4}]
)
def test_gradient_is_that_of_the_value(options):
    design, _ = network(3, **options)
    likelihood = CrossedQuadrature(
        arrange(design, design.therapist, design.service), 25, np.zeros(options["services"])
    )
    gradient = likelihood.evaluate(POINT)[1]
    # The modes of v are found to 1e-6 of their SDs; the step is 1e-4.
    np.testing.assert_allclose(gradient, differences(likelihood.value, POINT), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 7, "services": 12, "therapists": 100, "caseload": 20},
        {"seed": 6, "services": 6, "therapists": 60, "caseload": 5, "sd": (1.0, 0.6)},
    ],
)
def test_maximum_and_standard_errors(options):
    design, _ = network(**options)
    layout = arrange(design, design.therapist, design.service)
    found = fit_ml(layout, 15)
    assert found.converged
    x = np.concatenate([found.beta, np.log(found.sd)])
    likelihood = CrossedQuadrature(layout, 15, found.v)
    se = np.sqrt(np.diag(found.covariance))
    # The derivatives are those of the integrals, which 15 nodes give to 1e-6 here.
    assert np.abs(se * differences(likelihood.value, x)).max() < 1e-4
    hessian = -differences(lambda x: likelihood.evaluate(x)[1], x)
    exact = np.sqrt(np.diag(np.linalg.inv(0.5 * (hessian + hessian.T))))
    # The curvature of log det over v is taken from the Laplace approximation, which is rough for caseloads
    # of five; it is a small part of the whole.
    np.testing.assert_allclose(se[:3], exact[:3], rtol=1e-3)
    np.testing.assert_allclose(se[3:], exact[3:], rtol=5e-3)


def test_many_patients_a_row_make_it_laplace():
    # With hundreds of patients for each therapist the integrand is normal, and both methods agree.
    design, _ = network(3, services=3, trials=400)
    layout = arrange(design, design.therapist, design.service)
    joint = LaplaceLikelihood(layout).value(POINT)
    assert CrossedQuadrature(layout, 9, np.zeros(3)).value(POINT) == pytest.approx(joint, abs=0.02)


@pytest.mark.parametrize("nodes", [1, 9])
def test_an_earlier_fit_as_start_changes_nothing(nodes):
    design, _ = network(9, services=4, therapists=60)
    layout = arrange(design, design.therapist, design.service)
    scratch = fit_ml(layout, nodes)
    some = design.therapist.index % 5 > 0
    fewer = replace(
        design,
        X=design.X[some],
        successes=design.successes[some],
        trials=design.trials[some],
        therapist=replace(design.therapist, index=design.therapist.index[some]),
        service=replace(design.service, index=design.service.index[some]),
    )
    earlier = fit_ml(arrange(fewer, fewer.therapist, fewer.service), nodes)
    again = fit_ml(layout, nodes, Start(earlier.beta, earlier.sd, earlier.v))
    assert np.abs(earlier.beta - scratch.beta).max() > 1e-3
    for name in ("beta", "sd", "u", "v", "log_likelihood"):
        np.testing.assert_allclose(getattr(again, name), getattr(scratch, name), rtol=0, atol=1e-6)
    # The Hessian is that of a point within a ten-thousandth of a standard error of the maximum.
    se = np.sqrt(np.diag(scratch.covariance))
    assert np.abs((again.covariance - scratch.covariance) / np.outer(se, se)).max() < 1e-4
