"""Engine "ml": maximum likelihood, by the joint Laplace approximation or by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from ter.errors import OptionError
from ter.features.design import FloatArray
from ter.models.laplace import LaplaceLikelihood
from ter.models.layout import Layout, thinned
from ter.models.newton import Evaluate, Evaluation, Optimum, last_steps, lower_factor, maximise, newton_step
from ter.models.part import is_determined, scaled_information
from ter.models.quadrature import CrossedQuadrature, QuadratureLikelihood
from ter.models.slope_result import SlopeEstimates

#: Below this an SD counts as zero: the likelihood no longer changes with it.
LOWEST_LOG_SD = float(np.log(1e-4))
#: No SD of log-odds is looked for beyond.
LARGEST_LOG_SD = float(np.log(50.0))
START_SD = 0.3
#: The least and the largest SD to start from: at zero the likelihood is flat in log sd.
START_SDS = (0.05, 5.0)
#: An SD below this may be on its way to zero.
SMALL_SD = 0.15
#: From so many inner levels on, a fit of every eighth of them alone says where to start, if rows are many.
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
#: Value and gradient.
Gradient = Callable[[FloatArray], tuple[float, FloatArray]]


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

    @property
    def largest_sd(self) -> float:
        """The largest SD of all factors, slopes among them."""
        return float(max(*self.sd, 0.0 if self.slope is None else self.slope.sd))

    @property
    def usable(self) -> bool:
        """Whether the ascent ended at a maximum, and not on a plateau without end.

        Where case mix and effects together split the outcomes exactly the likelihood has no maximum.
        """
        return self.converged and self.largest_sd <= math.exp(LARGEST_LOG_SD)


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
    log_sd_se : ndarray or None, shape (F,)
        Standard errors of log sd, where an earlier fit says so.
    information : ndarray or None, shape (P + F, P + F)
        About minus the Hessian in (beta, log sd), where that is known.
    """

    beta: FloatArray
    sd: FloatArray
    v: FloatArray
    log_sd_se: FloatArray | None = None
    information: FloatArray | None = None


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


def starting_point(layout: Layout, n_factors: int, start: Start | None) -> FloatArray:
    """Where the ascent in (beta, log sd) begins: shape (P + F,)."""
    if start is None:
        return np.concatenate([starting_beta(layout), np.full(n_factors, np.log(START_SD))])
    return np.concatenate([start.beta, np.log(np.clip(start.sd, *START_SDS))])


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
    if start is None and not layout.is_small and layout.n_inner >= THINNED_UNITS:
        start = rough_start(layout)
    x = starting_point(layout, F, start)
    laplace = LaplaceLikelihood(layout, start.v if start is not None and layout.n_outer else None)
    bounds = bounds_of(P, F)
    if nodes == 1:
        found = climb_laplace(laplace, bounds, x, start)
        if layout.is_small:
            found = last_steps(found, laplace.evaluate_exactly, **bounds)
        return describe_optimum(laplace, found)
    if layout.n_outer:
        return fit_crossed(laplace, nodes, climb_laplace(laplace, bounds, x, start, tolerance=NEAR))
    surface = by_quadrature(layout, nodes)
    return describe_optimum(laplace, climb_quadrature(surface, x, bounds, polish=layout.is_small))


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
    gradient: Gradient | None


def surface_of(layout: Layout, nodes: int, found: Estimates) -> Surface:
    """The log-likelihood that `fit_ml` maximised, for ascents that begin near its maximum."""
    laplace = LaplaceLikelihood(layout, found.v if layout.n_outer else None)
    if nodes == 1:
        return Surface(laplace.evaluate_exactly, laplace.value, laplace.gradient)
    if not layout.n_outer:
        return by_quadrature(layout, nodes)
    return CrossedSurface(laplace, nodes, found.u, found.v).surface


class CrossedSurface:
    """Quadrature over the inner factor and Laplace's method over the outer one.

    Parameters
    ----------
    laplace : LaplaceLikelihood
        Gives the curvature of log det H that quadrature leaves out.
    nodes : int
    u, v : ndarray, shapes (J,), (S,)
        Where the searches for the modes start.
    """

    def __init__(self, laplace: LaplaceLikelihood, nodes: int, u: FloatArray, v: FloatArray) -> None:
        self.laplace = laplace
        self.likelihood = CrossedQuadrature(laplace.layout, nodes, v, laplace.outer_move, u)
        #: Minus the Hessian where it was last evaluated; it need not be positive definite there.
        self.hessian = np.zeros((0, 0))

    def evaluate(self, x: FloatArray) -> Evaluation:
        """Value, gradient, and a positive definite information that is nearly minus the Hessian."""
        value, gradient, information = self.likelihood.evaluate(x)
        self.hessian = self.likelihood.profile_information + self.laplace.curvature_of_outer(x)
        return value, gradient, self.hessian if lower_factor(self.hessian)[1] else information

    @property
    def surface(self) -> Surface:
        """For ascents."""
        return Surface(self.evaluate, self.likelihood.value, self.likelihood.gradient)


def climb_quadrature(
    surface: Surface, x: FloatArray, bounds: Bounds, first: Evaluate | None = None, *, polish: bool = False
) -> Optimum:
    """Ascend by the derivatives of the integrals and, where these end short, by differences of the value."""
    rough = climb_to_edge(surface, x, bounds, first=first)
    if rough.converged:
        return last_steps(rough, surface.evaluate, **bounds) if polish else rough
    exactly = numerically(surface.value, surface.evaluate)
    found = maximise(exactly, surface.value, rough.x, **bounds)
    if polish:
        found = last_steps(found, exactly, **bounds)
    return replace(found, iterations=rough.iterations + found.iterations)


def climb_to_edge(
    surface: Surface,
    x: FloatArray,
    bounds: Bounds,
    tolerance: float = 1e-10,
    first: Evaluate | None = None,
) -> Optimum:
    """Ascend; an SD that is on its way to zero is put there.

    Towards a maximum at zero the log-likelihood flattens as the square of the SD, and steps only halve it.
    `first` stands for the evaluation at x, where that costs less.
    """
    for limit, start in ((STEPS_TO_EDGE, first), (ROUGH_ITERATIONS, None)):
        found = maximise(
            surface.evaluate, surface.value, x, gradient_at=surface.gradient, first=start,
            tolerance=tolerance, max_iterations=limit, **bounds,
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
    modes = laplace.modes_at(x)
    crossed = CrossedSurface(laplace, nodes, modes.u, modes.v)
    likelihood = crossed.likelihood

    # The Laplace approximation is curved nearly alike.
    first = with_information(likelihood.gradient, near.latest)
    found = climb_quadrature(crossed.surface, x, bounds_of(P, 2), first, polish=laplace.layout.is_small)
    # The ascent ends with an evaluation, or near to it.
    found = replace(found, information=crossed.hessian, iterations=near.iterations + found.iterations)
    v, variance = likelihood.modes(found.x)
    return replace(
        describe_optimum(laplace, found), u=likelihood.full.modes.copy(), v=v, v_sd=np.sqrt(variance)
    )


def bounds_of(P: int, F: int) -> Bounds:
    """Bounds of an ascent in P coefficients and F log SDs."""
    return {
        "lowest": np.concatenate([np.full(P, -np.inf), np.full(F, LOWEST_LOG_SD)]),
        "max_step": np.concatenate([np.full(P, np.inf), np.ones(F)]),
    }


def rough_start(layout: Layout) -> Start | None:
    """Where a fit to every eighth inner level ends, and what its information says of the whole one.

    None where that part leaves a coefficient open, as that of a level which it does not have.
    """
    part = thinned(layout, THINNED_STEP)
    P, F = part.rows.X.shape[1], 2 if part.n_outer else 1
    laplace = LaplaceLikelihood(part)
    found = maximise(
        laplace.evaluate,
        laplace.value,
        starting_point(part, F, None),
        tolerance=ROUGH_TOLERANCE,
        max_iterations=ROUGH_ITERATIONS,
        **bounds_of(P, F),
    )
    _, gradient, information = laplace.evaluate_exactly(found.x)
    if not (found.converged and is_determined(information)):
        return None
    x = found.x + newton_step(gradient, information)
    times = layout.rows.y.size / part.rows.y.size
    return Start(
        beta=x[:P],
        sd=np.exp(x[P:]),
        v=laplace.modes_at(found.x).v,
        information=scaled_information(laplace, found.x, information, times),
    )


def climb_laplace(
    laplace: LaplaceLikelihood, bounds: Bounds, x: FloatArray, start: Start | None, tolerance: float = 1e-10
) -> Optimum:
    """Approximate steps until the maximum is near, then exact ones, which end with the exact Hessian.

    x is near where an ascent starts from an earlier one.
    """
    before = 0
    first: Evaluate | None = laplace.evaluate_closely
    if start is None:
        rough = maximise(
            laplace.evaluate, laplace.value, x, tolerance=NEAR, max_iterations=ROUGH_ITERATIONS, **bounds
        )
        x, before, first = rough.x, rough.iterations, None
    elif start.information is not None:
        first = with_information(laplace.gradient, start.information)
    found = maximise(
        laplace.evaluate_exactly,
        laplace.value,
        x,
        gradient_at=laplace.gradient,
        first=first,
        tolerance=tolerance,
        **bounds,
    )
    return replace(found, iterations=before + found.iterations)


def with_information(gradient: Gradient, information: FloatArray) -> Evaluate:
    """Evaluate value and gradient, and take the information for known."""
    return lambda x: (*gradient(x), information)


def by_quadrature(layout: Layout, nodes: int) -> Surface:
    """The likelihood by quadrature in (beta, log sigma)."""
    quadrature = QuadratureLikelihood(layout, nodes)
    return Surface(
        lambda x: quadrature.evaluate(x[:-1], float(np.exp(x[-1]))),
        lambda x: quadrature.value(x[:-1], float(np.exp(x[-1]))),
        None,
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
