"""From weighted draws to every therapist's effect, TER and expected rate, with (u, w) integrated out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ter.features.design import Design, FloatArray
from ter.kernels.parallel import map_partitions
from ter.kernels.slope_draws import (
    condition_slopes,
    count_along,
    expect_slopes,
    mix_distributions,
    rate_slopes,
    rates_of_counts,
)
from ter.models.effects_posterior import EffectsPosterior, Scales
from ter.models.layout import Layout
from ter.models.marginal import ETA_LIMIT, GRID, GRID_REACH, REACH, rate_rule
from ter.models.posterior import Posterior
from ter.models.priors import LOG_2PI
from ter.models.quadrature import nodes_and_log_weights
from ter.models.slope_result import SlopePosterior
from ter.models.weighted import TAILS

#: Steps of w between tables of the standardised rate, log-odds for an SD of severity: cubic interpolation
#: between them is off by less than 0.01 points of a TER. And the most of them.
W_STEP = 0.3
MOST_W = 48
#: Steps of u, log-odds: Hermite interpolation is off by less than 0.003 points of a TER.
U_STEP = 0.5
#: SDs of w on either side that are tabulated; beyond, w is held at the end.
REACH_W = 4.5
#: SDs on either side within which 5% and 95% points of w are looked for: they lie there by Cantelli.
SLOPE_REACH = 4.5
#: Nodes in each dimension that integrate a rating at a draw; the likelihood takes all.
RATING_NODES = 7
#: Bins a unit of log-odds in which patients are counted: a mean rate is off by less than 0.002 points.
RATE_BINS = 8
#: Steps a unit that an SD is rounded up to before nodes for expected rates are chosen.
SD_STEPS = 4.0
#: Rows of therapists that a thread takes at once, and how many runs of therapists there are at most.
ROWS_A_RUN = 64
MOST_RUNS = 64
DRAWS_AT_ONCE = 64
#: Steps of the table of the normal distribution function, and its reach: interpolation is off by less
#: than 2e-10.
CDF_STEP = 1.0 / 64.0
CDF_REACH = 8.5

Expected = tuple[NDArray[np.float32], FloatArray]


@dataclass(frozen=True, eq=False)
class EffectsDraws:
    """Draws of everything but the therapists' effects.

    Attributes
    ----------
    q : ndarray, shape (D, m)
        Normal scores of the scales.
    b : ndarray, shape (D, B)
    z : ndarray, shape (D, B)
        Standardised coordinates of b.
    scales : tuple of Scales, length D
    log_density : ndarray, shape (D,)
        Of the proposal.
    """

    q: FloatArray
    b: FloatArray
    z: FloatArray
    scales: tuple[Scales, ...]
    log_density: FloatArray


@dataclass(frozen=True, eq=False)
class Given:
    """Given each draw: the likelihood, and every therapist's (u, w).

    Attributes
    ----------
    log_likelihood : ndarray, shape (D,)
    start : ndarray, shape (J, D, 2)
        Joint modes.
    moments : ndarray, shape (J, D, 5)
        Mean, SD and skewness of u, mean and SD of w.
    """

    log_likelihood: FloatArray
    start: FloatArray
    moments: FloatArray


@dataclass(frozen=True, eq=False)
class ScalesOfDraws:
    """The scales of D draws as kernels want them: each an array (D,)."""

    kappa: FloatArray
    s: FloatArray
    sd_u: FloatArray
    sd_w: FloatArray
    correlation: FloatArray

    @classmethod
    def of(cls, draws: EffectsDraws) -> ScalesOfDraws:
        """From the draws."""
        names = ("kappa", "s", "sd_u", "sd_w", "correlation")
        return cls(*(np.array([getattr(x.sigma, name) for x in draws.scales]) for name in names))


def runs(layout: Layout) -> list[tuple[int, int]]:
    """Runs of therapists for the threads: each therapist costs as much as hundreds of likelihoods."""
    return layout.partitions(MOST_RUNS, ROWS_A_RUN)


def predictors(
    posterior: EffectsPosterior, draws: EffectsDraws, run: tuple[int, int], first: int, last: int
) -> Iterator[tuple[int, FloatArray]]:
    """Linear predictors of a run's rows without (u, w): some draws at a time, each with its number first."""
    row_ptr = posterior.layout.rows.row_ptr
    rows = posterior.X[row_ptr[run[0]] : row_ptr[run[1]]]
    for d in range(first, last, DRAWS_AT_ONCE):
        yield d, rows @ draws.b[d : min(d + DRAWS_AT_ONCE, last)].T


def condition(posterior: EffectsPosterior, draws: EffectsDraws) -> Given:
    """Integrate (u, w) at every draw."""
    lay, like = posterior.layout, posterior.likelihood
    J, D = lay.n_inner, len(draws.b)
    at = ScalesOfDraws.of(draws)
    start, moments = np.zeros((J, D, 2)), np.zeros((J, D, 5))

    def work(run: tuple[int, int]) -> FloatArray:
        log_lik = np.zeros(D)
        for d, eta in predictors(posterior, draws, run, 0, D):
            condition_slopes(
                *run, lay.rows, like.severity, eta, d, at.kappa, at.s, at.sd_w, *like.rule_t, *like.rule,
                log_lik, start, moments,
            )  # fmt: skip
        return log_lik

    return Given(np.sum(map_partitions(work, runs(lay)), axis=0), start, moments)


@dataclass(frozen=True, eq=False)
class RateTables:
    """The standardised rate T(u, w) of some draws.

    Attributes
    ----------
    rates : ndarray, shape (draws, W, 2, n)
        Values and slopes in u at steps of U_STEP from u0, for w0, w0 + dw, ...
    w0, dw : ndarray, shape (draws,)
    u0 : float
    """

    rates: FloatArray
    w0: FloatArray
    dw: FloatArray
    u0: float


def tabulate(
    posterior: EffectsPosterior, draws: EffectsDraws, given: Given, first: int, last: int
) -> RateTables:
    """The standardised rate of draws `first` to `last`: the mean over all patients.

    Each patient keeps their own severity, service and level of a third factor.
    """
    severity, trials, X = posterior.likelihood.severity, posterior.layout.rows.trials, posterior.X
    steepest = float(np.abs(severity).max(initial=0.0))
    mean, sd, _, w_mean, w_sd = np.moveaxis(given.moments[:, first:last], -1, 0)
    u0 = float(np.floor((mean - REACH * sd).min())) - 0.5
    n = int(np.ceil((float((mean + REACH * sd).max()) + 0.5 - u0) / U_STEP)) + 1
    low, high = (w_mean - REACH_W * w_sd).min(axis=0), (w_mean + REACH_W * w_sd).max(axis=0)
    W = int(np.clip(np.ceil((high - low).max() / W_STEP) + 1, 4, MOST_W))
    dw = np.maximum((high - low) / (W - 1), 1e-6)
    rates = np.empty((last - first, W, 2, n))

    def work(c: int) -> None:
        at = low[c] + dw[c] * np.arange(W)
        eta = X @ draws.b[first + c]
        reach = steepest * float(np.abs(at).max())
        start = float(np.floor(max(eta.min() - reach, -ETA_LIMIT))) - 1.0
        end = float(np.ceil(min(eta.max() + reach, ETA_LIMIT))) + 1.0
        counts = np.zeros((W, int((end - start) * RATE_BINS) + 2))
        count_along(eta, severity, trials, at, start, RATE_BINS, counts)
        for k in range(W):
            rates_of_counts(counts[k], start, 1.0 / RATE_BINS, u0, U_STEP, rates[c, k])

    map_partitions(work, range(last - first))
    return RateTables(rates, low, dw, u0)


@dataclass(frozen=True, eq=False)
class Rated:
    """The standardised and the expected rate of every therapist, (u, w) integrated.

    Attributes
    ----------
    ter : ndarray of float32, shape (J, D)
        Its mean at each draw, 0 to 1.
    logit : ndarray, shape (J, D, 3)
        Mean, SD and skewness of its logit at each draw.
    sums : ndarray, shape (J, 2)
        Posterior means of the rate, and of the own patients' success rate.
    expected : ndarray of float32, shape (J, D)
        Expected rates at each draw.
    row_expected : ndarray, shape (N,)
        Posterior mean of each row's expected rate.
    """

    ter: NDArray[np.float32]
    logit: FloatArray
    sums: FloatArray
    expected: NDArray[np.float32]
    row_expected: FloatArray


def rate_draws(
    posterior: EffectsPosterior,
    draws: EffectsDraws,
    given: Given,
    weights: FloatArray,
    expected: Expected | None = None,
) -> Rated:
    """Integrate the rates over (u, w) at every draw; `expected` is what `expect_draws` gave, if asked."""
    lay, like = posterior.layout, posterior.likelihood
    J, D = lay.n_inner, len(weights)
    at = ScalesOfDraws.of(draws)
    rule = nodes_and_log_weights(min(RATING_NODES, like.rule[0].size))
    rule_t = rule if posterior.slopes else like.rule_t
    expected = expected or expect_draws(posterior, draws, weights)
    found = Rated(np.zeros((J, D), np.float32), np.empty((J, D, 3)), np.zeros((J, 2)), *expected)
    for first in range(0, D, DRAWS_AT_ONCE):
        last = min(first + DRAWS_AT_ONCE, D)
        table = tabulate(posterior, draws, given, first, last)

        def work(
            run: tuple[int, int], first: int = first, last: int = last, table: RateTables = table
        ) -> None:
            for d, eta in predictors(posterior, draws, run, first, last):
                rate_slopes(
                    *run, lay.rows, like.severity, eta, d, weights, at.kappa, at.s, at.sd_w,
                    *rule_t, *rule, given.start, table.rates, table.w0, table.dw, table.u0, U_STEP,
                    found.sums, found.ter, found.logit,
                )  # fmt: skip

        map_partitions(work, runs(lay))
    return found


def expect_draws(posterior: EffectsPosterior, draws: EffectsDraws, weights: FloatArray) -> Expected:
    """Expected rates: (J, D) at each draw, and the posterior mean of each row's (N,)."""
    lay, like = posterior.layout, posterior.likelihood
    at = ScalesOfDraws.of(draws)
    largest = np.hypot(at.sd_u, at.sd_w * np.abs(like.severity).max(initial=0.0))
    # Each draw takes as many nodes as its own SDs ask for, these rounded up.
    levels, rule = np.unique(np.ceil(largest * SD_STEPS) / SD_STEPS, return_inverse=True)
    rules = [rate_rule(float(level)) for level in levels]
    nodes, half = np.zeros((2, levels.size, max(z.size for z, _ in rules)))
    for k, (z, w) in enumerate(rules):
        nodes[k, : z.size], half[k, : z.size] = z, w
    expected, row_expected = np.zeros((lay.n_inner, len(weights)), np.float32), np.zeros(lay.rows.y.size)

    def work(run: tuple[int, int]) -> None:
        for d, eta in predictors(posterior, draws, run, 0, len(weights)):
            expect_slopes(
                *run, lay.rows, like.severity, eta, d, weights, at.kappa, at.s, at.sd_w, rule, nodes, half,
                expected, row_expected,
            )  # fmt: skip

    map_partitions(work, runs(lay))
    return expected, row_expected


def distributions(layout: Layout, weights: FloatArray, moments: FloatArray, grid: FloatArray) -> FloatArray:
    """Distribution functions (J, G) on grids, mixed over the draws, from moments (J, D, 3 or more)."""
    cdf = np.empty_like(grid)
    x = np.arange(-CDF_REACH, CDF_REACH + CDF_STEP, CDF_STEP)
    normal = np.stack([ndtr(x), np.exp(-0.5 * x**2 - 0.5 * LOG_2PI)])
    map_partitions(
        lambda run: mix_distributions(*run, weights, moments, grid, normal, CDF_REACH, CDF_STEP, cdf),
        runs(layout),
    )
    return np.asarray(np.maximum.accumulate(np.clip(cdf, 0.0, 1.0), axis=1))


def mix(mean: FloatArray, sd: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and SD (J,) of a mixture over the draws, from means and SDs (J, D)."""
    centre = mean @ weights
    return centre, np.sqrt(np.maximum((sd**2 + mean**2) @ weights - centre**2, 0.0))


def marginalise_effects(
    posterior: EffectsPosterior,
    design: Design,
    draws: EffectsDraws,
    given: Given,
    rated: Rated,
    weights: FloatArray,
    seed: int,
) -> Posterior:
    """Posterior of every therapist."""
    lay, m, expected = posterior.layout, given.moments, rated.expected
    u_mean, u_sd = mix(m[:, :, 0], m[:, :, 1], weights)
    l_mean, l_sd = mix(rated.logit[:, :, 0], rated.logit[:, :, 1], weights)
    offsets = np.linspace(-GRID_REACH, GRID_REACH, GRID)
    u_grid, l_grid = u_mean[:, None] + u_sd[:, None] * offsets, l_mean[:, None] + l_sd[:, None] * offsets
    empty = np.diff(lay.rows.row_ptr) == 0
    sigma_u = np.array([x.sigma.sd_u for x in draws.scales])
    P = posterior.n_beta
    S = 0 if design.service is None else len(design.service.levels)
    mean_expected = np.einsum("jd,d->j", expected, weights, dtype=np.float64)
    square = np.einsum("jd,jd,d->j", expected, expected, weights, dtype=np.float64)
    found = Posterior(
        weights=weights,
        beta=draws.b[:, :P].copy(),
        v=draws.b[:, P : P + S].copy(),
        sd=np.array([x.sd for x in draws.scales]),
        u_mean=u_mean,
        u_sd=u_sd,
        u_grid=u_grid,
        u_cdf=distributions(lay, weights, m, u_grid),
        reliability=1.0 - m[:, :, 1] ** 2 @ (weights / sigma_u**2),
        ter_mean=100.0 * rated.sums[:, 0],
        ter_grid=100.0 / (1.0 + np.exp(-l_grid)),
        ter_cdf=distributions(lay, weights, rated.logit, l_grid),
        expected_mean=np.where(empty, np.nan, mean_expected),
        expected_sd=np.where(empty, np.nan, np.sqrt(np.maximum(square - mean_expected**2, 0.0))),
        predicted_mean=np.where(empty, np.nan, rated.sums[:, 1]),
        given_mean=m[:, :, 0].astype(np.float32),
        given_sd=m[:, :, 1].astype(np.float32),
        given_skewness=m[:, :, 2].astype(np.float32),
        given_ter=rated.ter,
        given_expected=expected,
        units=np.arange(lay.n_inner),
        seed=seed,
    )
    if design.further is not None:
        found = replace(found, f=draws.b[:, P + S :].copy())
    if design.severity is not None:
        w, dw = m[:, :, 3], m[:, :, 4]
        w_mean, w_sd = mix(w, dw, weights)
        found = replace(
            found,
            slope=SlopePosterior(
                sd=np.array([x.sigma.sd_w for x in draws.scales]),
                correlation=np.array([x.sigma.correlation for x in draws.scales]),
                w_mean=w_mean,
                w_sd=w_sd,
                w_quantiles=_quantiles_of_slopes(lay, w, dw, weights),
            ),
        )
    return found


def _quantiles_of_slopes(layout: Layout, w: FloatArray, sd: FloatArray, weights: FloatArray) -> FloatArray:
    """5%, 50% and 95% of each therapist's mixture of normal distributions, one a draw: shape (J, 3)."""
    centre, spread = mix(w, sd, weights)
    grid = centre[:, None] + spread[:, None] * np.linspace(-SLOPE_REACH, SLOPE_REACH, 2 * GRID)
    moments = np.stack([w, np.maximum(sd, 1e-12), np.zeros_like(w)], axis=-1)
    cdf = distributions(layout, weights, moments, grid)
    return np.array(
        [np.interp((TAILS[0], 0.5, TAILS[1]), p, at) for p, at in zip(cdf, grid, strict=True)]
    ).reshape(-1, 3)
