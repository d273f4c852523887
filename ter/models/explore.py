"""Finding the posterior of the SDs: its mode, and a grid that holds nearly all of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from ter.features.design import FloatArray
from ter.models.grid import (
    FINE_CELLS,
    ConditionalMode,
    ConditionalPosterior,
    SdGrid,
    fine_cells,
    log_prior_sd,
)
from ter.models.newton import maximise

GRID_POINTS = 11
#: What an edge of the grid may hold before it is extended.
EDGE_MASS = 5e-4
MAX_EXTENSIONS = 12
#: Grid points that an extension adds to an axis.
EXTENSION = 3
#: The lowest SD of a grid as a share of its highest: next to zero, where its density need not vanish.
LOWEST_SHARE = 1e-3
#: Newton decrement left at a grid point: its modes only place the proposal, which the weights correct.
GRID_DECREMENT = 1e-2
#: Points of a log density lower than the highest by this hold less than 1e-6 of what is there.
NEGLIGIBLE = 14.0

Axes = tuple[FloatArray, ...]
Known = dict[tuple[float, ...], ConditionalMode]


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
    axes: Axes = tuple(starting_axis(m, s) for m, s in zip(modes, spreads, strict=True))
    known: Known = {}
    for _ in range(MAX_EXTENSIONS):
        visit(conditional, axes, nearest.b, known)
        grid = assemble(conditional, axes, known)
        wider = tuple(widen(axis, mass) for axis, mass in zip(axes, marginals(grid), strict=True))
        if all(a.size == b.size for a, b in zip(axes, wider, strict=True)):
            break
        axes = wider
    edge = max(
        float(mass[-cells_of_a_step(axis) :].sum())
        for axis, mass in zip(grid.axes, marginals(grid), strict=True)
    )
    return replace(grid, edge_mass=edge)


def visit(conditional: ConditionalPosterior, axes: Axes, start: FloatArray, known: Known) -> None:
    """Find the modes of b at all points of a grid that are not known yet, line by line."""
    first_of_line = start
    for outer in axes[0] if len(axes) == 2 else [None]:
        line: list[FloatArray] = []
        for inner in axes[-1]:
            key = (float(inner),) if outer is None else (float(outer), float(inner))
            if key not in known:
                # Along a line the mode moves smoothly: it starts where the last two points lead.
                guess = first_of_line
                if line:
                    guess = 2.0 * line[-1] - line[-2] if len(line) > 1 else line[-1]
                known[key] = conditional.mode(np.array(key), guess, GRID_DECREMENT)
            line.append(known[key].b)
        first_of_line = line[0]


def assemble(conditional: ConditionalPosterior, axes: Axes, known: Known) -> SdGrid:
    """The grid of points that were visited."""
    shape = tuple(axis.size for axis in axes)
    keys = [tuple(float(s) for s in sd) for sd in itertools.product(*axes)]
    points = [known[key] for key in keys]
    B = points[0].b.size
    unit = np.stack([conditional.unit(np.array(key)) for key in keys])
    density = np.array([p.log_marginal for p in points]) + log_prior_sd(np.array(keys))
    # Where there is next to no posterior, an approximation that is off does no harm.
    held = [p for p, d in zip(points, density, strict=True) if d > density.max() - NEGLIGIBLE]
    return SdGrid(
        axes=axes,
        log_density=density.reshape(shape),
        centre=(np.stack([p.b for p in points]) / unit).reshape(*shape, B),
        factor=(np.stack([p.factor for p in points]) * unit[:, :, None]).reshape(*shape, B, B),
        gradient_norm=float(np.sqrt(max(max(p.decrement for p in held), 0.0))),
        edge_mass=float("nan"),
        converged=all(p.converged for p in held),
    )


def marginals(grid: SdGrid) -> list[FloatArray]:
    """Posterior probabilities of the fine cells along each axis."""
    _, p = fine_cells(grid)
    return [p] if p.ndim == 1 else [p.sum(axis=1), p.sum(axis=0)]


def cells_of_a_step(axis: FloatArray) -> int:
    """Fine cells in the last step of an axis."""
    return max(1, int(FINE_CELLS * (axis[-1] - axis[-2]) / (axis[-1] - axis[0])))


def widen(axis: FloatArray, mass: FloatArray) -> FloatArray:
    """Extend an axis at the ends that hold too much."""
    step = axis[-1] - axis[-2]
    cells = cells_of_a_step(axis)
    lowest = LOWEST_SHARE * axis[-1]
    wider = axis
    if mass[:cells].sum() > EDGE_MASS and axis[0] > lowest:
        lower = np.maximum(axis[0] - step * np.arange(EXTENSION, 0, -1), lowest)
        wider = np.concatenate([np.unique(lower), wider])
    if mass[-cells:].sum() > EDGE_MASS:
        wider = np.append(wider, axis[-1] + step * np.arange(1, EXTENSION + 1))
    return wider
