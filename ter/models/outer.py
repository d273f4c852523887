"""Quadrature over therapists, with slopes or without, and Laplace's method over the other factors.

With b = (v, f) the effects of services and of a third factor, S their SDs and b = S z, the marginal
log-likelihood is taken for

    max_z [ sum_j log L_j(x'beta + S z) - z'z / 2 ] - log det(I - S Q S) / 2,

Q the second derivatives of sum_j log L_j in b at that mode, which are exact here, as are those of log det in
all parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ter.features.design import FloatArray, Grouping
from ter.kernels.outer import outer_changes, outer_information
from ter.kernels.parallel import map_partitions
from ter.models.layout import Layout
from ter.models.levels import outer_levels
from ter.models.slope import Sigma, SlopeLikelihood, cholesky_of, factor_gradient

MODE_ITERATIONS = 100
#: Newton decrements that end the search for a mode, and within which every step is taken.
MODE_DECREMENT = 1e-20
NEAR = 1e-2
#: The largest change of a linear predictor in a difference.
STEP = 1e-3


@dataclass(frozen=True, eq=False)
class OuterMode:
    """The mode of the outer effects, and what was found there.

    Attributes
    ----------
    effects : ndarray, shape (S,)
    value : float
        The marginal log-likelihood, without binomial constants.
    residual : ndarray, shape (N,)
    scaled_inverse : ndarray, shape (S, S)
        Of I - S Q S: what is left of the prior's covariance, in its units.
    """

    effects: FloatArray
    value: float
    residual: FloatArray
    scaled_inverse: FloatArray


class OuterQuadrature:
    """The marginal log-likelihood in (beta, theta), theta as in `ter.models.mixed.MixedLikelihood`.

    Parameters
    ----------
    layout : Layout
        Sorted by the inner factor; its outer factor is not looked at.
    outer : tuple of Grouping
        The other factors, in the order of the design's rows.
    severity : ndarray or None, shape (N,)
    nodes : int
        In each dimension that is integrated.
    """

    def __init__(
        self, layout: Layout, outer: tuple[Grouping, ...], severity: FloatArray | None, nodes: int
    ) -> None:
        self.layout = layout
        self.inner = SlopeLikelihood(layout, severity, nodes)
        self.slopes = severity is not None
        found = outer_levels(layout, outer)
        self.levels, self.factor = found.levels, found.factor
        self._columns = (found.place, found.column_ptr, found.columns)
        self._z = np.zeros(self.factor.size)

    def split(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Parameters -> (beta, L of the inner factor (d, d), SDs of the outer effects (S,))."""
        n_outer = int(self.factor[-1]) + 1
        P = self.layout.rows.X.shape[1]
        scale = np.exp(x[x.size - n_outer :])[self.factor]
        return x[:P], cholesky_of(x[P : x.size - n_outer]), scale

    def evaluate(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Marginal log-likelihood, without binomial constants, and its gradient."""
        beta, L, scale = self.split(x)
        rows, sigma = self.layout.rows, sigma_of(L)
        fixed = rows.X @ beta
        m = self.mode(fixed, sigma, scale)
        z = m.effects / scale
        outer = scale[:, None] * m.scaled_inverse * scale
        by_row, by_moment, _ = self.changes(fixed, sigma, m, outer)
        # By how much half of log det moves with the mode; and the mode with the parameters, by a difference
        # of gradients along that way.
        push = np.bincount(self.levels.ravel(), np.repeat(by_row, self.levels.shape[1]), z.size)
        way = 0.5 * outer @ push
        by_beta, by_theta = self.along(fixed, sigma, L, m.effects, way)
        second = self.inner.run(fixed + m.effects[self.levels].sum(axis=1), sigma).moments[:, 2:].sum(axis=0)
        by_theta = (
            by_theta
            + factor_gradient(L, second, self.layout.n_inner)
            + 0.5 * factor_gradient(L, by_moment.sum(axis=0), 0)
        )
        by_effect = z**2 - 1.0 + np.diag(m.scaled_inverse) + 2.0 * way / scale * z
        return m.value, np.concatenate(
            [rows.X.T @ (m.residual + 0.5 * by_row) + by_beta, by_theta, np.bincount(self.factor, by_effect)]
        )

    def along(
        self, fixed: FloatArray, sigma: Sigma, L: FloatArray, effects: FloatArray, way: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """How the gradient in (beta, theta), other effects held, changes when these move along a way."""
        largest = float(np.abs(way).max(initial=0.0))
        if largest == 0.0:
            return np.zeros(self.layout.rows.X.shape[1]), np.zeros(3 if self.slopes else 1)
        h = STEP / largest
        by_beta, by_theta = [], []
        for b in (effects + h * way, effects - h * way):
            found = self.inner.run(fixed + b[self.levels].sum(axis=1), sigma)
            by_beta.append(self.layout.rows.X.T @ found.residual)
            by_theta.append(factor_gradient(L, found.moments[:, 2:].sum(axis=0), self.layout.n_inner))
        return (by_beta[0] - by_beta[1]) / (2.0 * h), (by_theta[0] - by_theta[1]) / (2.0 * h)

    def mode(self, fixed: FloatArray, sigma: Sigma, scale: FloatArray) -> OuterMode:
        """Newton's method with halving, from the last mode."""
        z, identity = self._z, np.eye(self._z.size)
        value, residual, curvature = self.information(fixed, sigma, scale * z)
        joint = value - 0.5 * float(z @ z)
        for _ in range(MODE_ITERATIONS):
            gradient = (
                scale * np.bincount(self.levels.ravel(), np.repeat(residual, self.levels.shape[1]), z.size)
                - z
            )
            hessian = identity - scale[:, None] * curvature * scale
            step = np.linalg.solve(hessian, gradient)
            decrement = float(gradient @ step)
            if decrement < MODE_DECREMENT:
                break
            found = self.information(fixed, sigma, scale * (z + step))
            # Close to the mode a rule's own error may outweigh what a step gains.
            while decrement > NEAR and found[0] - 0.5 * float((z + step) @ (z + step)) < joint:
                step, decrement = 0.5 * step, 0.5 * decrement
                found = self.information(fixed, sigma, scale * (z + step))
            z, (value, residual, curvature) = z + step, found
            joint = value - 0.5 * float(z @ z)
        self._z = z
        _, log_det = np.linalg.slogdet(hessian)
        return OuterMode(
            scale * z, joint - 0.5 * float(log_det), residual, np.asarray(np.linalg.inv(hessian))
        )

    def information(
        self, fixed: FloatArray, sigma: Sigma, effects: FloatArray
    ) -> tuple[float, FloatArray, FloatArray]:
        """Sum of log L_j, residuals (N,), and the second derivatives in the outer effects (S, S)."""
        lay, eta = self.layout, fixed + effects[self.levels].sum(axis=1)
        residual = np.empty(eta.size)
        direction = sigma.kappa + sigma.sd_w * self.inner.severity

        def work(part: tuple[int, int]) -> tuple[float, FloatArray]:
            curvature = np.zeros((effects.size, effects.size))
            value = outer_information(
                *part, lay.rows, eta, direction, sigma.s, *self.inner.rule_t, *self.inner.rule,
                self.inner.start, self.levels, *self._columns, residual, curvature,
            )  # fmt: skip
            return float(value), curvature

        parts = map_partitions(work, self.inner.parts)
        return sum(p[0] for p in parts), residual, np.sum([p[1] for p in parts], axis=0)

    def changes(
        self, fixed: FloatArray, sigma: Sigma, mode: OuterMode, outer: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """How tr(outer Q) moves with each row's predictor (N,) and with Sigma (J, 3); moments (J, 5)."""
        lay, eta = self.layout, fixed + mode.effects[self.levels].sum(axis=1)
        direction = sigma.kappa + sigma.sd_w * self.inner.severity
        by_row, by_moment, moments = (
            np.empty(eta.size),
            np.empty((lay.n_inner, 3)),
            np.empty((lay.n_inner, 5)),
        )
        map_partitions(
            lambda part: outer_changes(
                *part, lay.rows, eta, direction, sigma.kappa, sigma.s, sigma.sd_w,
                *self.inner.rule_t, *self.inner.rule, self.inner.start, *self._columns, outer,
                by_row, by_moment, moments,
            ),
            self.inner.parts,
        )  # fmt: skip
        return by_row, by_moment, moments

    def effects(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Means (J, d), covariances (J, d, d) of inner effects; modes and variances (S,) of outer ones."""
        beta, L, scale = self.split(x)
        fixed, sigma = self.layout.rows.X @ beta, sigma_of(L)
        m = self.mode(fixed, sigma, scale)
        outer = scale[:, None] * m.scaled_inverse * scale
        found, d = self.changes(fixed, sigma, m, outer)[2], len(L)
        covariance = np.stack([found[:, 2:4], found[:, 3:5]], axis=1)
        return found[:, :d], covariance[:, :d, :d], m.effects, np.diag(outer)


def sigma_of(L: FloatArray) -> Sigma:
    """The covariance of (u, w) from its Cholesky factor; without slopes w is 0."""
    if len(L) == 1:
        return Sigma(float(L[0, 0]), 0.0, 0.0)
    return Sigma.of_factor(np.array([np.log(L[0, 0]), L[1, 0], np.log(L[1, 1])]))
