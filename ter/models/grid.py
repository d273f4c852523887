"""The posterior of the SDs on a grid, with the Laplace approximation over b = (beta, v) at each point.

The grid is linear in the SDs: the left tail of the density of log sd falls only like sd itself, so that a
grid in log sd must cut it off or be very wide. It is extended while its edges hold mass.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import cholesky

from ter.features.design import FloatArray
from ter.models.newton import maximise, newton_step
from ter.models.quadrature import QuadratureLikelihood

BETA_SD = 2.5
SD_SCALE = 1.0
GRID_POINTS = 11
EDGE_MASS = 5e-4
#: Newton decrement left at a grid point: its modes only place the proposal, which the weights correct.
GRID_DECREMENT = 1e-2
FINE_CELLS = 240
#: The lowest SD of a grid as a share of its highest: next to zero, where its density need not vanish.
LOWEST_SHARE = 1e-3
MAX_EXTENSIONS = 12
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
        factor = cholesky(found.information, lower=True)
        log_marginal = (
            found.value
            + 0.5 * found.decrement
            + 0.5 * start.size * LOG_2PI
            - float(np.log(np.diag(factor)).sum())
        )
        last_step = newton_step(found.gradient, found.information)
        return ConditionalMode(found.x + last_step, factor, log_marginal, found.decrement, found.converged)


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
        Largest root of the Newton decrement at a grid point.
    converged : bool
        Whether every mode of b was found and the edges of the grid hold next to nothing.
    """

    axes: tuple[FloatArray, ...]
    log_density: FloatArray
    centre: FloatArray
    factor: FloatArray
    gradient_norm: float
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


def posterior_mode(
    conditional: ConditionalPosterior, start: FloatArray
) -> tuple[FloatArray, FloatArray, ConditionalMode]:
    """Mode of the SDs, and the posterior SDs of their logarithms, by Newton steps on numeric derivatives."""
    F = conditional.n_factors
    last = {"mode": conditional.mode(np.full(F, 0.3), start, 1e-6)}

    def log_posterior(log_sd: FloatArray) -> float:
        sd = np.exp(log_sd)
        last["mode"] = conditional.mode(sd, last["mode"].b, 1e-5)
        # The density of log sd, so that the mode is inside.
        return last["mode"].log_marginal + float(log_prior_sd(sd)) + float(log_sd.sum())

    h = 0.05

    def evaluate(x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        centre = log_posterior(x)
        step = h * np.eye(F)
        up = np.array([log_posterior(x + s) for s in step])
        down = np.array([log_posterior(x - s) for s in step])
        information = np.diag(-(up - 2.0 * centre + down) / h**2)
        if F == 2:
            both = log_posterior(x + step[0] + step[1])
            information[0, 1] = information[1, 0] = -(both - up[0] - up[1] + centre) / h**2
        # Far from the mode the density of log sd need not be concave.
        smallest = np.linalg.eigvalsh(information)[0]
        if smallest < 0.1:
            information += (0.1 - smallest) * np.eye(F)
        return centre, (up - down) / (2.0 * h), information

    found = maximise(
        evaluate, log_posterior, np.log(np.full(F, 0.3)), tolerance=1e-2, max_iterations=30, max_step=0.7
    )
    spread = np.sqrt(np.diag(np.linalg.inv(found.information)))
    log_posterior(found.x)
    return np.exp(found.x), spread, last["mode"]


def starting_axis(mode: float, spread: float) -> FloatArray:
    """A first axis for one SD, from its mode and the posterior SD of its logarithm."""
    width = mode * min(spread, 0.7)
    high = mode + 6.0 * width
    low = max(LOWEST_SHARE * high, mode - 7.0 * width)
    return np.linspace(low, high, GRID_POINTS)


def explore(conditional: ConditionalPosterior, start: FloatArray) -> SdGrid:
    """Evaluate the posterior of the SDs on a grid that holds all but EDGE_MASS of it at each edge.

    Parameters
    ----------
    conditional : ConditionalPosterior
    start : ndarray, shape (B,)
        Where the search for b begins.
    """
    modes, spreads, nearest = posterior_mode(conditional, start)
    axes = [starting_axis(m, s) for m, s in zip(modes, spreads, strict=True)]
    known: dict[tuple[float, ...], ConditionalMode] = {}

    def fill() -> SdGrid:
        shape = tuple(axis.size for axis in axes)
        lines = (
            [[(float(a),) for a in axes[0]]]
            if len(axes) == 1
            else [[(float(a), float(b)) for b in axes[1]] for a in axes[0]]
        )
        previous = nearest.b
        for line in lines:
            before: list[FloatArray] = []
            for key in line:
                if key not in known:
                    # Along a line of the grid the mode moves smoothly: it starts where the last two points
                    # lead.
                    start_b = (
                        2.0 * before[-1] - before[-2]
                        if len(before) > 1
                        else before[-1]
                        if before
                        else previous
                    )
                    known[key] = conditional.mode(np.array(key), start_b, GRID_DECREMENT)
                before.append(known[key].b)
            previous = before[0]
        points = [known[tuple(float(s) for s in sd)] for sd in itertools.product(*axes)]
        sds = np.array(list(itertools.product(*axes)))
        density = np.array([p.log_marginal for p in points]) + log_prior_sd(sds)
        unit = np.stack([conditional.unit(sd) for sd in sds])
        return SdGrid(
            tuple(axes),
            density.reshape(shape),
            (np.stack([p.b for p in points]) / unit).reshape(*shape, -1),
            (np.stack([p.factor for p in points]) * unit[:, :, None]).reshape(*shape, start.size, start.size),
            gradient_norm=float(np.sqrt(max(max(p.decrement for p in points), 0.0))),
            converged=all(p.converged for p in points),
        )

    for _ in range(MAX_EXTENSIONS):
        grid = fill()
        _, p = fine_cells(grid)
        moved = False
        for k, axis in enumerate(axes):
            marginal = p if len(axes) == 1 else p.sum(axis=1 - k)
            step = axis[1] - axis[0]
            edge = FINE_CELLS // (axis.size - 1)
            if marginal[-edge:].sum() > EDGE_MASS:
                axes[k] = np.append(axis, axis[-1] + step * np.arange(1, 4))
                moved = True
            if marginal[:edge].sum() > EDGE_MASS and axis[0] > LOWEST_SHARE * axis[-1]:
                lower = np.maximum(axis[0] - step * np.arange(3, 0, -1), LOWEST_SHARE * axis[-1])
                axes[k] = np.concatenate([np.unique(lower), axes[k]])
                moved = True
        if not moved:
            return grid
    return replace(grid, converged=False)
