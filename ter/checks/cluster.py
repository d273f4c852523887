"""Tests whose unit is the therapist: patients of one therapist are no independent draws.

All take sums of residuals by therapist. Under a right model these have mean 0 and are independent from
therapist to therapist, whatever their spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: With fewer therapists a test by therapist says little.
FEWEST_THERAPISTS = 10
#: From fewer a slope's standard error is too small (Cameron and Miller 2015, J. Hum. Res. 50:317-372).
FEWEST_FOR_SLOPES = 30


@dataclass(frozen=True)
class Gap:
    """A total over therapists and how sure it is.

    Attributes
    ----------
    total, se : float
    therapists : int
        With patients in it.
    p : float
        Two-sided, of a total of 0; NaN with fewer than 10 therapists.
    """

    total: float
    se: float
    therapists: int
    p: float


def total_gap(by_therapist: FloatArray) -> Gap:
    """Test whether sums by therapist add up to nothing but chance: the one-sample t test.

    Parameters
    ----------
    by_therapist : ndarray, shape (J,)
        Of the therapists that have patients in it.
    """
    from scipy.stats import t

    J = by_therapist.size
    total = float(by_therapist.sum())
    if J < 2:
        return Gap(total, float("nan"), J, float("nan"))
    se = float(np.sqrt(J) * by_therapist.std(ddof=1))
    if J < FEWEST_THERAPISTS or se == 0.0:
        return Gap(total, se, J, float("nan"))
    return Gap(total, se, J, float(2.0 * t.sf(abs(total) / se, J - 1)))


def joint_p(by_therapist: FloatArray) -> float:
    """Test several totals at once: Hotelling's one-sample T squared (1931, Ann. Math. Stat. 2:360-378).

    Parameters
    ----------
    by_therapist : ndarray, shape (J, K)

    Returns
    -------
    float
        P-value; NaN with fewer than K + 10 therapists, or with totals that follow from one another.
    """
    from scipy.stats import f

    J, K = by_therapist.shape
    if J < K + FEWEST_THERAPISTS:
        return float("nan")
    mean = by_therapist.mean(axis=0)
    covariance = np.cov(by_therapist, rowvar=False).reshape(K, K)
    if np.linalg.matrix_rank(covariance, hermitian=True) < K:
        return float("nan")
    t_squared = J * float(mean @ np.linalg.solve(covariance, mean))
    return float(f.sf(t_squared * (J - K) / (K * (J - 1)), K, J - K))
