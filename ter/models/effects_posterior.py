"""log p(y, b | scales) with a severity slope, a third factor, or both, and priors in normal scores.

b = (beta, v, f): fixed effects, services, levels of a third factor. Therapists are integrated by quadrature.
The scales are the SDs and the correlation; q are their normal scores, q = Phi^-1(F(scale)) with F the prior's
distribution function, so that a priori q ~ N(0, I), and a posteriori its tails fall at least like that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from ter.errors import OptionError
from ter.features.design import Design, FloatArray
from ter.models.layout import Layout
from ter.models.newton import maximise
from ter.models.priors import LOG_2PI, Priors
from ter.models.slope import Sigma, SlopeLikelihood, SlopePass
from ter.models.start import EarlierFit

#: Services and levels of a third factor, which are kept together in one dense matrix.
MOST_LEVELS = 400
MODE_TOLERANCE = 1e-6
#: Near the middle, where what is left of a mode must not show in differences of values.
EXACT_TOLERANCE = 1e-13
LARGEST_SCORE = 8.0
#: Steps of differences in q.
STEP = 0.1
#: The search ends when a step in q is below this, after so many steps at the most.
LAST_STEP = 1e-8
MOST_LAST_STEPS = 30


@dataclass(frozen=True, eq=False)
class Scales:
    """Standard deviations and correlation.

    Attributes
    ----------
    sigma : Sigma
        Of the therapists; without slopes its SD of w is 0.
    sd : ndarray, shape (F,)
        Therapist, service, third factor, as far as the model has them.
    """

    sigma: Sigma
    sd: FloatArray


def half_normal(q: float, scale: float) -> float:
    """The SD whose normal score under a half-normal prior is q."""
    q = min(max(float(q), -LARGEST_SCORE), LARGEST_SCORE)
    # 1 - F = Phi(-q): each tail by the formula that keeps its digits.
    value = -ndtri(0.5 * ndtr(-q)) if q > 0.0 else ndtri(0.5 + 0.5 * ndtr(q))
    return max(scale * float(value), 1e-6)


def score_of_half_normal(sd: float, scale: float) -> float:
    """The normal score of an SD: what `half_normal` undoes."""
    # F = 2 Phi(sd / scale) - 1.
    score = ndtri(2.0 * ndtr(sd / scale) - 1.0)
    return float(np.clip(score, -LARGEST_SCORE, LARGEST_SCORE))


def score_of_lkj_two(correlation: float) -> float:
    """The normal score of a correlation: what `lkj_two` undoes."""
    score = ndtri((2.0 + 3.0 * correlation - correlation**3) / 4.0)
    return float(np.clip(score, -LARGEST_SCORE, LARGEST_SCORE))


def lkj_two(q: float) -> float:
    """The correlation whose normal score under LKJ(2) is q: its density is 3/4 (1 - rho^2)."""
    p = float(ndtr(min(max(float(q), -LARGEST_SCORE), LARGEST_SCORE)))
    return -2.0 * math.sin(math.asin(1.0 - 2.0 * p) / 3.0)


class EffectsPosterior:
    """The joint density of (b, q) with u and w integrated.

    Parameters
    ----------
    design : Design
    layout : Layout
        Of this design, sorted by therapist.
    nodes : int
        In each dimension that is integrated.
    priors : Priors

    Raises
    ------
    OptionError
        If services and levels of the third factor are too many to be kept together.
    """

    def __init__(self, design: Design, layout: Layout, nodes: int, priors: Priors) -> None:
        self.outer = [g for g in (design.service, design.further) if g is not None]
        levels = sum(len(g.levels) for g in self.outer)
        if levels > MOST_LEVELS:
            raise OptionError(
                f'Engines "fast" and "nuts" take up to {MOST_LEVELS} services and levels of a third factor '
                f'beside slopes or a third factor, not {levels}: use engine="ml" with nodes=1.'
            )
        self.layout = layout
        self.priors = priors
        self.slopes = design.severity is not None
        self.likelihood = SlopeLikelihood(
            layout, None if design.severity is None else design.severity.values, nodes
        )
        indicators = [np.eye(len(g.levels))[g.index[layout.order]] for g in self.outer]
        self.X = np.hstack([layout.rows.X, *indicators])
        self.n_beta = layout.rows.X.shape[1]
        #: Which factor, 1 or 2, each outer effect in b belongs to.
        self.factor = np.repeat(np.arange(1, 1 + len(self.outer)), [len(g.levels) for g in self.outer])

    @property
    def n_scores(self) -> int:
        """How many normal scores q holds: SDs of the factors, then SD of slopes and correlation."""
        return 1 + len(self.outer) + (2 if self.slopes else 0)

    def scales(self, q: FloatArray) -> Scales:
        """From normal scores to standard deviations and correlation."""
        names = ["therapist", *(g.name for g in self.outer)]
        sd = np.array([half_normal(x, getattr(self.priors, n)) for x, n in zip(q, names, strict=False)])
        if not self.slopes:
            return Scales(Sigma(float(sd[0]), 0.0, 0.0), sd)
        return Scales(Sigma(float(sd[0]), half_normal(q[-2], self.priors.slope), lkj_two(q[-1])), sd)

    def precision(self, scales: Scales) -> FloatArray:
        """Prior precisions of b, shape (B,)."""
        return np.concatenate(
            [np.full(self.n_beta, 1.0 / self.priors.beta**2), 1.0 / scales.sd[self.factor] ** 2]
        )

    def log_prior(self, b: FloatArray, scales: Scales) -> float:
        """Log density of b given the scales."""
        precision = self.precision(scales)
        return float(0.5 * (np.log(precision) - LOG_2PI - precision * b**2).sum())

    def run(self, b: FloatArray, scales: Scales) -> SlopePass:
        """Integrate all therapists."""
        return self.likelihood.run(self.X @ b, scales.sigma)

    def information(self, at: SlopePass, scales: Scales) -> FloatArray:
        """Minus the Hessian of the log-likelihood in b, but for terms of third order: shape (B, B).

        The complete data's information less what is lost by not knowing (u, w), as if these were normal.
        """
        rows, sigma = self.layout.rows, scales.sigma
        present = np.flatnonzero(np.diff(rows.row_ptr))
        starts = rows.row_ptr[present]
        direction = sigma.kappa + sigma.sd_w * self.likelihood.severity
        weighted = self.X * at.spread[:, None]
        C = np.stack(
            [
                np.add.reduceat(weighted * direction[:, None], starts, axis=0),
                np.add.reduceat(weighted, starts, axis=0),
            ],
            axis=-1,
        )
        inner = np.column_stack([direction, np.ones(direction.size)])
        D = np.add.reduceat(at.spread[:, None, None] * inner[:, :, None] * inner[:, None, :], starts, axis=0)
        D += np.diag([1.0, 1.0 / sigma.s**2])
        half = np.linalg.solve(np.linalg.cholesky(D), np.swapaxes(C, 1, 2)).reshape(-1, self.X.shape[1])
        return np.asarray(weighted.T @ self.X - half.T @ half)

    def beginning(self, earlier: EarlierFit) -> tuple[FloatArray, FloatArray]:
        """Where a search for (q, b) begins: shapes (m,) and (B,)."""
        names, sigma = ["therapist", *(g.name for g in self.outer)], earlier.sigma
        q = [score_of_half_normal(earlier.sd[name], getattr(self.priors, name)) for name in names]
        if sigma is not None:
            q += [score_of_half_normal(sigma.sd_w, self.priors.slope), score_of_lkj_two(sigma.correlation)]
        b = np.concatenate([earlier.beta, *(earlier.effects[g.name] for g in self.outer)])
        return np.array(q), b

    def mode(self, q: FloatArray, start: FloatArray, tolerance: float = MODE_TOLERANCE) -> Mode:
        """Laplace's approximation over b at given scales."""
        scales = self.scales(q)
        precision = self.precision(scales)
        last: dict[bytes, SlopePass] = {}

        def run(b: FloatArray) -> SlopePass:
            key = b.tobytes()
            if key not in last:
                last.clear()
                last[key] = self.run(b, scales)
            return last[key]

        def evaluate(b: FloatArray) -> tuple[float, FloatArray, FloatArray]:
            at = run(b)
            gradient = self.X.T @ at.residual - precision * b
            return (
                at.value + self.log_prior(b, scales),
                gradient,
                self.information(at, scales) + np.diag(precision),
            )

        found = maximise(
            evaluate, lambda b: run(b).value + self.log_prior(b, scales), start, tolerance=tolerance
        )
        data = found.information - np.diag(precision)
        _, log_det = np.linalg.slogdet(found.information)
        log_marginal = found.value + 0.5 * found.decrement - 0.5 * float(log_det) - 0.5 * float(q @ q)
        return Mode(found.x, data, log_marginal, found.decrement, found.converged)


@dataclass(frozen=True, eq=False)
class Mode:
    """Laplace's approximation over b.

    Attributes
    ----------
    b : ndarray, shape (B,)
    data : ndarray, shape (B, B)
        Minus the Hessian of the log-likelihood.
    log_marginal : float
        log p(y, q), up to a constant.
    decrement : float
    converged : bool
    """

    b: FloatArray
    data: FloatArray
    log_marginal: float
    decrement: float
    converged: bool


@dataclass(frozen=True, eq=False)
class Centre:
    """The middle of the posterior: of q by Newton steps on numeric derivatives, and of b there.

    Attributes
    ----------
    q : ndarray, shape (m,)
    covariance : ndarray, shape (m, m)
        Of q, from the Hessian of log p(y, q).
    mode : Mode
    drift : ndarray, shape (B, m)
        How the gradient of the log-likelihood in b moves with q.
    evaluations : int
    """

    q: FloatArray
    covariance: FloatArray
    mode: Mode
    drift: FloatArray
    evaluations: int


def find_centre(posterior: EffectsPosterior, q: FloatArray, b: FloatArray) -> Centre:
    """Find the middle of the posterior; it does not show where the search began.

    Parameters
    ----------
    posterior : EffectsPosterior
    q : ndarray, shape (m,)
    b : ndarray, shape (B,)
        Where the search begins.
    """
    m = posterior.n_scores
    steps = STEP * np.eye(m)
    latest, tolerance, count = b, MODE_TOLERANCE, 0

    def at(q: FloatArray) -> float:
        nonlocal latest, count
        mode = posterior.mode(q, latest, tolerance)
        latest, count = mode.b, count + 1
        return mode.log_marginal

    def both_ways(q: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.array([at(q + s) for s in steps]), np.array([at(q - s) for s in steps])

    def evaluate(q: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        centre = at(q)
        up, down = both_ways(q)
        information = np.diag(-(up - 2.0 * centre + down) / STEP**2)
        for a in range(m):
            for b in range(a):
                both = at(q + steps[a] + steps[b])
                information[a, b] = information[b, a] = -(both - up[a] - up[b] + centre) / STEP**2
        # Far from the mode the density need not be log-concave; the prior's own information is 1.
        smallest = float(np.linalg.eigvalsh(information)[0])
        if smallest < 0.5:
            information += (0.5 - smallest) * np.eye(m)
        return centre, (up - down) / (2.0 * STEP), information

    found = maximise(evaluate, at, q, tolerance=1e-2, max_iterations=30, max_step=1.0)
    # On to where differences vanish: draws are a function of the middle, and must not be of the beginning.
    q, tolerance = found.x, EXACT_TOLERANCE
    for _ in range(MOST_LAST_STEPS):
        up, down = both_ways(q)
        step = np.linalg.solve(found.information, (up - down) / (2.0 * STEP))
        if not np.abs(step).max() < 1.0:
            break
        q = q + step
        if np.abs(step).max() < LAST_STEP:
            break
    _, _, information = evaluate(q)
    mode = posterior.mode(q, latest, tolerance)

    def pull(q: FloatArray) -> FloatArray:
        return np.asarray(posterior.X.T @ posterior.run(mode.b, posterior.scales(q)).residual)

    drift = np.column_stack([(pull(q + s) - pull(q - s)) / (2.0 * STEP) for s in steps])
    return Centre(q, np.asarray(np.linalg.inv(information), np.float64), mode, drift, count)


def conditional_of_b(
    posterior: EffectsPosterior, centre: Centre, q: FloatArray, scales: tuple[Scales, ...]
) -> tuple[FloatArray, FloatArray]:
    """Means, and lower Cholesky factors of the precisions, of b given q near the centre: (D, B), (D, B, B).

    The log-likelihood is taken for quadratic in b, its gradient for linear in q (D, m); the prior of the
    services changes with q as it does.
    """
    at = centre.mode
    precision = np.repeat(at.data[None], len(q), axis=0)
    diagonal = np.arange(at.b.size)
    precision[:, diagonal, diagonal] += np.array([posterior.precision(s) for s in scales])
    # At the mode the gradient of the log-likelihood is what balances the prior there.
    gradient = posterior.precision(posterior.scales(centre.q)) * at.b
    right = at.data @ at.b + gradient + (q - centre.q) @ centre.drift.T
    mean = np.asarray(np.linalg.solve(precision, right[:, :, None])[:, :, 0], np.float64)
    return mean, np.asarray(np.linalg.cholesky(precision), np.float64)
