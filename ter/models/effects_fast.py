"""Engine "fast" with a severity slope, a third factor, or both.

Laplace's method over b = (beta, v, f) at the middle of the posterior, Sobol draws of (q, b) around it, and
importance weights that correct what is left; (u, w) is integrated for every draw and every rating.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, ndtri

from ter.features.design import Design, FloatArray
from ter.models.certificate import Certificate, draw_at, more_nodes, pareto_k
from ter.models.effects_marginal import (
    EffectsDraws,
    Given,
    condition,
    expect_draws,
    marginalise_effects,
    mix,
    rate_draws,
)
from ter.models.effects_posterior import Centre, EffectsPosterior, Scales, conditional_of_b, find_centre
from ter.models.fast import DRAWS, ENOUGH, FastResult, MonteCarloError, effective
from ter.models.layout import Layout
from ter.models.marginal import normalise
from ter.models.priors import LOG_2PI, Priors
from ter.models.slope import Sigma
from ter.models.start import EarlierFit, from_nothing

#: Nodes that place the proposal: the weights correct what they miss.
ROUGH_NODES = 7
#: Rounds, each with twice the draws of the one before.
MAX_ROUNDS = 3
#: Numbers that precisions of b may hold at once.
NUMBERS_AT_ONCE = 2**20
#: Degrees of freedom of the proposal of q: heavier tails than the target's, which are normal.
FREEDOM = 8.0


#: Monte Carlo errors that end the rounds, root mean square over the therapists: what a posterior may differ
#: from the exact one. Effects in posterior SDs; TER and expected rates in points.
EFFECT_ERROR = 0.008
TER_ERROR = 0.05
EXPECTED_ERROR = 0.03


def good_enough(error: MonteCarloError) -> bool:
    """Whether more draws are not worth their time, which is several times that without slopes."""
    return error.effect < EFFECT_ERROR and error.ter < TER_ERROR and error.expected < EXPECTED_ERROR


@dataclass(frozen=True, eq=False)
class Proposal:
    """Where draws come from.

    Attributes
    ----------
    q : ndarray, shape (m,)
    factor : ndarray, shape (m, m)
        Of the scale matrix of q, a multivariate t.
    z, scale : ndarray, shape (B,)
        Centre and scale of b's standardised coordinates: 0 and 1 for Laplace's approximation itself.
    """

    q: FloatArray
    factor: FloatArray
    z: FloatArray
    scale: FloatArray


def draw_effects(
    posterior: EffectsPosterior, centre: Centre, proposal: Proposal, seed: int, n: int
) -> EffectsDraws:
    """Scrambled Sobol draws of (q, b) with the log density of the proposal."""
    # Imported here: scipy.stats is slow to load, and `import ter` should not wait for it.
    from scipy.stats import chi2, qmc

    m, B = centre.q.size, posterior.X.shape[1]
    points = qmc.Sobol(m + 1 + B, scramble=True, rng=np.random.default_rng(seed)).random(n)
    points = np.clip(points, 1e-12, 1.0 - 1e-12)
    normal = ndtri(points[:, : m + B])
    mixing = chi2.ppf(points[:, -1], FREEDOM) / FREEDOM
    q = proposal.q + (normal[:, :m] / np.sqrt(mixing)[:, None]) @ proposal.factor.T
    inside = (normal[:, :m] ** 2).sum(axis=1) / mixing
    log_density = (
        gammaln(0.5 * (FREEDOM + m)) - gammaln(0.5 * FREEDOM) - 0.5 * m * np.log(FREEDOM * np.pi)
        - np.log(np.abs(np.diag(proposal.factor))).sum()
        - 0.5 * (FREEDOM + m) * np.log1p(inside / FREEDOM)
        - 0.5 * (normal[:, m:] ** 2).sum(axis=1) - np.log(proposal.scale).sum() - 0.5 * B * LOG_2PI
    )  # fmt: skip
    z = proposal.z + proposal.scale * normal[:, m:]
    scales = tuple(posterior.scales(x) for x in q)
    b = np.empty((n, B))
    at_once = max(1, NUMBERS_AT_ONCE // (B * B))
    for d in range(0, n, at_once):
        part = slice(d, d + at_once)
        mean, lower = conditional_of_b(posterior, centre, q[part], scales[part])
        b[part] = mean + np.linalg.solve(np.swapaxes(lower, 1, 2), z[part, :, None])[:, :, 0]
        log_density[part] += np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    return EffectsDraws(q, b, z, scales, log_density)


def weigh(posterior: EffectsPosterior, draws: EffectsDraws, given: Given) -> FloatArray:
    """Importance weights: likelihood times priors in (q, b) over the proposal's density, summing to 1."""
    prior_b = np.array([posterior.log_prior(b, s) for b, s in zip(draws.b, draws.scales, strict=True)])
    target = given.log_likelihood + prior_b - 0.5 * (draws.q**2).sum(axis=1)
    return normalise(target - draws.log_density)


def adapt(proposal: Proposal, draws: EffectsDraws, weights: FloatArray) -> Proposal:
    """A proposal nearer to the target, from weighted draws.

    Means and variances are shrunk towards those of the proposal by their Monte Carlo error. Weights are
    truncated for that (Ionides 2008), so that a few draws do not decide.
    """
    cut = np.minimum(weights, 1.0 / np.sqrt(weights.size))
    cut = cut / cut.sum()
    n = effective(cut)
    trust = n / (n + 20.0)
    mean = cut @ draws.q
    spread = (draws.q - mean).T @ (cut[:, None] * (draws.q - mean))
    old = proposal.factor @ proposal.factor.T
    z = cut @ draws.z
    variance = cut @ (draws.z - z) ** 2
    sure = np.maximum(0.0, 1.0 - variance / (n * np.maximum(z**2, 1e-300)))
    return Proposal(
        q=trust * mean + (1.0 - trust) * proposal.q,
        factor=np.asarray(np.linalg.cholesky(trust * spread + (1.0 - trust) * old), np.float64),
        z=sure * z,
        scale=np.sqrt(trust * variance + 1.0 - trust),
    )


def fit_effects_fast(
    design: Design,
    layout: Layout,
    nodes: int,
    seed: int,
    n_draws: int = DRAWS,
    priors: Priors = Priors(),  # noqa: B008 - frozen
    earlier: EarlierFit | None = None,
) -> FastResult:
    """Fit the model of a design with a severity, a third factor, or both.

    Parameters
    ----------
    design : Design
    layout : Layout
        Sorted by therapist.
    nodes : int
        In each dimension that is integrated.
    seed : int
        Of the Sobol scrambling and of the joint draws.
    n_draws : int
        Draws of the first round, a power of 2.
    priors : Priors
    earlier : EarlierFit, optional
        Where the search for the middle of the posterior begins.
    """
    rough = EffectsPosterior(design, layout, min(nodes, ROUGH_NODES), priors)
    q, b = rough.beginning(from_nothing(design, layout) if earlier is None else earlier)
    centre = find_centre(rough, q, b)
    posterior = EffectsPosterior(design, layout, nodes, priors)
    factor = np.asarray(np.linalg.cholesky(centre.covariance), np.float64)
    proposal = Proposal(centre.q, factor, np.zeros(b.size), np.ones(b.size))
    # The first draws, integrated with few nodes, only move the proposal to where the posterior is.
    draws = draw_effects(rough, centre, proposal, seed, n_draws)
    proposal = adapt(proposal, draws, weigh(rough, draws, condition(rough, draws)))
    for round_ in range(1, MAX_ROUNDS + 1):
        draws = draw_effects(posterior, centre, proposal, seed, n_draws)
        given = condition(posterior, draws)
        weights = weigh(posterior, draws, given)
        last = round_ == MAX_ROUNDS
        if effective(weights) >= ENOUGH or last:
            means, sds = given.moments[:, :, 0], given.moments[:, :, 1]
            u_sd = mix(means, sds, weights)[1]
            expected = expect_draws(posterior, draws, weights)
            # TERs take longest: they wait until all else is good enough.
            if last or good_enough(MonteCarloError.of_draws(weights, means, u_sd, None, expected[0])):
                rated = rate_draws(posterior, draws, given, weights, expected)
                error = MonteCarloError.of_draws(weights, means, u_sd, rated.ter, rated.expected)
                if last or good_enough(error):
                    break
        proposal, n_draws = adapt(proposal, draws, weights), 2 * n_draws
    b, scales = weights @ draws.b, mean_scales(draws, weights)
    twice = EffectsPosterior(design, layout, more_nodes(nodes), priors)
    high = draw_at(np.array([max(s.sigma.sd_u, s.sigma.sd_w) for s in draws.scales]), weights)
    certificate = Certificate(
        pareto_k=pareto_k(weights),
        effective_draws=effective(weights),
        edge_mass=0.0,
        nodes_error=max(
            abs(twice.run(b_, s).value - posterior.run(b_, s).value)
            for b_, s in ((b, scales), (draws.b[high], draws.scales[high]))
        ),
        gradient_norm=float(np.sqrt(max(centre.mode.decrement, 0.0))),
        modes_found=centre.mode.converged,
        ter_error=error.ter,
        expected_error=error.expected,
        nodes=nodes,
    )
    return FastResult(
        posterior=marginalise_effects(posterior, design, draws, given, rated, weights, seed),
        row_expected=rated.row_expected,
        iterations=centre.evaluations,
        log_likelihood=log_likelihood_at(posterior, b[: posterior.n_beta], scales),
        certificate=certificate,
    )


def mean_scales(draws: EffectsDraws, weights: FloatArray) -> Scales:
    """Posterior means of the SDs and of the correlation."""
    sigmas = [s.sigma for s in draws.scales]
    u, w, rho = (
        float(weights @ np.array([getattr(s, name) for s in sigmas]))
        for name in ("sd_u", "sd_w", "correlation")
    )
    return Scales(Sigma(u, w, rho), weights @ np.array([s.sd for s in draws.scales]))


def log_likelihood_at(posterior: EffectsPosterior, beta: FloatArray, scales: Scales) -> float:
    """Log-likelihood of (beta, scales): therapists by quadrature, other factors by Laplace's method."""
    P, B = posterior.n_beta, posterior.X.shape[1]
    if B == P:
        return posterior.run(beta, scales).value
    tau = posterior.precision(scales)[P:]
    v = np.zeros(B - P)
    for _ in range(50):
        at = posterior.run(np.concatenate([beta, v]), scales)
        information = posterior.information(at, scales)[P:, P:] + np.diag(tau)
        gradient = posterior.X[:, P:].T @ at.residual - tau * v
        step = np.linalg.solve(information, gradient)
        if float(gradient @ step) < 1e-10:
            break
        v = v + step
    _, log_det = np.linalg.slogdet(information)
    return at.value + 0.5 * float(np.log(tau).sum() - tau @ v**2) - 0.5 * float(log_det)
