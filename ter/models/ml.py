"""Engine "ml": maximum likelihood, by the joint Laplace approximation or, with one factor, by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ter.errors import OptionError
from ter.features.design import FloatArray
from ter.models.laplace import LaplaceLikelihood
from ter.models.layout import Layout
from ter.models.newton import Evaluation, Optimum, maximise
from ter.models.quadrature import QuadratureLikelihood

#: Below this an SD counts as zero: the likelihood no longer changes with it.
LOWEST_LOG_SD = float(np.log(1e-4))
START_SD = 0.3
MIN_NODES = 5
#: Steps with approximate derivatives, before exact ones finish.
ROUGH_ITERATIONS = 30

Evaluate = Callable[[FloatArray], Evaluation]
Value = Callable[[FloatArray], float]


@dataclass(frozen=True, eq=False)
class Estimates:
    """Maximum likelihood estimates.

    Attributes
    ----------
    beta : ndarray, shape (P,)
        On the model's (standardised) scale.
    covariance : ndarray, shape (P + F, P + F)
        Inverse of the negative Hessian of the marginal log-likelihood in (beta, log sd); rows and columns of
        an SD on its boundary are zero.
    sd : ndarray, shape (F,)
        Inner, then outer factor; 0 on the boundary.
    u, u_sd : ndarray, shape (J,)
        Modes and SDs of the inner factor's effects, given the estimates.
    v, v_sd : ndarray, shape (S,)
        The same of the outer factor.
    log_likelihood : float
        Marginal, at the maximum, without binomial constants.
    gradient_norm : float
        Largest gradient, in units of one over the standard error.
    iterations : int
    converged : bool
    """

    beta: FloatArray
    covariance: FloatArray
    sd: FloatArray
    u: FloatArray
    u_sd: FloatArray
    v: FloatArray
    v_sd: FloatArray
    log_likelihood: float
    gradient_norm: float
    iterations: int
    converged: bool


def starting_beta(layout: Layout) -> FloatArray:
    """The overall rate, and no slopes: where the ascent starts."""
    rate = (layout.rows.y.sum() + 0.5) / (layout.rows.trials.sum() + 1.0)
    beta = np.zeros(layout.rows.X.shape[1])
    beta[0] = np.log(rate / (1.0 - rate))
    return beta


def fit_ml(layout: Layout, nodes: int) -> Estimates:
    """Maximise the marginal likelihood.

    Parameters
    ----------
    layout : Layout
    nodes : int
        1 for the Laplace approximation; 5 or more for quadrature, with one factor.

    Raises
    ------
    OptionError
        If the number of nodes does not suit the model.
    """
    if nodes != 1 and layout.n_outer:
        raise OptionError(
            f'engine "ml" takes nodes=1 where two factors are crossed, not {nodes}; engine "fast" takes more.'
        )
    if nodes != 1 and nodes < MIN_NODES:
        raise OptionError(
            f'engine "ml" takes nodes=1 (Laplace) or at least {MIN_NODES} (quadrature), not {nodes}.'
        )
    laplace = LaplaceLikelihood(layout)
    P, F = layout.rows.X.shape[1], 2 if layout.n_outer else 1
    start = np.concatenate([starting_beta(layout), np.full(F, np.log(START_SD))])
    lowest = np.concatenate([np.full(P, -np.inf), np.full(F, LOWEST_LOG_SD)])
    max_step = np.concatenate([np.full(P, np.inf), np.ones(F)])
    evaluate, value = (laplace.evaluate, laplace.value) if nodes == 1 else by_quadrature(layout, nodes)
    rough = maximise(
        evaluate, value, start, max_step=max_step, lowest=lowest, max_iterations=ROUGH_ITERATIONS
    )
    exact = exactly(laplace) if nodes == 1 else None if rough.converged else numerically(value, evaluate)
    found = rough
    if exact is not None:
        found = maximise(exact, value, rough.x, max_step=max_step, lowest=lowest)
        found = replace(found, iterations=rough.iterations + found.iterations)
    return describe_optimum(laplace, found)


def by_quadrature(layout: Layout, nodes: int) -> tuple[Evaluate, Value]:
    """Value, with derivatives and without, of the likelihood by quadrature in (beta, log sigma)."""
    quadrature = QuadratureLikelihood(layout, nodes)
    return (
        lambda x: quadrature.evaluate(x[:-1], float(np.exp(x[-1]))),
        lambda x: quadrature.value(x[:-1], float(np.exp(x[-1]))),
    )


def exactly(laplace: LaplaceLikelihood) -> Evaluate:
    """Replace the approximate information by the Hessian: central differences of the exact gradient."""

    def exact(x: FloatArray) -> Evaluation:
        value, gradient, information = laplace.evaluate(x)
        steps = small_steps(information)
        rows = [
            (laplace.gradient(x - h) - laplace.gradient(x + h)) / (2.0 * step)
            for h, step in zip(np.diag(steps), steps, strict=True)
        ]
        return value, gradient, 0.5 * (np.array(rows) + np.array(rows).T)

    return exact


def numerically(value: Value, evaluate: Evaluate) -> Evaluate:
    """Replace the gradient by central differences of the value.

    Too few nodes for a large sigma leave the rule's own error in the value, whose maximum is then not quite
    where the derivatives of the integral vanish.
    """

    def exact(x: FloatArray) -> Evaluation:
        at, _, information = evaluate(x)
        steps = small_steps(information)
        gradient = [
            (value(x + h) - value(x - h)) / (2.0 * step)
            for h, step in zip(np.diag(steps), steps, strict=True)
        ]
        return at, np.array(gradient), information

    return exact


def small_steps(information: FloatArray) -> FloatArray:
    """A thousandth of each parameter's standard error, the others held: shape (n,)."""
    return np.asarray(1e-3 / np.sqrt(np.maximum(np.diag(information), 1e-8)))


def describe_optimum(laplace: LaplaceLikelihood, found: Optimum) -> Estimates:
    """Covariance, modes and their SDs at the maximum."""
    information = found.information
    layout = laplace.layout
    P = layout.rows.X.shape[1]
    inside = np.concatenate([np.ones(P, bool), found.x[P:] > LOWEST_LOG_SD + 1e-6])
    covariance = np.zeros_like(information)
    covariance[np.ix_(inside, inside)] = np.linalg.pinv(information[np.ix_(inside, inside)], hermitian=True)
    se = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    beta, variance = laplace.split(found.x)
    modes, inner_variance, outer_variance = laplace.effects(beta, variance)
    return Estimates(
        beta=beta,
        covariance=covariance,
        sd=np.where(inside[P:], np.sqrt(variance), 0.0),
        u=modes.u,
        u_sd=np.sqrt(inner_variance),
        v=modes.v if layout.n_outer else np.zeros(0),
        v_sd=np.sqrt(outer_variance),
        log_likelihood=found.value,
        gradient_norm=float(np.abs(found.gradient * se).max()),
        iterations=found.iterations,
        converged=found.converged,
    )
