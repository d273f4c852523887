"""From weighted draws to every therapist's effect, TER and expected rate, with u integrated out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ter.features.design import FloatArray, IntArray
from ter.kernels.posterior import REACH, draw_likelihoods, summarise_units
from ter.kernels.tables import (
    BINS,
    STEPS,
    count_predictors,
    inverse_logit_rate,
    logistic_normal,
    standardised_rate,
)
from ter.models.layout import Layout
from ter.models.parallel import map_partitions
from ter.models.posterior import Posterior
from ter.models.proposal import Draws
from ter.models.quadrature import QuadratureLikelihood

GRID = 65
GRID_REACH = 6.0
#: Joint draws of the therapist effects: as many as fit into this many numbers, within limits.
MAX_JOINT_NUMBERS = 8_000_000
JOINT_DRAWS = (1024, 4096)
ETA_LIMIT = 40.0


@dataclass(frozen=True, eq=False)
class Conditionals:
    """Given each draw: the log-likelihood, and mean and SD of every u_j.

    Attributes
    ----------
    log_likelihood : ndarray, shape (D,)
    mean, sd : ndarray, shape (J, D)
    eta_low, eta_high : float
        The range of the linear predictor without u, over all rows and draws.
    """

    log_likelihood: FloatArray
    mean: FloatArray
    sd: FloatArray
    eta_low: float
    eta_high: float


def split_draws(layout: Layout, draws: Draws) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Arrays for the kernels: beta (D, P), v (D, S or 1), sigma of the therapists (D,)."""
    P = layout.rows.X.shape[1]
    v = draws.b[:, P:] if layout.n_outer else np.zeros((len(draws.b), 1))
    return np.ascontiguousarray(draws.b[:, :P]), np.ascontiguousarray(v), np.ascontiguousarray(draws.sd[:, 0])


def conditionals(likelihood: QuadratureLikelihood, draws: Draws) -> Conditionals:
    """Integrate u at every draw."""
    layout = likelihood.layout
    beta, v, sigma = split_draws(layout, draws)
    J, D = layout.n_inner, len(sigma)
    mean, sd = np.empty((J, D)), np.empty((J, D))

    def work(part: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
        log_lik, extent = np.zeros(D), np.zeros(2)
        draw_likelihoods(
            *part, layout.rows, beta, v, sigma, likelihood.z, likelihood.log_w, log_lik, mean, sd, extent
        )
        return log_lik, extent

    sums = map_partitions(work, layout.partitions())
    extents = np.array([extent for _, extent in sums])
    return Conditionals(
        np.sum([log_lik for log_lik, _ in sums], axis=0),
        mean,
        sd,
        float(extents[:, 0].min()),
        float(extents[:, 1].max()),
    )


@dataclass(frozen=True, eq=False)
class Tables:
    """Functions of each draw at steps of 1 / STEPS: T(u), u(logit T) and M(eta), shapes (D, 2, n)."""

    rate: FloatArray
    u0: float
    inverse: FloatArray
    l0: float
    expected: FloatArray
    eta0: float


def tabulate(layout: Layout, draws: Draws, given: Conditionals) -> Tables:
    """Tables of the standardised rate T(u), its inverse, and the expected rate M(eta), for every draw."""
    beta, v, sigma = split_draws(layout, draws)
    eta_low = float(np.floor(max(given.eta_low, -ETA_LIMIT)))
    eta_high = float(np.ceil(min(given.eta_high, ETA_LIMIT))) + 1.0
    u_low = float(np.floor((given.mean - REACH * given.sd).min())) - 1.0
    u_high = float(np.ceil((given.mean + REACH * given.sd).max())) + 1.0
    n_eta = int((eta_high - eta_low) * STEPS) + 1
    n_u = int((u_high - u_low) * STEPS) + 1
    # T(u) lies between the rates of the patients with the lowest and the highest odds.
    l0 = eta_low + u_low
    n_l = int((eta_high + u_high - l0) * STEPS) + 1
    D = len(sigma)
    rate, inverse, expected = np.empty((D, 2, n_u)), np.empty((D, 2, n_l)), np.empty((D, 2, n_eta))

    def work(part: tuple[int, int]) -> None:
        counts = np.empty(int((eta_high - eta_low) * BINS) + 2)
        for d in range(*part):
            count_predictors(layout.rows, beta[d], v[d], eta_low, counts)
            standardised_rate(counts, eta_low, u_low, rate[d])
            inverse_logit_rate(rate[d], u_low, l0, inverse[d])
            logistic_normal(sigma[d], eta_low, expected[d])

    map_partitions(work, [(d, min(d + 16, D)) for d in range(0, D, 16)])
    return Tables(rate, u_low, inverse, l0, expected, eta_low)


def normalise(log_weights: FloatArray) -> FloatArray:
    """Weights that sum to 1."""
    w = np.exp(log_weights - log_weights.max())
    return np.asarray(w / w.sum())


def joint_draws(n_units: int) -> int:
    """How many joint draws of the effects of so many therapists are kept."""
    return int(np.clip(2 ** int(np.log2(MAX_JOINT_NUMBERS / max(n_units, 1))), *JOINT_DRAWS))


def resample(weights: FloatArray, n: int) -> IntArray:
    """Systematic resampling: each draw comes n times its weight, rounded up or down.

    Returns
    -------
    ndarray of int64, shape (D + 1,)
        Of the n equally weighted draws, numbers out[d] to out[d + 1] - 1 are draw d.
    """
    out = np.concatenate([[0], np.floor(n * np.cumsum(weights) + 0.5)]).astype(np.int64)
    out[-1] = n
    return out


def marginalise(
    likelihood: QuadratureLikelihood, draws: Draws, given: Conditionals, weights: FloatArray, seed: int
) -> tuple[Posterior, FloatArray]:
    """Posterior of every therapist, and the posterior mean of each sorted row's expected rate (N,)."""
    layout = likelihood.layout
    beta, v, sigma = split_draws(layout, draws)
    J, D, N = layout.n_inner, len(sigma), layout.rows.y.size
    tables = tabulate(layout, draws, given)

    u_mean = given.mean @ weights
    u_sd = np.sqrt((given.sd**2 + given.mean**2) @ weights - u_mean**2)
    u_grid = u_mean[:, None] + u_sd[:, None] * np.linspace(-GRID_REACH, GRID_REACH, GRID)
    centre, slope = logit_rate(tables, given.mean)
    logit_mean = centre @ weights
    logit_sd = np.sqrt(((slope * given.sd) ** 2 + centre**2) @ weights - logit_mean**2)
    ter_grid = logit_mean[:, None] + logit_sd[:, None] * np.linspace(-GRID_REACH, GRID_REACH, GRID)

    M = joint_draws(J)
    resampled = resample(weights, M)
    u_cdf, ter_cdf, moments = np.zeros((J, GRID)), np.zeros((J, GRID)), np.zeros((J, 7))
    row_expected, u_draws = np.zeros(N), np.zeros((J, M), np.float32)

    def work(part: tuple[int, int]) -> None:
        summarise_units(
            *part, layout.rows, beta, v, sigma, weights, given.mean, given.sd,
            tables.rate, tables.u0, tables.inverse, tables.l0, tables.expected, tables.eta0,
            u_grid, ter_grid, resampled, np.uint64(seed), u_cdf, ter_cdf, moments, row_expected, u_draws,
        )  # fmt: skip

    map_partitions(work, layout.partitions())
    empty = np.diff(layout.rows.row_ptr) == 0
    expected_mean = np.where(empty, np.nan, moments[:, 4])
    posterior = Posterior(
        weights=weights,
        beta=beta,
        v=v if layout.n_outer else np.zeros((D, 0)),
        sd=draws.sd,
        u_mean=moments[:, 0],
        u_sd=np.sqrt(np.maximum(moments[:, 1] - moments[:, 0] ** 2, 0.0)),
        u_grid=u_grid,
        u_cdf=u_cdf,
        u_draws=u_draws,
        reliability=1.0 - moments[:, 2],
        ter_mean=100.0 * moments[:, 3],
        ter_grid=100.0 / (1.0 + np.exp(-ter_grid)),
        ter_cdf=ter_cdf,
        expected_mean=expected_mean,
        expected_sd=np.where(empty, np.nan, np.sqrt(np.maximum(moments[:, 5] - moments[:, 4] ** 2, 0.0))),
        predicted_mean=np.where(empty, np.nan, moments[:, 6]),
    )
    return posterior, row_expected


def logit_rate(tables: Tables, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Logit T(u), with its slope, from the nearest step below: good enough to place grids. Shapes (J, D)."""
    index = np.clip(((u - tables.u0) * STEPS).astype(np.int64), 0, tables.rate.shape[2] - 1)
    d = np.arange(u.shape[1])
    T = np.clip(tables.rate[d, 0, index], 1e-12, 1.0 - 1e-12)
    slope = tables.rate[d, 1, index] / (T * (1.0 - T))
    rest = u - (tables.u0 + index / STEPS)
    return np.log(T / (1.0 - T)) + slope * rest, slope
