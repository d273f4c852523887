"""Exact test of a count of recoveries, each patient with a probability of their own.

Wu W, Yang Y, Kang J, He K (2022) Improving large-scale estimation and inference for profiling health care
providers. Statistics in Medicine 41:2840-2853. The distribution: Hong Y (2013) Computational Statistics and
Data Analysis 59:41-51, here by direct convolution, which loses no digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ter.errors import DataError
from ter.kernels.poisson_binomial import tails

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ExactTest:
    """Counts against what chance gives, for J units; NaN of a unit without patients.

    Attributes
    ----------
    lower, upper : ndarray, shape (J,)
        P(X <= observed) and P(X >= observed) under the null hypothesis.
    mid : ndarray, shape (J,)
        Mid-p of the lower tail: ``P(X < observed) + P(X = observed) / 2``.
    two_sided : ndarray, shape (J,)
        ``2 min(lower, upper)``, at most 1: never too small, and too large where caseloads are small.
    two_sided_mid : ndarray, shape (J,)
        ``2 min(mid, 1 - mid)``: right on average over counts (Lancaster 1961, JASA 56:223-234).
    z : ndarray, shape (J,)
        The normal score of `mid`: below 0 for fewer recoveries than expected. In (-38, 38).
    """

    lower: FloatArray
    upper: FloatArray
    mid: FloatArray
    two_sided: FloatArray
    two_sided_mid: FloatArray
    z: FloatArray


def exact_test(p: FloatArray, unit: IntArray, observed: FloatArray) -> ExactTest:
    """Test each unit's count of events.

    Parameters
    ----------
    p : ndarray, shape (N,)
        Each patient's probability under the null hypothesis: recovery with the average therapist.
    unit : ndarray of int64, shape (N,)
        The unit of each patient, 0 to J - 1, in any order.
    observed : ndarray, shape (J,)
        Events of each unit: whole, from 0 to its number of patients.

    Returns
    -------
    ExactTest

    Raises
    ------
    DataError
        If a probability is not between 0 and 1, or a count cannot be.

    Notes
    -----
    The probabilities are taken as known. Where they were estimated from few units the test is a little too
    sharp. Work grows with the square of a unit's patients: 10,000 therapists of 60 take 0.2 s,
    nearly all of it to sort them; one unit of 20,000 takes 0.1 s.
    """
    J = len(observed)
    n = np.bincount(unit, minlength=J)
    if ((observed < 0) | (observed > n) | (observed % 1 != 0)).any():
        raise DataError("observed must hold whole counts, from 0 to each unit's number of patients.")
    if not ((p > 0) & (p < 1)).all():
        raise DataError("Probabilities must be between 0 and 1.")
    # By probability within the unit, so that the order of rows changes no bit.
    order = np.lexsort((p, unit))
    out = np.empty((J, 3))
    tails(
        np.ascontiguousarray(p[order], dtype=np.float64),
        np.concatenate([[0], np.cumsum(n)]).astype(np.int64),
        observed.astype(np.int64),
        out,
    )
    out[n == 0] = np.nan
    below, at, above = out.T
    low_mid, high_mid = below + at / 2, above + at / 2
    return ExactTest(
        lower=below + at,
        upper=above + at,
        mid=low_mid,
        two_sided=np.minimum(2 * np.minimum(below + at, above + at), 1.0),
        two_sided_mid=np.minimum(2 * np.minimum(low_mid, high_mid), 1.0),
        # From the smaller tail, which has the digits.
        z=np.where(low_mid <= high_mid, ndtri(low_mid), -ndtri(high_mid)),
    )
