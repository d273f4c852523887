"""Maximum likelihood with a severity slope, a third factor, or both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ter.errors import OptionError
from ter.features.design import Design, FloatArray, Grouping
from ter.models.climb import ascend, climb, covariance_inside, gradient_norm, rough_units, widened
from ter.models.layout import Layout, arrange
from ter.models.mixed import MixedLikelihood
from ter.models.ml import LOWEST_LOG_SD, MIN_NODES, START_SDS, Estimates
from ter.models.newton import Optimum
from ter.models.outer import OuterQuadrature
from ter.models.slope import Sigma, SlopeLikelihood
from ter.models.slope_result import SlopeEstimates
from ter.models.start import EarlierFit, from_nothing

#: A correlation nearer to +-1 than this cannot be told from it.
CORRELATION_EDGE = 1e-5
#: An SD of slopes below this counts as zero.
SMALLEST_SD = 1e-3
#: The largest correlation to start from.
START_CORRELATION = 0.95


class Likelihood(Protocol):
    """A marginal log-likelihood in (beta, theta), theta as in `MixedLikelihood`."""

    def evaluate(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient."""

    def effects(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Means (J, d) and covariances (J, d, d) of the inner, means and variances of the outer effects."""


@dataclass(frozen=True, eq=False)
class EffectsModel:
    """The likelihood of a design, and what its parameters (beta, theta) are.

    Attributes
    ----------
    layout : Layout
        Sorted by the factor that is eliminated.
    likelihood : Likelihood
    rough : Likelihood or None
        One that takes less time, whose maximum is near.
    names : tuple of str
        Of the factors, as theta holds them: the eliminated one first.
    slope : bool
        Whether the eliminated factor has slopes.
    units, lowest : ndarray, shape (P + T,)
        About a standard error of each parameter, and lower bounds.
    """

    layout: Layout
    likelihood: Likelihood
    rough: Likelihood | None
    names: tuple[str, ...]
    slope: bool
    units: FloatArray
    lowest: FloatArray

    @property
    def n_beta(self) -> int:
        """How many coefficients there are."""
        return self.lowest.size - len(self.names) - (2 if self.slope else 0)

    @property
    def places(self) -> dict[str, int]:
        """Where each factor's log SD stands among the parameters."""
        first, last = self.n_beta, self.lowest.size - len(self.names)
        return {name: first if k == 0 else last + k for k, name in enumerate(self.names)}


def model_of(design: Design, nodes: int) -> EffectsModel:
    """The likelihood that engine "ml" maximises.

    Parameters
    ----------
    design : Design
        With a severity, or a further factor, or both.
    nodes : int
        As in `fit_effects`.

    Raises
    ------
    OptionError
        If the number of nodes does not suit the model.
    """
    slope = design.severity is not None
    if nodes != 1 and nodes < MIN_NODES:
        raise OptionError(
            f'engine "ml" takes nodes=1 (Laplace) or at least {MIN_NODES} (quadrature), not {nodes}.'
        )
    first, *others = factors_of(design)
    rest = tuple(others)
    layout = arrange(design, first, None)
    severity = None if design.severity is None else design.severity.values
    likelihood: Likelihood = MixedLikelihood(layout, rest, severity)
    rough = None
    if nodes > 1 and rest:
        likelihood, rough = OuterQuadrature(layout, rest, severity, nodes), likelihood
    elif nodes > 1:
        likelihood = SlopeLikelihood(layout, severity, nodes)
    floor = np.full(1 + len(rest) + (2 if slope else 0), LOWEST_LOG_SD)
    if slope:
        floor[1] = -np.inf
    levels = [len(first.levels), *(len(g.levels) for g in rest)]
    units = rough_units(layout, levels)
    n_beta = layout.rows.X.shape[1]
    # The three of the factor of a covariance are known about as well as an SD.
    inner = np.full(floor.size - len(rest), units[n_beta])
    return EffectsModel(
        layout=layout,
        likelihood=likelihood,
        rough=rough,
        names=(first.name, *(g.name for g in rest)),
        slope=slope,
        units=np.concatenate([units[:n_beta], inner, units[n_beta + 1 :]]),
        lowest=np.concatenate([np.full(n_beta, -np.inf), floor]),
    )


def factors_of(design: Design) -> list[Grouping]:
    """The factors; the first is eliminated: the largest, or the therapists, who alone have slopes."""
    factors = [g for g in (design.therapist, design.service, design.further) if g is not None]
    largest = 0 if design.severity is not None else int(np.argmax([len(g.levels) for g in factors]))
    return [factors[largest], *factors[:largest], *factors[largest + 1 :]]


def fit_effects(design: Design, nodes: int, earlier: EarlierFit | None = None) -> Estimates:
    """Maximise the likelihood.

    Parameters
    ----------
    design : Design
        With a severity, or a further factor, or both.
    nodes : int
        1 for the joint Laplace approximation; 5 or more, in each dimension, for quadrature over (u, w), or
        over the largest factor where there are no slopes, and Laplace's method over the others.
    earlier : EarlierFit, optional
        Where the ascent begins. The maximum is the same wherever it begins.

    Raises
    ------
    OptionError
        If the number of nodes does not suit the model.
    """
    model = model_of(design, nodes)
    start = starting_point(model, from_nothing(design, model.layout) if earlier is None else earlier)
    units = model.units if earlier is None else widened(model.units, standard_errors(model, earlier))
    iterations = 0
    if model.rough is not None:
        start, iterations = climb(model.rough.evaluate, start, units, model.lowest)
    found = ascend(model.likelihood.evaluate, start, units, model.lowest)
    return describe(design, model, replace(found, iterations=iterations + found.iterations))


def starting_point(model: EffectsModel, earlier: EarlierFit) -> FloatArray:
    """Where the ascent in (beta, theta) begins."""
    sigma = earlier.sigma
    log_sd = np.log(np.clip([earlier.sd[name] for name in model.names], *START_SDS))
    if sigma is None:
        return np.concatenate([earlier.beta, log_sd])
    sd_w = float(np.clip(sigma.sd_w, *START_SDS))
    # At +-1 the likelihood is flat in the correlation, as it is in log sd at zero.
    rho = float(np.clip(sigma.correlation, -START_CORRELATION, START_CORRELATION))
    factor = [log_sd[0], rho * sd_w, np.log(sd_w) + 0.5 * np.log1p(-rho * rho)]
    return np.concatenate([earlier.beta, factor, log_sd[1:]])


def standard_errors(model: EffectsModel, earlier: EarlierFit) -> FloatArray:
    """About the standard error of each of theta, as an earlier fit says."""
    first, *rest = (earlier.log_sd_se[name] for name in model.names)
    inner = [first, first, earlier.log_sd_se["therapist slope"]] if model.slope else [first]
    return np.array([*inner, *rest])


def describe(design: Design, model: EffectsModel, found: Optimum) -> Estimates:
    """Estimates in the order therapist, service, further factor, whichever was eliminated."""
    factors = [g for g in (design.therapist, design.service, design.further) if g is not None]
    x, P = found.x, model.n_beta
    inside = x > model.lowest + 1e-6
    covariance = covariance_inside(found, inside)
    inner, inner_covariance, outer, outer_variance = model.likelihood.effects(x)
    slope = None
    if model.slope:
        part = slice(P, P + 3)
        slope = describe_slope(x[part], inside[part], covariance[part, part], inner, inner_covariance)
    place = np.array([model.places[g.name] for g in factors])
    keep = np.concatenate([np.arange(P), place])
    effects = {model.names[0]: (inner[:, 0], np.sqrt(inner_covariance[:, 0, 0]))}
    levels = {g.name: len(g.levels) for g in factors}
    start = 0
    for name in model.names[1:]:
        part = slice(start, start + levels[name])
        effects[name] = (outer[part], np.sqrt(outer_variance[part]))
        start = part.stop
    u, u_sd = effects["therapist"]
    v, v_sd = effects.get("service", (np.zeros(0), np.zeros(0)))
    f, f_sd = effects.get("further", (None, None))
    return Estimates(
        beta=x[:P],
        covariance=covariance[np.ix_(keep, keep)],
        sd=np.where(inside[place], np.exp(x[place]), 0.0),
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
