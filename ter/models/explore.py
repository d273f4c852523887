"""Finding the posterior of the SDs: its middle, and a grid that holds nearly all of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from ter.features.design import FloatArray
from ter.models.grid import (
    FINE_CELLS,
    ConditionalMode,
    ConditionalPosterior,
    SdGrid,
    fine_cells,
    unpacked,
)
from ter.models.ml import Start

GRID_POINTS = 7
#: What an edge of the grid, EDGE_SHARE of its length, may hold before it is extended.
EDGE_MASS = 5e-4
EDGE_SHARE = 1.0 / 12.0
EDGE_CELLS = int(FINE_CELLS * EDGE_SHARE)
MAX_EXTENSIONS = 12
#: Grid points that an extension adds to an axis.
EXTENSION = 2
#: The lowest SD of a grid as a share of its highest: next to zero, where its density need not vanish.
LOWEST_SHARE = 1e-3
#: Newton decrement left at a grid point: its modes only place the proposal, which the weights correct.
GRID_DECREMENT = 1e-2
#: Points of a log density lower than the highest by this hold less than 1e-6 of what is there.
NEGLIGIBLE = 14.0
#: An end of the grid lower than the highest point by this is at the foot of a cliff.
CLIFF = 40.0
#: Points that are expected to be lower by this are not visited.
NOT_VISITED = 13.0
START_SD = 0.3
#: The same during the search. Not less: with wide effects the quadrature's own error moves the likelihood.
SEARCH_DECREMENT = 1e-4
#: The search ends when the logarithm of no SD moves further: 1e-4 of what it is known to, mostly far less.
SEARCH_TOLERANCE = 1e-5
SEARCH_STEPS = 60
LARGEST_STEP = 0.7
#: Least information on a log SD, where its density is flat.
LEAST_INFORMATION = 0.5

Axes = tuple[FloatArray, ...]
Key = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Middle:
    """A point in the middle of the posterior of the SDs, close to the mode of its density in log sd.

    Attributes
    ----------
    sd : ndarray, shape (F,)
    spread : ndarray, shape (F,)
        About the posterior SDs of log sd.
    mode : ConditionalMode
        Of b at these SDs.
    drift : ndarray, shape (B, F)
        Derivative of that mode in log sd.
    """

    sd: FloatArray
    spread: FloatArray
    mode: ConditionalMode
    drift: FloatArray


def scores(
    conditional: ConditionalPosterior, sd: FloatArray, mode: ConditionalMode
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Slope and information of the log density in log sd, shapes (F,), and the drift of the mode of b (B, F).

    Both leave out how the information on b changes with the likelihood's curvature, which is why the search
    ends near the mode and not at it: for sigma_v what is left is the EM equation of REML (Laird and Ware
    1982). The slope is continuous in the data, and that is what the grid needs.
    """
    n_beta, B = conditional.likelihood.n_beta, mode.b.size
    factor = unpacked(mode.factor, B)
    cross = mode.bend[:-1]
    drift = np.zeros((B, sd.size))
    drift[:, 0] = -cho_solve((factor, True), cross)
    slope = 1.0 - (sd / conditional.priors.scales(sd.size)) ** 2
    slope[0] += mode.slope
    information = np.full(sd.size, 0.0)
    information[0] = mode.bend[-1] + cross @ drift[:, 0]
    if sd.size == 2:
        tau = 1.0 / sd[1] ** 2
        v = mode.b[n_beta:]
        inverse = solve_triangular(factor, np.eye(B)[:, n_beta:], lower=True)
        left = tau * (inverse**2).sum(axis=0)
        slope[1] += tau * float(v @ v) - float((1.0 - left).sum())
        information[1] = 2.0 * float(((1.0 - left) ** 2).sum())
        pull = np.zeros(B)
        pull[n_beta:] = 2.0 * tau * v
        drift[:, 1] = cho_solve((factor, True), pull)
    return slope, np.maximum(information, LEAST_INFORMATION), drift


def find_middle(conditional: ConditionalPosterior, start: Start | None) -> Middle:
    """Search for the middle of the posterior of the SDs, from `start` or from nowhere in particular.

    Where the search ends does not depend on where it began, but for SEARCH_TOLERANCE.
    """
    F = conditional.n_factors
    log_sd = np.full(F, np.log(START_SD)) if start is None else np.log(start.sd)
    b = np.zeros(conditional.likelihood.n_b) if start is None else np.concatenate([start.beta, start.v])
    past: tuple[FloatArray, FloatArray] | None = None
    for _ in range(SEARCH_STEPS):
        sd = np.exp(log_sd)
        mode = conditional.mode(sd, b, SEARCH_DECREMENT)
        slope, information, drift = scores(conditional, sd, mode)
        rate = information
        if past is not None:
            # By how much the slope fell along the last step tells more than the information, within reason.
            left_slope, left_step = past
            fell = np.divide(left_slope - slope, left_step, out=information.copy(), where=left_step != 0.0)
            rate = np.clip(fell, 0.4 * information, 3.0 * information)
        step = np.clip(slope / rate, -LARGEST_STEP, LARGEST_STEP)
        past = slope, step
        log_sd = log_sd + step
        b = mode.b + drift @ step
        if np.abs(step).max() < SEARCH_TOLERANCE:
            break
    sd = np.exp(log_sd)
    mode = conditional.mode(sd, b, SEARCH_DECREMENT)
    _, information, drift = scores(conditional, sd, mode)
    return Middle(sd, 1.0 / np.sqrt(information), mode, drift)


def starting_axis(middle: float, spread: float) -> FloatArray:
    """A first axis for one SD, from its middle and the posterior SD of its logarithm."""
    width = middle * min(spread, 0.7)
    high = middle + 6.0 * width
    low = max(LOWEST_SHARE * high, middle - 7.0 * width)
    return np.linspace(low, high, GRID_POINTS)


def explore(conditional: ConditionalPosterior, start: Start | None = None) -> SdGrid:
    """Evaluate the posterior of the SDs on a grid that holds all but EDGE_MASS of it at each edge.

    Parameters
    ----------
    conditional : ConditionalPosterior
    start : Start, optional
        Where the search for the middle begins.
    """
    middle = find_middle(conditional, start)
    axes: Axes = tuple(starting_axis(m, s) for m, s in zip(middle.sd, middle.spread, strict=True))
    visits = Visits(conditional, middle)
    for _ in range(MAX_EXTENSIONS):
        grid = visits.grid(axes)
        better = tuple(
            adjust(axis, mass, height)
            for axis, mass, height in zip(axes, marginals(grid), profiles(grid), strict=True)
        )
        if all(np.array_equal(a, b) for a, b in zip(axes, better, strict=True)):
            break
        axes = better
    return replace(grid, edge_mass=max(float(mass[-EDGE_CELLS:].sum()) for mass in marginals(grid)))


class Visits:
    """Modes of b at points of the grid, each found once; the next starts where its neighbours point."""

    def __init__(self, conditional: ConditionalPosterior, middle: Middle) -> None:
        self.conditional = conditional
        self.middle = middle
        self.found: dict[Key, ConditionalMode] = {}

    def scaled(self, key: Key) -> FloatArray:
        """The mode at a point that was visited, in the grid's units."""
        return self.found[key].b / self.conditional.unit(np.array(key))

    def density(self, key: Key) -> float:
        """Log posterior density of the SDs at a point that was visited."""
        return self.found[key].log_marginal + float(self.conditional.priors.log_sd(np.array(key)))

    def visit(self, key: Key, guess: FloatArray) -> None:
        """Find the mode at a point, from a guess in the grid's units."""
        if key not in self.found:
            sd = np.array(key)
            start = guess * self.conditional.unit(sd)
            self.found[key] = self.conditional.mode(sd, start, GRID_DECREMENT)

    def line(self, keys: list[Key], nearest: int) -> None:
        """Visit the points of a line, from the one nearest to the middle outwards."""
        for direction in (1, -1):
            last = len(keys) if direction == 1 else -1
            for k in range(nearest, last, direction):
                behind = [keys[m] for m in (k - direction, k - 2 * direction) if 0 <= m < len(keys)]
                known = [self.scaled(key) for key in behind if key in self.found]
                if len(known) == 2:
                    guess = 2.0 * known[0] - known[1]
                else:
                    guess = known[0] if known else self._from_middle(keys[k])
                self.visit(keys[k], guess)

    def grid(self, axes: Axes) -> SdGrid:
        """The grid on these axes, visiting what holds mass and is not known yet."""
        nearest = [int(np.abs(axis - m).argmin()) for axis, m in zip(axes, self.middle.sd, strict=True)]
        shape = tuple(axis.size for axis in axes)
        B = self.conditional.likelihood.n_b
        keys = np.empty(shape, object)
        for at in np.ndindex(shape):
            keys[at] = tuple(float(axis[k]) for axis, k in zip(axes, at, strict=True))
        if len(axes) == 1:
            self.line(list(keys), nearest[0])
            whole = np.ones(shape, np.bool_)
            density = np.array([self.density(key) for key in keys])
            centre = np.stack([self.scaled(key) for key in keys])
            stand_in = keys
        else:
            i, j = nearest
            self.line(list(keys[:, j]), i)
            self.line(list(keys[i]), j)
            # As if the SDs were independent: what lies along the lines through the middle adds up.
            column = np.array([self.density(key) for key in keys[:, j]])
            row = np.array([self.density(key) for key in keys[i]])
            density = column[:, None] + row - column[i]
            c_column = np.stack([self.scaled(key) for key in keys[:, j]])
            c_row = np.stack([self.scaled(key) for key in keys[i]])
            centre = c_column[:, None] + c_row - c_column[i]
            whole = density > density.max() - NOT_VISITED
            whole[i], whole[:, j] = True, True
            stand_in = np.empty(shape, object)
            order = sorted(np.ndindex(shape), key=lambda at: abs(at[0] - i) + abs(at[1] - j))
            for a, b in order:
                key = tuple(keys[a, b])
                inwards = (a - np.sign(a - i), b - np.sign(b - j))
                if whole[a, b]:
                    if key not in self.found:
                        known = centre[inwards[0], b] + centre[a, inwards[1]] - centre[inwards]
                        self.visit(key, known)
                    density[a, b], centre[a, b] = self.density(key), self.scaled(key)
                    stand_in[a, b] = key
                else:
                    stand_in[a, b] = stand_in[inwards]
        return self._assemble(axes, density, centre.reshape(*shape, B), whole, stand_in)

    def _from_middle(self, key: Key) -> FloatArray:
        """The mode at a point as seen from the middle, in the grid's units."""
        sd = np.array(key)
        # In SDs and not in their logarithms, which may be far apart.
        step = np.clip(sd / self.middle.sd - 1.0, -1.0, 1.0)
        b = self.middle.mode.b + self.middle.drift @ step
        return np.asarray(b / self.conditional.unit(self.middle.sd))

    def _assemble(
        self, axes: Axes, density: FloatArray, centre: FloatArray, whole: np.ndarray, stand_in: np.ndarray
    ) -> SdGrid:
        """The grid, with what its points that hold mass say of it."""
        used: dict[Key, int] = {}
        place = np.array([used.setdefault(key, len(used)) for key in stand_in.ravel()], np.int64)
        rows = np.tril_indices(centre.shape[-1])[0]
        factors = np.stack(
            [self.found[key].factor * self.conditional.unit(np.array(key))[rows] for key in used]
        )
        # Where there is next to no posterior, an approximation that is off does no harm.
        top = float(density[whole].max())
        held = [self.found[key] for key in used if self.density(key) > top - NEGLIGIBLE]
        return SdGrid(
            axes=axes,
            log_density=density,
            centre=centre,
            factors=factors,
            place=place.reshape(density.shape),
            gradient_norm=float(np.sqrt(max(max(p.decrement for p in held), 0.0))),
            edge_mass=float("nan"),
            converged=all(p.converged for p in held),
        )


def marginals(grid: SdGrid) -> list[FloatArray]:
    """Posterior probabilities of the fine cells along each axis."""
    _, p = fine_cells(grid)
    return [p] if p.ndim == 1 else [p.sum(axis=1), p.sum(axis=0)]


def profiles(grid: SdGrid) -> list[FloatArray]:
    """Log densities along each axis, the other SD at its best, below the highest."""
    log_p = grid.log_density - grid.log_density.max()
    return [log_p] if log_p.ndim == 1 else [log_p.max(axis=1), log_p.max(axis=0)]


def adjust(axis: FloatArray, mass: FloatArray, height: FloatArray) -> FloatArray:
    """Move an axis's low end in where the density falls off a cliff; extend the ends that hold too much.

    A spline through the foot of a cliff overshoots beside it.
    """
    step = axis[-1] - axis[-2]
    lowest = LOWEST_SHARE * axis[-1]
    out = axis
    if height[0] < -CLIFF:
        out = np.concatenate([[0.5 * (axis[0] + axis[1])], axis[1:]])
    elif mass[:EDGE_CELLS].sum() > EDGE_MASS and axis[0] > lowest and height[0] > -NEGLIGIBLE:
        lower = np.maximum(axis[0] - step * np.arange(EXTENSION, 0, -1), lowest)
        out = np.concatenate([np.unique(lower), axis])
    if mass[-EDGE_CELLS:].sum() > EDGE_MASS:
        out = np.append(out, axis[-1] + step * np.arange(1, EXTENSION + 1))
    return out
