import numpy as np
import pytest

from ter.models.newton import maximise, newton_step, secant_update


def quadratic(centre, curvature):
    def evaluate(x):
        d = x - centre
        return -0.5 * float(d @ curvature @ d), -curvature @ d, curvature

    return evaluate, lambda x: evaluate(x)[0]


def test_a_quadratic_takes_one_step():
    centre, curvature = np.array([1.0, -2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    found = maximise(*quadratic(centre, curvature), np.zeros(2))
    assert found.converged
    assert found.iterations == 1
    np.testing.assert_allclose(found.x, centre, rtol=1e-12)


def test_a_step_that_overshoots_is_halved():
    # log(cosh) is flat far out: from 3 an undamped Newton step lands beyond -100 and then diverges.
    def evaluate(x):
        t = np.tanh(x)
        return -float(np.log(np.cosh(x)).sum()), -t, np.diag(np.maximum(1 - t**2, 1e-12))

    found = maximise(evaluate, lambda x: evaluate(x)[0], np.array([3.0]))
    assert found.converged
    assert abs(found.x[0]) < 1e-5


def test_a_bound_holds_a_coordinate():
    found = maximise(
        *quadratic(np.array([1.0, -5.0]), np.eye(2)), np.zeros(2), lowest=np.array([-np.inf, -2.0])
    )
    assert found.converged
    np.testing.assert_allclose(found.x, [1.0, -2.0])


def test_largest_step():
    evaluate, value = quadratic(np.array([10.0]), np.eye(1))
    steps = []

    def watched(x):
        steps.append(x[0])
        return evaluate(x)

    maximise(watched, value, np.zeros(1), max_step=1.0)
    assert np.diff(steps).max() <= 1.0 + 1e-12


def test_information_that_is_not_positive_definite_still_gives_an_ascent():
    gradient = np.array([1.0, 2.0])
    step = newton_step(gradient, np.array([[-1.0, 0.0], [0.0, 1e-14]]))
    assert gradient @ step > 0
    assert np.isfinite(step).all()


def test_failure_is_said():
    def rough(x):
        return float("nan"), np.ones(1), np.eye(1)

    assert not maximise(rough, lambda x: float("nan"), np.zeros(1)).converged
    assert not maximise(
        *quadratic(np.array([100.0]), np.eye(1)), np.zeros(1), max_step=1.0, max_iterations=3
    ).converged


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_newton_step_at_any_scale(scale):
    information = scale * np.array([[2.0, 1.0], [1.0, 3.0]])
    gradient = np.array([1.0, -1.0])
    np.testing.assert_allclose(information @ newton_step(gradient, information), gradient, rtol=1e-10)


def test_kept_information_is_corrected_by_secants():
    # Log-likelihood of a logistic regression: the gradient costs little, the information is asked for rarely.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 4))
    y = (rng.random(400) < 1 / (1 + np.exp(-X @ [1.0, -1.0, 0.5, 0.0]))).astype(float)
    evaluations = []

    def value(b):
        return float(y @ (X @ b) - np.logaddexp(0, X @ b).sum())

    def gradient(b):
        return value(b), X.T @ (y - 1 / (1 + np.exp(-X @ b)))

    def evaluate(b):
        evaluations.append(b)
        p = 1 / (1 + np.exp(-X @ b))
        return *gradient(b), (X.T * (p * (1 - p))) @ X

    newton = maximise(evaluate, value, np.zeros(4))
    all_the_time = len(evaluations)
    evaluations.clear()
    kept = maximise(evaluate, value, np.zeros(4), gradient_at=gradient)
    assert kept.converged
    assert len(evaluations) < all_the_time
    np.testing.assert_allclose(kept.x, newton.x, atol=1e-6)
    # The information is not the updated one, but one evaluated within a ten-thousandth of a standard error.
    np.testing.assert_allclose(kept.information, evaluate(newton.x)[2], rtol=1e-4, atol=1e-3)


def test_secant_update_explains_the_fall():
    information = np.array([[2.0, 0.3], [0.3, 1.0]])
    step, fall = np.array([0.5, -0.2]), np.array([1.4, -0.3])
    updated = secant_update(information, step, fall)
    np.testing.assert_allclose(updated @ step, fall, rtol=1e-12)
    assert (np.linalg.eigvalsh(updated) > 0).all()
    # A gradient that did not fall says nothing of a maximum.
    np.testing.assert_array_equal(secant_update(information, step, -fall), information)


@pytest.mark.parametrize("level", [0.0, -1e9])
def test_an_ascent_does_not_end_with_what_stood_for_the_information(level):
    # The start's decrement is 1e-7: below the rounding of a value of 1e9, above the tolerance otherwise.
    centre, curvature = np.array([1.0, -2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    evaluate, _ = quadratic(centre, curvature)

    def shifted(x):
        value, gradient, information = evaluate(x)
        return value + level, gradient, information

    def roughly(x):
        value, gradient, information = shifted(x)
        return value, gradient, 1.5 * information

    start = centre + np.array([3e-4, 0.0])
    found = maximise(
        shifted, lambda x: shifted(x)[0], start, gradient_at=lambda x: shifted(x)[:2], first=roughly
    )
    assert found.converged
    np.testing.assert_array_equal(found.information, curvature)


def test_an_information_that_leads_astray_is_replaced():
    centre, curvature = np.array([1.0, -2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    evaluate, value = quadratic(centre, curvature)
    tried = []

    def watched(x):
        tried.append(x)
        return value(x)

    def astray(x):
        at, gradient, _ = evaluate(x)
        return at, gradient, 1e-6 * np.eye(2)

    found = maximise(evaluate, watched, np.zeros(2), gradient_at=lambda x: evaluate(x)[:2], first=astray)
    assert found.converged
    np.testing.assert_allclose(found.x, centre, atol=1e-6)
    # A step a million times too long would take twenty halvings.
    assert len(tried) < 10
