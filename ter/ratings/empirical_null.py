"""The null hypothesis as it is: centre and spread of most units' z-scores, instead of 0 and 1.

With large caseloads every difference from the average is significant, since no case mix is complete. The
empirical null asks who differs from most, not who differs from the mean (Efron 2004, JASA 99:96-104;
Kalbfleisch and Wolfe 2013, Statistics in Biosciences 5:286-302).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ter.errors import DataError

FloatArray = NDArray[np.float64]

#: Units that a robust estimate of a mean and a variance takes at least.
_FEWEST = 10
_STEPS = 200
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Null:
    """The empirical null.

    Attributes
    ----------
    mean : float
        Centre of the z-scores.
    sd : float
        Their standard deviation among most units, of a unit of size 0 where `slope` is given.
    slope : float
        What each unit of size adds to the variance; 0 where it does not depend on the size.
    """

    mean: float
    sd: float
    slope: float = 0.0

    def standardise(self, z: FloatArray, size: FloatArray | float = 0.0) -> FloatArray:
        """z-scores against this null.

        Parameters
        ----------
        z : ndarray, shape (J,)
            z-scores by chance alone.
        size : ndarray, shape (J,), optional
            Needed where `slope` is not 0.

        Returns
        -------
        ndarray, shape (J,)
        """
        scaled: FloatArray = (z - self.mean) / np.sqrt(self.sd**2 + self.slope * np.asarray(size))
        return scaled

    def p_value(self, z: FloatArray, size: FloatArray | float = 0.0) -> FloatArray:
        """Two-sided p-values against this null.

        Parameters
        ----------
        z, size
            As in `standardise`.

        Returns
        -------
        ndarray, shape (J,)
        """
        p: FloatArray = 2 * ndtr(-np.abs(self.standardise(z, size)))
        return p


def robust_null(z: FloatArray) -> Null:
    """Estimate centre and spread so that outliers hardly count.

    Parameters
    ----------
    z : ndarray, shape (J,)
        z-scores; NaN is left out.

    Returns
    -------
    Null
        Huber's M-estimate of the mean (tuning constant 1.345) with the scale of the median absolute residual:
        `MASS::rlm(z ~ 1)`, which the code of Xia et al. (2022) uses.

    Raises
    ------
    DataError
        If there are fewer than 10 z-scores, or half of them or more are equal.
    """
    mean, sd = _huber(_known(z))
    return Null(mean, sd)


def sized_null(z: FloatArray, size: FloatArray, groups: int = 4) -> Null:
    """Estimate a null whose spread grows with the unit's size.

    Differences between units that the case mix does not explain show the more, the more patients there are:
    the variance of a z-score is 1 by chance, and its excess is proportional to the size.

    Parameters
    ----------
    z, size : ndarray, shape (J,)
        z-scores by chance alone, and what they are based on: patients, or better the information
        ``sum p (1 - p)``.
    groups : int
        Groups of units, by size, in which the variance is estimated.

    Returns
    -------
    Null
        ``sd = 1``, and `slope` by weighted least squares of the groups' robust variances less 1 on their mean
        sizes, through the origin, weights ``units / fitted^2``, iterated (Xia, He, Li and Kalbfleisch 2022,
        Biostatistics 23:257-273, with their published code). Not below 0. The centre is that of
        `robust_null`.

    Raises
    ------
    DataError
        If there are fewer than 10 z-scores in a group, or half of them or more are equal.
    """
    known = ~np.isnan(z)
    z, size = z[known], size[known]
    order = np.argsort(size, kind="stable")
    parts = _cut(len(order), groups)
    mean = robust_null(z).mean
    excess = np.array([_huber(_known(z[order[part]]))[1] ** 2 - 1 for part in parts])
    middle = np.array([size[order[part]].mean() for part in parts])
    units = np.array([part.stop - part.start for part in parts], dtype=np.float64)
    slope = float((excess * middle).sum() / (middle**2).sum())
    for _ in range(_STEPS):
        w = units / (slope * middle) ** 2
        new = float((w * excess * middle).sum() / (w * middle**2).sum())
        done = abs(new - slope) <= _TOLERANCE * abs(new)
        slope = new
        if done:
            break
    return Null(mean, 1.0, max(slope, 0.0))


def _cut(J: int, groups: int) -> list[slice]:
    """Runs of nearly equal length, as R's `cut` of 1 to J into so many intervals makes them."""
    position = np.arange(1, J + 1)
    edges = 1 + (J - 1) * np.arange(1, groups) / groups
    ends = [int(np.searchsorted(position, edge, side="right")) for edge in edges]
    return [slice(a, b) for a, b in zip([0, *ends], [*ends, J], strict=True)]


def _known(z: FloatArray) -> FloatArray:
    """z-scores that are known, if they are enough."""
    z = z[~np.isnan(z)]
    if len(z) < _FEWEST:
        raise DataError(
            f"The empirical null takes {_FEWEST} units or more, and there are {len(z)}: use the theoretical "
            "null, or fewer groups."
        )
    return z


def _huber(z: FloatArray) -> tuple[float, float]:
    """Huber's mean and the scale of the median absolute residual."""
    from statsmodels.robust.norms import HuberT
    from statsmodels.robust.robust_linear_model import RLM

    if float(np.median(np.abs(z - np.median(z)))) == 0:
        raise DataError("Half of the z-scores or more are equal: their spread cannot be estimated.")
    found = RLM(z, np.ones((len(z), 1)), M=HuberT()).fit(maxiter=_STEPS, tol=_TOLERANCE, conv="coefs")
    return float(found.params[0]), float(found.scale)
