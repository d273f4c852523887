"""Draws of (SDs, beta, v) from the Laplace approximation on the grid.

The therapists' effects are integrated in target and proposal alike and cancel from the weights, which
therefore live in some 30 dimensions, not in hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import hadamard, solve_triangular

from ter.features.design import FloatArray
from ter.models.grid import ConditionalPosterior, SdGrid, fine_cells, linear_weights, spline_weights, unpacked
from ter.models.priors import LOG_2PI

#: Numbers that interpolated factors may hold at once.
NUMBERS_AT_ONCE = 2**22
#: Pairs of opposite points whose gradients tell the third order, a power of 2.
SIGN_PAIRS = 8
#: What the third order may move a coordinate by, in SDs, and bend it.
LARGEST_SHIFT = 0.5
LARGEST_BEND = 0.1


@dataclass(frozen=True, eq=False)
class Shape:
    """How the proposal differs from the Laplace approximation, by standardised coordinate.

    Attributes
    ----------
    centre, scale : ndarray, shape (B,)
        0 and 1 for the approximation itself.
    bend : ndarray, shape (B,)
        A third of the skewness, nearly: the sigma of a shifted log-normal distribution, negative if skewed
        the other way. 0 for the approximation itself.
    """

    centre: FloatArray
    scale: FloatArray
    bend: FloatArray

    @classmethod
    def of_laplace(cls, n: int) -> Shape:
        """The approximation itself, in n dimensions."""
        return cls(np.zeros(n), np.ones(n), np.zeros(n))

    @classmethod
    def third_order(cls, conditional: ConditionalPosterior, grid: SdGrid, seed: int) -> Shape:
        """The approximation with mean and skewness corrected, at the highest point of the grid.

        To third order the mean of coordinate k is half of sum_i T_kii, T being the third derivatives of the
        log posterior. The mean gradient at s and -s is half of sum_ij T_kij s_i s_j: with signs s drawn at
        random its expectation is that mean, and where coordinates interact little it has hardly any noise
        (Hutchinson 1990, Commun. Stat. Simul. 19:433-450). Signs from a Hadamard matrix leave none at all
        with up to SIGN_PAIRS coordinates. The skewness T_kkk is taken to be twice the mean, as if nothing but
        the coordinate itself moved it. The weights correct what is left of both.
        """
        at = np.unravel_index(int(grid.log_density.argmax()), grid.log_density.shape)
        sd = np.array([axis[k] for axis, k in zip(grid.axes, at, strict=True)])
        B = grid.centre.shape[-1]
        factor = unpacked(grid.factors[grid.place[at]], B)
        unit, precision = conditional.unit(sd), conditional.precision(sd)
        rng = np.random.default_rng(seed)
        mean = np.zeros(B)
        columns = hadamard(SIGN_PAIRS).astype(np.float64)[:, np.arange(B) % SIGN_PAIRS]
        for z in columns * rng.choice([-1.0, 1.0], B):
            for signs in (z, -z):
                b = (grid.centre[at] + solve_triangular(factor, signs, lower=True, trans="T")) * unit
                _, gradient, _ = conditional.likelihood.evaluate(b, float(sd[0]))
                pull = unit * (gradient[:-1] - precision * b)
                mean += solve_triangular(factor, pull, lower=True) / (2.0 * SIGN_PAIRS)
        # Beyond this the third order says little.
        mean = np.clip(mean, -LARGEST_SHIFT, LARGEST_SHIFT)
        return cls(mean, np.ones(B), np.clip(2.0 * mean / 3.0, -LARGEST_BEND, LARGEST_BEND))


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


def reshape(shape: Shape, draws: ProposalDraws, weights: FloatArray) -> Shape:
    """A proposal nearer to the target, from weighted draws of the one before.

    Means and variances of the standardised coordinates, each shrunk towards what they were in the proposal by
    its own Monte Carlo error: by the square of the largest of so many errors, so that a thousand coordinates
    that are right stay as they are (Donoho and Johnstone 1994, Biometrika 81:425-455). Weights are truncated
    for that (Ionides 2008), so that a few draws do not decide.
    """
    weights = np.minimum(weights, 1.0 / np.sqrt(weights.size))
    weights = weights / weights.sum()
    effective = 1.0 / (weights**2).sum()
    mean = weights @ draws.z
    variance = weights @ (draws.z - mean) ** 2
    noise = max(1.0, 2.0 * np.log(mean.size)) / effective
    moved = mean - shape.centre
    wider = variance / shape.scale**2 - 1.0
    return Shape(
        shape.centre + np.maximum(0.0, 1.0 - noise * variance / np.maximum(moved**2, 1e-300)) * moved,
        shape.scale
        * np.sqrt(1.0 + np.maximum(0.0, 1.0 - 2.0 * noise / np.maximum(wider**2, 1e-300)) * wider),
        shape.bend,
    )


def skewed(normal: FloatArray, bend: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shifted log-normal numbers of mean 0 and SD 1 from normal ones (D, B), and the log of their slope.

    Parameters
    ----------
    normal : ndarray, shape (D, B)
    bend : ndarray, shape (B,)
        0 leaves a coordinate normal.
    """
    # As near to normal as rounding allows.
    bend = np.where(np.abs(bend) < 1e-6, 1e-6, bend)
    power = bend * normal - 0.5 * bend**2
    sd = np.sqrt(np.expm1(bend**2)) * np.sign(bend)
    return np.expm1(power) / sd, power + np.log(bend / sd)


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
    standard, log_slope = skewed(normal, shape.bend)
    z = shape.centre + shape.scale * standard
    log_density -= (0.5 * normal**2 + log_slope).sum(axis=1) + np.log(shape.scale).sum() + 0.5 * B * LOG_2PI
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
