"""The posterior of the SDs on a grid, with the Laplace approximation over b = (beta, v) at each point.

The grid is linear in the SDs: the left tail of the density of log sd falls only like sd itself, so that a
grid in log sd must cut it off or be very wide. It is extended while its edges hold mass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from ter.features.design import FloatArray
from ter.models.newton import lower_factor, maximise, newton_step
from ter.models.quadrature import QuadratureLikelihood

BETA_SD = 2.5
SD_SCALE = 1.0
FINE_CELLS = 240
LOG_2PI = float(np.log(2.0 * np.pi))


def log_prior_sd(sd: FloatArray) -> FloatArray:
    """Log density of independent half-normal(1) priors; shape (..., F) -> (...)."""
    sd = np.asarray(sd)
    constant = np.log(2.0 / SD_SCALE) - 0.5 * LOG_2PI
    return np.asarray((constant - 0.5 * (sd / SD_SCALE) ** 2).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class ConditionalMode:
    """The Laplace approximation of b given the SDs.

    Attributes
    ----------
    b : ndarray, shape (B,)
    factor : ndarray, shape (B, B)
        Lower Cholesky factor of the negative Hessian.
    log_marginal : float
        log p(y | SDs), b integrated by Laplace's method.
    decrement : float
        Newton decrement before the last step.
    converged : bool
    """

    b: FloatArray
    factor: FloatArray
    log_marginal: float
    decrement: float
    converged: bool


class ConditionalPosterior:
    """log p(y, b | SDs) with the priors of b, therapists integrated by quadrature."""

    def __init__(self, likelihood: QuadratureLikelihood) -> None:
        self.likelihood = likelihood
        self.n_factors = 2 if likelihood.layout.n_outer else 1

    def precision(self, sd: FloatArray) -> FloatArray:
        """Prior precisions of b, shape (B,)."""
        out = np.full(self.likelihood.n_b, 1.0 / BETA_SD**2)
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

        def evaluate(b: FloatArray) -> tuple[float, FloatArray, FloatArray]:
            value, gradient, information = self.likelihood.evaluate(b, sd[0])
            return (
                value + self.log_prior(b, sd),
                gradient[:-1] - precision * b,
                information[:-1, :-1] + np.diag(precision),
            )

        found = maximise(
            evaluate,
            lambda b: self.likelihood.value(b, sd[0]) + self.log_prior(b, sd),
            start,
            tolerance=tolerance,
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
            found.x + last_step, factor, log_marginal, found.decrement, found.converged and definite
        )


@dataclass(frozen=True, eq=False)
class SdGrid:
    """Log posterior density of the SDs on a grid, and the Laplace approximation of b at each of its points.

    The approximation is of (beta, v / sigma_v), which has a limit as sigma_v goes to 0, so that it can be
    interpolated between points.

    Attributes
    ----------
    axes : tuple of ndarray
        One or two, in the order therapist, service.
    log_density : ndarray, shape (n,) or (n, n)
    centre : ndarray, shape (..., B)
        Mode of (beta, v / sigma_v).
    factor : ndarray, shape (..., B, B)
        Lower Cholesky factor of the negative Hessian in (beta, v / sigma_v).
    gradient_norm : float
        Largest root of the Newton decrement at a grid point that holds mass.
    edge_mass : float
        Largest share of an SD's posterior in the last step of its axis.
    converged : bool
        Whether the mode of b was found at every grid point that holds mass.
    """

    axes: tuple[FloatArray, ...]
    log_density: FloatArray
    centre: FloatArray
    factor: FloatArray
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


def fine_cells(grid: SdGrid) -> tuple[list[FloatArray], FloatArray]:
    """Edges of fine cells along each axis, and the posterior probability of each cell."""
    edges = [np.linspace(axis[0], axis[-1], FINE_CELLS + 1) for axis in grid.axes]
    log_p = grid.log_density
    for k, (axis, e) in enumerate(zip(grid.axes, edges, strict=True)):
        log_p = np.moveaxis(CubicSpline(axis, np.moveaxis(log_p, k, 0))(0.5 * (e[1:] + e[:-1])), 0, k)
    p = np.exp(log_p - log_p.max())
    return edges, p / p.sum()
