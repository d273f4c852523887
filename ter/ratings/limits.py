"""Control limits of funnel plots: how far a unit of a given size strays by chance alone.

Spiegelhalter DJ (2005) Funnel plots for comparing institutional performance. Statistics in Medicine
24:1185-1202; overdispersion also in Spiegelhalter DJ (2005) Handling over-dispersion of performance
indicators. Quality and Safety in Health Care 14:347-351.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaincinv, logit, ndtri

FloatArray = NDArray[np.float64]


def exact_binomial(target: float, n: FloatArray, p: float) -> FloatArray:
    """Interpolate the exact binomial limit of a proportion.

    Parameters
    ----------
    target : float
        The proportion that all units are compared with, between 0 and 1.
    n : ndarray
        Denominators, above 0.
    p : float
        Probability below the limit: 0.025 and 0.975 make 95% limits.

    Returns
    -------
    ndarray
        Spiegelhalter (2005), appendix: ``(r - a) / n``, r the smallest count with ``P(X <= r) >= p``
        and ``a = (P(X <= r) - p) / P(X = r)``; between 0 and 1.
    """
    # SciPy's distributions take most of a second to load, and `import ter` shall not wait for them.
    from scipy.stats import binom

    r = binom.ppf(p, n, target)
    share = (binom.cdf(r, n, target) - p) / binom.pmf(r, n, target)
    out: FloatArray = np.clip((r - share) / n, 0.0, 1.0)
    return out


def step_binomial(target: float, n: FloatArray, p: float) -> FloatArray:
    """Take the plain binomial quantile as the limit of a proportion.

    Parameters
    ----------
    target, n, p
        As in `exact_binomial`.

    Returns
    -------
    ndarray
        ``r / n``, r the smallest count with ``P(X <= r) >= p``: a saw-tooth in n.
    """
    from scipy.stats import binom

    limit: FloatArray = binom.ppf(p, n, target) / n
    return limit


def normal_binomial(target: float, n: FloatArray, p: float) -> FloatArray:
    """Approximate the limit of a proportion by the normal distribution.

    Parameters
    ----------
    target, n, p
        As in `exact_binomial`.

    Returns
    -------
    ndarray
        Between 0 and 1.
    """
    out: FloatArray = np.clip(target + ndtri(p) * np.sqrt(target * (1 - target) / n), 0.0, 1.0)
    return out


def exact_poisson(expected: FloatArray, p: float) -> FloatArray:
    """Limit of a standardised ratio O/E, O Poisson with mean E, from the chi-square distribution.

    Parameters
    ----------
    expected : ndarray
        Expected counts E, above 0.
    p : float
        Probability below the limit.

    Returns
    -------
    ndarray
        The ends of the exact interval of a Poisson mean (Garwood 1936, Biometrika 28:437-442) around E,
        divided by E: ``chi2(p, 2E) / 2E`` below, ``chi2(p, 2(E + 1)) / 2E`` above (Ulm 1990, Am. J.
        Epidemiol. 131:373-375). E need not be whole, so that the limit is smooth.
    """
    shape = expected if p < 0.5 else expected + 1
    limit: FloatArray = gammaincinv(shape, p) / expected
    return limit


def step_poisson(expected: FloatArray, p: float) -> FloatArray:
    """Take the plain Poisson quantile, divided by E, as the limit of O/E.

    Parameters
    ----------
    expected, p
        As in `exact_poisson`.

    Returns
    -------
    ndarray
    """
    from scipy.stats import poisson

    limit: FloatArray = poisson.ppf(p, expected) / expected
    return limit


def normal_poisson(expected: FloatArray, p: float) -> FloatArray:
    """Approximate the limit of O/E by the normal distribution.

    Parameters
    ----------
    expected, p
        As in `exact_poisson`.

    Returns
    -------
    ndarray
        Not below 0.
    """
    out: FloatArray = np.maximum(1 + ndtri(p) / np.sqrt(expected), 0.0)
    return out


@dataclass(frozen=True)
class Scale:
    """A scale on which rates are compared: how to get there and back, and how sure a rate is there.

    Attributes
    ----------
    transform : callable
        From (events, sizes) to values; sizes are denominators, or expected counts for a ratio.
    target : callable
        The target's value.
    inverse : callable
        From values back to rates or ratios, kept within what is possible.
    sd : callable
        From (target, sizes) to standard deviations by chance alone.
    """

    transform: Callable[[FloatArray, FloatArray], FloatArray]
    target: Callable[[float], float]
    inverse: Callable[[FloatArray], FloatArray]
    sd: Callable[[float, FloatArray], FloatArray]


def _ratio_above_zero(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Log of O/E, half an event put in the place of none."""
    return np.log(np.where(observed == 0, 0.5, observed) / expected)


#: Scales for proportions. On the logit scale half an event is added to both
#: outcomes, so that none and all have a place.
PROPORTION_SCALES: Final = {
    "identity": Scale(
        transform=lambda r, n: r / n,
        target=lambda t: t,
        inverse=lambda x: np.clip(x, 0.0, 1.0),
        sd=lambda t, n: np.sqrt(t * (1 - t) / n),
    ),
    "arcsine": Scale(
        transform=lambda r, n: np.arcsin(np.sqrt(np.clip(r / n, 0.0, 1.0))),
        target=lambda t: float(np.arcsin(np.sqrt(t))),
        inverse=lambda x: np.sin(np.clip(x, 0.0, np.pi / 2)) ** 2,
        sd=lambda t, n: 0.5 / np.sqrt(n),
    ),
    "logit": Scale(
        transform=lambda r, n: logit((np.clip(r, 0.0, n) + 0.5) / (n + 1)),
        target=lambda t: float(logit(t)),
        inverse=lambda x: expit(x),
        sd=lambda t, n: 1 / np.sqrt(n * t * (1 - t)),
    ),
}

#: Scales for standardised ratios. On the log scale a unit with no event is given half of one.
RATIO_SCALES: Final = {
    "sqrt": Scale(
        transform=lambda o, e: np.sqrt(o / e),
        target=lambda t: float(np.sqrt(t)),
        inverse=lambda x: np.maximum(x, 0.0) ** 2,
        sd=lambda t, e: 0.5 / np.sqrt(e),
    ),
    "log": Scale(
        transform=_ratio_above_zero,
        target=lambda t: float(np.log(t)),
        inverse=lambda x: np.exp(x),
        sd=lambda t, e: 1 / np.sqrt(e),
    ),
}


def winsorise(z: FloatArray, trim: float) -> FloatArray:
    """Pull the most extreme z-scores in to their quantiles, so that outliers do not widen their own limits.

    Parameters
    ----------
    z : ndarray, shape (J,)
    trim : float
        Share of the units at each end, from 0 to below 0.5.

    Returns
    -------
    ndarray, shape (J,)
        Cut off at the ``trim`` and ``1 - trim`` quantiles (type 7 of Hyndman and Fan 1996, R's default).
    """
    low, high = np.quantile(z, (trim, 1 - trim))
    return np.clip(z, low, high)


def overdispersion(z: FloatArray, sd: FloatArray, trim: float) -> tuple[float, float]:
    """Estimate how much more units differ than chance makes them.

    Parameters
    ----------
    z : ndarray, shape (J,)
        z-scores against the target, by chance alone.
    sd : ndarray, shape (J,)
        Standard deviations by chance alone, on the scale of the z-scores.
    trim : float
        As in `winsorise`.

    Returns
    -------
    phi : float
        Mean squared winsorised z-score: the multiplicative factor of the variance, 1 for chance alone.
    tau2 : float
        Variance between units on that scale, the additive one: the moment estimate of DerSimonian and Laird
        (1986, Control. Clin. Trials 7:177-188) as in Spiegelhalter (2005); not below 0.
    """
    J = len(z)
    phi = float(np.mean(winsorise(z, trim) ** 2))
    w = 1 / sd**2
    total = w.sum()
    below = float(total - (w**2).sum() / total)
    # One unit differs from nobody.
    tau2 = max(0.0, (J * phi - (J - 1)) / below) if J > 1 else 0.0
    return phi, tau2
