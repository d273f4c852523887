"""How much therapists differ: ICC, median and interval odds ratio, points of recovery."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

FloatArray = NDArray[np.float64]

#: Variance of the logistic distribution: what is left within a therapist on the log-odds scale.
LOGISTIC_VARIANCE = np.pi**2 / 3


def icc_latent(variance: FloatArray, others: FloatArray | float = 0.0) -> FloatArray:
    """Share of the variance on the log-odds scale that lies between therapists.

    Parameters
    ----------
    variance : ndarray
        Variance of the therapist effects.
    others : ndarray or float
        Variance of the other effects (the service's).

    Returns
    -------
    ndarray
        ``variance / (variance + others + pi^2 / 3)`` (Snijders and Bosker 2012, *Multilevel Analysis*).
    """
    share: FloatArray = variance / (variance + others + LOGISTIC_VARIANCE)
    return share


def icc_probability(sd: FloatArray, eta: float) -> FloatArray:
    """Share of the variance of the outcome itself that lies between therapists.

    Parameters
    ----------
    sd : ndarray, shape (D,)
        Standard deviation of the therapist effects.
    eta : float
        Log-odds of recovery of the patients, with the average therapist: the share depends on it.

    Returns
    -------
    ndarray, shape (D,)
        ``Var(p) / (Var(p) + E[p (1 - p)])`` over the effects, by Gauss-Hermite quadrature (the variance
        partition coefficient of Goldstein, Browne and Rasbash 2002, Underst. Stat. 1:223-231, method B
        without simulation). It is below `icc_latent`.
    """
    z, w = _normal_nodes()
    p = expit(eta + np.asarray(sd)[:, None] * z)
    mean = p @ w
    between = (p**2) @ w - mean**2
    share: FloatArray = between / (mean * (1 - mean))
    return share


def median_odds_ratio(sd: FloatArray) -> FloatArray:
    """Median, over pairs of therapists, of the odds of recovery with the better over those with the other.

    Parameters
    ----------
    sd : ndarray
        Standard deviation of the therapist effects.

    Returns
    -------
    ndarray
        ``exp(sqrt(2) sd Phi^-1(3/4))`` (Larsen and Merlo 2005, Am. J. Epidemiol. 161:81-88).
    """
    odds: FloatArray = np.exp(np.sqrt(2) * ndtri(0.75) * sd)
    return odds


def interval_odds_ratio(beta: float, sd: float, coverage: float = 0.8) -> tuple[float, float]:
    """Middle range of the odds ratio between patients of two therapists who differ in something.

    Parameters
    ----------
    beta : float
        Log odds ratio of what the therapists differ in (their service's region, say), the effects held equal.
    sd : float
        Standard deviation of the therapist effects.
    coverage : float
        Share of the pairs of therapists inside.

    Returns
    -------
    low, high : float
        ``exp(beta ± sqrt(2) sd Phi^-1((1 + coverage) / 2))``: IOR-80 by default (Larsen and Merlo 2005). If
        it holds 1, who the therapist is matters more than what they differ in.
    """
    half = float(np.sqrt(2) * sd * ndtri((1 + coverage) / 2))
    return float(np.exp(beta - half)), float(np.exp(beta + half))


def recovery_gap(
    eta: FloatArray, weight: FloatArray, sd: FloatArray, low: float = 0.1, high: float = 0.9
) -> FloatArray:
    """Recovery with a good therapist less recovery with a poor one, in points, for the same patients.

    Parameters
    ----------
    eta : ndarray, shape (N,)
        Log-odds of recovery of the reference patients with the average therapist.
    weight : ndarray, shape (N,)
        How many patients each stands for.
    sd : ndarray, shape (D,)
        Standard deviation of the therapist effects.
    low, high : float
        Percentiles of the therapists compared.

    Returns
    -------
    ndarray, shape (D,)
        Percentage points: 100 times the mean over the patients of ``expit(eta + sd Phi^-1(high)) - expit(eta
        + sd Phi^-1(low))``.
    """
    # The rates are smooth in eta: a table of it costs the same whatever the patients.
    centres, counts = _histogram(eta, weight)
    rates = [expit(centres + np.asarray(sd)[:, None] * ndtri(q)) @ counts for q in (high, low)]
    gap: FloatArray = 100 * (rates[0] - rates[1])
    return gap


#: Width of the bins of log-odds: linear weights to both neighbours leave an error below its square / 8 times
#: the largest curvature of the logistic function (0.1), 3e-6.
_WIDTH = 1 / 64


def _histogram(eta: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points of log-odds and their shares, each row shared between its two neighbours."""
    start = np.floor(eta.min() / _WIDTH)
    position = eta / _WIDTH - start
    left = position.astype(np.int64)
    size = int(left.max()) + 2
    right = position - left
    counts = np.bincount(left, weight * (1 - right), size) + np.bincount(left + 1, weight * right, size)
    return (start + np.arange(size)) * _WIDTH, counts / weight.sum()


@cache
def _normal_nodes() -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the standard normal distribution."""
    z, w = np.polynomial.hermite_e.hermegauss(60)
    return z, w / w.sum()
