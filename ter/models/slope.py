"""The likelihood with a severity slope, (u_j, w_j) ~ N(0, Sigma) integrated by two-dimensional quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ter.features.design import FloatArray
from ter.kernels.parallel import map_partitions
from ter.kernels.slope import slope_pass
from ter.models.layout import Layout
from ter.models.quadrature import nodes_and_log_weights


@dataclass(frozen=True)
class Sigma:
    """Covariance of a therapist's intercept u and slope w.

    Attributes
    ----------
    sd_u, sd_w : float
    correlation : float
    """

    sd_u: float
    sd_w: float
    correlation: float

    @property
    def kappa(self) -> float:
        """What one SD of w moves the mean of u by."""
        return self.correlation * self.sd_u

    @property
    def s(self) -> float:
        """SD of u given w; never quite zero, so that it can be divided by."""
        return max(self.sd_u * float(np.sqrt(max(1.0 - self.correlation**2, 0.0))), 1e-5)

    @classmethod
    def of_factor(cls, theta: FloatArray) -> Sigma:
        """From (log a, b, log c), the Cholesky factor [[a, 0], [b, c]]."""
        b, c = float(theta[1]), float(np.exp(theta[2]))
        sd_w = float(np.hypot(b, c))
        return cls(float(np.exp(theta[0])), sd_w, b / sd_w)


@dataclass(frozen=True, eq=False)
class SlopePass:
    """What a pass over all therapists gives.

    Attributes
    ----------
    value : float
        Log-likelihood without binomial constants.
    residual, spread : ndarray, shape (N,)
        Posterior means of y - n p and of n p (1 - p), by sorted row.
    moments : ndarray, shape (J, 5)
        Posterior means of u, w, u^2, u w, w^2.
    """

    value: float
    residual: FloatArray
    spread: FloatArray
    moments: FloatArray


class SlopeLikelihood:
    """Sum over therapists of log L_j with slopes; it keeps the last modes as the next start.

    Parameters
    ----------
    layout : Layout
        Sorted by therapist.
    severity : ndarray or None, shape (N,)
        In the order of the design's rows; None for therapists without slopes.
    nodes : int
        In each of the two dimensions.
    """

    def __init__(self, layout: Layout, severity: FloatArray | None, nodes: int) -> None:
        self.layout = layout
        self.severity = np.zeros(layout.order.size) if severity is None else severity[layout.order]
        self.rule = nodes_and_log_weights(nodes)
        # Without slopes t moves nothing, and one node integrates its density to 1.
        self.rule_t = nodes_and_log_weights(1 if severity is None else nodes)
        self.parts = layout.partitions()
        self.start = np.zeros((layout.n_inner, 2))

    def run(self, eta: FloatArray, sigma: Sigma) -> SlopePass:
        """Integrate all therapists, given the linear predictor without them, by sorted row."""
        lay = self.layout
        residual, spread = np.empty(eta.size), np.empty(eta.size)
        moments = np.empty((lay.n_inner, 5))
        direction = sigma.kappa + sigma.sd_w * self.severity

        def work(part: tuple[int, int]) -> float:
            return float(
                slope_pass(
                    *part, lay.rows, eta, direction, sigma.kappa, sigma.s, sigma.sd_w,
                    *self.rule_t, *self.rule,
                    self.start, residual, spread, moments,
                )
            )  # fmt: skip

        return SlopePass(sum(map_partitions(work, self.parts)), residual, spread, moments)

    def evaluate(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Log-likelihood and gradient (Fisher's identity) in (beta, log a, b, log c), without services."""
        beta, theta = x[:-3], x[-3:]
        found = self.run(self.layout.rows.X @ beta, Sigma.of_factor(theta))
        by_factor = factor_gradient(cholesky_of(theta), found.moments[:, 2:].sum(axis=0), len(found.moments))
        return found.value, np.concatenate([self.layout.rows.X.T @ found.residual, by_factor])

    def effects(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Posterior means (J, 2) and covariances (J, 2, 2) of (u, w); nothing of other factors."""
        m = self.run(self.layout.rows.X @ x[:-3], Sigma.of_factor(x[-3:])).moments
        mean = m[:, :2]
        second = np.stack([m[:, 2:4], m[:, 3:5]], axis=1)
        return mean, second - mean[:, :, None] * mean[:, None, :], np.zeros(0), np.zeros(0)


def cholesky_of(theta: FloatArray) -> FloatArray:
    """The factor [[a, 0], [b, c]] of a covariance from (log a, b, log c), or (1, 1) from log a alone."""
    if theta.size == 1:
        return np.exp(theta).reshape(1, 1)
    return np.array([[np.exp(theta[0]), 0.0], [theta[1], np.exp(theta[2])]])


def factor_gradient(L: FloatArray, second: FloatArray, n: int) -> FloatArray:
    """Gradient of sum_j E log N(b_j; 0, L L') in (log a, b, log c), or in log a alone, by Fisher's identity.

    Parameters
    ----------
    L : ndarray, shape (2, 2) or (1, 1)
    second : ndarray, shape (3,)
        Sums of E u^2, E u w and E w^2 over the effects.
    n : int
        How many there are.
    """
    uu, uw, ww = second
    inverse, d = np.linalg.inv(L), len(L)
    # d log N(b; 0, L L') / dL = L^-T (z z' - I) with z = L^-1 b.
    G = inverse.T @ (inverse @ np.array([[uu, uw], [uw, ww]])[:d, :d] @ inverse.T - n * np.eye(d))
    if d == 1:
        return np.array([L[0, 0] * G[0, 0]])
    return np.array([L[0, 0] * G[0, 0], G[1, 0], L[1, 1] * G[1, 1]])
