"""Damped Newton ascent: the one optimiser of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky

from ter.features.design import FloatArray

#: value, gradient, information (an approximation of minus the Hessian; its lower triangle is read)
Evaluation = tuple[float, FloatArray, FloatArray]


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
    """

    x: FloatArray
    value: float
    gradient: FloatArray
    information: FloatArray
    decrement: float
    iterations: int
    converged: bool


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
    evaluate: Callable[[FloatArray], Evaluation],
    value_at: Callable[[FloatArray], float],
    x: FloatArray,
    *,
    tolerance: float = 1e-10,
    max_iterations: int = 100,
    max_step: FloatArray | float = np.inf,
    lowest: FloatArray | float = -np.inf,
) -> Optimum:
    """Maximise a smooth function by Newton steps with halving.

    Parameters
    ----------
    evaluate : callable
        Value, gradient and information at a point.
    value_at : callable
        The value alone, for the line search.
    x : ndarray, shape (n,)
        Start.
    tolerance : float
        Newton decrement at which the ascent ends.
    max_iterations : int
    max_step : float or ndarray
        Largest change of each coordinate in one step.
    lowest : float or ndarray
        Lower bound of each coordinate; one that would fall below rests on it.

    Returns
    -------
    Optimum
    """
    value, gradient, information = evaluate(x)
    decrement = np.inf
    for iteration in range(1, max_iterations + 1):
        resting = (x <= lowest) & (gradient < 0.0)
        step = np.zeros_like(x)
        step[~resting] = newton_step(gradient[~resting], information[np.ix_(~resting, ~resting)])
        decrement = float(gradient @ step)
        if decrement < tolerance:
            return Optimum(x, value, gradient, information, decrement, iteration - 1, True)
        over = float(np.max(np.abs(step) / max_step, initial=0.0))
        length = 1.0 / over if over > 1.0 else 1.0
        # Rounding of the value itself must not stop an ascent that is nearly done.
        slack = 1e-12 * (1.0 + abs(value))
        while length > 1e-10:
            trial = value_at(np.maximum(x + length * step, lowest))
            if np.isfinite(trial) and trial >= value + 1e-4 * length * decrement - slack:
                break
            length *= 0.5
        else:
            return Optimum(x, value, gradient, information, decrement, iteration, False)
        x = np.maximum(x + length * step, lowest)
        value, gradient, information = evaluate(x)
    return Optimum(x, value, gradient, information, decrement, max_iterations, False)
