"""Quadrature over (u, w) and Laplace's method over all other factors."""

from dataclasses import replace

import numpy as np
import pytest
from networks import grouping, network, table_of
from test_slope import brute_force, by_therapist, sloped

import ter
from ter.models.layout import arrange
from ter.models.mixed import MixedLikelihood
from ter.models.outer import OuterQuadrature
from ter.models.quadrature import CrossedQuadrature
from ter.models.slope import SlopeLikelihood

KINDS = {"slope and service": (True, False), "slope and two": (True, True), "two": (False, True)}


def three_factors(seed, **options):
    design, _, _ = sloped(seed, **options)
    region = np.arange(len(design.rows)) % 3
    return replace(design, further=grouping("further", region, 3))


def likelihood_of(design, kind, nodes):
    slopes, third = KINDS[kind]
    outer = (design.service, design.further) if third else (design.service,)
    severity = design.severity.values if slopes else None
    return OuterQuadrature(by_therapist(design), outer, severity, nodes)


def point_of(design, kind):
    slopes, third = KINDS[kind]
    theta = [-0.4, 0.3, -0.7] if slopes else [-0.4]
    return np.r_[np.linspace(-0.3, 0.3, design.X.shape[1]), theta, -0.6, [-0.9] * third]


def test_value_against_brute_force():
    design = three_factors(3, therapists=4, services=2, caseload=[0, 3, 5, 8], trials=2)
    likelihood, x = likelihood_of(design, "slope and two", 31), point_of(design, "slope and two")
    value, _ = likelihood.evaluate(x)
    beta, L, scale = likelihood.split(x)
    sd_w = float(np.hypot(*L[1]))
    mode = likelihood.effects(x)[2]

    def joint(z):
        effects = scale * z
        shift = effects[design.service.index] + effects[2 + design.further.index]
        moved = replace(design, X=np.column_stack([design.X, shift]))
        return brute_force(moved, np.r_[beta, 1.0], L[0, 0], sd_w, L[1, 0] / sd_w) - 0.5 * float(z @ z)

    z, h = mode / scale, 1e-2
    steps = h * np.eye(z.size)
    up, down, middle = [joint(z + s) for s in steps], [joint(z - s) for s in steps], joint(z)
    # Differences of the fourth order would be exact to 1e-9; these are to h^2 times third derivatives of 0.1.
    np.testing.assert_allclose((np.array(up) - down) / (2 * h), 0.0, atol=1e-5)
    hessian = np.diag((2 * middle - np.array(up) - down) / h**2)
    for a in range(z.size):
        for b in range(a):
            both = joint(z + steps[a] + steps[b]) + joint(z - steps[a] - steps[b])
            hessian[a, b] = hessian[b, a] = (up[a] + up[b] + down[a] + down[b] - 2 * middle - both) / (
                2 * h**2
            )
    assert value == pytest.approx(middle - 0.5 * np.linalg.slogdet(hessian)[1], abs=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trials", [None, 5])
def test_gradient_against_differences(kind, trials):
    design = three_factors(2, services=3, caseload=[0, 1, 2, 30] + [5] * 16, trials=trials)
    likelihood, x = likelihood_of(design, kind, 25), point_of(design, kind)
    expected = [
        (likelihood.evaluate(x + h)[0] - likelihood.evaluate(x - h)[0]) / 2e-4 for h in 1e-4 * np.eye(x.size)
    ]
    # Central differences are exact to some 1e-8 times third derivatives of up to 100.
    np.testing.assert_allclose(likelihood.evaluate(x)[1], expected, atol=3e-6)


def test_without_slopes_it_is_the_crossed_likelihood():
    design, _ = network(4, therapists=30, services=4, caseload=9)
    crossed = CrossedQuadrature(arrange(design, design.therapist, design.service), 9, np.zeros(4))
    likelihood = OuterQuadrature(by_therapist(design), (design.service,), None, 9)
    x = np.r_[0.2, 0.5, -0.3, np.log([0.6, 0.4])]
    value, gradient = likelihood.evaluate(x)
    assert value == pytest.approx(crossed.value(x), abs=1e-9)
    # One by differences along the way of the modes, the other by expectations at nine nodes.
    np.testing.assert_allclose(gradient, crossed.gradient(x)[1], atol=1e-5)


def test_without_other_effects_it_is_the_likelihood_with_slopes():
    design = three_factors(5, services=3, therapists=12, caseload=9)
    alone = SlopeLikelihood(by_therapist(design), design.severity.values, 9)
    x = point_of(design, "slope and two")
    x[-2:] = np.log(1e-4)
    value, gradient = likelihood_of(design, "slope and two", 9).evaluate(x)
    expected, slope = alone.evaluate(x[:-2])
    # Effects of 1e-4 change the value by their variance times second derivatives of up to 100.
    assert value == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(gradient[:-2], slope, atol=1e-4)


def test_laplace_is_the_limit_of_large_caseloads():
    gaps = []
    for caseload in (100, 800):
        design = three_factors(6, services=3, therapists=12, caseload=caseload)
        x = point_of(design, "slope and two")
        outer = (design.service, design.further)
        laplace = MixedLikelihood(by_therapist(design), outer, design.severity.values)
        gaps.append(likelihood_of(design, "slope and two", 9).evaluate(x)[0] - laplace.evaluate(x)[0])
    # Its error falls as one over the caseload, once that outweighs the prior.
    assert abs(gaps[1]) < abs(gaps[0]) / 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_says_what_was_integrated(kind):
    slopes, third = KINDS[kind]
    design, _, _ = sloped(1, therapists=30, caseload=14, services=4, sd=(0.8, 0.5), sd_w=0.6)
    table = table_of(design).assign(region=(np.arange(len(design.rows)) % 5).astype(str))
    options = {
        "outcome": "y", "engine": "ml", "case_mix": ter.CaseMix([ter.linear("x0")]),
        "severity_slope": "x0" if slopes else None, "further": "region" if third else None,
    }  # fmt: skip
    laplace, fit = (ter.fit(table, nodes=nodes, **options) for nodes in (1, 7))
    assert fit.record.converged
    assert any("Quadrature with 7 nodes over the therapists" in note for note in fit.record.notes)
    # Laplace's method makes SDs too small where caseloads are.
    assert fit.groups["sd"]["therapist"] > laplace.groups["sd"]["therapist"]
    shuffled = ter.fit(table.sample(frac=1.0, random_state=1), nodes=7, **options)
    assert shuffled.groups.equals(fit.groups)
    assert shuffled.effects("therapist").equals(fit.effects("therapist"))
    if kind == "two":
        intervals = fit.profile_intervals(table)
        assert (intervals["lower"] <= intervals["sd"]).all()
        assert (intervals["sd"] <= intervals["upper"]).all()
        assert fit.variance_test(table).p_value < 0.05
