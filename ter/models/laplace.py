"""The joint Laplace approximation, one factor or two crossed: what lme4 (nAGQ = 1) and glmmTMB maximise.

    L(beta, sigma) = max over (u, v) of [log p(y | beta, u, v) + log N(u; 0, sigma_u^2) + log N(v; 0,
    sigma_v^2)]
                     - 1/2 log det H + (J + S)/2 log 2 pi

with H the negative Hessian in (u, v) at the mode (Bates et al. 2015; Kristensen et al. 2016). The block of u
in H is diagonal, so that u is eliminated by a Schur complement of the size of the outer factor. Gradient and
Hessian are exact: they hold what comes from log det H, directly and through the modes, by implicit
differentiation of the modes' equations (docs/inference.md has the formulas).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import cho_solve, cholesky

from ter.features.design import FloatArray
from ter.kernels.crossed import (
    across,
    add_levels,
    eliminate,
    hessian_changes,
    reduce_inner,
    substitute,
    sum_cells,
    variances,
)
from ter.kernels.laplace import cell_sums, linear_predictor, row_gradient, row_sums
from ter.kernels.parallel import map_partitions
from ter.models.laplace_point import Cells, Factor, Hessian, Modes, Point
from ter.models.layout import Layout
from ter.models.newton import Evaluation

MODE_ITERATIONS = 200
#: Newton decrement of the modes below which the cells' sums follow a last step to first order, with few rows
#: and with many. What is left of the log-likelihood is below a tenth of it with few rows, and with many below
#: a hundredth; of the gradient, below its square root times as much, in standard errors.
MODE_DECREMENTS = (1e-9, 1e-5)
#: Keeps the information of an SD positive where the effects have shrunk to nothing.
TINY_INFORMATION = 1e-12
#: Shares of the work on cells, which costs a small part of what a pass over rows does, and rows to a share.
MAX_SHARES = 8
ROWS_A_SHARE = 40_000
#: Numbers that the shares of the work on the Hessian may hold between them.
SHARED_NUMBERS = 4_000_000


class LaplaceLikelihood:
    """The Laplace log-likelihood in (beta, log sigma); it keeps the last modes as the next start.

    Parameters
    ----------
    layout : Layout
    v : ndarray, shape (S,), optional
        Where the search for the modes of the outer factor starts.
    """

    def __init__(self, layout: Layout, v: FloatArray | None = None) -> None:
        self.layout = layout
        self.parts = layout.partitions()
        self.shares = layout.partitions(MAX_SHARES, ROWS_A_SHARE)
        self.n_outer = layout.n_outer
        self.decrement = MODE_DECREMENTS[not layout.is_small]
        self.cell_inner = np.repeat(np.arange(layout.n_inner), np.diff(layout.rows.unit_cells))
        self._start = (np.zeros(layout.n_inner), np.zeros(max(1, layout.n_outer)) if v is None else v)
        self._moves: tuple[FloatArray, FloatArray] | None = None
        self._last: tuple[FloatArray, FloatArray, Modes] | None = None

    # -- algebra with H^-1
    # --------------------------------------------------------------------------------------------

    def _solve(self, modes: Modes, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """H^-1 (a, b) for a (J, n), which is overwritten, and b (S, n)."""
        rows = self.layout.rows
        if not self.n_outer:
            return modes.inverse[:, None] * a, np.zeros_like(b)

        def work(part: tuple[int, int]) -> tuple[FloatArray]:
            taken = np.zeros_like(b)
            eliminate(*part, rows, modes.weight, modes.inverse, a, taken)
            return (taken,)

        (taken,) = _total(map_partitions(work, self.shares))
        return self._substitute(modes, a, b + taken)

    def _substitute(self, modes: Modes, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """H^-1 (a, b) where a (J, n), which is overwritten, has been eliminated from b (S, n)."""
        rows = self.layout.rows
        b = np.ascontiguousarray(cho_solve((modes.factor, True), b))
        map_partitions(lambda part: substitute(*part, rows, modes.weight, modes.inverse, a, b), self.shares)
        return a, b

    def _by_level(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Cells' values (C,) summed by inner level (J,) and by outer level (S,)."""
        inner = np.empty(self.layout.n_inner)

        def work(part: tuple[int, int]) -> tuple[FloatArray]:
            outer = np.zeros(max(1, self.n_outer))
            sum_cells(*part, self.layout.rows, values, inner, outer)
            return (outer,)

        return inner, _total(map_partitions(work, self.shares))[0]

    def _to_cells(self, inner: FloatArray, outer: FloatArray) -> FloatArray:
        """Levels' values (J,) and (S,), added for each cell (C,)."""
        values = np.empty(self.layout.rows.cell_outer.size)
        map_partitions(lambda part: add_levels(*part, self.layout.rows, inner, outer, values), self.shares)
        return values

    # -- modes
    # --------------------------------------------------------------------------------------------------------

    def _cells(self, fixed: FloatArray, u: FloatArray, v: FloatArray) -> tuple[float, Cells]:
        rows = self.layout.rows
        cells = Cells(*np.empty((5, rows.cell_outer.size)))

        def work(part: tuple[int, int]) -> float:
            return float(
                cell_sums(
                    *part,
                    rows,
                    fixed,
                    u,
                    v,
                    cells.offset,
                    cells.residual,
                    cells.weight,
                    cells.third,
                    cells.fourth,
                )
            )

        return sum(map_partitions(work, self.parts)), cells

    def _reduce(
        self, u: FloatArray, v: FloatArray, joint: float, variance: FloatArray, cells: Cells
    ) -> tuple[Modes, FloatArray, FloatArray]:
        """H in factors, and the gradient in u (J,) and, with u eliminated, in v (S,)."""
        rows, S = self.layout.rows, max(1, self.n_outer)
        precision = 1.0 / float(variance[0])
        inverse, inner = np.empty((2, self.layout.n_inner))

        def work(part: tuple[int, int]) -> tuple[FloatArray, ...]:
            schur, outer = np.zeros((S, S)), np.zeros(S)
            log_det = reduce_inner(
                *part, rows, cells.weight, cells.residual, u, precision, inverse, inner, schur, outer
            )
            return np.array([log_det]), schur, outer

        log_dets, schur, outer = _total(map_partitions(work, self.shares))
        log_det, factor = float(log_dets[0]), np.zeros((0, 0))
        if self.n_outer:
            factor = cholesky(schur + np.eye(S) / variance[1], lower=True)
            log_det += 2.0 * float(np.log(np.diag(factor)).sum()) + S * float(np.log(variance[1]))
            outer -= v / variance[1]
        modes = Modes(u, v, joint, log_det, cells.offset, cells.weight, cells.third, inverse, factor)
        return modes, inner, outer

    def modes(self, fixed: FloatArray, variance: FloatArray) -> Modes:
        """Modes of (u, v) given x'beta and the variances: damped Newton, started from the last modes."""
        u, v = self._start

        def joint(log_lik: float, u: FloatArray, v: FloatArray) -> float:
            outer = float(v @ v) / float(variance[1]) if self.n_outer else 0.0
            return log_lik - 0.5 * (float(u @ u) / float(variance[0]) + outer)

        log_lik, cells = self._cells(fixed, u, v)
        value = joint(log_lik, u, v)
        for _ in range(MODE_ITERATIONS):
            modes, a, b = self._reduce(u, v, value, variance, cells)
            du, dv = modes.inverse * a, np.zeros(1)
            decrement = float(a @ du)
            if self.n_outer:
                left, right = self._substitute(modes, a[:, None], b[:, None])
                du, dv = left[:, 0], right[:, 0]
                decrement += float(b @ dv)
            if decrement < self.decrement:
                modes = self._last_step(modes, cells, variance, du, dv, decrement)
                break
            length = 1.0
            while True:
                log_lik, cells = self._cells(fixed, u + length * du, v + length * dv)
                trial = joint(log_lik, u + length * du, v + length * dv)
                if trial >= value - 1e-12 * (1.0 + abs(value)) or length < 1e-8:
                    break
                length *= 0.5
            u, v, value = u + length * du, v + length * dv, trial
        self._start = (modes.u, modes.v)
        return modes

    def _last_step(
        self,
        modes: Modes,
        cells: Cells,
        variance: FloatArray,
        du: FloatArray,
        dv: FloatArray,
        decrement: float,
    ) -> Modes:
        """Take a step that is so short that sums over rows follow it to first order."""
        moved = self._to_cells(du, dv)
        after = replace(
            cells,
            offset=cells.offset + moved,
            weight=cells.weight + cells.third * moved,
            third=cells.third + cells.fourth * moved,
        )
        return self._reduce(modes.u + du, modes.v + dv, modes.joint + 0.5 * decrement, variance, after)[0]

    def modes_at(self, x: FloatArray) -> Modes:
        """Modes at (beta, log sigma)."""
        return self._modes_at(x)[1]

    def effects(self, x: FloatArray) -> tuple[Modes, FloatArray, FloatArray]:
        """Modes at given parameters, and the variances of u (J,) and of v (S,) there."""
        _, modes = self._modes_at(x)
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
        map_partitions(
            lambda part: variances(*part, lay.rows, modes.weight, modes.inverse, outer_inverse, inner, cells),
            self.shares,
        )
        return inner, cells

    def _modes_at(self, x: FloatArray) -> tuple[FloatArray, Modes]:
        """X'beta and the modes at (beta, log sigma); the search starts where the last moves lead."""
        if self._last is not None and np.array_equal(self._last[0], x):
            return self._last[1], self._last[2]
        beta, variance = self.split(x)
        fixed = np.empty(self.layout.rows.y.size)
        map_partitions(lambda part: linear_predictor(*part, self.layout.rows, beta, fixed), self.parts)
        if self._moves is not None and self._last is not None:
            (u, v), step = self._start, x - self._last[0]
            self._start = (u + self._moves[0] @ step, v + self._moves[1] @ step)
        modes = self.modes(fixed, variance)
        self._last = (x.copy(), fixed, modes)
        return fixed, modes

    # -- the marginal likelihood
    # ----------------------------------------------------------------------------------------

    @property
    def outer_move(self) -> FloatArray | None:
        """How the modes of v moved with the parameters where that was last evaluated, shape (S, n)."""
        return None if self._moves is None else self._moves[1]

    def split(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Parameters -> (beta, variances)."""
        P = self.layout.rows.X.shape[1]
        return x[:P], np.exp(2.0 * x[P:])

    def value(self, x: FloatArray) -> float:
        """Laplace log-likelihood at (beta, log sigma), without binomial constants."""
        _, modes = self._modes_at(x)
        return modes.joint - 0.5 * modes.log_det

    def evaluate(self, x: FloatArray) -> Evaluation:
        """Value, exact gradient and an information that is positive definite everywhere.

        In beta it is exact but for log det H; in the SDs it is that of Fisher scoring.
        """
        return self._derivatives(x, Hessian.POSITIVE)

    def evaluate_closely(self, x: FloatArray) -> Evaluation:
        """Value, exact gradient, and nearly the negative Hessian, for a step near the maximum."""
        return self._derivatives(x, Hessian.CLOSE)

    def evaluate_exactly(self, x: FloatArray) -> Evaluation:
        """Value, exact gradient and the exact negative Hessian at (beta, log sigma)."""
        return self._derivatives(x, Hessian.EXACT)

    def gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Value and exact gradient."""
        at = self._at(x)
        rows, P = self.layout.rows, self.layout.rows.X.shape[1]

        def work(part: tuple[int, int]) -> tuple[FloatArray]:
            gradient = np.zeros(P)
            row_gradient(*part, rows, at.fixed, at.modes.offset, at.leverage, at.cell_shift, gradient)
            return (gradient,)

        (gradient_x,) = _total(map_partitions(work, self.parts))
        return at.value, np.concatenate([gradient_x, at.gradient_log_sd])

    def _at(self, x: FloatArray) -> Point:
        """Modes, leverages, and all that follows from them without a further pass over the rows."""
        _, variance = self.split(x)
        fixed, modes = self._modes_at(x)
        outer_inverse = self._outer_inverse(modes)
        inner_variance, leverage = self._variances(modes, outer_inverse)
        # How log det H moves with the modes: (su, sv) = H^-1 (sums of leverage x third derivative).
        a, b = self._by_level(leverage * modes.third)
        su, sv = (part[:, 0] for part in self._solve(modes, a[:, None], b[:, None]))
        factors = [Factor(modes.u, su, inner_variance, float(variance[0]))]
        if self.n_outer:
            factors.append(Factor(modes.v, sv, np.diag(outer_inverse), float(variance[1])))
        return Point(
            modes.joint - 0.5 * modes.log_det, fixed, modes, outer_inverse, leverage,
            self._to_cells(su, sv), tuple(factors),
        )  # fmt: skip

    def curvature_of_outer(self, x: FloatArray) -> FloatArray:
        """Second derivatives of 1/2 log det A in (beta, log sigma), A the outer factor's Schur complement.

        What the Laplace approximation over v alone adds to the information of a likelihood in which u is
        integrated otherwise.
        """
        at = self._at(x)
        modes = at.modes
        leverage = at.leverage - modes.inverse[self.cell_inner]
        a, b = self._by_level(leverage * modes.third)
        su, sv = (part[:, 0] for part in self._solve(modes, a[:, None], b[:, None]))
        inner, outer = at.factors
        part = replace(
            at,
            leverage=leverage,
            cell_shift=self._to_cells(su, sv),
            factors=(
                replace(inner, shift=su, effect_variance=inner.effect_variance - modes.inverse),
                replace(outer, shift=sv),
            ),
        )
        return self._derivatives_at(part, x.size, Hessian.EXACT, joint=0.0)[2]

    def _derivatives(self, x: FloatArray, hessian: Hessian) -> Evaluation:
        """Value, gradient, and the Hessian or an approximation."""
        return self._derivatives_at(self._at(x), x.size, hessian, joint=1.0)

    def _derivatives_at(self, at: Point, n: int, hessian: Hessian, *, joint: float) -> Evaluation:
        """Value, gradient, and the Hessian: of the joint density and log det H, or of log det A alone.

        Parameters
        ----------
        at : Point
        n : int
            Parameters.
        hessian : Hessian
        joint : float
            1; 0 for the second derivatives of 1/2 log det A, with the leverages that come from A.
        """
        lay, rows = self.layout, self.layout.rows
        J, S, C, P = lay.n_inner, max(1, self.n_outer), rows.cell_outer.size, rows.X.shape[1]
        modes = at.modes
        inner, inner_omega = np.zeros((2, J, P))
        cell_k, cell_omega = np.zeros((C, P)), np.zeros(C)

        def work(part: tuple[int, int]) -> tuple[FloatArray, ...]:
            gradient, information = np.zeros(P), np.zeros((P, P))
            outer, outer_omega = np.zeros((2, S, P))
            row_sums(
                *part, rows, at.fixed, modes.offset, at.leverage, at.cell_shift,
                float(hessian is not Hessian.POSITIVE), joint, gradient, information, inner, outer,
                inner_omega, outer_omega, cell_k, cell_omega,
            )  # fmt: skip
            return gradient, information, outer, outer_omega

        gradient_x, lower, outer, outer_omega = _total(map_partitions(work, self.parts))

        # Sums of w x become right-hand sides, and these the moves of the modes.
        move_u, move_v = np.zeros((J, n)), np.zeros((S, n))
        move_u[:, :P], move_v[:, :P] = -inner, -outer
        for move, k in zip((move_u, move_v), range(len(at.factors)), strict=False):
            move[:, P + k] = 2.0 / at.factors[k].variance * at.factors[k].effect
        move_u, move_v = self._solve(modes, move_u, move_v)
        self._moves = (move_u, move_v)
        gradient = np.concatenate([gradient_x, at.gradient_log_sd])
        information = np.zeros((n, n))
        information[:P, :P] = np.tril(lower) + np.tril(lower, -1).T
        if hessian is Hessian.POSITIVE:
            # In beta by eliminating the effects, in the SDs by Fisher scoring.
            information[:P, :P] += inner.T @ move_u[:, :P] + outer.T @ move_v[:, :P]
            for k, factor in enumerate(at.factors):
                information[P + k, P + k] = 2.0 * float((factor.shrink**2).sum()) + TINY_INFORMATION
            return at.value, gradient, information

        # The sum over rows of omega t t', t = x + move_u + move_v.
        mixed = np.zeros((n, n))
        mixed[:P] = inner_omega.T @ move_u + outer_omega.T @ move_v
        omega_u, omega_v = self._by_level(cell_omega)
        between = np.zeros((J, n))
        map_partitions(lambda part: across(*part, rows, cell_omega, move_v, between), self.shares)
        mixed += between.T @ move_u
        information += mixed + mixed.T
        information += move_u.T @ (omega_u[:, None] * move_u) + move_v.T @ (omega_v[:, None] * move_v)
        # Prior terms: each log sigma scales the precision of its factor by exp(-2 log sigma).
        for k, (factor, move) in enumerate(zip(at.factors, (move_u, move_v), strict=False)):
            information += joint * (move.T @ move) / factor.variance
            pull = -2.0 / factor.variance * (move.T @ (joint * factor.effect - 0.5 * factor.shift))
            information[P + k] += pull
            information[:, P + k] += pull
            information[P + k, P + k] += (
                2.0
                / factor.variance
                * float(factor.effect @ (joint * factor.effect - factor.shift) + factor.effect_variance.sum())
            )
        if hessian is Hessian.CLOSE:
            information[P:, P:] -= 0.5 * self._trace(
                at, np.zeros((C, 0)), move_u[:, P:].copy(), move_v[:, P:].copy(), joint, crossed=False
            )
        else:
            information -= 0.5 * self._trace(at, cell_k, move_u, move_v, joint, crossed=self.n_outer > 0)
        return at.value, gradient, 0.5 * (information + information.T)

    def _trace(
        self,
        at: Point,
        cell_k: FloatArray,
        move_u: FloatArray,
        move_v: FloatArray,
        inner_share: float,
        *,
        crossed: bool,
    ) -> FloatArray:
        """tr(H^-1 dH/da H^-1 dH/db) over all pairs of parameters: shape (n, n).

        Without an inner share, D's own part is left out: what remains is that of log det A. Unless `crossed`,
        C's part is.
        """
        modes, rows = at.modes, self.layout.rows
        S, P, n = at.outer_inverse.shape[0], cell_k.shape[1], move_u.shape[1]
        prior = np.zeros(n)
        prior[P] = -2.0 / at.factors[0].variance

        def work(part: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
            levels, cells = slice(*part), slice(*rows.unit_cells[list(part)])
            diagonal = np.empty((part[1] - part[0], n))
            moved, solved = np.empty((2, cells.stop - cells.start, n))
            change = np.zeros((S, S, n))
            hessian_changes(
                *part, rows, modes.weight, modes.third, cell_k, modes.inverse, at.outer_inverse, crossed,
                prior, move_u, move_v, diagonal, moved, solved, change,
            )  # fmt: skip
            trace = inner_share * diagonal.T @ (modes.inverse[levels, None] ** 2 * diagonal)
            if crossed:
                trace += 2.0 * moved.T @ (modes.inverse[self.cell_inner[cells], None] * solved)
            return trace, change

        shares = int(np.clip(SHARED_NUMBERS // (S * S * n), 1, MAX_SHARES))
        trace, change = _total(map_partitions(work, self.layout.partitions(shares)))
        if self.n_outer:
            change = np.ascontiguousarray(np.moveaxis(change, 2, 0))
            change += change.transpose(0, 2, 1)
            np.einsum("ss->s", change[P + 1])[:] -= 2.0 / at.factors[1].variance
            turned = at.outer_inverse @ change
            trace += turned.reshape(n, -1) @ turned.transpose(0, 2, 1).reshape(n, -1).T
        return trace


def _total(parts: list[tuple[FloatArray, ...]]) -> tuple[FloatArray, ...]:
    """Parts' arrays, added up in the order of the parts."""
    first, *others = parts
    for part in others:
        for total, more in zip(first, part, strict=True):
            total += more
    return first
