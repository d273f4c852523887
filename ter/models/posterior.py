"""The posterior that an engine returns and that every rating is computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ter.kernels.effects import joint_effects
from ter.kernels.parallel import map_partitions
from ter.models.slope_result import SlopePosterior

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Joint draws of the therapist effects: as many as fit into this many numbers, within limits.
MAX_JOINT_NUMBERS = 2**20
JOINT_DRAWS = (1024, 4096)
#: Therapists whose effects are drawn at a time.
UNITS_A_PART = 64


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws of the parameters, with each therapist's effect integrated out.

    J therapists, D draws, P columns, S services (0 without the service effect), F factors (1 or 2).

    Attributes
    ----------
    weights : ndarray, shape (D,)
        Importance weights, summing to 1.
    beta : ndarray, shape (D, P)
        Fixed effects on the model's (standardised) scale.
    v : ndarray, shape (D, S)
        Service effects, log-odds.
    sd : ndarray, shape (D, F)
        Standard deviations: therapist, then service.
    u_mean, u_sd : ndarray, shape (J,)
        Posterior mean and standard deviation of the therapist effects, log-odds.
    u_grid, u_cdf : ndarray, shape (J, G)
        Posterior distribution function of each u_j, tabulated on a grid of its own.
    reliability : ndarray, shape (J,)
        1 - Var(u_j given data and parameters) / sigma_u^2, averaged over the draws.
    ter_mean : ndarray, shape (J,)
        Posterior mean of the TER, percent.
    ter_grid, ter_cdf : ndarray, shape (J, G)
        Posterior distribution function of each TER (percent).
    expected_mean, expected_sd : ndarray, shape (J,)
        Expected recovery rate (0 to 1): own patients, the therapist drawn at random. NaN without patients.
    predicted_mean : ndarray, shape (J,)
        Recovery rate (0 to 1) predicted with the own effect. NaN without patients.
    given_mean, given_sd, given_skewness : ndarray of float32, shape (J, D)
        Moments of u_j given each draw: given a draw the effects are independent.
    given_ter, given_expected : ndarray of float32, shape (J, D)
        Mean TER (0 to 1) and expected rate given each draw.
    units : ndarray of int64, shape (J,)
        Numbers of the therapists' streams of random numbers for joint draws.
    seed : int
        Of joint draws.
    slope : SlopePosterior or None
        With a severity slope; all effects above are then those at mean severity.
    f : ndarray or None, shape (D, R)
        Effects of a third factor, whose SD then stands last in `sd`.
    """

    weights: FloatArray
    beta: FloatArray
    v: FloatArray
    sd: FloatArray
    u_mean: FloatArray
    u_sd: FloatArray
    u_grid: FloatArray
    u_cdf: FloatArray
    reliability: FloatArray
    ter_mean: FloatArray
    ter_grid: FloatArray
    ter_cdf: FloatArray
    expected_mean: FloatArray
    expected_sd: FloatArray
    predicted_mean: FloatArray
    given_mean: NDArray[np.float32]
    given_sd: NDArray[np.float32]
    given_skewness: NDArray[np.float32]
    given_ter: NDArray[np.float32]
    given_expected: NDArray[np.float32]
    units: IntArray
    seed: int
    slope: SlopePosterior | None = None
    f: FloatArray | None = None

    @cached_property
    def u_draws(self) -> NDArray[np.float32]:
        """Joint, equally weighted draws of the effects (J, M), for functionals of several therapists (ranks).

        Made when they are first asked for: a Latin hypercube over each effect's distribution given the draws
        of the parameters, which are resampled systematically (`resample`).
        """
        out = np.empty((self.units.size, joint_draws(self.units.size)), np.float32)
        draw = np.repeat(np.arange(self.weights.size), np.diff(resample(self.weights, out.shape[1])))

        def work(lo: int) -> None:
            joint_effects(
                lo, min(lo + UNITS_A_PART, self.units.size), self.units, draw, np.uint64(self.seed),
                self.given_mean, self.given_sd, self.given_skewness, out,
            )  # fmt: skip

        map_partitions(work, range(0, self.units.size, UNITS_A_PART))
        return out

    def of_units(self, kept: BoolArray) -> Posterior:
        """The same posterior with the rows of some therapists only, and without their slopes; kept (J,)."""
        names = (
            "u_mean", "u_sd", "u_grid", "u_cdf", "reliability", "ter_mean", "ter_grid", "ter_cdf",
            "expected_mean", "expected_sd", "predicted_mean",
            "given_mean", "given_sd", "given_skewness", "given_ter", "given_expected", "units",
        )  # fmt: skip
        return replace(self, slope=None, **{name: getattr(self, name)[kept] for name in names})


def joint_draws(n_units: int) -> int:
    """How many joint draws of the effects of so many therapists are made: a power of 2."""
    return int(np.clip(2 ** int(np.log2(MAX_JOINT_NUMBERS / max(n_units, 1))), *JOINT_DRAWS))


def resample(weights: FloatArray, n: int) -> IntArray:
    """Systematic resampling: each draw comes n times its weight, rounded up or down.

    Returns
    -------
    ndarray of int64, shape (D + 1,)
        Of the n equally weighted draws, numbers out[d] to out[d + 1] - 1 are draw d.
    """
    out = np.concatenate([[0], np.floor(n * np.cumsum(weights) + 0.5)]).astype(np.int64)
    out[-1] = n
    return out
