"""The posterior that an engine returns and that every rating is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


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
    u_draws : ndarray of float32, shape (J, M)
        Joint, equally weighted draws of the therapist effects, for functionals of several therapists (ranks).
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
    """

    weights: FloatArray
    beta: FloatArray
    v: FloatArray
    sd: FloatArray
    u_mean: FloatArray
    u_sd: FloatArray
    u_grid: FloatArray
    u_cdf: FloatArray
    u_draws: NDArray[np.float32]
    reliability: FloatArray
    ter_mean: FloatArray
    ter_grid: FloatArray
    ter_cdf: FloatArray
    expected_mean: FloatArray
    expected_sd: FloatArray
    predicted_mean: FloatArray
