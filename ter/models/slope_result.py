"""What a fit with a severity slope knows of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SeverityScale:
    """How severity was standardised.

    Attributes
    ----------
    column : str
    centre, scale : float
        Mean and standard deviation over the modelled rows.
    low, high : float
        The 1% and 99% points of the modelled patients' severity.
    """

    column: str
    centre: float
    scale: float
    low: float
    high: float

    def standardise(self, values: FloatArray) -> FloatArray:
        """In standard deviations from the mean; 0 where it is missing."""
        return np.nan_to_num((np.asarray(values, np.float64) - self.centre) / self.scale)


@dataclass(frozen=True, eq=False)
class SlopeEstimates:
    """Maximum likelihood estimates of the slopes, in log-odds for a standard deviation of severity.

    Attributes
    ----------
    sd : float
        0 on its boundary.
    correlation : float
        Of a therapist's intercept (at mean severity) and slope; NaN where an SD is zero.
    log_sd_se : float
        Standard error of log sd; 0 on the boundary.
    z_se : float
        Standard error of Fisher's z, atanh(correlation); 0 on the boundary.
    w, w_sd : ndarray, shape (J,)
        Modes (or, by quadrature, means) and SDs of the slopes given the estimates.
    """

    sd: float
    correlation: float
    log_sd_se: float
    z_se: float
    w: FloatArray
    w_sd: FloatArray


@dataclass(frozen=True, eq=False)
class SlopePosterior:
    """Posterior of the slopes, in log-odds for a standard deviation of severity.

    Attributes
    ----------
    sd, correlation : ndarray, shape (D,)
        Draws, of the weights of the posterior that this belongs to.
    w_mean, w_sd : ndarray, shape (J,)
    w_quantiles : ndarray, shape (J, 3)
        5%, 50% and 95%.
    """

    sd: FloatArray
    correlation: FloatArray
    w_mean: FloatArray
    w_sd: FloatArray
    w_quantiles: FloatArray
