"""Draws of (SDs, beta, v) from the Laplace approximation on the grid.

The therapists' effects are integrated in target and proposal alike and cancel from the weights, which
therefore live in some 30 dimensions, not in hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from ter.features.design import FloatArray
from ter.models.grid import SdGrid, fine_cells, linear_weights, spline_weights, unpacked
from ter.models.priors import LOG_2PI

#: Numbers that interpolated factors may hold at once.
NUMBERS_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Shape:
    """How the proposal differs from the Laplace approximation, by standardised coordinate.

    Attributes
    ----------
    centre, scale : ndarray, shape (B,)
        0 and 1 for the approximation itself.
    """

    centre: FloatArray
    scale: FloatArray

    @classmethod
    def of_laplace(cls, n: int) -> Shape:
        """The approximation itself, in n dimensions."""
        return cls(np.zeros(n), np.ones(n))


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of all parameters but the therapists' effects.

    Attributes
    ----------
    sd : ndarray, shape (D, F)
    b : ndarray, shape (D, B)
    """

    sd: FloatArray
    b: FloatArray


@dataclass(frozen=True, eq=False)
class ProposalDraws(Draws):
    """Draws from the proposal.

    Attributes
    ----------
    z : ndarray, shape (D, B)
        Standardised coordinates: draws of b before the Laplace approximation scales and shifts them.
    log_density : ndarray, shape (D,)
        Log density of the proposal at each draw, in (SDs, b).
    """

    z: FloatArray
    log_density: FloatArray


def reshape(draws: ProposalDraws, weights: FloatArray) -> Shape:
    """A proposal nearer to the target, from weighted draws.

    Laplace's method misplaces a coefficient with a skewed posterior, such as that of a rare level. Means and
    variances of the standardised coordinates correct it, each shrunk towards 0 and 1 by its own Monte Carlo
    error. Weights are truncated for that (Ionides 2008), so that a few draws do not decide.
    """
    weights = np.minimum(weights, 1.0 / np.sqrt(weights.size))
    weights = weights / weights.sum()
    effective = 1.0 / (weights**2).sum()
    mean = weights @ draws.z
    variance = weights @ (draws.z - mean) ** 2
    sure = np.maximum(0.0, 1.0 - variance / (effective * np.maximum(mean**2, 1e-300)))
    trust = effective / (effective + 20.0)
    return Shape(sure * mean, np.sqrt(trust * variance + 1.0 - trust))


def draw_sds(grid: SdGrid, uniforms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """SDs (D, F) from the density on fine cells, which is constant in each, and its log at each draw (D,)."""
    edges, p = fine_cells(grid)
    first = p if p.ndim == 1 else p.sum(axis=1)
    widths = [e[1] - e[0] for e in edges]
    cumulated = np.concatenate([[0.0], np.cumsum(first)])
    sd = np.empty((len(uniforms), len(edges)))
    sd[:, 0] = np.interp(uniforms[:, 0] * cumulated[-1], cumulated, edges[0])
    i = np.clip(np.searchsorted(edges[0], sd[:, 0], side="right") - 1, 0, first.size - 1)
    if p.ndim == 1:
        return sd, np.log(p[i] / widths[0])
    j = np.empty_like(i)
    for d, row in enumerate(i):
        cumulated = np.concatenate([[0.0], np.cumsum(p[row])])
        sd[d, 1] = np.interp(uniforms[d, 1] * cumulated[-1], cumulated, edges[1])
        j[d] = np.clip(np.searchsorted(edges[1], sd[d, 1], side="right") - 1, 0, p.shape[1] - 1)
    return sd, np.log(p[i, j] / (widths[0] * widths[1]))


def draw(grid: SdGrid, n_beta: int, seed: int, n: int, shape: Shape) -> ProposalDraws:
    """Scrambled Sobol draws of (SDs, b).

    Parameters
    ----------
    grid : SdGrid
    n_beta : int
        Columns of the fixed effects; what follows them in b are services.
    seed : int
    n : int
        A power of 2.
    shape : Shape
    """
    # Imported here: scipy.stats is slow to load, and `import ter` should not wait for it.
    from scipy.special import ndtri
    from scipy.stats import qmc

    F, B = len(grid.axes), grid.centre.shape[-1]
    points = qmc.Sobol(F + B, scramble=True, rng=np.random.default_rng(seed)).random(n)
    sd, log_density = draw_sds(grid, points[:, :F])
    normal = ndtri(np.clip(points[:, F:], 1e-12, 1.0 - 1e-12))
    z = shape.centre + shape.scale * normal
    log_density -= 0.5 * (normal**2).sum(axis=1) + np.log(shape.scale).sum() + 0.5 * B * LOG_2PI
    weights = spline_weights(grid.axes, tuple(sd.T))
    b = weights @ grid.centre.reshape(-1, B)
    # Factors are interpolated linearly: a mean of factors is a factor, which a spline need not be. Points may
    # share a factor: what its users weigh together.
    shared = np.zeros((n, len(grid.factors)))
    np.add.at(shared.T, grid.place.ravel(), linear_weights(grid.axes, tuple(sd.T)).T)
    at_once = max(1, NUMBERS_AT_ONCE // max(grid.factors.shape[1], 1))
    for start in range(0, n, at_once):
        factors = shared[start : start + at_once] @ grid.factors
        for d, packed in enumerate(factors, start):
            factor = unpacked(packed, B)
            b[d] += solve_triangular(factor, z[d], lower=True, trans="T", check_finite=False)
            log_density[d] += float(np.log(np.diag(factor)).sum())
    # From (beta, v / sigma_v) to (beta, v).
    if F == 2:
        b[:, n_beta:] *= sd[:, 1:]
        log_density -= (B - n_beta) * np.log(sd[:, 1])
    return ProposalDraws(sd, b, z, log_density)
