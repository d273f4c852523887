"""Maximum likelihood with a severity slope, a third factor, or both."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ter.errors import OptionError
from ter.features.design import Design, FloatArray
from ter.models.climb import climb, covariance_inside, finish, gradient_norm
from ter.models.layout import arrange
from ter.models.mixed import MixedLikelihood
from ter.models.ml import LOWEST_LOG_SD, MIN_NODES, START_SD, Estimates, starting_beta
from ter.models.newton import Optimum
from ter.models.slope import Sigma, SlopeLikelihood
from ter.models.slope_result import SlopeEstimates

#: A correlation nearer to +-1 than this cannot be told from it.
CORRELATION_EDGE = 1e-5
#: An SD of slopes below this counts as zero.
SMALLEST_SD = 1e-3


class Likelihood(Protocol):
    """A marginal log-likelihood in (beta, theta), theta as in `MixedLikelihood`."""

    def evaluate(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient."""

    def effects(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Means (J, d) and covariances (J, d, d) of the inner, means and variances of the outer effects."""


def fit_effects(design: Design, nodes: int) -> Estimates:
    """Maximise the likelihood.

    Parameters
    ----------
    design : Design
        With a severity, or a further factor, or both.
    nodes : int
        1 for the joint Laplace approximation; 5 or more, in each dimension, for quadrature over (u, w) where
        therapists are the only factor.

    Raises
    ------
    OptionError
        If the number of nodes does not suit the model.
    """
    slope = design.severity is not None
    outer = tuple(g for g in (design.service, design.further) if g is not None)
    if nodes != 1 and outer:
        raise OptionError(
            f'engine "ml" takes nodes=1 where therapists are crossed with other factors and have slopes, or '
            f'with two other factors, not {nodes}; engine "fast" takes more.'
        )
    if nodes != 1 and nodes < MIN_NODES:
        raise OptionError(
            f'engine "ml" takes nodes=1 (Laplace) or at least {MIN_NODES} (quadrature), not {nodes}.'
        )
    # The factor that is eliminated must be the largest, or else the therapists, who alone have slopes.
    factors = (design.therapist, *outer)
    sizes = [len(g.levels) for g in factors]
    first = 0 if slope else int(np.argmax(sizes))
    rest = [k for k in range(len(factors)) if k != first]
    layout = arrange(design, factors[first], None)
    likelihood: Likelihood
    if nodes > 1 and design.severity is not None:
        likelihood = SlopeLikelihood(layout, design.severity.values, nodes)
    else:
        severity = None if design.severity is None else design.severity.values
        likelihood = MixedLikelihood(layout, tuple(factors[k] for k in rest), severity)
    P = layout.rows.X.shape[1]
    theta = np.full(len(factors) + (2 if slope else 0), np.log(START_SD))
    floor = np.full(theta.size, LOWEST_LOG_SD)
    sizes_of_theta = np.array([sizes[first]] * (3 if slope else 1) + [sizes[k] for k in rest])
    if slope:
        theta[1], floor[1] = 0.0, -np.inf
    lowest = np.concatenate([np.full(P, -np.inf), floor])
    units = np.concatenate([fixed_units(layout.rows.X, design), 1.0 / np.sqrt(2.0 * sizes_of_theta)])
    start = np.concatenate([starting_beta(layout), theta])
    near = climb(likelihood.evaluate, start, units, lowest)
    found = finish(likelihood.evaluate, near, units, lowest)
    return describe(design, likelihood, found, floor, (first, *rest))


def fixed_units(X: FloatArray, design: Design) -> FloatArray:
    """About a standard error of each fixed effect, from the model without effects: shape (P,)."""
    rate = design.successes.sum() / design.trials.sum()
    information = (design.X.T * (rate * (1.0 - rate) * design.trials)) @ design.X
    return np.asarray(np.sqrt(np.diag(np.linalg.pinv(information, hermitian=True))))


def describe(
    design: Design, likelihood: Likelihood, found: Optimum, floor: FloatArray, order: tuple[int, ...]
) -> Estimates:
    """Estimates in the order therapist, service, further factor, whichever was eliminated."""
    factors = [g for g in (design.therapist, design.service, design.further) if g is not None]
    x, P = found.x, len(design.columns)
    theta = x[P:]
    inside = np.concatenate([np.ones(P, np.bool_), theta > floor + 1e-6])
    covariance = covariance_inside(found, inside)
    inner, inner_covariance, outer, outer_variance = likelihood.effects(x)
    slope, first = None, 1
    if design.severity is not None:
        part = slice(P, P + 3)
        slope = describe_slope(x[part], inside[part], covariance[part, part], inner, inner_covariance)
        first = 3
    # The eliminated factor's log SD comes first in theta, the others' follow in their order.
    position = np.empty(len(order), np.int64)
    position[list(order)] = [P, *range(P + first, x.size)]
    keep = np.concatenate([np.arange(P), position])
    effects = {factors[order[0]].name: (inner[:, 0], np.sqrt(inner_covariance[:, 0, 0]))}
    start = 0
    for k in order[1:]:
        part = slice(start, start + len(factors[k].levels))
        effects[factors[k].name] = (outer[part], np.sqrt(outer_variance[part]))
        start = part.stop
    u, u_sd = effects["therapist"]
    v, v_sd = effects.get("service", (np.zeros(0), np.zeros(0)))
    f, f_sd = effects.get("further", (None, None))
    return Estimates(
        beta=x[:P],
        covariance=covariance[np.ix_(keep, keep)],
        sd=np.where(inside[position], np.exp(x[position]), 0.0),
        u=u,
        u_sd=u_sd,
        v=v,
        v_sd=v_sd,
        log_likelihood=found.value,
        gradient_norm=gradient_norm(found, covariance),
        iterations=found.iterations,
        converged=found.converged,
        slope=slope,
        f=f,
        f_sd=f_sd,
    )


def describe_slope(
    theta: FloatArray, inside: NDArray[np.bool_], covariance: FloatArray, mean: FloatArray, spread: FloatArray
) -> SlopeEstimates:
    """SD and correlation from (log a, b, log c), their standard errors by the delta method."""
    sigma = Sigma.of_factor(theta)
    b, c = float(theta[1]), float(np.exp(theta[2]))
    # d log sd_w and d atanh(rho) = d asinh(b / c) in (b, log c).
    to_log_sd = np.array([0.0, b, c * c]) / sigma.sd_w**2
    to_z = np.array([0.0, 1.0, -b]) / sigma.sd_w
    free = sigma.sd_w > SMALLEST_SD
    determined = free and bool(inside[0])
    return SlopeEstimates(
        sd=sigma.sd_w if free else 0.0,
        correlation=_held(sigma.correlation) if determined else float("nan"),
        log_sd_se=float(np.sqrt(max(float(to_log_sd @ covariance @ to_log_sd), 0.0))) if free else 0.0,
        z_se=float(np.sqrt(max(float(to_z @ covariance @ to_z), 0.0))) if determined and inside[2] else 0.0,
        w=mean[:, 1],
        w_sd=np.sqrt(spread[:, 1, 1]),
    )


def _held(correlation: float) -> float:
    """A correlation that cannot be told from +-1 is that."""
    return float(np.sign(correlation)) if abs(correlation) > 1.0 - CORRELATION_EDGE else correlation
