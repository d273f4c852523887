"""The likelihood evaluated again, in plain NumPy and SciPy: nothing in common with the kernels of `ter`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from benchmarks.problems import FloatArray, Network


def laplace_log_likelihood(network: Network, beta: FloatArray, sd: FloatArray) -> float:
    """Joint Laplace approximation of the log-likelihood, both factors at once, by a dense Newton method.

    log p(y | b) - b' b / 2 - log det(I + L' Z' W Z L) / 2 at its highest in b, the effects divided by their
    standard deviations (Bates et al. 2015, section 2.2, of lme4, for a Bernoulli outcome).
    """
    n, J, S = network.y.size, network.u.size, network.v.size
    ones, rows = np.ones(n), np.arange(n)
    Z = sparse.hstack(
        [
            sparse.csr_array((sd[0] * ones, (rows, network.therapist)), shape=(n, J)),
            sparse.csr_array((sd[1] * ones, (rows, network.service)), shape=(n, S)),
        ],
        format="csr",
    )
    fixed, b = network.X @ beta, np.zeros(J + S)
    for _ in range(50):
        eta = fixed + Z @ b
        p = expit(eta)
        information = (Z.T @ (sparse.diags_array(p * (1.0 - p)) @ Z)).toarray() + np.eye(J + S)
        factor = cho_factor(information, lower=True)
        gradient = Z.T @ (network.y - p) - b
        step = cho_solve(factor, gradient)
        if gradient @ step < 1e-18:
            break
        b = b + step
    log_likelihood = network.y @ eta - np.logaddexp(0.0, eta).sum()
    return float(log_likelihood - 0.5 * b @ b - np.log(np.diag(factor[0])).sum())


def integrated_log_likelihood(network: Network, beta: FloatArray, sd: float) -> float:
    """Exact log-likelihood with therapists alone: the trapezoidal rule on 601 points over +-9 SDs of each.

    The rule converges geometrically for smooth integrands that vanish at the ends; the narrowest posterior
    here is wider than four of its steps.
    """
    fixed, J = network.X @ beta, network.u.size
    points = np.linspace(-9.0, 9.0, 601)
    log_terms = np.empty((points.size, J))
    for k, z in enumerate(points):
        eta = fixed + sd * z
        log_terms[k] = np.bincount(network.therapist, network.y * eta - np.logaddexp(0.0, eta), J)
        log_terms[k] += np.log(points[1] - points[0]) - 0.5 * z * z - 0.5 * np.log(2.0 * np.pi)
    return float(np.logaddexp.reduce(log_terms, axis=0).sum())


def steepest(value: Callable[[FloatArray], float], x: FloatArray, se: FloatArray) -> float:
    """Largest slope of a log-likelihood, a standard error in each parameter; zero at the maximum.

    By central differences over 0.1 standard errors, which are exact to about 0.1 cubed.
    """
    slopes = [(value(x + h) - value(x - h)) / 0.2 for h in np.diag(0.1 * se)]
    return float(np.abs(slopes).max())
