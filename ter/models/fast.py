"""Engine "fast": the posterior.

Quadrature over each therapist, Laplace's method over (beta, v), a grid over the SDs, and importance weights
that correct what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ter.features.design import FloatArray
from ter.models.certificate import Certificate, draw_at, more_nodes, pareto_k
from ter.models.explore import explore
from ter.models.grid import ConditionalPosterior
from ter.models.layout import Layout
from ter.models.marginal import conditionals, marginalise, normalise
from ter.models.ml import Start
from ter.models.newton import Evaluation, maximise
from ter.models.posterior import Posterior
from ter.models.priors import Priors
from ter.models.proposal import Shape, draw, reshape
from ter.models.quadrature import QuadratureLikelihood

#: Draws of the first round; each further round doubles them.
DRAWS = 512
#: Effective draws that end the rounds.
ENOUGH = 256.0
MAX_ROUNDS = 4
#: Therapists times draws that no further round may exceed, which bounds time and memory.
MAX_PAIRS = 2**22
#: The same of rows times draws.
MAX_ROWS = 2**27
#: Parts of the draws whose spread tells their Monte Carlo error.
PARTS = 4
OF_THE_WHOLE = 3.0
#: Monte Carlo errors that end the rounds, root mean square over the therapists: half of what the posterior
#: may differ from the exact one. Effects in posterior SDs; TER and expected rates in points.
EFFECT_ERROR = 0.004
TER_ERROR = 0.03
EXPECTED_ERROR = 0.02


@dataclass(frozen=True, eq=False)
class FastResult:
    """What the engine found.

    Attributes
    ----------
    posterior : Posterior
    row_expected : ndarray, shape (N,)
        Posterior mean of each sorted row's expected rate.
    iterations : int
        Evaluations of the likelihood's derivatives.
    log_likelihood : float
        Marginal, at the posterior means of beta and of the SDs, without binomial constants.
    certificate : Certificate
    """

    posterior: Posterior
    row_expected: FloatArray
    iterations: int
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
    return np.asarray(log_likelihood + prior_b + conditional.priors.log_sd(sd))


def fit_fast(
    layout: Layout,
    nodes: int,
    seed: int,
    n_draws: int = DRAWS,
    priors: Priors = Priors(),  # noqa: B008 - frozen
    start: Start | None = None,
    *,
    precise: bool = True,
) -> FastResult:
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
    priors : Priors
    start : Start, optional
        Where the search for the middle of the posterior begins. It saves iterations and changes nothing else.
    precise : bool
        Whether draws are doubled until the Monte Carlo errors of the ratings are small; otherwise until
        enough of them are effective.
    """
    likelihood = QuadratureLikelihood(layout, nodes)
    conditional = ConditionalPosterior(likelihood, priors)
    grid = explore(conditional, start)
    shape = Shape.third_order(conditional, grid, seed)
    for round_ in range(1, MAX_ROUNDS + 1):
        draws = draw(grid, likelihood.n_beta, seed, n_draws, shape)
        given = conditionals(likelihood, draws)
        target = log_posterior(conditional, given.log_likelihood, draws.sd, draws.b)
        weights = normalise(target - draws.log_density)
        too_many = 2 * n_draws * layout.n_inner > MAX_PAIRS or 2 * n_draws * layout.rows.y.size > MAX_ROWS
        last = round_ == MAX_ROUNDS or too_many
        if effective(weights) >= ENOUGH or last:
            posterior, row_expected = marginalise(likelihood, draws, given, weights, seed)
            error = MonteCarloError.of(posterior)
            if last or error.small or not precise:
                break
        shape, n_draws = reshape(shape, draws, weights), 2 * n_draws
    b, sd = weights @ draws.b, weights @ draws.sd
    high = draw_at(draws.sd[:, 0], weights)
    twice = QuadratureLikelihood(layout, more_nodes(nodes))
    certificate = Certificate(
        pareto_k=pareto_k(weights),
        effective_draws=effective(weights),
        edge_mass=grid.edge_mass,
        nodes_error=max(
            abs(twice.value(b_, sd_u) - likelihood.value(b_, sd_u))
            for b_, sd_u in ((b, sd[0]), (draws.b[high], draws.sd[high, 0]))
        ),
        gradient_norm=grid.gradient_norm,
        modes_found=grid.converged,
        ter_error=error.ter,
        expected_error=error.expected,
        nodes=nodes,
    )
    return FastResult(
        posterior=posterior,
        row_expected=row_expected,
        iterations=conditional.evaluations,
        log_likelihood=marginal_log_likelihood(conditional, b[: likelihood.n_beta], sd),
        certificate=certificate,
    )


@dataclass(frozen=True)
class MonteCarloError:
    """How far a repetition with other draws would be off, root mean square over the therapists.

    Attributes
    ----------
    effect : float
        Of u's mean, in posterior SDs.
    ter, expected : float
        Points.
    """

    effect: float
    ter: float
    expected: float

    @classmethod
    def of(cls, posterior: Posterior) -> MonteCarloError:
        """Of a posterior's draws."""
        p = posterior
        return cls.of_draws(p.weights, p.given_mean, p.u_sd, p.given_ter, p.given_expected)

    @classmethod
    def of_draws(
        cls,
        weights: FloatArray,
        mean: NDArray[Any],
        sd: FloatArray,
        ter: NDArray[Any] | None,
        expected: NDArray[Any],
    ) -> MonteCarloError:
        """From the spread of PARTS consecutive parts of the draws, each of which is a Sobol set of its own.

        The arguments are those of `Posterior`: mean, ter and expected (J, D) given each draw, sd (J,) of u.
        TERs that are not known yet have no error.

        The whole is better than independent parts would make it, whose error is that of a part over 2, since
        they balance each other; at its best a Sobol set has that over 4. Between the two stands 3.
        """
        w = weights.reshape(PARTS, -1)
        shares = w / np.maximum(w.sum(axis=1, keepdims=True), 1e-300)

        def error(given: NDArray[Any], scale: FloatArray | float) -> float:
            parts = np.einsum("jqd,qd->jq", given.reshape(len(given), PARTS, -1), shares, dtype=np.float64)
            variance = parts.var(axis=1, ddof=1) / OF_THE_WHOLE**2 / np.square(scale)
            return float(np.sqrt(variance.mean()))

        return cls(
            error(mean, sd),
            0.0 if ter is None else 100.0 * error(ter, 1.0),
            100.0 * error(expected, 1.0),
        )

    @property
    def small(self) -> bool:
        """Whether more draws are not worth their time."""
        return self.effect < EFFECT_ERROR and self.ter < TER_ERROR and self.expected < EXPECTED_ERROR


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
