"""Whom to flag: by what mistakes cost, or by the share of false flags."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DiscoveryMethod = Literal["bh", "by", "storey"]
DISCOVERY_METHODS: Final = get_args(DiscoveryMethod)


def flag_by_loss(p_low: FloatArray, false_alarm: float, missed: float) -> BoolArray:
    """Flag whom it costs less to flag than to pass over.

    Parameters
    ----------
    p_low : ndarray, shape (J,)
        Posterior probability that the therapist is truly low.
    false_alarm, missed : float
        What it costs to flag one who is not low, and to pass over one who is; above 0.

    Returns
    -------
    ndarray of bool, shape (J,)
        The Bayes rule: ``p_low > false_alarm / (false_alarm + missed)`` (Austin 2008, BMC Med. Res.
        Methodol. 8:30, generalised 0-1 loss). NaN is not flagged.
    """
    return p_low > false_alarm / (false_alarm + missed)


def expected_loss(p_low: FloatArray, flagged: BoolArray, false_alarm: float, missed: float) -> float:
    """Posterior expected cost of flagging some and passing over others.

    Parameters
    ----------
    p_low, false_alarm, missed
        As in `flag_by_loss`.
    flagged : ndarray of bool, shape (J,)

    Returns
    -------
    float
    """
    return float(np.where(flagged, false_alarm * (1 - p_low), missed * p_low).sum())


def flag_by_posterior(p_low: FloatArray, level: float) -> BoolArray:
    """Flag as many as can be while the expected share of false flags stays at a level or below.

    Parameters
    ----------
    p_low : ndarray, shape (J,)
        Posterior probability that the therapist is truly low; NaN is not flagged.
    level : float
        False discovery rate, between 0 and 1.

    Returns
    -------
    ndarray of bool, shape (J,)
        Those with the highest `p_low`, as long as the mean of ``1 - p_low`` among them is at most `level`
        (Newton et al. 2004, Biostatistics 5:155-176; Müller et al. 2004, JASA 99:990-1001). Equal
        probabilities are flagged together or not at all. It holds as far as the model does.
    """
    flagged = np.zeros(len(p_low), dtype=np.bool_)
    known = np.flatnonzero(~np.isnan(p_low))
    order = known[np.argsort(-p_low[known], kind="stable")]
    p = p_low[order]
    false = np.cumsum(1 - p) / np.arange(1, len(p) + 1)
    last_of_its_kind = np.append(p[1:] != p[:-1], True)[: len(p)]
    passing = np.flatnonzero((false <= level) & last_of_its_kind)
    if len(passing):
        flagged[order[: passing[-1] + 1]] = True
    return flagged


def flag_by_p_value(p: FloatArray, level: float, method: DiscoveryMethod = "bh") -> BoolArray:
    """Flag by p-values, keeping the expected share of false flags at a level or below.

    Parameters
    ----------
    p : ndarray, shape (J,)
        p-values; NaN (nothing to test) is left out of the count and not flagged.
    level : float
        False discovery rate, between 0 and 1.
    method : {"bh", "by", "storey"}
        "bh": Benjamini and Hochberg (1995), for tests that are independent or positively dependent, as Jones,
        Ohlssen and Spiegelhalter (2008, J. Clin. Epidemiol. 61:232-240) advise for health care providers.
        "by": Benjamini and Yekutieli (2001), for any dependence. "storey": "bh" with the share of those who
        are not low estimated from the p-values above one half (Storey, Taylor and Siegmund 2004), more
        powerful where many are low.

    Returns
    -------
    ndarray of bool, shape (J,)
    """
    from statsmodels.stats.multitest import multipletests

    flagged = np.zeros(len(p), dtype=np.bool_)
    known = ~np.isnan(p)
    if known.any():
        alpha = level
        if method == "storey":
            # Never above 1, where it would be less than "bh".
            alpha = min(level / share_of_nulls(p[known]), 1 - 1e-12)
        rule = "fdr_by" if method == "by" else "fdr_bh"
        flagged[known] = multipletests(p[known], alpha=alpha, method=rule)[0]
        if method == "storey":
            # Nobody above one half is flagged: those are what the share was estimated from.
            flagged &= p <= _LAMBDA
    return flagged


#: p-values above it are taken for those of therapists who are not low (Storey's lambda).
_LAMBDA: Final = 0.5


def share_of_nulls(p: FloatArray) -> float:
    """Estimate the share of tests whose null hypothesis is true.

    Parameters
    ----------
    p : ndarray, shape (J,)
        p-values, J at least 1.

    Returns
    -------
    float
        ``(1 + #{p > 1/2}) / (J / 2)``, at most 1 (Storey, Taylor and Siegmund 2004, J. R. Stat. Soc. B
        66:187-205).
    """
    return min(1.0, float((1 + (p > _LAMBDA).sum()) / (len(p) * (1 - _LAMBDA))))
