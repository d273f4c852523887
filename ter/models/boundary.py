"""How twice a log-likelihood ratio is distributed if a variance is zero, which is on the boundary.

What the data say of the variances is asymptotically a normal vector, cut off at the cone of what variances
may be: the ratio is the squared length of its projection onto the cone, a mixture of chi-squared
distributions whose weights are the angles of the cone (Self and Liang 1987, JASA 82; Stram and Lee 1994,
Biometrics 50; Shapiro 1988, Int. Stat. Rev. 56).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from ter.features.design import FloatArray, IntArray

#: Points of a sum around the cone: the integrand is smooth and periodic, so that they are plenty.
POINTS = 512
#: p r - q^2 as a quadratic form: positive where [[p, q], [q, r]] is definite.
DETERMINANT = np.array([[0.0, 0.0, 0.5], [0.0, -1.0, 0.0], [0.5, 0.0, 0.0]])


@dataclass(frozen=True)
class Mixture:
    """A mixture of chi-squared distributions.

    Attributes
    ----------
    weights : tuple of float
        Of 0, 1, 2, ... degrees of freedom.
    """

    weights: tuple[float, ...]

    def p_value(self, statistic: float) -> float:
        """P(T >= statistic)."""
        if statistic <= 0.0:
            return 1.0
        return float(sum(w * chi2.sf(statistic, df) for df, w in enumerate(self.weights) if df))

    def __str__(self) -> str:
        """In words."""
        parts = [(df, w) for df, w in enumerate(self.weights) if w > 0.0]
        if len({w for _, w in parts}) > 1:
            shares = ", ".join(f"{w:.2f}" for _, w in parts)
            return f"mixture of chi-squared on 0 to {parts[-1][0]} df, weights {shares}"
        if parts[0][0] == 0:
            return "even mixture of 0 and chi-squared on 1 df"
        return f"even mixture of chi-squared on {parts[0][0]} and {parts[-1][0]} df"


#: A variance alone.
EVEN = Mixture((0.5, 0.5))
#: A slope's variance, with its covariance with an effect that is there in any case (Stram and Lee, case 2).
SLOPE = Mixture((0.0, 0.5, 0.5))


def block_mixture(information: FloatArray) -> Mixture:
    """Of the whole covariance [[p, q], [q, r]] of effect and slope against zero.

    Parameters
    ----------
    information : ndarray, shape (3, 3)
        On (p, q, r), what other parameters are estimated from taken off.
    """
    # In the metric of the information the cone of covariances has angles of whole dimension, of its boundary
    # and of its vertex; those of odd and of even dimensions each sum to a half (Gauss and Bonnet).
    whole = definite_share(np.asarray(np.linalg.inv(information), np.float64))
    # The polar cone: (p, q, r) whose inner products with all covariances are negative.
    halved = np.diag([1.0, 0.5, 1.0])
    nothing = definite_share(np.asarray(halved @ information @ halved, np.float64))
    return Mixture((nothing, 0.5 - whole, 0.5 - nothing, whole))


def definite_share(covariance: FloatArray) -> float:
    """How often [[p, q], [q, r]] is positive definite, (p, q, r) being normal around zero."""
    factor = np.linalg.cholesky(covariance)
    low, middle, high = np.linalg.eigvalsh(factor.T @ DETERMINANT @ factor)
    angle = 2.0 * np.pi * np.arange(POINTS) / POINTS
    # The cone high x^2 > -low y^2 - middle z^2 around its axis: what a cap of that opening is of the sphere.
    slope = high / -(low * np.cos(angle) ** 2 + middle * np.sin(angle) ** 2)
    return float(np.mean(1.0 - 1.0 / np.sqrt(1.0 + slope))) / 2.0


def block_information(
    X: FloatArray, unit: IntArray, z: FloatArray, trials: FloatArray, rate: FloatArray
) -> FloatArray:
    """Expected information on (var u, cov, var w) where all three are zero, less what beta takes: (3, 3).

    Parameters
    ----------
    X : ndarray, shape (N, P)
    unit : ndarray of int, shape (N,)
        The therapist of each row.
    z, trials, rate : ndarray, shape (N,)
        Severity, patients, and probability of recovery.
    """
    w = trials * rate * (1.0 - rate)
    third, fourth = w * (1.0 - 2.0 * rate), w * (1.0 - 6.0 * rate * (1.0 - rate))
    uu, uw, ww = (np.bincount(unit, w * z**k) for k in range(3))
    k0, k1, k2, k3, k4 = (float(fourth @ z**k) for k in range(5))
    # With g_j = sum (y - n p) (1, z) and S its covariance the scores are (g_u^2 - S_uu) / 2, g_u g_w - S_uw
    # and (g_w^2 - S_ww) / 2; their covariances are those of products of sums of independent outcomes.
    pp, rr = 0.5 * uu @ uu + 0.25 * k0, 0.5 * ww @ ww + 0.25 * k4
    pq, qr = uu @ uw + 0.5 * k1, uw @ ww + 0.5 * k3
    pr, qq = 0.5 * uw @ uw + 0.25 * k2, uu @ ww + uw @ uw + k2
    information = np.array([[pp, pq, pr], [pq, qq, qr], [pr, qr, rr]])
    cross = (X.T * third) @ np.column_stack([np.full(z.size, 0.5), z, 0.5 * z**2])
    return np.asarray(information - cross.T @ np.linalg.pinv((X.T * w) @ X, hermitian=True) @ cross)
