"""Likelihoods with each inner effect integrated by quadrature: given v, and with Laplace's method over v."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve

from ter.features.design import FloatArray
from ter.kernels.crossed_quadrature import fixed_gradient, outer_curvature, outer_information, room_for_nodes
from ter.kernels.laplace import linear_predictor
from ter.kernels.parallel import map_partitions
from ter.kernels.quadrature import derivatives, log_likelihood
from ter.models.layout import Layout
from ter.models.newton import Evaluation, lower_factor, maximise


def nodes_and_log_weights(nodes: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Hermite rule: nodes z and log weights, so that sum exp(log_w) f(z) is the integral of f."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return z, np.log(w) + 0.5 * z**2


#: Newton decrement at which modes of v are found, with few rows and with many; sums over rows follow a last
#: step to first order, which leaves less than a thousandth of it of the log-likelihood with many rows, and a
#: hundredth of the gradient in standard errors.
V_DECREMENTS = (1e-8, 1e-5)
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


@dataclass(frozen=True, eq=False)
class OuterPoint:
    """What is known at (beta, log sigma_u, log sigma_v) without reading X.

    Attributes
    ----------
    x : ndarray, shape (n,)
    value : float
        The log-likelihood.
    v : ndarray, shape (S,)
        Modes of the outer factor's effects.
    step : ndarray, shape (S,)
        What of v is a last step, which sums over rows do not hold.
    inverse : ndarray, shape (S, S)
        Of H.
    slope : ndarray, shape (N,)
        Derivatives of log det H in the rows' linear predictors.
    pull : ndarray, shape (S,)
        The same in v: sums of `slope`.
    by_log_sigma : float
        The same in log sigma_u.
    """

    x: FloatArray
    value: float
    v: FloatArray
    step: FloatArray
    inverse: FloatArray
    slope: FloatArray
    pull: FloatArray
    by_log_sigma: float


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
    move : ndarray, shape (S, n), optional
        How the modes of v move with the parameters, about.
    u : ndarray, shape (J,), optional
        Where the searches for the modes of u start.
    """

    def __init__(
        self,
        layout: Layout,
        nodes: int,
        v: FloatArray,
        move: FloatArray | None = None,
        u: FloatArray | None = None,
    ) -> None:
        self.layout = layout
        self.full = QuadratureLikelihood(layout, nodes, None if u is None else u.copy())
        self._v = v
        self._move = np.zeros((v.size, layout.rows.X.shape[1] + 2)) if move is None else move
        self._decrement = V_DECREMENTS[not layout.is_small]
        self._last: OuterPoint | None = None
        self._gradient: FloatArray | None = None
        self._nodes = room_for_nodes(layout.rows, nodes)
        #: Information of the last evaluation in which log det H alone counts as constant.
        self.profile_information = np.zeros((0, 0))

    def _split(self, x: FloatArray) -> tuple[FloatArray, float, float]:
        return x[:-2], float(np.exp(x[-2])), float(np.exp(x[-1]))

    def _information(self, fixed: FloatArray, v: FloatArray, sigma_u: float, sigma_v: float) -> Evaluation:
        """Joint log-density of the data and v, with derivatives in v; leaves the nodes."""
        full, rows, S = self.full, self.layout.rows, v.size

        def work(part: tuple[int, int]) -> Evaluation:
            gradient, hessian = np.zeros(S), np.zeros((S, S))
            value = outer_information(
                *part, rows, fixed, v, sigma_u, full.z, full.log_w, full.modes, self._nodes, gradient, hessian
            )
            return float(value), gradient, hessian

        sums = map_partitions(work, full.parts)
        lower = np.sum([s[2] for s in sums], axis=0)
        return (
            sum(s[0] for s in sums) - 0.5 * float(v @ v) / sigma_v**2,
            np.sum([s[1] for s in sums], axis=0) - v / sigma_v**2,
            lower + np.tril(lower, -1).T + np.eye(S) / sigma_v**2,
        )

    def _at(self, x: FloatArray) -> OuterPoint:
        """Modes of v, and all that follows from them without reading X again."""
        if self._last is not None and np.array_equal(self._last.x, x):
            return self._last
        beta, sigma_u, sigma_v = self._split(x)
        rows, parts = self.layout.rows, self.full.parts
        fixed = np.empty(rows.y.size)
        map_partitions(lambda part: linear_predictor(*part, rows, beta, fixed), parts)
        latest: list[tuple[FloatArray, Evaluation]] = []

        def evaluate(v: FloatArray) -> Evaluation:
            # A step is tried by what is needed if it is taken.
            if not latest or not np.array_equal(latest[0][0], v):
                latest[:] = [(v, self._information(fixed, v, sigma_u, sigma_v))]
            return latest[0][1]

        moved = np.zeros(x.size) if self._last is None else x - self._last.x
        start = self._v + self._move @ moved
        found = maximise(evaluate, lambda v: evaluate(v)[0], start, tolerance=self._decrement)
        value, gradient, information = evaluate(found.x)
        factor, _ = lower_factor(information)
        inverse = np.asarray(cho_solve((factor, True), np.eye(found.x.size)))
        step = inverse @ gradient

        slope = np.empty(rows.y.size)

        def work(part: tuple[int, int]) -> tuple[float, FloatArray]:
            outer = np.zeros(step.size)
            by_log_sigma = outer_curvature(*part, rows, self._nodes, sigma_u, inverse, slope, outer)
            return float(by_log_sigma), outer

        sums = map_partitions(work, parts)
        pull = np.sum([s[1] for s in sums], axis=0)
        log_det = 2.0 * float(np.log(np.diag(factor)).sum()) + float(pull @ step)
        self._v, self._gradient = found.x + step, None
        if moved.any():
            self._move = self._move + np.outer(self._v - start, moved) / float(moved @ moved)
        self._last = OuterPoint(
            x=x.copy(),
            value=value + 0.5 * float(gradient @ step) - 0.5 * log_det - step.size * float(np.log(sigma_v)),
            v=self._v,
            step=step,
            inverse=inverse,
            slope=slope,
            pull=pull,
            by_log_sigma=sum(s[0] for s in sums),
        )
        return self._last

    def modes(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Modes of v and the variances there, both of shape (S,)."""
        at = self._at(x)
        return at.v, np.diag(at.inverse)

    def value(self, x: FloatArray) -> float:
        """Log-likelihood at (beta, log sigma_u, log sigma_v), without binomial constants."""
        return self._at(x).value

    def gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Value and exact gradient."""
        at = self._at(x)
        if self._gradient is None:
            self._gradient = self._gradient_at(at)
        return at.value, self._gradient

    def _gradient_at(self, at: OuterPoint) -> FloatArray:
        """The gradient at the point that the nodes are those of."""
        x = at.x
        _, sigma_u, sigma_v = self._split(x)
        rows, P = self.layout.rows, x.size - 2
        # How v moves with the parameters, and its last step, are both products with the same matrix.
        turned = at.inverse @ at.pull
        direction = 0.5 * turned - at.step

        def work(part: tuple[int, int]) -> tuple[float, FloatArray]:
            gradient = np.zeros(P)
            by_log_sigma = fixed_gradient(*part, rows, self._nodes, sigma_u, at.slope, direction, gradient)
            return float(by_log_sigma), gradient

        sums = map_partitions(work, self.full.parts)
        shrink = 1.0 - np.diag(at.inverse) / sigma_v**2
        return np.concatenate(
            [
                np.sum([s[1] for s in sums], axis=0),
                [sum(s[0] for s in sums) - 0.5 * at.by_log_sigma],
                [float(at.v @ (at.v - turned)) / sigma_v**2 - float(shrink.sum())],
            ]
        )

    def evaluate(self, x: FloatArray) -> Evaluation:
        """Value, gradient, and the information, in which log det H counts as constant but for sigma_v."""
        beta, sigma_u, sigma_v = self._split(x)
        at = self._at(x)
        value, gradient = self.gradient(x)
        S, n = at.v.size, x.size
        hessian = self.full.evaluate(np.concatenate([beta, at.v]), sigma_u)[2]
        theta = np.concatenate([np.arange(beta.size), [beta.size + S]])
        outer = slice(beta.size, beta.size + S)
        # How v moves with the parameters.
        move = np.zeros((S, n))
        move[:, :-1] = -at.inverse @ hessian[outer, theta]
        move[:, -1] = 2.0 / sigma_v**2 * (at.inverse @ at.v)
        self._move = move
        information = np.zeros((n, n))
        information[:-1, :-1] = hessian[np.ix_(theta, theta)] + hessian[theta][:, outer] @ move[:, :-1]
        self.profile_information = information.copy()
        pull = -2.0 / sigma_v**2 * (at.v @ move)
        self.profile_information[-1] += pull
        self.profile_information[:-1, -1] += pull[:-1]
        self.profile_information[-1, -1] += 2.0 * float(at.v @ at.v) / sigma_v**2
        shrink = 1.0 - np.diag(at.inverse) / sigma_v**2
        information[-1, -1] = 2.0 * float((shrink**2).sum()) + TINY_INFORMATION
        return value, gradient, information
