"""Engine "ml": maximum likelihood, by the joint Laplace approximation or by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
from scipy.linalg import cho_solve

from ter.errors import OptionError
from ter.features.design import FloatArray
from ter.models.laplace import LaplaceLikelihood
from ter.models.layout import Layout, thinned
from ter.models.newton import Evaluate, Evaluation, Optimum, lower_factor, maximise, newton_step
from ter.models.quadrature import CrossedQuadrature, QuadratureLikelihood
from ter.models.slope_result import SlopeEstimates

#: Below this an SD counts as zero: the likelihood no longer changes with it.
LOWEST_LOG_SD = float(np.log(1e-4))
START_SD = 0.3
#: The least and the largest SD to start from: at zero the likelihood is flat in log sd.
START_SDS = (0.05, 5.0)
#: An SD below this may be on its way to zero.
SMALL_SD = 0.15
#: Change of a log SD after which the curvature of log det is evaluated anew.
FAR_LOG_SD = 0.1
#: From so many rows and inner levels on, a fit of every eighth inner level alone says where to start.
THINNED_ROWS = 20_000
THINNED_UNITS = 160
THINNED_STEP = 8
#: Newton decrement below which exact steps take over from approximate ones.
NEAR = 0.1
ROUGH_TOLERANCE = 1.0
MIN_NODES = 5
#: Steps with approximate derivatives, before exact ones finish.
ROUGH_ITERATIONS = 30
#: Steps before an SD is looked at that may be on its way to zero.
STEPS_TO_EDGE = 10

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
    slope : SlopeEstimates or None
        With a severity slope.
    f, f_sd : ndarray or None, shape (R,)
        Of a third factor's effects.
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
    slope: SlopeEstimates | None = None
    f: FloatArray | None = None
    f_sd: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """Where an ascent begins.

    Attributes
    ----------
    beta : ndarray, shape (P,)
    sd : ndarray, shape (F,)
        Inner, then outer factor.
    v : ndarray, shape (S,)
        Modes of the outer factor's effects; empty without one.
    """

    beta: FloatArray
    sd: FloatArray
    v: FloatArray


class Bounds(TypedDict):
    """Lower bounds of an ascent and the largest step of each coordinate, both of shape (n,)."""

    lowest: FloatArray
    max_step: FloatArray


def starting_beta(layout: Layout) -> FloatArray:
    """The overall rate, and no slopes: where the ascent starts."""
    rate = (layout.rows.y.sum() + 0.5) / (layout.rows.trials.sum() + 1.0)
    beta = np.zeros(layout.rows.X.shape[1])
    beta[0] = np.log(rate / (1.0 - rate))
    return beta


def fit_ml(layout: Layout, nodes: int, start: Start | None = None) -> Estimates:
    """Maximise the marginal likelihood.

    Parameters
    ----------
    layout : Layout
    nodes : int
        1 for the Laplace approximation; 5 or more for quadrature over the inner factor, and Laplace's method
        over the outer one.
    start : Start, optional
        Where the ascent begins: an earlier fit's estimates. The maximum is the same wherever it begins.

    Raises
    ------
    OptionError
        If the number of nodes does not suit the model.
    """
    if nodes != 1 and nodes < MIN_NODES:
        raise OptionError(
            f'engine "ml" takes nodes=1 (Laplace) or at least {MIN_NODES} (quadrature), not {nodes}.'
        )
    P, F = layout.rows.X.shape[1], 2 if layout.n_outer else 1
    if start is None and layout.rows.y.size >= THINNED_ROWS and layout.n_inner >= THINNED_UNITS:
        start = rough_start(layout)
    if start is None:
        x = np.concatenate([starting_beta(layout), np.full(F, np.log(START_SD))])
    else:
        x = np.concatenate([start.beta, np.log(np.clip(start.sd, *START_SDS))])
    laplace = LaplaceLikelihood(layout, start.v if start is not None and layout.n_outer else None)
    bounds = bounds_of(P, F)
    if nodes == 1:
        return describe_optimum(laplace, climb_laplace(laplace, bounds, x, near=start is not None))
    if layout.n_outer:
        return fit_crossed(
            laplace, nodes, climb_laplace(laplace, bounds, x, near=start is not None, tolerance=NEAR)
        )
    evaluate, value = by_quadrature(layout, nodes)
    return describe_optimum(laplace, climb_quadrature(evaluate, value, x, bounds))


@dataclass(frozen=True)
class Surface:
    """A log-likelihood in (beta, log sigma).

    Attributes
    ----------
    evaluate : callable
        Value, gradient and information.
    value : callable
    gradient : callable or None
        Value and gradient, where they cost less.
    """

    evaluate: Evaluate
    value: Value
    gradient: Callable[[FloatArray], tuple[float, FloatArray]] | None


def surface_of(layout: Layout, nodes: int, found: Estimates) -> Surface:
    """The log-likelihood that `fit_ml` maximised, for ascents that begin near its maximum."""
    laplace = LaplaceLikelihood(layout, found.v if layout.n_outer else None)
    if nodes == 1:
        return Surface(laplace.evaluate_exactly, laplace.value, laplace.gradient)
    if not layout.n_outer:
        return Surface(*by_quadrature(layout, nodes), None)
    return crossed_surface(
        laplace, nodes, np.concatenate([found.beta, np.log(np.clip(found.sd, *START_SDS))])
    )[1]


def crossed_surface(
    laplace: LaplaceLikelihood, nodes: int, x: FloatArray
) -> tuple[CrossedQuadrature, Surface]:
    """Quadrature over the inner factor and Laplace's method over the outer one, for ascents from near x."""
    likelihood = CrossedQuadrature(laplace.layout, nodes, laplace.modes_at(x).v)
    P = laplace.layout.rows.X.shape[1]
    # The part of the information that hardly changes is kept, and where it was evaluated.
    kept = [(x, laplace.curvature_of_outer(x))]

    def evaluate(x: FloatArray) -> Evaluation:
        value, gradient, information = likelihood.evaluate(x)
        if np.abs(x - kept[0][0])[P:].max() > FAR_LOG_SD:
            kept[0] = (x.copy(), laplace.curvature_of_outer(x))
        closer = likelihood.profile_information + kept[0][1]
        return value, gradient, closer if lower_factor(closer)[1] else information

    return likelihood, Surface(evaluate, likelihood.value, None)


def climb_quadrature(evaluate: Evaluate, value: Value, x: FloatArray, bounds: Bounds) -> Optimum:
    """Ascend by the derivatives of the integrals and, where these end short, by differences of the value."""
    rough = climb_to_edge(Surface(evaluate, value, None), x, bounds)
    if rough.converged:
        return rough
    found = maximise(numerically(value, evaluate), value, rough.x, **bounds)
    return replace(found, iterations=rough.iterations + found.iterations)


def climb_to_edge(surface: Surface, x: FloatArray, bounds: Bounds, tolerance: float = 1e-10) -> Optimum:
    """Ascend; an SD that is on its way to zero is put there.

    Towards a maximum at zero the log-likelihood flattens as the square of the SD, and steps only halve it.
    """
    for limit in (STEPS_TO_EDGE, ROUGH_ITERATIONS):
        found = maximise(
            surface.evaluate, surface.value, x, gradient_at=surface.gradient, tolerance=tolerance,
            max_iterations=limit, **bounds,
        )  # fmt: skip
        if found.converged:
            break
        small = np.isfinite(bounds["lowest"]) & (found.x < np.log(SMALL_SD))
        edge = np.where(small, bounds["lowest"], found.x)
        x = edge if small.any() and surface.value(edge) >= found.value - 1e-6 else found.x
    return found


def fit_crossed(laplace: LaplaceLikelihood, nodes: int, near: Optimum) -> Estimates:
    """Quadrature over the inner factor, Laplace's method over the outer one, from the maximum of Laplace."""
    P = laplace.layout.rows.X.shape[1]
    x = np.concatenate([near.x[:P], np.minimum(near.x[P:], np.log(START_SDS[1]))])
    bounds = bounds_of(P, 2)
    likelihood, surface = crossed_surface(laplace, nodes, x)
    found = climb_quadrature(surface.evaluate, surface.value, x, bounds)
    # The ascent ends with an evaluation, whose information this is.
    found = replace(
        found,
        information=likelihood.profile_information + laplace.curvature_of_outer(found.x),
        iterations=near.iterations + found.iterations,
    )
    v, _, factor = likelihood.modes(found.x)
    return replace(
        describe_optimum(laplace, found),
        u=likelihood.full.modes.copy(),
        v=v,
        v_sd=np.sqrt(np.diag(cho_solve(factor, np.eye(v.size)))),
    )


def bounds_of(P: int, F: int) -> Bounds:
    """Bounds of an ascent in P coefficients and F log SDs."""
    return {
        "lowest": np.concatenate([np.full(P, -np.inf), np.full(F, LOWEST_LOG_SD)]),
        "max_step": np.concatenate([np.full(P, np.inf), np.ones(F)]),
    }


def rough_start(layout: Layout) -> Start:
    """Where a fit to every eighth inner level ends, and what its information says of the whole one."""
    part = thinned(layout, THINNED_STEP)
    P, F = part.rows.X.shape[1], 2 if part.n_outer else 1
    laplace = LaplaceLikelihood(part)
    x = np.concatenate([starting_beta(part), np.full(F, np.log(START_SD))])
    found = maximise(
        laplace.evaluate,
        laplace.value,
        x,
        tolerance=ROUGH_TOLERANCE,
        max_iterations=ROUGH_ITERATIONS,
        **bounds_of(P, F),
    )
    _, gradient, information = laplace.evaluate_exactly(found.x)
    x = found.x + newton_step(gradient, information)
    return Start(beta=x[:P], sd=np.exp(x[P:]), v=laplace.modes_at(found.x).v)


def climb_laplace(
    laplace: LaplaceLikelihood, bounds: Bounds, x: FloatArray, *, near: bool, tolerance: float = 1e-10
) -> Optimum:
    """Approximate steps until the maximum is near, then exact ones, which end with the exact Hessian."""
    before = 0
    if not near:
        rough = maximise(
            laplace.evaluate, laplace.value, x, tolerance=NEAR, max_iterations=ROUGH_ITERATIONS, **bounds
        )
        x, before = rough.x, rough.iterations
    found = maximise(
        laplace.evaluate_exactly,
        laplace.value,
        x,
        gradient_at=laplace.gradient,
        first=laplace.evaluate_closely if near else None,
        tolerance=tolerance,
        **bounds,
    )
    return replace(found, iterations=before + found.iterations)


def by_quadrature(layout: Layout, nodes: int) -> tuple[Evaluate, Value]:
    """Value, with derivatives and without, of the likelihood by quadrature in (beta, log sigma)."""
    quadrature = QuadratureLikelihood(layout, nodes)
    return (
        lambda x: quadrature.evaluate(x[:-1], float(np.exp(x[-1]))),
        lambda x: quadrature.value(x[:-1], float(np.exp(x[-1]))),
    )


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
    modes, inner_variance, outer_variance = laplace.effects(found.x)
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
