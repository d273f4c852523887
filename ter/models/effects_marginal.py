"""From weighted draws to every therapist's effect, TER and expected rate, with (u, w) integrated out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from ter.features.design import Design, FloatArray
from ter.kernels.slope_draws import condition_slopes, logits_across, summarise_slopes
from ter.kernels.tables import BINS, STEPS, count_predictors, inverse_logit_rate, standardised_rate
from ter.models.effects_posterior import EffectsPosterior, Scales
from ter.models.marginal import ETA_LIMIT, GRID, GRID_REACH, REACH, rate_rule
from ter.models.parallel import map_partitions
from ter.models.posterior import Posterior
from ter.models.quadrature import nodes_and_log_weights
from ter.models.slope_result import SlopePosterior
from ter.models.weighted import TAILS

#: Steps of w between tables of the standardised rate, log-odds for an SD of severity: cubic interpolation
#: between them is off by less than 0.01 points of a TER. And the most of them.
W_STEP = 0.3
MOST_W = 48
#: SDs of w on either side that are tabulated; beyond, w is held at the end.
REACH_W = 4.5
#: Nodes in each dimension that integrate a rating at a draw; the likelihood takes all.
RATING_NODES = 7
ROWS_AT_ONCE = 8192
DRAWS_AT_ONCE = 64


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


def condition(posterior: EffectsPosterior, draws: EffectsDraws) -> Given:
    """Integrate (u, w) at every draw."""
    lay, like = posterior.layout, posterior.likelihood
    J, D = lay.n_inner, len(draws.b)
    kappa, s, sd_w = (
        np.array([getattr(x.sigma, name) for x in draws.scales]) for name in ("kappa", "s", "sd_w")
    )
    start, moments = np.zeros((J, D, 2)), np.zeros((J, D, 5))

    def work(part: tuple[int, int]) -> FloatArray:
        log_lik = np.zeros(D)
        rows = posterior.X[lay.rows.row_ptr[part[0]] : lay.rows.row_ptr[part[1]]]
        for d in range(0, D, DRAWS_AT_ONCE):
            eta = np.ascontiguousarray(draws.b[d : d + DRAWS_AT_ONCE] @ rows.T)
            condition_slopes(
                *part, lay.rows, like.severity, eta, d, kappa, s, sd_w, *like.rule_t, *like.rule,
                log_lik, start, moments,
            )  # fmt: skip
        return log_lik

    return Given(np.sum(map_partitions(work, lay.partitions()), axis=0), start, moments)


@dataclass(frozen=True, eq=False)
class RateTable:
    """The standardised rate T(u, w) of a draw.

    Attributes
    ----------
    rates : ndarray, shape (W, 2, n)
        Values and slopes in u at steps of 1 / STEPS from u0, for w0, w0 + dw, ...
    w0, dw : float
    u0 : float
    """

    rates: FloatArray
    w0: float
    dw: float
    u0: float

    def logits(self, u: FloatArray, w: FloatArray) -> FloatArray:
        """Logit T(u_j, w_j): shape (J,)."""
        out = np.empty(u.size)
        logits_across(self.rates, self.w0, self.dw, self.u0, 1.0 / STEPS, u.copy(), w.copy(), out)
        return out

    def inverse(self, l0: float, n: int) -> FloatArray:
        """The u at which the rate has logit l0, l0 + 1 / STEPS, ...: values and slopes (W, 2, n)."""
        out = np.empty((len(self.rates), n, 2))
        for rate, table in zip(self.rates, out, strict=True):
            inverse_logit_rate(rate, self.u0, l0, table)
        return np.ascontiguousarray(np.swapaxes(out, 1, 2))


def tabulate(posterior: EffectsPosterior, draws: EffectsDraws, given: Given) -> list[RateTable]:
    """The standardised rate: the mean over all patients, each with their own severity and service."""
    severity, trials = posterior.likelihood.severity, posterior.layout.rows.trials
    steepest = float(np.abs(severity).max(initial=0.0))
    none, X = np.zeros(ROWS_AT_ONCE, np.int64), posterior.X

    def work(d: int) -> RateTable:
        mean, sd, _, w_mean, w_sd = given.moments[:, d].T
        u0 = float(np.floor((mean - REACH * sd).min())) - 0.5
        n = int((np.ceil((mean + REACH * sd).max()) + 0.5 - u0) * STEPS) + 1
        w_low, w_high = float((w_mean - REACH_W * w_sd).min()), float((w_mean + REACH_W * w_sd).max())
        W = int(np.clip(np.ceil((w_high - w_low) / W_STEP) + 1, 4, MOST_W))
        dw = max((w_high - w_low) / (W - 1), 1e-6)
        at = w_low + dw * np.arange(W)
        eta = X @ draws.b[d]
        reach = steepest * max(abs(w_low), abs(w_high))
        low = float(np.floor(max(eta.min() - reach, -ETA_LIMIT))) - 1.0
        high = float(np.ceil(min(eta.max() + reach, ETA_LIMIT))) + 1.0
        counts, rates = np.zeros((W, int((high - low) * BINS) + 2)), np.empty((W, 2, n))
        for start in range(0, eta.size, ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            by_w = eta[part, None] + severity[part, None] * at
            count_predictors(by_w, np.zeros((1, W)), none[: len(by_w)], trials[part], 0, low, counts)
        for k in range(W):
            standardised_rate(counts[k], low, u0, rates[k])
        return RateTable(rates, w_low, dw, u0)

    return map_partitions(work, range(len(draws.b)))


def marginalise_effects(
    posterior: EffectsPosterior,
    design: Design,
    draws: EffectsDraws,
    given: Given,
    weights: FloatArray,
    seed: int,
) -> tuple[Posterior, FloatArray]:
    """Posterior of every therapist, and the posterior mean of each sorted row's expected rate (N,)."""
    lay, like = posterior.layout, posterior.likelihood
    J, D, N = lay.n_inner, len(weights), lay.rows.y.size
    tables = tabulate(posterior, draws, given)
    rule = nodes_and_log_weights(min(RATING_NODES, like.rule[0].size))
    rule_t = rule if posterior.slopes else like.rule_t
    m = given.moments

    def mix(mean: FloatArray, sd: FloatArray) -> tuple[FloatArray, FloatArray]:
        centre = mean @ weights
        return centre, np.sqrt(np.maximum((sd**2 + mean**2) @ weights - centre**2, 0.0))

    u_mean, u_sd = mix(m[:, :, 0], m[:, :, 1])
    w_mean, w_sd = mix(m[:, :, 3], m[:, :, 4])

    def logits(u: FloatArray, w: FloatArray) -> FloatArray:
        return np.column_stack([table.logits(u[:, d], w[:, d]) for d, table in enumerate(tables)])

    # Spread along u and along w, added up as if they went together: the grids are wide enough either way.
    u, du, w, dw = m[:, :, 0], m[:, :, 1], m[:, :, 3], m[:, :, 4]
    along_u = 0.5 * np.abs(logits(u + du, w) - logits(u - du, w))
    along_w = 0.5 * np.abs(logits(u, w + dw) - logits(u, w - dw))
    l_mean, l_sd = mix(logits(u, w), along_u + along_w)
    offsets = np.linspace(-GRID_REACH, GRID_REACH, GRID)
    u_grid, l_grid = u_mean[:, None] + u_sd[:, None] * offsets, l_mean[:, None] + l_sd[:, None] * offsets
    l0 = float(np.floor(l_grid.min())) - 1.0
    n_l = int((np.ceil(l_grid.max()) + 1.0 - l0) * STEPS) + 1
    largest = max(
        float(np.hypot(x.sigma.sd_u, x.sigma.sd_w * np.abs(like.severity).max())) for x in draws.scales
    )
    nodes, half = rate_rule(largest)
    ter, expected = np.zeros((J, D), np.float32), np.zeros((J, D), np.float32)
    u_cdf, l_cdf, sums, row_expected = np.zeros((J, GRID)), np.zeros((J, GRID)), np.zeros((J, 3)), np.zeros(N)
    parts = lay.partitions()
    rows_of = [posterior.X[lay.rows.row_ptr[a] : lay.rows.row_ptr[b]] for a, b in parts]
    for d in range(D):
        table = tables[d]
        inverses = table.inverse(l0, n_l)

        def work(p: int, d: int = d, table: RateTable = table, inverses: FloatArray = inverses) -> None:
            s = draws.scales[d].sigma
            summarise_slopes(
                *parts[p], lay.rows, like.severity, rows_of[p] @ draws.b[d], d, float(weights[d]),
                s.sd_u, s.correlation, s.sd_w, s.kappa, s.s, *rule_t, *rule, given.start,
                table.rates, inverses, table.w0, table.dw, table.u0, l0, 1.0 / STEPS,
                u_grid, l_grid, nodes, half, u_cdf, l_cdf, sums, ter, expected, row_expected,
            )  # fmt: skip

        map_partitions(work, range(len(parts)))
    empty = np.diff(lay.rows.row_ptr) == 0
    sigma_u = np.array([x.sigma.sd_u for x in draws.scales])
    P = posterior.n_beta
    S = 0 if design.service is None else len(design.service.levels)
    expected_mean = np.where(empty, np.nan, sums[:, 1])
    square = np.einsum("jd,jd,d->j", expected, expected, weights, dtype=np.float64)
    found = Posterior(
        weights=weights,
        beta=draws.b[:, :P].copy(),
        v=draws.b[:, P : P + S].copy(),
        sd=np.array([x.sd for x in draws.scales]),
        u_mean=u_mean,
        u_sd=u_sd,
        u_grid=u_grid,
        u_cdf=_rising(u_cdf),
        reliability=1.0 - m[:, :, 1] ** 2 @ (weights / sigma_u**2),
        ter_mean=100.0 * sums[:, 0],
        ter_grid=100.0 / (1.0 + np.exp(-l_grid)),
        ter_cdf=_rising(l_cdf),
        expected_mean=expected_mean,
        expected_sd=np.where(empty, np.nan, np.sqrt(np.maximum(square - sums[:, 1] ** 2, 0.0))),
        predicted_mean=np.where(empty, np.nan, sums[:, 2]),
        given_mean=m[:, :, 0].astype(np.float32),
        given_sd=m[:, :, 1].astype(np.float32),
        given_skewness=m[:, :, 2].astype(np.float32),
        given_ter=ter,
        given_expected=expected,
        units=np.arange(J),
        seed=seed,
    )
    if design.further is not None:
        found = replace(found, f=draws.b[:, P + S :].copy())
    if design.severity is not None:
        found = replace(
            found,
            slope=SlopePosterior(
                sd=np.array([x.sigma.sd_w for x in draws.scales]),
                correlation=np.array([x.sigma.correlation for x in draws.scales]),
                w_mean=w_mean,
                w_sd=w_sd,
                w_quantiles=_quantiles_of_normals(w, dw, weights, w_mean, w_sd),
            ),
        )
    return found, row_expected


def _rising(cdf: FloatArray) -> FloatArray:
    """A distribution function made to rise, against rounding."""
    return np.asarray(np.maximum.accumulate(np.clip(cdf, 0.0, 1.0), axis=1))


def _quantiles_of_normals(
    mean: FloatArray, sd: FloatArray, weights: FloatArray, centre: FloatArray, spread: FloatArray
) -> FloatArray:
    """5%, 50% and 95% of each therapist's mixture of normal distributions, one a draw: shape (J, 3)."""
    out = np.empty((len(mean), 3))
    steps = np.linspace(-GRID_REACH, GRID_REACH, 4 * GRID)
    for j in range(len(mean)):
        at = centre[j] + spread[j] * steps
        cdf = weights @ ndtr((at - mean[j][:, None]) / np.maximum(sd[j][:, None], 1e-12))
        out[j] = np.interp((TAILS[0], 0.5, TAILS[1]), cdf, at)
    return out
