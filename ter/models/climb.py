"""The ascent of likelihoods that come with a gradient: a quasi-Newton climb, then Newton's method.

Near the maximum, values and gradients around a point give the gradient of the value itself and the Hessian by
central differences, which standard errors come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ter.features.design import FloatArray
from ter.models.layout import Layout
from ter.models.ml import LARGEST_LOG_SD, SMALL_SD, START_SD, Bounds
from ter.models.newton import Evaluate, Evaluation, Optimum, last_steps, maximise

#: Value and gradient at a point.
Slope = Callable[[FloatArray], tuple[float, FloatArray]]

#: Steps of the differences, in standard errors.
STEP = 3e-4
MAX_CLIMB = 300
#: Gradient, for a unit, that ends a climb. A step more costs less than a Hessian from where it is not that
#: of the maximum; and where an SD is next to nothing the rest may rise slowly for long.
STEEPEST = 1e-5
MAX_NEWTON = 30
#: The longest step of Newton's method, in standard errors.
LONGEST_STEP = 20.0
#: How much less than the number of levels promises the data may say of an SD, for steps to be as wide.
WIDEST = 5.0
#: Newton decrement that ends an ascent, and the one beyond which a further step follows: standard errors of
#: what is hardly known move by many times what the estimate does, and must not show where the ascent began.
TOLERANCE = 1e-7
NOTHING_LEFT = 1e-15
#: What the log-likelihood may lose where a small SD is put to zero.
EDGE_LOSS = 1e-6
#: An SD where it shows whether the log-likelihood rises from zero, and where the climb goes on if it does.
NEXT_TO_ZERO = 1e-2
LIFTED = 0.1


def rough_units(layout: Layout, levels: list[int]) -> FloatArray:
    """About a standard error of each of beta and the log SDs, shape (P + F,), from the model without effects.

    Parameters
    ----------
    layout : Layout
    levels : list of int
        Of each factor.
    """
    rows = layout.rows
    rate = rows.y.sum() / rows.trials.sum()
    information = (rows.X.T * (rate * (1.0 - rate) * rows.trials)) @ rows.X
    variance = np.diag(np.linalg.pinv(information, hermitian=True)).copy()
    # Levels that differ leave their mean less certain than patients alone would.
    variance[0] += START_SD**2 * (1.0 / np.array(levels)).sum()
    return np.concatenate([np.sqrt(variance), 1.0 / np.sqrt(2.0 * np.array(levels))])


def widened(units: FloatArray, log_sd_se: FloatArray | None) -> FloatArray:
    """Units whose last ones, of log SDs, are the standard errors of an earlier fit, within reason."""
    if log_sd_se is None:
        return units
    rough = units[-log_sd_se.size :]
    known = np.where(np.isfinite(log_sd_se), log_sd_se, np.inf)
    return np.concatenate([units[: -log_sd_se.size], np.clip(known, rough, WIDEST * rough)])


def climb(slope: Slope, start: FloatArray, units: FloatArray, lowest: FloatArray) -> tuple[FloatArray, int]:
    """Climb from a start; an SD that is on its way to zero is put there.

    Parameters
    ----------
    slope : callable
    start : ndarray, shape (n,)
    units : ndarray, shape (n,)
        About a standard error of each parameter.
    lowest : ndarray, shape (n,)
        Lower bounds; what has one is the logarithm of an SD.

    Returns
    -------
    x : ndarray, shape (n,)
        Near a maximum; it need not be one yet.
    iterations : int
    """
    # Beyond any SD of log-odds the likelihood is that of clamped predictors, and may be anything.
    highest = np.where(np.isfinite(lowest), LARGEST_LOG_SD, np.inf)
    lifted = np.zeros(start.size, np.bool_)
    x, iterations = quasi_newton(slope, start, units, lowest, highest)
    while True:
        before = x
        for k in np.flatnonzero(np.isfinite(lowest) & (x < np.log(SMALL_SD)) & (lowest < highest)):
            edge, near = moved(x, k, lowest[k]), moved(x, k, np.log(NEXT_TO_ZERO))
            at_edge = slope(edge)[0]
            # Towards zero the log-likelihood flattens as the square of the SD, and an ascent stops there
            # whether it falls or rises.
            if x[k] < near[k] and slope(near)[0] > at_edge and not lifted[k]:
                x, lifted[k] = moved(x, k, np.log(LIFTED)), True
            elif at_edge >= slope(x)[0] - EDGE_LOSS:
                x, highest[k] = edge, lowest[k]
        if x is before:
            return x, iterations
        x, more = quasi_newton(slope, x, units, lowest, highest)
        iterations += more


def moved(x: FloatArray, k: np.intp, to: float) -> FloatArray:
    """The point with one coordinate elsewhere."""
    out = x.copy()
    out[k] = to
    return out


def quasi_newton(
    slope: Slope,
    start: FloatArray,
    units: FloatArray,
    lowest: FloatArray,
    highest: FloatArray,
) -> tuple[FloatArray, int]:
    """Climb by a limited-memory quasi-Newton method (Byrd et al. 1995, L-BFGS-B): where to, in how many."""
    # Imported here: scipy.optimize is slow to load, and `import ter` should not wait for it.
    from scipy.optimize import minimize

    def downhill(y: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = slope(y * units)
        return -value, -gradient * units

    bounds = list(zip(lowest / units, highest / units, strict=True))
    found = minimize(
        downhill, start / units, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": MAX_CLIMB, "maxcor": 30, "ftol": 1e-15, "gtol": STEEPEST},
    )  # fmt: skip
    return np.clip(np.asarray(found.x * units, np.float64), lowest, highest), int(found.nit)


def ascend(slope: Slope, start: FloatArray, units: FloatArray, lowest: FloatArray) -> Optimum:
    """Climb to a maximum, and finish by Newton's method; where it ends does not show where it began.

    Parameters
    ----------
    slope, start, units, lowest
        As in `climb`.

    Returns
    -------
    Optimum
        With the full Hessian as its information; zero where an SD is.
    """
    near, iterations = climb(slope, start, units, lowest)
    # An SD at zero stays there: the slope of its logarithm is next to nothing, of either sign.
    free = near > lowest
    found = finish(restricted(slope, near, free), near[free], units[free], lowest[free])
    x, gradient, information = near.copy(), np.zeros(near.size), np.zeros((near.size, near.size))
    x[free], gradient[free], information[np.ix_(free, free)] = found.x, found.gradient, found.information
    return replace(
        found,
        x=x,
        gradient=gradient,
        information=information,
        latest=information,
        iterations=iterations + found.iterations,
    )


def restricted(slope: Slope, x: FloatArray, free: NDArray[np.bool_]) -> Slope:
    """Value and gradient as a function of some parameters, the others held."""

    def of_part(part: FloatArray) -> tuple[float, FloatArray]:
        whole = x.copy()
        whole[free] = part
        value, gradient = slope(whole)
        return value, gradient[free]

    return of_part


def finish(slope: Slope, start: FloatArray, units: FloatArray, lowest: FloatArray) -> Optimum:
    """Newton's method on differences, from near a maximum."""
    bounds = Bounds(lowest=lowest, max_step=LONGEST_STEP * units)
    evaluate = by_differences(slope, units)
    found = maximise(
        evaluate, lambda x: slope(x)[0], start, tolerance=TOLERANCE, max_iterations=MAX_NEWTON, **bounds
    )
    if found.decrement < NOTHING_LEFT:
        return found
    return last_steps(found, evaluate, **bounds, at_most=1)


def by_differences(slope: Slope, units: FloatArray) -> Evaluate:
    """The gradient from differences of the value, and the information from those of the gradient.

    A rule with too few nodes has an error of its own, so that the gradient of the integral is not quite that
    of the value: differences of the value are.
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

    return evaluate


def covariance_inside(found: Optimum, inside: NDArray[np.bool_]) -> FloatArray:
    """Inverse of the information of the parameters inside their bounds; zeros for others: shape (n, n)."""
    covariance = np.zeros_like(found.information)
    chosen = np.ix_(inside, inside)
    covariance[chosen] = np.linalg.pinv(found.information[chosen], hermitian=True)
    return covariance


def gradient_norm(found: Optimum, covariance: FloatArray) -> float:
    """Largest gradient, in units of one over the standard error."""
    return float(np.abs(found.gradient * np.sqrt(np.maximum(np.diag(covariance), 0.0))).max())
