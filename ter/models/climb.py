"""The ascent of likelihoods that come with a gradient: a quasi-Newton climb, then Newton's method.

Near the maximum, values and gradients around a point give the gradient of the value itself and the Hessian by
central differences, which standard errors come from.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ter.features.design import FloatArray
from ter.models.newton import Evaluation, Optimum, maximise

#: Value and gradient at a point.
Slope = Callable[[FloatArray], tuple[float, FloatArray]]

#: Steps of the differences, in standard errors.
STEP = 1e-3
MAX_CLIMB = 300
MAX_NEWTON = 30


def climb(slope: Slope, start: FloatArray, units: FloatArray, lowest: FloatArray) -> FloatArray:
    """Climb from a start with a limited-memory quasi-Newton method (Byrd et al. 1995, L-BFGS-B).

    Parameters
    ----------
    slope : callable
    start : ndarray, shape (n,)
    units : ndarray, shape (n,)
        About a standard error of each parameter.
    lowest : ndarray, shape (n,)
        Lower bounds.

    Returns
    -------
    ndarray, shape (n,)
        Near a maximum; it need not be one yet.
    """
    # Imported here: scipy.optimize is slow to load, and `import ter` should not wait for it.
    from scipy.optimize import minimize

    def downhill(y: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = slope(y * units)
        return -value, -gradient * units

    bounds = [(low if np.isfinite(low) else None, None) for low in lowest / units]
    found = minimize(
        downhill, start / units, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": MAX_CLIMB, "maxcor": 30, "ftol": 1e-12, "gtol": 1e-3},
    )  # fmt: skip
    return np.asarray(found.x * units, np.float64)


def finish(slope: Slope, start: FloatArray, units: FloatArray, lowest: FloatArray) -> Optimum:
    """Newton's method on differences, from near the maximum.

    A rule with too few nodes has an error of its own, so that the gradient of the integral is not quite that
    of the value: differences of the value are.

    Parameters
    ----------
    slope, start, units, lowest
        As in `climb`.

    Returns
    -------
    Optimum
        With the full Hessian as its information.
    """
    steps = STEP * units

    def evaluate(x: FloatArray) -> Evaluation:
        nonlocal steps
        up = [slope(x + h) for h in np.diag(steps)]
        down = [slope(x - h) for h in np.diag(steps)]
        gradient = np.array([(a[0] - b[0]) for a, b in zip(up, down, strict=True)]) / (2.0 * steps)
        rows = np.array([b[1] - a[1] for a, b in zip(up, down, strict=True)]) / (2.0 * steps[:, None])
        information = 0.5 * (rows + rows.T)
        curved = np.diag(information) > 0.0
        steps = np.where(curved, STEP / np.sqrt(np.where(curved, np.diag(information), 1.0)), steps)
        steps = np.minimum(steps, 10.0 * STEP * units)
        return slope(x)[0], gradient, information

    return maximise(
        evaluate, lambda x: slope(x)[0], start,
        tolerance=1e-7, max_step=20.0 * units, lowest=lowest, max_iterations=MAX_NEWTON,
    )  # fmt: skip


def covariance_inside(found: Optimum, inside: NDArray[np.bool_]) -> FloatArray:
    """Inverse of the information of the parameters inside their bounds; zeros for others: shape (n, n)."""
    covariance = np.zeros_like(found.information)
    chosen = np.ix_(inside, inside)
    covariance[chosen] = np.linalg.pinv(found.information[chosen], hermitian=True)
    return covariance


def gradient_norm(found: Optimum, covariance: FloatArray) -> float:
    """Largest gradient, in units of one over the standard error."""
    return float(np.abs(found.gradient * np.sqrt(np.maximum(np.diag(covariance), 0.0))).max())
