"""From weighted draws to every therapist's effect, TER and expected rate, with u integrated out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ter.errors import FitError
from ter.features.design import FloatArray, IntArray
from ter.kernels.lanes import LANES
from ter.kernels.parallel import map_partitions
from ter.kernels.posterior import condition_units, summarise_units
from ter.kernels.tables import BINS, STEPS, count_predictors, inverse_logit_rate, standardised_rate
from ter.models.layout import Layout
from ter.models.posterior import Posterior
from ter.models.proposal import Draws
from ter.models.quadrature import QuadratureLikelihood

GRID = 65
GRID_REACH = 6.0
#: SDs on either side of a conditional mean within which the standardised rate is tabulated.
REACH = 6.5
#: Linear predictors beyond this are counted as this.
ETA_LIMIT = 40.0
#: Rows whose linear predictors are computed at once, and how many numbers these may be.
ROWS_AT_ONCE = 512
NUMBERS_AT_ONCE = 2**18
#: Chebyshev nodes to choose from for a log density; the last are the grid's own points.
RULES = (9, 13, 17, 25, 33, GRID)
#: What interpolation may change in a log density.
RULE_ERROR = 1e-5
#: By how much the mass of a density may differ from 1: those of tiny networks stay within 0.015.
MASS_ERROR = 0.05
#: Gauss-Hermite nodes to choose from for expected rates, all even, and the error of a rate that decides.
RATE_RULES = (4, 6, 8, 12, 16, 24, 32, 48, 64)
RATE_ERROR = 1e-7


@dataclass(frozen=True, eq=False)
class LaneDraws:
    """Draws as kernels want them: a column a draw, D of them raised to a multiple of LANES by the last one.

    Attributes
    ----------
    beta : ndarray, shape (P, D')
    v : ndarray, shape (S or 1, D')
    sigma : ndarray, shape (D',)
        Of the therapists.
    n : int
        D, the draws that count.
    """

    beta: FloatArray
    v: FloatArray
    sigma: FloatArray
    n: int

    @classmethod
    def of(cls, layout: Layout, draws: Draws) -> LaneDraws:
        """Arrange draws for the kernels."""
        P, D = layout.rows.X.shape[1], len(draws.b)
        padded = np.minimum(np.arange(-(-D // LANES) * LANES), D - 1)
        b = draws.b[padded].T
        v = b[P:] if layout.n_outer else np.zeros((1, padded.size))
        return cls(np.ascontiguousarray(b[:P]), np.ascontiguousarray(v), draws.sd[padded, 0].copy(), D)


@dataclass(frozen=True, eq=False)
class Conditionals:
    """Given each of D' draws (padded as in `LaneDraws`): the likelihood, and moments of every u_j.

    Attributes
    ----------
    log_likelihood : ndarray, shape (D,)
    mean, sd, skewness : ndarray, shape (J, D')
    log_norm : ndarray, shape (J, D')
        Log of the integral that makes u_j's density one.
    eta_low, eta_high : float
        The range of the linear predictor without u, over all rows and draws.
    """

    log_likelihood: FloatArray
    mean: FloatArray
    sd: FloatArray
    skewness: NDArray[np.float32]
    log_norm: FloatArray
    eta_low: float
    eta_high: float


def chunks(
    layout: Layout, part: tuple[int, int], beta: FloatArray
) -> Iterator[tuple[int, int, int, FloatArray]]:
    """Runs of therapists and of draws: (first, last + 1, first draw, x'beta of their rows at these draws)."""
    row_ptr, X = layout.rows.row_ptr, layout.rows.X
    lo, end = part
    while lo < end:
        last = int(np.searchsorted(row_ptr, row_ptr[lo] + ROWS_AT_ONCE, side="right")) - 1
        hi = min(max(last, lo + 1), end, lo + ROWS_AT_ONCE)
        rows = X[row_ptr[lo] : row_ptr[hi]]
        width = max(LANES, NUMBERS_AT_ONCE // max(len(rows), 1) // LANES * LANES)
        for d in range(0, beta.shape[1], width):
            yield lo, hi, d, rows @ beta[:, d : d + width]
        lo = hi


def conditionals(likelihood: QuadratureLikelihood, draws: Draws) -> Conditionals:
    """Integrate u at every draw."""
    layout = likelihood.layout
    at = LaneDraws.of(layout, draws)
    shape = (layout.n_inner, at.sigma.size)
    mean, sd, log_norm, skewness = (
        np.empty(shape),
        np.empty(shape),
        np.empty(shape),
        np.empty(shape, np.float32),
    )

    def work(part: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
        log_lik, extent = np.zeros(shape[1]), np.zeros((2, shape[1]))
        for lo, hi, d, eta in chunks(layout, part, at.beta):
            condition_units(
                lo, hi, layout.rows, eta, d, at.v, at.sigma, likelihood.z, likelihood.log_w,
                log_lik, extent, mean, sd, skewness, log_norm,
            )  # fmt: skip
        return log_lik, extent

    sums = map_partitions(work, layout.partitions())
    return Conditionals(
        log_likelihood=np.sum([log_lik for log_lik, _ in sums], axis=0)[: at.n],
        mean=mean,
        sd=sd,
        skewness=skewness,
        log_norm=log_norm,
        eta_low=float(min(extent[0].min() for _, extent in sums)),
        eta_high=float(max(extent[1].max() for _, extent in sums)),
    )


@dataclass(frozen=True, eq=False)
class RateTable:
    """The standardised rate T(u) of each draw at steps of 1 / STEPS from u0: values and slopes (D', 2, n)."""

    values: FloatArray
    u0: float

    def logit(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Logit T(u), with its slope, from the nearest step below: good enough to place grids. (J, D')."""
        index = np.clip(((u - self.u0) * STEPS).astype(np.int64), 0, self.values.shape[2] - 1)
        d = np.arange(u.shape[1])
        T = np.clip(self.values[d, 0, index], 1e-12, 1.0 - 1e-12)
        slope = self.values[d, 1, index] / (T * (1.0 - T))
        return np.log(T / (1.0 - T)) + slope * (u - (self.u0 + index / STEPS)), slope

    def inverse(self, low: float, high: float) -> tuple[FloatArray, float]:
        """U as a function of logit T from `low` to `high`, values and slopes (n, 2, D'), and its start."""
        l0 = float(np.floor(low)) - 1.0
        n = int((np.ceil(high) + 1.0 - l0) * STEPS) + 1
        out = np.empty((self.values.shape[0], n, 2))

        def work(part: tuple[int, int]) -> None:
            for d in range(*part):
                inverse_logit_rate(self.values[d], self.u0, l0, out[d])

        map_partitions(work, [(d, d + LANES) for d in range(0, len(out), LANES)])
        return np.ascontiguousarray(np.moveaxis(out, 0, -1)), l0


def tabulate(layout: Layout, at: LaneDraws, given: Conditionals) -> RateTable:
    """The standardised rate of every draw: the mean over all patients, each in their own service."""
    rows = layout.rows
    eta_low = float(np.floor(max(given.eta_low, -ETA_LIMIT))) - 1.0
    eta_high = float(np.ceil(min(given.eta_high, ETA_LIMIT))) + 1.0
    u_low = float(np.floor((given.mean - REACH * given.sd).min())) - 1.0
    u_high = float(np.ceil((given.mean + REACH * given.sd).max())) + 1.0
    values = np.empty((at.sigma.size, 2, int((u_high - u_low) * STEPS) + 1))
    outer = np.repeat(rows.cell_outer, np.diff(rows.cell_ptr))
    size = NUMBERS_AT_ONCE // LANES

    def work(d: int) -> None:
        counts = np.zeros((LANES, int((eta_high - eta_low) * BINS) + 2))
        beta = np.ascontiguousarray(at.beta[:, d : d + LANES])
        for start in range(0, rows.y.size, size):
            part = slice(start, start + size)
            eta = rows.X[part] @ beta
            count_predictors(eta, at.v, outer[part], rows.trials[part], d, eta_low, counts)
        for c in range(LANES):
            standardised_rate(counts[c], eta_low, u_low, values[d + c])

    map_partitions(work, range(0, at.sigma.size, LANES))
    return RateTable(values, u_low)


@lru_cache(maxsize=1)
def chebyshev_rules() -> tuple[IntArray, FloatArray, FloatArray]:
    """Sizes, nodes on [-1, 1] and matrices from values at the nodes to values at the grid's points.

    Barycentric interpolation (Berrut and Trefethen 2004, SIAM Rev. 46:501-517).
    """
    nodes, matrices = np.zeros((len(RULES), GRID)), np.zeros((len(RULES), GRID, GRID))
    points = np.linspace(-1.0, 1.0, GRID)
    for q, K in enumerate(RULES[:-1]):
        angle = (2.0 * np.arange(K) + 1.0) * np.pi / (2.0 * K)
        nodes[q, :K] = np.cos(angle)
        distance = points[:, None] - nodes[q, :K]
        distance[np.abs(distance) < 1e-14] = 1e-14
        terms = (-1.0) ** np.arange(K) * np.sin(angle) / distance
        matrices[q, :, :K] = terms / terms.sum(axis=1, keepdims=True)
    nodes[-1], matrices[-1] = points, np.eye(GRID)
    return np.array(RULES), nodes, matrices


def choose_rules(half_width: FloatArray, patients: FloatArray) -> IntArray:
    """The smallest rule for each therapist: shape (J,).

    Log(1 + exp(eta + u)) is analytic but for points pi away from the line, so that its Chebyshev coefficients
    fall like (2 / k) rho^-k, rho + 1 / rho being twice the distance over the grid's half-width, and so on.
    """
    ratio = np.pi / half_width
    rho = ratio + np.sqrt(1.0 + ratio**2)
    sizes = np.array(RULES[:-1], np.float64)
    error = 4.0 / sizes * np.maximum(patients, 1.0)[:, None] * rho[:, None] ** -sizes
    good = np.column_stack([error < RULE_ERROR, np.ones(len(rho), np.bool_)])
    return np.asarray(np.argmax(good, axis=1), np.int64)


@lru_cache(maxsize=len(RATE_RULES) + 1)
def paired_nodes(n: int) -> tuple[FloatArray, FloatArray]:
    """The n / 2 positive nodes of a Gauss-Hermite rule with their weights; the weights sum to 1/2."""
    z, w = np.polynomial.hermite_e.hermegauss(n)
    return z[n // 2 :], w[n // 2 :] / w.sum()


def rate_rule(largest: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights that give E[expit(eta + sigma z)] to RATE_ERROR for every sigma up to `largest`."""
    odds = np.exp(np.linspace(0.0, 6.0 + 3.0 * largest, 60))

    def rates(n: int) -> FloatArray:
        z, w = paired_nodes(n)
        x = odds[:, None] * 2.0 * np.cosh(largest * z)
        square = odds[:, None] ** 2
        return np.asarray(((x + 2.0 * square) / (1.0 + x + square)) @ w)

    exact = rates(128)
    for n in RATE_RULES[:-1]:
        if np.abs(rates(n) - exact).max() < RATE_ERROR:
            return paired_nodes(n)
    return paired_nodes(RATE_RULES[-1])


def normalise(log_weights: FloatArray) -> FloatArray:
    """Weights that sum to 1."""
    w = np.exp(log_weights - log_weights.max())
    return np.asarray(w / w.sum())


def cumulate(density: FloatArray, step: FloatArray, below: FloatArray) -> FloatArray:
    """Distribution functions from densities (J, G) on grids of these steps (J,), `below` (J,) at the start.

    The integral over a step of the cubic through the four nearest points.
    """
    padded = np.pad(density, ((0, 0), (1, 1)), mode="edge")
    cells = 13.0 * (density[:, :-1] + density[:, 1:]) - padded[:, :-3] - padded[:, 3:]
    out = np.zeros_like(density)
    np.cumsum(cells * (step / 24.0)[:, None], axis=1, out=out[:, 1:])
    return out + below[:, None]


def marginalise(
    likelihood: QuadratureLikelihood, draws: Draws, given: Conditionals, weights: FloatArray, seed: int
) -> tuple[Posterior, FloatArray]:
    """Posterior of every therapist, and the posterior mean of each sorted row's expected rate (N,)."""
    layout = likelihood.layout
    at = LaneDraws.of(layout, draws)
    J, D, N = layout.n_inner, at.n, layout.rows.y.size
    w = np.zeros(at.sigma.size)
    w[:D] = weights
    table = tabulate(layout, at, given)

    u_mean = given.mean @ w
    u_sd = np.sqrt(np.maximum((given.sd**2 + given.mean**2) @ w - u_mean**2, 0.0))
    centre, slope = table.logit(given.mean)
    l_mean = centre @ w
    l_sd = np.sqrt(np.maximum(((slope * given.sd) ** 2 + centre**2) @ w - l_mean**2, 0.0))
    steps = 2.0 * GRID_REACH / (GRID - 1)
    u_axis, l_axis = np.column_stack([u_mean, steps * u_sd]), np.column_stack([l_mean, steps * l_sd])
    inverse, l0 = table.inverse(
        float((l_mean - GRID_REACH * l_sd).min()), float((l_mean + GRID_REACH * l_sd).max())
    )
    patients = np.add.reduceat(np.append(layout.rows.trials, 0.0), layout.rows.row_ptr[:-1])
    patients[np.diff(layout.rows.row_ptr) == 0] = 0.0
    reach_of_l = l_sd / np.maximum(slope.min(axis=1), 1e-3)
    rule = choose_rules(GRID_REACH * np.maximum(np.maximum(u_sd, reach_of_l), 1e-6), patients)
    sizes, nodes, matrices = chebyshev_rules()
    z, half = rate_rule(float(at.sigma.max()))
    spread = 2.0 * np.cosh(at.sigma * z[:, None])

    u_density, u_narrow = np.zeros((J, GRID)), np.zeros((J, GRID))
    l_density, l_narrow = np.zeros((J, GRID)), np.zeros((J, GRID))
    below, sums, row_expected = np.zeros((J, 2)), np.zeros((J, 2)), np.zeros(N)
    ter, expected = np.empty(given.mean.shape, np.float32), np.empty(given.mean.shape, np.float32)

    def work(part: tuple[int, int]) -> None:
        for lo, hi, d, eta in chunks(layout, part, at.beta):
            summarise_units(
                lo, hi, layout.rows, eta, d, at.v, at.sigma, w,
                given.mean, given.sd, given.skewness, given.log_norm,
                u_axis, l_axis, rule, sizes, nodes, matrices, inverse, l0, 1.0 / STEPS, spread, half,
                u_density, u_narrow, l_density, l_narrow, below, ter, expected, sums, row_expected,
            )  # fmt: skip

    map_partitions(work, layout.partitions())
    empty = patients == 0.0
    tau = 1.0 / at.sigma**2
    expected_mean = np.where(empty, np.nan, sums[:, 1])
    square = np.einsum("jd,jd,d->j", expected, expected, w, dtype=np.float64)
    successes = np.add.reduceat(np.append(layout.rows.y, 0.0), layout.rows.row_ptr[:-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        # The mean slope of a log density that vanishes at both ends is zero:
        # E[sum n p] = sum y - E[u] / sigma^2.
        predicted = (successes - given.mean @ (w * tau)) / patients
    offsets = np.arange(GRID) - 0.5 * (GRID - 1)
    posterior = Posterior(
        weights=weights,
        beta=np.ascontiguousarray(at.beta[:, :D].T),
        v=np.ascontiguousarray(at.v[:, :D].T) if layout.n_outer else np.zeros((D, 0)),
        sd=draws.sd,
        u_mean=u_mean,
        u_sd=u_sd,
        u_grid=u_axis[:, :1] + u_axis[:, 1:] * offsets,
        u_cdf=distribution(u_density, u_axis[:, 1], below[:, 0], u_narrow),
        reliability=1.0 - given.sd**2 @ (w * tau),
        ter_mean=100.0 * sums[:, 0],
        ter_grid=100.0 / (1.0 + np.exp(-(l_axis[:, :1] + l_axis[:, 1:] * offsets))),
        ter_cdf=distribution(l_density, l_axis[:, 1], below[:, 1], l_narrow),
        expected_mean=expected_mean,
        expected_sd=np.where(empty, np.nan, np.sqrt(np.maximum(square - sums[:, 1] ** 2, 0.0))),
        predicted_mean=np.where(empty, np.nan, predicted),
        given_mean=given.mean[:, :D].astype(np.float32),
        given_sd=given.sd[:, :D].astype(np.float32),
        given_skewness=np.ascontiguousarray(given.skewness[:, :D]),
        given_ter=np.ascontiguousarray(ter[:, :D]),
        given_expected=np.ascontiguousarray(expected[:, :D]),
        units=np.arange(J),
        seed=seed,
    )
    return posterior, row_expected


def distribution(density: FloatArray, step: FloatArray, below: FloatArray, narrow: FloatArray) -> FloatArray:
    """Distribution functions of the mixtures: what lies on the grid, below it, and what is narrow.

    Raises
    ------
    FitError
        If they do not end at 1. Where covariates predict outcomes beyond doubt, the network's rate is a
        staircase of the therapist's effect, and no polynomial follows the density of the TER.
    """
    whole = cumulate(density, step, below) + narrow
    if not np.abs(whole[:, -1] - 1.0).max(initial=0.0) <= MASS_ERROR:
        raise FitError(
            "Ratings of some therapists cannot be worked out, because the case mix predicts outcomes beyond "
            'doubt (separation). Use fewer terms or more months; engine "fast" prevents it by its priors.'
        )
    return np.asarray(np.maximum.accumulate(np.clip(whole, 0.0, 1.0), axis=1))
