"""The posterior of the SDs on a grid, with the Laplace approximation over b = (beta, v) at each point.

The grid is linear in the SDs: the left tail of the density of log sd falls only like sd itself, so that a
grid in log sd must cut it off or be very wide. It is extended while its edges hold mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from ter.features.design import FloatArray, IntArray
from ter.models.newton import Evaluation, lower_factor, maximise, newton_step
from ter.models.priors import LOG_2PI, Priors
from ter.models.quadrature import QuadratureLikelihood

FINE_CELLS = 240
#: The quadrature's error in how two values of the log-likelihood differ, with wide effects of thousands of
#: therapists. Its gradient is the mean of the score over the nodes, which leaves out that the nodes move, so
#: that near the mode a step along it may seem to fall. The gradient decides there: its root is the mode.
VALUE_NOISE = 0.1


@dataclass(frozen=True, eq=False)
class ConditionalMode:
    """The Laplace approximation of b given the SDs.

    Attributes
    ----------
    b : ndarray, shape (B,)
    factor : ndarray, shape (B (B + 1) / 2,)
        Lower Cholesky factor of the negative Hessian, its rows one after the other.
    log_marginal : float
        log p(y | SDs), b integrated by Laplace's method.
    decrement : float
        Newton decrement before the last step.
    converged : bool
    slope : float
        Derivative of the log-likelihood in log sigma_u.
    bend : ndarray, shape (B + 1,)
        Minus its second derivatives in (b, log sigma_u).
    """

    b: FloatArray
    factor: FloatArray
    log_marginal: float
    decrement: float
    converged: bool
    slope: float
    bend: FloatArray


@lru_cache(maxsize=4)
def lower_triangle(n: int) -> NDArray[np.bool_]:
    """Where a lower triangular matrix (n, n) may differ from zero."""
    return np.tri(n, dtype=np.bool_)


def unpacked(packed: FloatArray, n: int) -> FloatArray:
    """The lower triangular matrix (n, n) whose rows these are, one after the other."""
    out = np.zeros((n, n))
    out[lower_triangle(n)] = packed
    return out


class ConditionalPosterior:
    """log p(y, b | SDs) with the priors of b, therapists integrated by quadrature.

    It counts its evaluations of derivatives, in `evaluations`.
    """

    def __init__(self, likelihood: QuadratureLikelihood, priors: Priors = Priors()) -> None:  # noqa: B008 - frozen
        self.likelihood = likelihood
        self.priors = priors
        self.n_factors = 2 if likelihood.layout.n_outer else 1
        self.evaluations = 0

    def precision(self, sd: FloatArray) -> FloatArray:
        """Prior precisions of b, shape (B,)."""
        out = np.full(self.likelihood.n_b, 1.0 / self.priors.beta**2)
        if self.n_factors == 2:
            out[self.likelihood.n_beta :] = 1.0 / sd[1] ** 2
        return out

    def unit(self, sd: FloatArray) -> FloatArray:
        """What b is measured in on the grid, shape (B,): 1 for beta, sigma_v for v."""
        out = np.ones(self.likelihood.n_b)
        if self.n_factors == 2:
            out[self.likelihood.n_beta :] = sd[1]
        return out

    def log_prior(self, b: FloatArray, sd: FloatArray) -> float:
        """Log density of b's normal priors."""
        precision = self.precision(sd)
        return float(0.5 * (np.log(precision) - LOG_2PI - precision * b**2).sum())

    def mode(self, sd: FloatArray, start: FloatArray, tolerance: float) -> ConditionalMode:
        """Mode of b given the SDs, from `start`; what one more step would add is added to value and mode."""
        precision = self.precision(sd)
        last: dict[str, FloatArray] = {}

        def evaluate(b: FloatArray) -> Evaluation:
            self.evaluations += 1
            value, gradient, information = self.likelihood.evaluate(b, sd[0])
            last["gradient"], last["bend"] = gradient, information[-1]
            inner = information[:-1, :-1].copy()
            inner.flat[:: inner.shape[0] + 1] += precision
            return value + self.log_prior(b, sd), gradient[:-1] - precision * b, inner

        found = maximise(
            evaluate,
            lambda b: self.likelihood.value(b, sd[0]) + self.log_prior(b, sd),
            start,
            tolerance=tolerance,
            noise=VALUE_NOISE,
        )
        factor, definite = lower_factor(found.information)
        log_marginal = (
            found.value
            + 0.5 * found.decrement
            + 0.5 * start.size * LOG_2PI
            - float(np.log(np.diag(factor)).sum())
        )
        last_step = newton_step(found.gradient, found.information)
        return ConditionalMode(
            b=found.x + last_step,
            factor=factor[lower_triangle(start.size)],
            log_marginal=log_marginal,
            decrement=found.decrement,
            converged=found.converged and definite,
            slope=float(last["gradient"][-1]),
            bend=last["bend"].copy(),
        )


@dataclass(frozen=True, eq=False)
class SdGrid:
    """Log posterior density of the SDs on a grid, and the Laplace approximation of b at each of its points.

    The approximation is of (beta, v / sigma_v), which has a limit as sigma_v goes to 0, so that it can be
    interpolated between points. Points far from all mass were not visited: their density and mode are
    extrapolated, and a neighbour's factor stands in for theirs.

    Attributes
    ----------
    axes : tuple of ndarray
        One or two, in the order therapist, service.
    log_density : ndarray, shape (n,) or (n, n)
    centre : ndarray, shape (..., B)
        Mode of (beta, v / sigma_v).
    factors : ndarray, shape (V, B (B + 1) / 2)
        Lower Cholesky factors of the negative Hessian in (beta, v / sigma_v) at the points that were visited,
        packed by row.
    place : ndarray of int64, shape (n,) or (n, n)
        Whose factor is a point's.
    gradient_norm : float
        Largest root of the Newton decrement at a grid point that holds mass.
    edge_mass : float
        Largest share of an SD's posterior in the last twelfth of its axis.
    converged : bool
        Whether the mode of b was found at every grid point that holds mass.
    """

    axes: tuple[FloatArray, ...]
    log_density: FloatArray
    centre: FloatArray
    factors: FloatArray
    place: IntArray
    gradient_norm: float
    edge_mass: float
    converged: bool


def spline_weights(axes: tuple[FloatArray, ...], at: tuple[FloatArray, ...]) -> FloatArray:
    """Weights of the grid's points in the tensor product of cubic splines at D points.

    Parameters
    ----------
    axes : tuple of ndarray
        One or two axes, n_1 and n_2 long.
    at : tuple of ndarray, each of shape (D,)
        Coordinates of the points.

    Returns
    -------
    ndarray, shape (D, n_1) or (D, n_1 n_2)
        A spline's value at the points is these weights times its values on the grid, the last axis varying
        fastest.
    """
    out = np.ones((len(at[0]), 1))
    for axis, x in zip(axes, at, strict=True):
        cardinal = CubicSpline(axis, np.eye(axis.size))(x)
        out = (out[:, :, None] * cardinal[:, None, :]).reshape(len(x), -1)
    return out


def linear_weights(axes: tuple[FloatArray, ...], at: tuple[FloatArray, ...]) -> FloatArray:
    """Weights of linear interpolation, none of them negative; arguments and shape as in `spline_weights`."""
    out = np.ones((len(at[0]), 1))
    for axis, x in zip(axes, at, strict=True):
        hats = np.stack([np.interp(x, axis, unit) for unit in np.eye(axis.size)], axis=1)
        out = (out[:, :, None] * hats[:, None, :]).reshape(len(x), -1)
    return out


def fine_cells(grid: SdGrid) -> tuple[list[FloatArray], FloatArray]:
    """Edges of fine cells along each axis, and the posterior probability of each cell."""
    edges = [np.linspace(axis[0], axis[-1], FINE_CELLS + 1) for axis in grid.axes]
    log_p = grid.log_density
    for k, (axis, e) in enumerate(zip(grid.axes, edges, strict=True)):
        log_p = np.moveaxis(CubicSpline(axis, np.moveaxis(log_p, k, 0))(0.5 * (e[1:] + e[:-1])), 0, k)
    p = np.exp(log_p - log_p.max())
    return edges, p / p.sum()
