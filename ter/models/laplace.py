"""The joint Laplace approximation, one factor or two crossed: what lme4 (nAGQ = 1) and glmmTMB maximise.

    L(beta, sigma) = max over (u, v) of [log p(y | beta, u, v) + log N(u; 0, sigma_u^2) + log N(v; 0,
    sigma_v^2)]
                     - 1/2 log det H + (J + S)/2 log 2 pi

with H the negative Hessian in (u, v) at the mode (Bates et al. 2015; Kristensen et al. 2016). The block of u
in H is diagonal, so that u is eliminated by a Schur complement of the size of the outer factor. The gradient
is exact: it holds the third derivatives that come from log det H, directly and through the modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky

from ter.features.design import FloatArray
from ter.kernels.laplace import (
    cell_sums,
    eliminate,
    fold_cells,
    linear_predictor,
    row_sums,
    schur_complement,
    variances,
)
from ter.models.layout import Layout
from ter.models.newton import Evaluation
from ter.models.parallel import map_partitions
from ter.models.sums import sum_by

MODE_ITERATIONS = 200
MODE_DECREMENT = 1e-11
#: Keeps the information of an SD positive where the effects have shrunk to nothing.
TINY_INFORMATION = 1e-12


@dataclass(eq=False)
class Modes:
    """Conditional modes of the effects and the factorised Hessian at them (u eliminated).

    Attributes
    ----------
    u, v : ndarray, shapes (J,), (S,)
    joint : float
        log p(y, u, v) at the modes, without binomial constants.
    log_det : float
        log det H + J log sigma_u^2 + S log sigma_v^2.
    weight : ndarray, shape (C,)
        Sum of weights of each cell.
    inverse : ndarray, shape (J,)
        Inverse of the diagonal block of u.
    factor : ndarray, shape (S, S)
        Lower Cholesky factor of the Schur complement.
    """

    u: FloatArray
    v: FloatArray
    joint: float
    log_det: float
    weight: FloatArray
    inverse: FloatArray
    factor: FloatArray


class LaplaceLikelihood:
    """The Laplace log-likelihood in (beta, log sigma); it keeps the last modes as the next start."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.parts = layout.partitions()
        self.n_outer = layout.n_outer
        self.cell_inner = np.repeat(np.arange(layout.n_inner), np.diff(layout.rows.unit_cells))
        self._start = (np.zeros(layout.n_inner), np.zeros(max(1, layout.n_outer)))

    # -- algebra with H^-1
    # --------------------------------------------------------------------------------------------

    def _across(self, weight: FloatArray, v: FloatArray) -> FloatArray:
        """C v: from outer to inner."""
        return sum_by(self.cell_inner, weight * v[self.layout.rows.cell_outer], self.layout.n_inner)

    def _down(self, weight: FloatArray, u: FloatArray) -> FloatArray:
        """C' u: from inner to outer."""
        return sum_by(self.layout.rows.cell_outer, weight * u[self.cell_inner], self.n_outer)

    def _solve(self, modes: Modes, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """H^-1 (a, b)."""
        if not self.n_outer:
            return modes.inverse * a, b
        y = cho_solve((modes.factor, True), b - self._down(modes.weight, modes.inverse * a))
        return modes.inverse * (a - self._across(modes.weight, y)), y

    # -- modes
    # --------------------------------------------------------------------------------------------------------

    def _cells(self, fixed: FloatArray, u: FloatArray, v: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        rows = self.layout.rows
        residual = np.zeros(rows.cell_outer.size)
        weight = np.zeros(rows.cell_outer.size)

        def work(part: tuple[int, int]) -> float:
            return float(cell_sums(*part, rows, fixed, u, v, residual, weight))

        return sum(map_partitions(work, self.parts)), residual, weight

    def _factorise(self, weight: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        lay = self.layout
        diagonal = sum_by(self.cell_inner, weight, lay.n_inner) + 1.0 / variance[0]
        inverse = 1.0 / diagonal
        log_det = float(np.log(diagonal * variance[0]).sum())
        if not self.n_outer:
            return inverse, np.zeros((0, 0)), log_det
        schur = np.diag(sum_by(lay.rows.cell_outer, weight, self.n_outer) + 1.0 / variance[1])
        schur_complement(lay.rows, weight, inverse, schur)
        factor = cholesky(schur, lower=True)
        return (
            inverse,
            factor,
            log_det + 2.0 * float(np.log(np.diag(factor)).sum()) + self.n_outer * float(np.log(variance[1])),
        )

    def modes(self, fixed: FloatArray, variance: FloatArray) -> Modes:
        """Modes of (u, v) given x'beta and the variances: damped Newton, started from the last modes."""
        u, v = self._start
        lay = self.layout

        def joint(log_lik: float, u: FloatArray, v: FloatArray) -> float:
            outer = float(v @ v) / float(variance[1]) if self.n_outer else 0.0
            return log_lik - 0.5 * (float(u @ u) / float(variance[0]) + outer)

        log_lik, residual, weight = self._cells(fixed, u, v)
        value = joint(log_lik, u, v)
        near = False
        for _ in range(MODE_ITERATIONS):
            inverse, factor, log_det = self._factorise(weight, variance)
            modes = Modes(u, v, value, log_det, weight, inverse, factor)
            if near:
                break
            a = sum_by(self.cell_inner, residual, lay.n_inner) - u / variance[0]
            b = (
                sum_by(lay.rows.cell_outer, residual, self.n_outer) - v / variance[1]
                if self.n_outer
                else np.zeros(1)
            )
            du, dv = self._solve(modes, a, b)
            # log det H is of first order in the modes, so that a last step is taken where Newton's method
            # squares the error.
            near = float(a @ du + b @ dv) < MODE_DECREMENT
            length = 1.0
            while True:
                log_lik, residual, weight = self._cells(fixed, u + length * du, v + length * dv)
                trial = joint(log_lik, u + length * du, v + length * dv)
                if near or trial >= value - 1e-12 * (1.0 + abs(value)) or length < 1e-8:
                    break
                length *= 0.5
            u, v, value = u + length * du, v + length * dv, trial
        self._start = (modes.u, modes.v)
        return modes

    def effects(self, beta: FloatArray, variance: FloatArray) -> tuple[Modes, FloatArray, FloatArray]:
        """Modes at given parameters, and the variances of u (J,) and of v (S,) there."""
        modes = self.modes(self._fixed(beta), variance)
        outer_inverse = self._outer_inverse(modes)
        inner_variance, _ = self._variances(modes, outer_inverse)
        return modes, inner_variance, np.diag(outer_inverse)[: self.n_outer]

    def _outer_inverse(self, modes: Modes) -> FloatArray:
        """Inverse of the Schur complement; a single 0 without an outer factor."""
        return (
            np.asarray(cho_solve((modes.factor, True), np.eye(self.n_outer)))
            if self.n_outer
            else np.zeros((1, 1))
        )

    def _variances(self, modes: Modes, outer_inverse: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Variances of u (J,), and of u + v for each cell (C,)."""
        lay = self.layout
        inner, cells = np.empty(lay.n_inner), np.empty(lay.rows.cell_outer.size)
        variances(lay.rows, modes.weight, modes.inverse, outer_inverse, inner, cells)
        return inner, cells

    # -- the marginal likelihood
    # ----------------------------------------------------------------------------------------

    def _fixed(self, beta: FloatArray) -> FloatArray:
        lay = self.layout
        out = np.empty(lay.rows.y.size)
        map_partitions(lambda part: linear_predictor(*part, lay.rows, beta, out), self.parts)
        return out

    def split(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Parameters -> (beta, variances)."""
        P = self.layout.rows.X.shape[1]
        return x[:P], np.exp(2.0 * x[P:])

    def value(self, x: FloatArray) -> float:
        """Laplace log-likelihood at (beta, log sigma), without binomial constants."""
        beta, variance = self.split(x)
        modes = self.modes(self._fixed(beta), variance)
        return modes.joint - 0.5 * modes.log_det

    def gradient(self, x: FloatArray) -> FloatArray:
        """Exact gradient at (beta, log sigma), shape (P + F,)."""
        return self._derivatives(x, with_information=False)[1]

    def evaluate(self, x: FloatArray) -> Evaluation:
        """Value, exact gradient and approximate information at (beta, log sigma)."""
        return self._derivatives(x, with_information=True)

    def _derivatives(self, x: FloatArray, *, with_information: bool) -> Evaluation:
        """Value and gradient, and the information or zeros."""
        lay = self.layout
        J, S, C, P = lay.n_inner, self.n_outer, lay.rows.cell_outer.size, lay.rows.X.shape[1]
        beta, variance = self.split(x)
        fixed = self._fixed(beta)
        modes = self.modes(fixed, variance)
        outer_inverse = self._outer_inverse(modes)
        inner_variance, leverage = self._variances(modes, outer_inverse)
        third = np.zeros(C)
        weighted = np.zeros((C, P))

        def work(part: tuple[int, int]) -> tuple[FloatArray, FloatArray, FloatArray]:
            gradient, third_x, information = np.zeros(P), np.zeros(P), np.zeros((P, P))
            row_sums(
                *part, lay.rows, fixed, modes.u, modes.v, leverage,
                third, weighted, gradient, third_x, information, with_information,
            )  # fmt: skip
            return gradient, third_x, information

        sums = map_partitions(work, self.parts)
        gradient_x = np.sum([s[0] for s in sums], axis=0)
        third_x = np.sum([s[1] for s in sums], axis=0)
        inner, outer = np.zeros((J, P)), np.zeros((max(1, S), P))
        fold_cells(lay.rows, weighted, inner, outer)

        # How log det H moves with the modes: (sa, sb) = H^-1 (sums of leverage x third derivative).
        push = leverage * third
        sa, sb = self._solve(
            modes, sum_by(self.cell_inner, push, J), sum_by(lay.rows.cell_outer, push, max(1, S))
        )
        shrink = 1.0 - inner_variance / variance[0]
        gradient = np.empty(x.size)
        gradient[:P] = gradient_x - 0.5 * (third_x - inner.T @ sa)
        # In log sigma: twice the derivative in log sigma^2.
        gradient[P] = float(modes.u @ modes.u - sa @ modes.u) / variance[0] - float(shrink.sum())
        information = np.zeros((x.size, x.size))
        # In the SDs by Fisher scoring, in beta by eliminating the effects.
        information[P, P] = 2.0 * float((shrink**2).sum()) + TINY_INFORMATION
        if S:
            shrink_outer = 1.0 - np.diag(outer_inverse) / variance[1]
            gradient[:P] += 0.5 * outer.T @ sb
            gradient[P + 1] = float(modes.v @ modes.v - sb @ modes.v) / variance[1] - float(
                shrink_outer.sum()
            )
            information[P + 1, P + 1] = 2.0 * float((shrink_outer**2).sum()) + TINY_INFORMATION
        if with_information:
            lower = np.sum([s[2] for s in sums], axis=0)
            information[:P, :P] = lower + np.tril(lower, -1).T - (inner.T * modes.inverse) @ inner
            if S:
                eliminate(lay.rows, modes.weight, modes.inverse, inner, outer)
                information[:P, :P] -= outer.T @ cho_solve((modes.factor, True), outer)
        return modes.joint - 0.5 * modes.log_det, gradient, information
