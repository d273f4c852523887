"""What is known of the joint Laplace approximation at a point, and which Hessian is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from ter.features.design import FloatArray


class Hessian(Enum):
    """Which matrix an evaluation returns as minus the Hessian."""

    #: Positive definite everywhere: exact in beta but for log det H, Fisher scoring in the SDs.
    POSITIVE = "positive"
    #: Exact but for the trace, of which there is what the SDs do to H's diagonal.
    CLOSE = "close"
    EXACT = "exact"


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums over each cell's rows, all of shape (C,).

    Attributes
    ----------
    offset : ndarray
        u + v.
    residual, weight, third, fourth : ndarray
        The first four derivatives of the log-likelihood in the linear predictor, the last three with their
        sign changed.
    """

    offset: FloatArray
    residual: FloatArray
    weight: FloatArray
    third: FloatArray
    fourth: FloatArray


@dataclass(eq=False)
class Modes:
    """Conditional modes of the effects and the factorised Hessian at them (u eliminated).

    Attributes
    ----------
    u, v : ndarray, shapes (J,), (S,)
        v is a single 0 without an outer factor.
    joint : float
        log p(y, u, v) at the modes, without binomial constants.
    log_det : float
        log det H + J log sigma_u^2 + S log sigma_v^2.
    offset, weight, third : ndarray, shape (C,)
        u + v, and sums of the weights and of their derivatives, by cell.
    inverse : ndarray, shape (J,)
        Inverse of the diagonal block of u.
    factor : ndarray, shape (S, S)
        Lower Cholesky factor of the Schur complement.
    """

    u: FloatArray
    v: FloatArray
    joint: float
    log_det: float
    offset: FloatArray
    weight: FloatArray
    third: FloatArray
    inverse: FloatArray
    factor: FloatArray


@dataclass(frozen=True, eq=False)
class Factor:
    """One factor's effects at their modes.

    Attributes
    ----------
    effect : ndarray, shape (L,)
    shift : ndarray, shape (L,)
        Its part of H^-1 (sums of leverage x third derivative).
    effect_variance : ndarray, shape (L,)
        Variances under H^-1.
    variance : float
        sigma^2.
    """

    effect: FloatArray
    shift: FloatArray
    effect_variance: FloatArray
    variance: float

    @property
    def shrink(self) -> FloatArray:
        """How much of the prior variance is gone, shape (L,)."""
        return 1.0 - self.effect_variance / self.variance

    @property
    def gradient_log_sd(self) -> float:
        """Derivative of the log-likelihood in log sigma: twice that in log sigma^2."""
        pull = float(self.effect @ (self.effect - self.shift)) / self.variance
        return pull - float(self.shrink.sum())


@dataclass(frozen=True, eq=False)
class Point:
    """What is known at (beta, log sigma) from passes that do not read X.

    Attributes
    ----------
    value : float
        The Laplace log-likelihood.
    fixed : ndarray, shape (N,)
        x'beta.
    modes : Modes
    outer_inverse : ndarray, shape (S, S)
        Inverse of the Schur complement; a single 0 without an outer factor.
    leverage, cell_shift : ndarray, shape (C,)
        Variance of u + v under H^-1; the two factors' shifts, added.
    factors : tuple of Factor
        Inner, then outer.
    """

    value: float
    fixed: FloatArray
    modes: Modes
    outer_inverse: FloatArray
    leverage: FloatArray
    cell_shift: FloatArray
    factors: tuple[Factor, ...]

    @property
    def gradient_log_sd(self) -> FloatArray:
        """Derivatives in the log SDs, shape (F,)."""
        return np.array([factor.gradient_log_sd for factor in self.factors])
