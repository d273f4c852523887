"""Every derivative against numeric differentiation, every integral against SciPy's adaptive quadrature."""

import numpy as np
import pytest
from networks import network
from scipy.integrate import quad
from scipy.stats import norm

from ter.models.laplace import LaplaceLikelihood
from ter.models.layout import arrange
from ter.models.quadrature import QuadratureLikelihood

CASES = [
    pytest.param({}, id="one factor"),
    pytest.param({"services": 3}, id="crossed"),
    pytest.param({"services": 3, "trials": 7}, id="grouped counts"),
    pytest.param({"caseload": [0, 1, 2, 30, 0, 5] + [4] * 14}, id="empty and single caseloads"),
]


def laid_out(options, seed=3):
    design, _ = network(seed, **options)
    return arrange(design, design.therapist, design.service)


def differences(value, x, step=1e-5):
    """Central differences: exact to about 1e-9 of the value's size here."""
    return np.array([(value(x + h) - value(x - h)) / (2 * step) for h in step * np.eye(x.size)])


@pytest.mark.parametrize("options", CASES)
def test_laplace_gradient(options):
    layout = laid_out(options)
    likelihood = LaplaceLikelihood(layout)
    n = 3 + (2 if layout.n_outer else 1)
    x = np.linspace(-0.5, 0.2, n)
    _, gradient, _ = likelihood.evaluate(x)
    np.testing.assert_allclose(gradient, differences(likelihood.value, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("options", CASES)
@pytest.mark.parametrize("log_sd", [-1.5, -0.2, 0.8])
def test_laplace_hessian(options, log_sd):
    layout = laid_out(options)
    likelihood = LaplaceLikelihood(layout)
    n = 3 + (2 if layout.n_outer else 1)
    x = np.linspace(-0.5, 0.2, n)
    x[3:] = log_sd + 0.3 * np.arange(n - 3)
    _, gradient, hessian = likelihood.evaluate_exactly(x)
    np.testing.assert_allclose(gradient, likelihood.evaluate(x)[1], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(
        hessian, -differences(lambda x: likelihood.evaluate(x)[1], x), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("options", CASES)
@pytest.mark.parametrize("nodes", [25, 41])
def test_quadrature_gradient_and_hessian(options, nodes):
    # The derivatives are those of the integral; at 25 nodes and more the rule has converged to it.
    layout = laid_out(options)
    likelihood = QuadratureLikelihood(layout, nodes)
    x = np.linspace(-0.5, 0.2, likelihood.n_b + 1)

    def value(x):
        return likelihood.value(x[:-1], np.exp(x[-1]))

    def gradient(x):
        return likelihood.evaluate(x[:-1], np.exp(x[-1]))[1]

    at, slope, hessian = likelihood.evaluate(x[:-1], np.exp(x[-1]))
    assert at == pytest.approx(value(x), rel=1e-13)
    np.testing.assert_allclose(slope, differences(value, x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(hessian, -differences(gradient, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("trials", [None, 9])
def test_quadrature_against_scipy(sigma, trials):
    design, _ = network(5, therapists=4, caseload=[1, 3, 12, 30], trials=trials)
    layout = arrange(design, design.therapist, None)
    beta = np.array([0.3, -0.5, 0.8])
    total = 0.0
    for j in range(4):
        rows = design.therapist.index == j
        eta, y, n = design.X[rows] @ beta, design.successes[rows], design.trials[rows]

        def log_density(u, eta=eta, y=y, n=n):
            return float((y * (eta + u) - n * np.logaddexp(0, eta + u)).sum() + norm.logpdf(u, scale=sigma))

        top = max(log_density(u) for u in np.linspace(-5, 5, 201))
        area, _ = quad(
            lambda u, f=log_density, t=top: np.exp(f(u) - t), -12, 12, limit=500, points=[-1, 0, 1]
        )
        total += top + np.log(area)
    # quad asks for 1.5e-8 of each of four integrals.
    assert QuadratureLikelihood(layout, 41).value(beta, sigma) == pytest.approx(total, abs=1e-7)


def test_laplace_is_one_node_quadrature_with_one_factor():
    layout = laid_out({})
    x = np.array([0.1, 0.3, -0.2, np.log(0.4)])
    laplace = LaplaceLikelihood(layout).value(x)
    one_node = QuadratureLikelihood(layout, 1).value(x[:-1], 0.4)
    assert laplace == pytest.approx(one_node, rel=1e-12)


def test_extreme_linear_predictors_stay_finite():
    design, _ = network(1)
    layout = arrange(design, design.therapist, None)
    for likelihood_value in (
        QuadratureLikelihood(layout, 11).value(np.array([500.0, 100.0, -100.0]), 3.0),
        QuadratureLikelihood(layout, 11).value(np.array([-500.0, 100.0, -100.0]), 1e-4),
        LaplaceLikelihood(layout).value(np.array([500.0, 100.0, -100.0, 1.0])),
    ):
        assert np.isfinite(likelihood_value)


def test_sums_do_not_depend_on_the_order_of_rows():
    design, _ = network(2, services=3)
    shuffle = np.random.default_rng(0).permutation(len(design.successes))
    from dataclasses import replace

    def take(g):
        return replace(g, index=g.index[shuffle])

    shuffled = replace(
        design,
        X=design.X[shuffle],
        successes=design.successes[shuffle],
        trials=design.trials[shuffle],
        therapist=take(design.therapist),
        service=take(design.service),
    )
    a, b = (QuadratureLikelihood(arrange(d, d.therapist, d.service), 11) for d in (design, shuffled))
    x = np.linspace(-0.3, 0.3, a.n_b)
    assert a.value(x, 0.5) == b.value(x, 0.5)
    for p, q in zip(a.evaluate(x, 0.5)[1:], b.evaluate(x, 0.5)[1:], strict=True):
        np.testing.assert_array_equal(p, q)


def test_binomial_rows_equal_bernoulli_rows():
    # n patients in one row are n rows of one patient, up to the binomial constant.
    design, _ = network(4, therapists=3, caseload=2, trials=5)
    X = np.repeat(design.X, 5, axis=0)
    y = np.concatenate([np.r_[np.ones(int(s)), np.zeros(5 - int(s))] for s in design.successes])
    from dataclasses import replace

    single = replace(
        design,
        X=X,
        successes=y,
        trials=np.ones(len(y)),
        therapist=replace(design.therapist, index=np.repeat(design.therapist.index, 5)),
    )
    beta = np.array([0.2, 0.1, -0.4])
    grouped = QuadratureLikelihood(arrange(design, design.therapist, None), 21).value(beta, 0.7)
    rows = QuadratureLikelihood(arrange(single, single.therapist, None), 21).value(beta, 0.7)
    assert grouped == pytest.approx(rows, rel=1e-12)
