"""Likelihoods with each inner effect integrated by quadrature: given v, and with Laplace's method over v."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ter.features.design import FloatArray
from ter.kernels.quadrature import derivatives, log_likelihood, outer_curvature
from ter.models.layout import Layout
from ter.models.newton import Evaluation, maximise
from ter.models.parallel import map_partitions
from ter.models.sums import sum_by


def nodes_and_log_weights(nodes: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Hermite rule: nodes z and log weights, so that sum exp(log_w) f(z) is the integral of f."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return z, np.log(w) + 0.5 * z**2


#: Newton decrement at which modes of v are found.
V_DECREMENT = 1e-12
#: Keeps the information of an SD positive where the effects have shrunk to nothing.
TINY_INFORMATION = 1e-12


class QuadratureLikelihood:
    """Sum over therapists of log L_j, with exact derivatives; it keeps the last modes of u as the next start.

    Parameters
    ----------
    layout : Layout
    nodes : int
        Quadrature nodes for each therapist.
    modes : ndarray, shape (J,), optional
        Where the searches for the modes of u start; updated.
    """

    def __init__(self, layout: Layout, nodes: int, modes: FloatArray | None = None) -> None:
        self.layout = layout
        self.parts = layout.partitions()
        self.z, self.log_w = nodes_and_log_weights(nodes)
        self.n_beta = layout.rows.X.shape[1]
        self.n_b = self.n_beta + layout.n_outer
        self.modes = np.zeros(layout.n_inner) if modes is None else modes

    def split(self, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """B -> (beta, v); v is a single 0 without an outer factor."""
        return b[: self.n_beta], b[self.n_beta :] if self.layout.n_outer else np.zeros(1)

    def value(self, b: FloatArray, sigma: float) -> float:
        """Log-likelihood without binomial constants."""
        beta, v = self.split(b)

        def work(part: tuple[int, int]) -> float:
            return float(
                log_likelihood(*part, self.layout.rows, beta, v, sigma, self.z, self.log_w, self.modes)
            )

        return sum(map_partitions(work, self.parts))

    def evaluate(self, b: FloatArray, sigma: float) -> Evaluation:
        """Value, gradient and negative Hessian in (b, log sigma): shapes (), (B + 1,), (B + 1, B + 1)."""
        beta, v = self.split(b)
        size = beta.size + v.size + 1

        def work(part: tuple[int, int]) -> Evaluation:
            gradient, hessian = np.zeros(size), np.zeros((size, size))
            value = derivatives(
                *part, self.layout.rows, beta, v, sigma, self.z, self.log_w, self.modes, gradient, hessian
            )
            return float(value), gradient, hessian

        sums = map_partitions(work, self.parts)
        gradient = np.sum([s[1] for s in sums], axis=0)
        lower = np.sum([s[2] for s in sums], axis=0)
        hessian = lower + np.tril(lower, -1).T
        if not self.layout.n_outer:
            keep = np.arange(size) != self.n_beta
            gradient, hessian = gradient[keep], hessian[np.ix_(keep, keep)]
        return sum(s[0] for s in sums), gradient, hessian

    def outer_curvature(self, b: FloatArray, sigma: float, inverse: FloatArray) -> tuple[FloatArray, float]:
        """Derivatives of tr(Q H), Q constant and H in v: in the rows' predictors (N,), and in log sigma."""
        beta, v = self.split(b)
        slope = np.empty(self.layout.rows.y.size)

        def work(part: tuple[int, int]) -> float:
            return float(
                outer_curvature(
                    *part, self.layout.rows, beta, v, sigma, self.z, self.log_w, self.modes, inverse, slope
                )
            )

        return slope, sum(map_partitions(work, self.parts))


class CrossedQuadrature:
    """Log-likelihood in (beta, log sigma_u, log sigma_v): quadrature over u, Laplace over v.

        L = max over v of [sum_j log L_j(beta, v, sigma_u) - v'v / (2 sigma_v^2)] - 1/2 log det H - S log
            sigma_v

    with H the negative Hessian in v at the maximum. It keeps the last modes as the next start.

    Parameters
    ----------
    layout : Layout
        With an outer factor.
    nodes : int
        Quadrature nodes for each inner effect; with one node this is the joint Laplace approximation but for
        how u is curved by v.
    v : ndarray, shape (S,)
        Where the search for the modes of v starts.
    """

    def __init__(self, layout: Layout, nodes: int, v: FloatArray) -> None:
        self.layout = layout
        self.full = QuadratureLikelihood(layout, nodes)
        self._nodes = nodes
        self._v = v
        self._move: FloatArray | None = None
        self._last: tuple[FloatArray, FloatArray, float, tuple[FloatArray, bool]] | None = None
        #: Information of the last evaluation in which log det H alone counts as constant.
        self.profile_information = np.zeros((0, 0))

    def _split(self, x: FloatArray) -> tuple[FloatArray, float, float]:
        return x[:-2], float(np.exp(x[-2])), float(np.exp(x[-1]))

    def modes(self, x: FloatArray) -> tuple[FloatArray, float, tuple[FloatArray, bool]]:
        """Modes of v (S,), the log-likelihood, and the Cholesky factor of H as of `cho_factor`."""
        if self._last is not None and np.array_equal(self._last[0], x):
            return self._last[1:]
        beta, sigma_u, sigma_v = self._split(x)
        # x'beta as a single column, whose coefficient is 1: derivatives in v alone cost a fraction of all.
        rows = self.layout.rows
        fixed = np.asfortranarray((rows.X @ beta)[:, None])
        inner = QuadratureLikelihood(
            replace(self.layout, rows=rows._replace(X=fixed)), self._nodes, self.full.modes
        )

        def with_one(v: FloatArray) -> FloatArray:
            return np.concatenate([[1.0], v])

        def evaluate(v: FloatArray) -> Evaluation:
            value, gradient, information = inner.evaluate(with_one(v), sigma_u)
            return (
                value - 0.5 * float(v @ v) / sigma_v**2,
                gradient[1:-1] - v / sigma_v**2,
                information[1:-1, 1:-1] + np.eye(v.size) / sigma_v**2,
            )

        start = self._v
        if self._move is not None and self._last is not None:
            start = start + self._move @ (x - self._last[0])
        found = maximise(
            evaluate,
            lambda v: inner.value(with_one(v), sigma_u) - 0.5 * float(v @ v) / sigma_v**2,
            start,
            tolerance=V_DECREMENT,
        )
        factor = cho_factor(found.information, lower=True)
        log_det = 2.0 * float(np.log(np.diag(factor[0])).sum())
        value = found.value - 0.5 * log_det - found.x.size * float(np.log(sigma_v))
        self._v = found.x
        self._last = (x.copy(), found.x, value, factor)
        return found.x, value, factor

    def value(self, x: FloatArray) -> float:
        """Log-likelihood at (beta, log sigma_u, log sigma_v), without binomial constants."""
        return self.modes(x)[1]

    def evaluate(self, x: FloatArray) -> Evaluation:
        """Value, gradient, and the information, in which log det H counts as constant but for sigma_v."""
        beta, sigma_u, sigma_v = self._split(x)
        v, value, factor = self.modes(x)
        S, n = v.size, x.size
        _, g, hessian = self.full.evaluate(np.concatenate([beta, v]), sigma_u)
        theta = np.concatenate([np.arange(beta.size), [beta.size + S]])
        outer = slice(beta.size, beta.size + S)
        inverse = cho_solve(factor, np.eye(S))
        # How v moves with the parameters.
        move = np.zeros((S, n))
        move[:, :-1] = -inverse @ hessian[outer, theta]
        move[:, -1] = 2.0 / sigma_v**2 * (inverse @ v)
        self._move = move

        slope, by_log_sigma = self.full.outer_curvature(np.concatenate([beta, v]), sigma_u, inverse)
        rows = self.layout.rows
        row_outer = np.repeat(rows.cell_outer, np.diff(rows.cell_ptr))
        gradient = np.zeros(n)
        gradient[:-1] = g[theta]
        gradient[:-2] -= 0.5 * (rows.X.T @ slope)
        gradient[-2] -= 0.5 * by_log_sigma
        shrink = 1.0 - np.diag(inverse) / sigma_v**2
        gradient[-1] = float(v @ v) / sigma_v**2 - float(shrink.sum())
        gradient -= 0.5 * (move.T @ sum_by(row_outer, slope, S))
        information = np.zeros((n, n))
        information[:-1, :-1] = hessian[np.ix_(theta, theta)] + hessian[theta][:, outer] @ move[:, :-1]
        self.profile_information = information.copy()
        pull = -2.0 / sigma_v**2 * (v @ move)
        self.profile_information[-1] += pull
        self.profile_information[:-1, -1] += pull[:-1]
        self.profile_information[-1, -1] += 2.0 * float(v @ v) / sigma_v**2
        information[-1, -1] = 2.0 * float((shrink**2).sum()) + TINY_INFORMATION
        return value, gradient, information
