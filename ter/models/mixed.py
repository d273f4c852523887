"""The joint Laplace approximation with any number of crossed factors, one of which may have slopes.

What `ter.models.laplace` is for one factor or two, this is for a severity slope and for a third factor: the
likelihood that lme4 (nAGQ = 1) and glmmTMB maximise. Effects are in units of their prior, b = L z with z ~
N(0, I) and L L' their covariance (Bates et al. 2015), so that nothing breaks down where an SD is zero or a
correlation is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpotri
from scipy.special import expit

from ter.features.design import FloatArray, Grouping
from ter.kernels.mixed import eliminate_inner, row_covariances
from ter.models.layout import Layout
from ter.models.levels import outer_levels
from ter.models.slope import cholesky_of
from ter.models.sums import sum_by

MODE_ITERATIONS = 200
MODE_DECREMENT = 1e-17


@dataclass(frozen=True, eq=False)
class Blocks:
    """The Hessian in the effects, as in `ter.kernels.mixed`; factor is Cholesky's of the Schur complement."""

    inverse: FloatArray
    cross: FloatArray
    factor: FloatArray
    log_det: float


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes of the effects in units of their prior, and what was found there.

    Attributes
    ----------
    inner, outer : ndarray, shapes (J, d), (S,)
    value : float
        The Laplace log-likelihood.
    residual, weight, rate : ndarray, shape (N,)
        y - n p, n p (1 - p) and p.
    hessian : Blocks
    """

    inner: FloatArray
    outer: FloatArray
    value: float
    residual: FloatArray
    weight: FloatArray
    rate: FloatArray
    hessian: Blocks


class MixedLikelihood:
    """The Laplace log-likelihood in (beta, theta); it keeps the last modes as the next start.

    theta holds log sigma of each factor, the inner one first; with slopes (log a, b, log c) stand in its
    first place, the Cholesky factor [[a, 0], [b, c]] of the covariance of (u, w).

    Parameters
    ----------
    layout : Layout
        Sorted by the inner factor; its outer factor is not looked at.
    outer : tuple of Grouping
        The other factors, in the order of the design's rows.
    severity : ndarray or None, shape (N,)
        What slopes are multiplied by, in the order of the design's rows.
    """

    def __init__(self, layout: Layout, outer: tuple[Grouping, ...], severity: FloatArray | None) -> None:
        rows = layout.rows
        self.layout = layout
        self.n = rows.y.size
        self.unit = np.repeat(np.arange(layout.n_inner), np.diff(rows.row_ptr))
        self.raw = np.ones((self.n, 1 if severity is None else 2))
        if severity is not None:
            self.raw[:, 1] = severity[layout.order]
        found = outer_levels(layout, outer)
        self.outer, self.place = found.levels, found.place
        self.column_ptr, self.columns = found.column_ptr, found.columns
        self.term, self.n_outer = found.factor, found.factor.size
        self.owner = np.repeat(np.arange(layout.n_inner), np.diff(self.column_ptr))
        self._start = (np.zeros((layout.n_inner, self.d)), np.zeros(self.n_outer))
        self._held: Blocks | None = None

    @property
    def d(self) -> int:
        """Effects of an inner level."""
        return int(self.raw.shape[1])

    def split(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Parameters -> (beta, L of the inner factor (d, d), SDs of the outer factors (T,))."""
        T = self.outer.shape[1]
        P = self.layout.rows.X.shape[1]
        theta = x[P : x.size - T]
        return x[:P], cholesky_of(theta), np.exp(x[x.size - T :])

    def evaluate(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Laplace log-likelihood, without binomial constants, and its exact gradient."""
        beta, L, scale = self.split(x)
        rows, T, d = self.layout.rows, self.outer.shape[1], self.d
        inner = self.raw @ L
        m = self.modes(rows.X @ beta, inner, scale)
        outer_inverse = self._outer_inverse(m.hessian)
        variance = np.empty((self.layout.n_inner, d, d))
        pull, outer_pull = np.empty((self.n, d)), np.empty((self.n, T))
        row_covariances(
            rows.row_ptr, inner, scale, self.outer, self.place, self.column_ptr, self.columns,
            m.hessian.inverse, m.hessian.cross, outer_inverse, variance, pull, outer_pull,
        )  # fmt: skip
        # How log det H moves with each row's linear predictor: by its own weight, and by the modes.
        leverage = (inner * pull).sum(axis=1) + outer_pull @ scale
        push = m.weight * (1.0 - 2.0 * m.rate) * leverage
        s_inner, s_outer = self._solve(m.hessian, *self._back(push, inner, scale))
        through = (inner * s_inner[self.unit]).sum(axis=1) + s_outer[self.outer] @ scale
        r = m.residual - 0.5 * (push - m.weight * through)
        parts = [rows.X.T @ r]
        z = m.inner[self.unit]
        G = self.raw.T @ (
            r[:, None] * z - 0.5 * m.residual[:, None] * s_inner[self.unit] - m.weight[:, None] * pull
        )
        if d == 1:
            parts.append(L[0] * G[0])
        else:
            parts.append(np.array([L[0, 0] * G[0, 0], G[1, 0], L[1, 1] * G[1, 1]]))
        for t in range(T):
            levels = self.outer[:, t]
            g = r * m.outer[levels] - 0.5 * m.residual * s_outer[levels] - m.weight * outer_pull[:, t]
            parts.append(scale[t : t + 1] * g.sum())
        return m.value, np.concatenate(parts)

    def effects(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Modes and covariances of inner effects (J, d), (J, d, d); modes, variances of outer ones (S,)."""
        beta, L, scale = self.split(x)
        rows = self.layout.rows
        inner = self.raw @ L
        m = self.modes(rows.X @ beta, inner, scale)
        outer_inverse = self._outer_inverse(m.hessian)
        variance = np.empty((self.layout.n_inner, self.d, self.d))
        row_covariances(
            rows.row_ptr, inner, scale, self.outer, self.place, self.column_ptr, self.columns,
            m.hessian.inverse, m.hessian.cross, outer_inverse, variance,
            np.empty_like(inner), np.empty(self.outer.shape),
        )  # fmt: skip
        by_column = scale[self.term]
        return m.inner @ L.T, L @ variance @ L.T, by_column * m.outer, by_column**2 * np.diag(outer_inverse)

    def modes(self, fixed: FloatArray, inner: FloatArray, scale: FloatArray) -> Modes:
        """Modes of the effects given x'beta: damped Newton, started from the last modes."""
        rows = self.layout.rows
        a, b = self._start

        def joint(a: FloatArray, b: FloatArray) -> tuple[float, FloatArray]:
            eta = fixed + (inner * a[self.unit]).sum(axis=1) + b[self.outer] @ scale
            log_lik = rows.y @ eta - rows.trials @ np.logaddexp(0.0, eta)
            return float(log_lik) - 0.5 * float((a * a).sum() + b @ b), eta

        value, eta = joint(a, b)
        held, last = self._held, np.inf
        for _ in range(MODE_ITERATIONS):
            rate = expit(eta)
            residual, weight = rows.y - rows.trials * rate, rows.trials * rate * (1.0 - rate)
            ga, gb = self._back(residual, inner, scale)
            ga, gb = ga - a, gb - b
            # Steps by the Hessian of the last evaluation, while they do: factorising one takes longest.
            if held is None:
                held = self._blocks(weight, inner, scale)
            da, db = self._solve(held, ga, gb)
            decrement = float((ga * da).sum() + gb @ db)
            if decrement < MODE_DECREMENT:
                break
            if decrement > 0.1 * last:
                held, last = None, np.inf
                continue
            last, length = decrement, 1.0
            while True:
                trial, eta = joint(a + length * da, b + length * db)
                if trial >= value - 1e-12 * (1.0 + abs(value)) or length < 1e-8:
                    break
                length *= 0.5
            a, b, value = a + length * da, b + length * db, trial
        # log det H is of first order in the modes: one more step takes their error to that of rounding.
        a, b = a + da, b + db
        value, eta = joint(a, b)
        rate = expit(eta)
        residual, weight = rows.y - rows.trials * rate, rows.trials * rate * (1.0 - rate)
        blocks = self._blocks(weight, inner, scale)
        self._start, self._held = (a, b), blocks
        return Modes(a, b, value - 0.5 * blocks.log_det, residual, weight, rate, blocks)

    def _blocks(self, weight: FloatArray, inner: FloatArray, scale: FloatArray) -> Blocks:
        """The Hessian in the effects for given weights of the rows."""
        inverse = np.empty((self.layout.n_inner, self.d, self.d))
        cross = np.empty((self.columns.size, self.d))
        schur = np.eye(self.n_outer)
        log_det = eliminate_inner(
            self.layout.rows.row_ptr, inner, scale, self.outer, self.place, self.column_ptr, self.columns,
            weight, inverse, cross, schur,
        )  # fmt: skip
        factor = cholesky(schur, lower=True) if self.n_outer else schur
        return Blocks(inverse, cross, factor, log_det + 2.0 * float(np.log(np.diag(factor)).sum()))

    def _back(
        self, values: FloatArray, inner: FloatArray, scale: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """From rows to effects: sums of values times what the effects are multiplied by."""
        J = self.layout.n_inner
        a = np.column_stack([sum_by(self.unit, values * inner[:, e], J) for e in range(self.d)])
        b = np.zeros(self.n_outer)
        for t in range(self.outer.shape[1]):
            b += sum_by(self.outer[:, t], values * scale[t], self.n_outer)
        return a, b

    def _solve(self, m: Blocks, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """H^-1 (a, b)."""
        eliminated = np.einsum("jef,jf->je", m.inverse, a)
        if not self.n_outer:
            return eliminated, b
        n = self.owner.size
        down = sum_by(self.columns[:n], (m.cross[:n] * eliminated[self.owner]).sum(axis=1), self.n_outer)
        y = cho_solve((m.factor, True), b - down)
        across = m.cross[:n] * y[self.columns[:n], None]
        back = np.column_stack([sum_by(self.owner, across[:, e], self.layout.n_inner) for e in range(self.d)])
        return np.einsum("jef,jf->je", m.inverse, a - back), y

    def _outer_inverse(self, m: Blocks) -> FloatArray:
        """Inverse of the Schur complement, shape (S, S)."""
        if not self.n_outer:
            return np.zeros((0, 0))
        lower, _ = dpotri(m.factor, lower=1)
        lower = np.tril(lower)
        return np.ascontiguousarray(lower + np.tril(lower, -1).T)
