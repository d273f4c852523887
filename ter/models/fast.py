"""Engine "fast": the posterior.

Quadrature over each therapist, Laplace's method over (beta, v), a grid over the SDs, and importance weights
that correct what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ter.features.design import FloatArray
from ter.models.certificate import Certificate, pareto_k
from ter.models.explore import explore
from ter.models.grid import ConditionalPosterior, log_prior_sd
from ter.models.layout import Layout
from ter.models.marginal import conditionals, marginalise, normalise
from ter.models.newton import Evaluation, maximise
from ter.models.posterior import Posterior
from ter.models.proposal import Shape, draw, reshape
from ter.models.quadrature import QuadratureLikelihood

#: Draws of the first round; each further round doubles them.
DRAWS = 512
#: Effective draws that end the rounds.
ENOUGH = 256.0
MAX_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class FastResult:
    """What the engine found.

    Attributes
    ----------
    posterior : Posterior
    row_expected : ndarray, shape (N,)
        Posterior mean of each sorted row's expected rate.
    grid_points : int
    log_likelihood : float
        Marginal, at the posterior means of beta and of the SDs, without binomial constants.
    certificate : Certificate
    """

    posterior: Posterior
    row_expected: FloatArray
    grid_points: int
    log_likelihood: float
    certificate: Certificate


def effective(weights: FloatArray) -> float:
    """Effective sample size of importance weights that sum to 1 (Kong 1992)."""
    return float(1.0 / (weights**2).sum())


def log_posterior(
    conditional: ConditionalPosterior, log_likelihood: FloatArray, sd: FloatArray, b: FloatArray
) -> FloatArray:
    """Log of likelihood times priors at each draw, up to a constant: shape (D,)."""
    prior_b = np.array([conditional.log_prior(b_d, sd_d) for b_d, sd_d in zip(b, sd, strict=True)])
    return np.asarray(log_likelihood + prior_b + log_prior_sd(sd))


def fit_fast(layout: Layout, nodes: int, seed: int, n_draws: int = DRAWS) -> FastResult:
    """Fit the model of a layout.

    Parameters
    ----------
    layout : Layout
        The inner factor is the therapist.
    nodes : int
        Quadrature nodes for each therapist.
    seed : int
        Of the Sobol scrambling and of the joint draws.
    n_draws : int
        Draws of the first round, a power of 2.
    """
    likelihood = QuadratureLikelihood(layout, nodes)
    conditional = ConditionalPosterior(likelihood)
    grid = explore(conditional, np.zeros(likelihood.n_b))
    shape = Shape.of_laplace(likelihood.n_b)
    for _ in range(MAX_ROUNDS):
        draws = draw(grid, likelihood.n_beta, seed, n_draws, shape)
        given = conditionals(likelihood, draws)
        target = log_posterior(conditional, given.log_likelihood, draws.sd, draws.b)
        weights = normalise(target - draws.log_density)
        if effective(weights) >= ENOUGH:
            break
        shape, n_draws = reshape(draws, weights), 2 * n_draws
    posterior, row_expected = marginalise(likelihood, draws, given, weights, seed)
    b, sd = weights @ draws.b, weights @ draws.sd
    certificate = Certificate(
        pareto_k=pareto_k(weights),
        effective_draws=effective(weights),
        edge_mass=grid.edge_mass,
        nodes_error=abs(QuadratureLikelihood(layout, 2 * nodes).value(b, sd[0]) - likelihood.value(b, sd[0])),
        gradient_norm=grid.gradient_norm,
        modes_found=grid.converged,
    )
    return FastResult(
        posterior=posterior,
        row_expected=row_expected,
        grid_points=grid.log_density.size,
        log_likelihood=marginal_log_likelihood(conditional, b[: likelihood.n_beta], sd),
        certificate=certificate,
    )


def marginal_log_likelihood(conditional: ConditionalPosterior, beta: FloatArray, sd: FloatArray) -> float:
    """Log-likelihood of (beta, SDs): therapists integrated by quadrature, services by Laplace's method."""
    likelihood = conditional.likelihood
    P, S = likelihood.n_beta, likelihood.layout.n_outer
    if not S:
        return likelihood.value(beta, sd[0])
    tau = 1.0 / sd[1] ** 2

    def joint(v: FloatArray) -> float:
        return likelihood.value(np.concatenate([beta, v]), sd[0]) + 0.5 * float(S * np.log(tau) - tau * v @ v)

    def evaluate(v: FloatArray) -> Evaluation:
        _, gradient, information = likelihood.evaluate(np.concatenate([beta, v]), sd[0])
        return joint(v), gradient[P:-1] - tau * v, information[P:-1, P:-1] + tau * np.eye(S)

    found = maximise(evaluate, joint, np.zeros(S))
    return found.value - 0.5 * float(np.linalg.slogdet(found.information)[1])
