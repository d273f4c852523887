"""The likelihood in (b, log sigma), b = (beta, v), with each inner effect integrated by quadrature."""

from __future__ import annotations

import numpy as np

from ter.features.design import FloatArray
from ter.kernels.quadrature import derivatives, log_likelihood
from ter.models.layout import Layout
from ter.models.newton import Evaluation
from ter.models.parallel import map_partitions


def nodes_and_log_weights(nodes: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Hermite rule: nodes z and log weights, so that sum exp(log_w) f(z) is the integral of f."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return z, np.log(w) + 0.5 * z**2


class QuadratureLikelihood:
    """Sum over therapists of log L_j, with exact derivatives; it keeps the last modes of u as the next start.

    Parameters
    ----------
    layout : Layout
    nodes : int
        Quadrature nodes for each therapist.
    """

    def __init__(self, layout: Layout, nodes: int) -> None:
        self.layout = layout
        self.parts = layout.partitions()
        self.z, self.log_w = nodes_and_log_weights(nodes)
        self.n_beta = layout.rows.X.shape[1]
        self.n_b = self.n_beta + layout.n_outer
        self._mode = np.zeros(layout.n_inner)

    def split(self, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """B -> (beta, v); v is a single 0 without an outer factor."""
        return b[: self.n_beta], b[self.n_beta :] if self.layout.n_outer else np.zeros(1)

    def value(self, b: FloatArray, sigma: float) -> float:
        """Log-likelihood without binomial constants."""
        beta, v = self.split(b)

        def work(part: tuple[int, int]) -> float:
            return float(
                log_likelihood(*part, self.layout.rows, beta, v, sigma, self.z, self.log_w, self._mode)
            )

        return sum(map_partitions(work, self.parts))

    def evaluate(self, b: FloatArray, sigma: float) -> Evaluation:
        """Value, gradient and negative Hessian in (b, log sigma): shapes (), (B + 1,), (B + 1, B + 1)."""
        beta, v = self.split(b)
        size = beta.size + v.size + 1

        def work(part: tuple[int, int]) -> Evaluation:
            gradient, hessian = np.zeros(size), np.zeros((size, size))
            value = derivatives(
                *part, self.layout.rows, beta, v, sigma, self.z, self.log_w, self._mode, gradient, hessian
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
