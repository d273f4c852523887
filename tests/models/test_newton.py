import numpy as np
import pytest

from ter.models.newton import maximise, newton_step


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
