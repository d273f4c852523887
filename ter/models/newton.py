"""Damped Newton ascent: the one optimiser of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky

from ter.features.design import FloatArray

#: value, gradient, information (an approximation of minus the Hessian; its lower triangle is read)
Evaluation = tuple[float, FloatArray, FloatArray]
Evaluate = Callable[[FloatArray], Evaluation]
#: An information is kept while each step divides the decrement by at least this.
FAST_FALL = 4.0
#: Points whose decrements are below this share an information: a ten-thousandth of a standard error apart, it
#: differs by a ten-thousandth of the likelihood's skewness.
SAME = 1e-8
#: Shares of a step below which no rise is looked for: with an information from where the step begins, and
#: with one that was kept.
SHORTEST, SHORTEST_KEPT = 1e-10, 0.1
#: Steps after the end, and the decrement that ends them: a thousand-millionth of a standard error.
LAST_STEPS = 3
NOTHING_LEFT = 1e-18


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where an ascent ended.

    Attributes
    ----------
    x : ndarray, shape (n,)
    value : float
    gradient : ndarray, shape (n,)
    information : ndarray, shape (n, n)
    decrement : float
        Newton decrement g' I^-1 g: twice the rise in value that a further step promises.
    iterations : int
    converged : bool
    latest : ndarray, shape (n, n)
        What the last step was taken with: `information`, or what secants made of it.
    """

    x: FloatArray
    value: float
    gradient: FloatArray
    information: FloatArray
    decrement: float
    iterations: int
    converged: bool
    latest: FloatArray


def lower_factor(information: FloatArray) -> tuple[FloatArray, bool]:
    """Lower Cholesky factor of a symmetric matrix, and whether it was positive definite.

    Where it is not, its diagonal is raised until it is.
    """
    largest = max(float(np.abs(np.diag(information)).max(initial=0.0)), 1e-12)
    ridge = 0.0
    while True:
        try:
            factor = cholesky(information + ridge * largest * np.eye(len(information)), lower=True)
        except np.linalg.LinAlgError:
            ridge = max(1e-6, ridge * 10.0)
            continue
        return factor, ridge == 0.0


def newton_step(gradient: FloatArray, information: FloatArray) -> FloatArray:
    """Solve I step = g, with I made positive definite."""
    factor, _ = lower_factor(information)
    return np.asarray(cho_solve((factor, True), gradient), np.float64)


def maximise(
    evaluate: Evaluate,
    value_at: Callable[[FloatArray], float],
    x: FloatArray,
    *,
    gradient_at: Callable[[FloatArray], tuple[float, FloatArray]] | None = None,
    first: Evaluate | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 100,
    max_step: float | FloatArray = np.inf,
    lowest: float | FloatArray = -np.inf,
    noise: float = 0.0,
) -> Optimum:
    """Ascend to a maximum by Newton steps with halving.

    Parameters
    ----------
    evaluate : callable
        Value, gradient and information at a point.
    value_at : callable
        The value alone, for the line search.
    x : ndarray, shape (n,)
        Start.
    gradient_at : callable, optional
        Value and gradient at a point, where they cost less than the information. The information is then
        kept from step to step, while the decrement falls fast. At the end it is that of a point within a
        thousandth of a standard error of the maximum.
    first : callable, optional
        Stands for `evaluate` at the start, where an approximate information costs less.
    tolerance : float
        Newton decrement at which the ascent ends.
    max_iterations : int
    max_step : float or ndarray
        Largest change of each coordinate in one step.
    lowest : float or ndarray
        Lower bound of each coordinate; one that would fall below rests on it.
    noise : float
        A fall of the value by less than this stops no step: what its own error may be, where the gradient is
        not exactly the derivative of the value.

    Returns
    -------
    Optimum
    """
    decrement, left, fresh = np.inf, x, first is None
    value, gradient, evaluated = evaluate(x) if first is None else first(x)
    information = evaluated
    # Newton decrement where the information was evaluated: how far that was from the maximum.
    kept_from = np.inf
    for iteration in range(1, max_iterations + 2):
        before = decrement
        if iteration > 1 and gradient_at is not None:
            past, fresh = gradient, False
            value, gradient = gradient_at(x)
            information = secant_update(information, x - left, past - gradient)
        elif iteration > 1:
            value, gradient, evaluated = evaluate(x)
            information, fresh = evaluated, True
        step, decrement = _free_step(x, gradient, information, lowest)
        slow = decrement > before / FAST_FALL
        # The value is a sum of many terms: a gain of a few of its roundings cannot be told from none.
        rounding = 16 * np.finfo(np.float64).eps * abs(value)
        same = max(SAME, rounding)
        arrived = decrement < same and kept_from >= same
        if not fresh and (slow or arrived):
            value, gradient, evaluated = evaluate(x)
            information, fresh = evaluated, True
            step, decrement = _free_step(x, gradient, information, lowest)
        if fresh:
            kept_from = decrement
        if decrement < max(tolerance, rounding):
            return Optimum(x, value, gradient, evaluated, decrement, iteration - 1, True, information)
        if iteration > max_iterations:
            break
        # Rounding of the value itself must not stop an ascent that is nearly done.
        slack = noise + 1e-12 * (1.0 + abs(value))
        limits = max_step, lowest
        reached = _search(
            value_at, x, step, value, decrement, slack, limits, SHORTEST if fresh else SHORTEST_KEPT
        )
        if reached is None and not fresh:
            # A kept information led astray.
            value, gradient, evaluated = evaluate(x)
            information, fresh = evaluated, True
            step, decrement = _free_step(x, gradient, information, lowest)
            kept_from = decrement
            reached = _search(value_at, x, step, value, decrement, slack, limits, SHORTEST)
        if reached is None:
            return Optimum(x, value, gradient, evaluated, decrement, iteration, False, information)
        left, x = x, reached
    return Optimum(x, value, gradient, evaluated, decrement, max_iterations, False, information)


def _search(
    value_at: Callable[[FloatArray], float],
    x: FloatArray,
    step: FloatArray,
    value: float,
    decrement: float,
    slack: float,
    limits: tuple[float | FloatArray, float | FloatArray],
    shortest: float,
) -> FloatArray | None:
    """Halve a step, which is cut to the limits (largest change, lowest value), until the value rises enough.

    None if that takes a share of the step below the `shortest`.
    """
    max_step, lowest = limits
    over = float(np.max(np.abs(step) / max_step, initial=0.0))
    length = 1.0 / over if over > 1.0 else 1.0
    while length > shortest:
        reached = np.maximum(x + length * step, lowest)
        trial = value_at(reached)
        if np.isfinite(trial) and trial >= value + 1e-4 * length * decrement - slack:
            return reached
        length *= 0.5
    return None


def last_steps(
    found: Optimum,
    evaluate: Evaluate,
    lowest: float | FloatArray,
    max_step: float | FloatArray,
    at_most: int = LAST_STEPS,
) -> Optimum:
    """Newton steps from where an ascent ended until only rounding is left, with everything evaluated there.

    What shows of the start goes by them. Where the likelihood is flat, as under separation, a step may lead
    far away: none is taken that is longer than `max_step`, raises the decrement, or ends where the
    information is not positive definite.
    """
    if not found.converged:
        return found
    # At least one: an ascent may end with an information from nearby.
    for _ in range(at_most):
        step, before = _free_step(found.x, found.gradient, found.latest, lowest)
        if not (np.abs(step) <= max_step).all():
            break
        x = np.maximum(found.x + step, lowest)
        value, gradient, information = evaluate(x)
        _, decrement = _free_step(x, gradient, information, lowest)
        free = ~_resting(x, gradient, lowest)
        if not (decrement <= max(before, NOTHING_LEFT) and lower_factor(information[np.ix_(free, free)])[1]):
            break
        found = Optimum(x, value, gradient, information, decrement, found.iterations, True, information)
        if decrement < NOTHING_LEFT:
            break
    return found


def secant_update(information: FloatArray, step: FloatArray, fall: FloatArray) -> FloatArray:
    """Change an information so that it explains by how much the gradient fell along a step.

    The update of Broyden, Fletcher, Goldfarb and Shanno (Nocedal and Wright 2006, section 6.1).
    """
    explained = information @ step
    along, before = float(fall @ step), float(step @ explained)
    if not (along > 1e-3 * before > 0.0):
        return information
    return information + np.outer(fall, fall) / along - np.outer(explained, explained) / before


def _free_step(
    x: FloatArray, gradient: FloatArray, information: FloatArray, lowest: float | FloatArray
) -> tuple[FloatArray, float]:
    """Newton step of the coordinates that do not rest on their bounds, and its decrement."""
    resting = _resting(x, gradient, lowest)
    step = np.zeros_like(x)
    step[~resting] = newton_step(gradient[~resting], information[np.ix_(~resting, ~resting)])
    return step, float(gradient @ step)


def _resting(x: FloatArray, gradient: FloatArray, lowest: float | FloatArray) -> NDArray[np.bool_]:
    """Coordinates on their bounds that would rather be below."""
    return np.asarray((x <= lowest) & (gradient < 0.0))
