"""Whether the lowest is lower than the lowest of so many would be anyhow.

Somebody is always last. The question is whether a therapist is worse than the worst of J therapists who all
belong to the network's distribution: Ohlssen DI, Sharples LD, Spiegelhalter DJ (2007) A hierarchical
modelling framework for identifying unusual performance in health care providers. J. R. Stat. Soc. A
170:865-890; Jones HE, Spiegelhalter DJ (2011) The identification of "unusual" health-care providers from a
hierarchical model. Am. Stat. 65:154-163.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri

FloatArray = NDArray[np.float64]


def marginal_z(effect: FloatArray, reliability: FloatArray, sd: float) -> FloatArray:
    """How far out each therapist's estimate lies in the distribution that estimates of this network have.

    Parameters
    ----------
    effect : ndarray, shape (J,)
        Posterior means of the therapist effects, log-odds.
    reliability : ndarray, shape (J,)
    sd : float
        Standard deviation of the therapist effects, above 0.

    Returns
    -------
    ndarray, shape (J,)
        ``effect / (sd sqrt(reliability))``. The estimate from a therapist's own patients, ``effect /
        reliability``, has the variance ``sd^2 + se^2 = sd^2 / reliability`` if the therapist is one of the
        network's distribution (exact for normal likelihoods), so that the z-scores are standard normal,
        whatever the caseloads. NaN without patients.
    """
    known = reliability > 0
    return np.where(known, effect / (sd * np.sqrt(np.where(known, reliability, 1.0))), np.nan)


def worse_than_worst(z: FloatArray, n_units: int) -> FloatArray:
    """Probability that the worst of so many units of the distribution lies at least as low.

    Parameters
    ----------
    z : ndarray
        Standard normal if the unit is one of the distribution: `marginal_z`.
    n_units : int
        J, with the unit itself.

    Returns
    -------
    ndarray
        ``1 - (1 - Phi(z))^J``: small only if even the worst of J would not be this low.
    """
    p: FloatArray = -np.expm1(n_units * log_ndtr(-z))
    return p


def p_below_worst(
    mean: NDArray[np.floating],
    spread: NDArray[np.floating],
    sd: FloatArray,
    weights: FloatArray,
    n_units: int,
) -> FloatArray:
    """Posterior probability that a therapist's true effect is below the lowest of so many new therapists.

    Parameters
    ----------
    mean, spread : ndarray, shape (J, D)
        Mean and standard deviation of each effect given each draw of the parameters, log-odds.
    sd, weights : ndarray, shape (D,)
        Draws of the standard deviation of the effects, and their weights, summing to 1.
    n_units : int
        New therapists drawn from the network's distribution.

    Returns
    -------
    ndarray, shape (J,)
        The mean of ``(1 - Phi(u / sd))^n_units`` over u and sd together, u normal given the draw. A therapist
        far out also widens the distribution that they are judged by, so that the probability errs towards one
        half.
    """
    z, w = np.polynomial.hermite_e.hermegauss(_NODES)
    w = w / w.sum()
    # Of u / sd, 1 below the table and 0 above; between its points the error is below 1e-5.
    low, high = -40.0, 10.0
    table = np.exp(n_units * log_ndtr(-np.linspace(low, high, int((high - low) * _STEPS) + 1)))
    out = np.zeros(len(mean))
    for d, (sigma, weight) in enumerate(zip(sd, weights, strict=True)):
        centre, scale = mean[:, d].astype(np.float64) / sigma, spread[:, d].astype(np.float64) / sigma
        for at, of in zip(z, w, strict=True):
            position = (np.clip(centre + scale * at, low, high - 1 / _STEPS) - low) * _STEPS
            left = position.astype(np.int64)
            below = table[left]
            out += weight * of * (below + (position - left) * (table[left + 1] - below))
    return out


#: Nodes of the integral over u, whose integrand falls from 1 to 0 over some SDs of u.
_NODES = 15
#: Points of the table of (1 - Phi)^n to a standard deviation.
_STEPS = 512


def expected_extremes(n_units: int, sd: float) -> float:
    """Expected distance of the highest (and lowest) of so many effects from their mean.

    Parameters
    ----------
    n_units : int
    sd : float
        Their standard deviation.

    Returns
    -------
    float
        The mean of the largest of n standard normals (Harter 1961, Biometrika 48:151-165, table 1), times
        `sd`.
    """
    # E max = integral of F^n over quantiles of the maximum: its p-quantile is Phi^-1(p^(1/n)), Gauss-Legendre
    # in z = Phi^-1(p), where the integrand is smooth.
    x, w = np.polynomial.legendre.leggauss(200)
    z = 9 * x
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    quantile = _upper(log_ndtr(z) / n_units)
    return float(sd * 9 * (w * density * quantile).sum())


def extreme_quantile(n_units: int, p: float, sd: float) -> float:
    """Quantile of the highest of so many effects; the lowest's is its mirror image.

    Parameters
    ----------
    n_units : int
    p : float
        Probability, between 0 and 1.
    sd : float

    Returns
    -------
    float
        ``sd Phi^-1(p^(1 / n_units))``.
    """
    return float(sd * _upper(np.log([p]) / n_units)[0])


def _upper(log_p: FloatArray) -> FloatArray:
    """Normal quantiles of probabilities given by their logs, from the tail that has the digits."""
    out: FloatArray = np.where(log_p < -0.7, ndtri(np.exp(log_p)), -ndtri(-np.expm1(log_p)))
    return out
