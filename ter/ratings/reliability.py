"""How far ratings can be trusted: reliability, cases until it is high enough, rankability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def reliability_of(information: FloatArray, sd: float) -> FloatArray:
    """Share of the variance of therapists' estimates that is true difference.

    Parameters
    ----------
    information : ndarray
        What a therapist's own patients tell of the effect: the sum of ``p (1 - p)`` over them, ``n / 4`` at
        most.
    sd : float
        Standard deviation of the therapist effects, log-odds.

    Returns
    -------
    ndarray
        ``sd^2 / (sd^2 + 1 / information)``: 0 without patients, towards 1 with many (Spearman-Brown; Adams
        2009, *The Reliability of Provider Profiling*, RAND TR-653).
    """
    signal = sd**2 * information
    return signal / (1 + signal)


def information_of(reliability: FloatArray, sd: float) -> FloatArray:
    """What a therapist's patients told of the effect, from the reliability that came of it.

    Parameters
    ----------
    reliability : ndarray
        From 0 to below 1.
    sd : float
        Standard deviation of the therapist effects, log-odds, above 0.

    Returns
    -------
    ndarray
        The inverse of `reliability_of`; its inverse is the squared standard error that the therapist's
        patients alone would give.
    """
    return reliability / ((1 - reliability) * sd**2)


def cases_until(target: float, n: FloatArray, reliability: FloatArray) -> FloatArray:
    """Patients at caseness, of the same kind as so far, that a target reliability takes in all.

    Parameters
    ----------
    target : float
        Such as 0.7, between 0 and 1.
    n : ndarray
        Patients so far.
    reliability : ndarray
        Reliability that they gave.

    Returns
    -------
    ndarray
        ``n`` times the odds of the target over the odds of the reliability (Spearman 1910 and Brown 1910, Br.
        J. Psychol. 3), not rounded; NaN where nothing is known yet.
    """
    odds = target / (1 - target)
    known = (n > 0) & (reliability > 0)
    r = np.where(known, reliability, 0.5)
    return np.where(known, n * odds * (1 - r) / r, np.nan)


def cases_needed(target: float, sd: FloatArray, information: float) -> FloatArray:
    """Patients that a target reliability takes of any therapist of a network.

    Parameters
    ----------
    target : float
        Reliability, between 0 and 1.
    sd : ndarray
        Standard deviation of the therapist effects, log-odds, above 0.
    information : float
        What a patient tells on average: the mean of ``p (1 - p)``, 0.25 at most.

    Returns
    -------
    ndarray
        ``target / (1 - target) / (sd^2 information)``: 54 for 0.7, an ICC of 5% and a rate of one half.
    """
    needed: FloatArray = target / (1 - target) / (sd**2 * information)
    return needed


def rankability(sd: float, standard_errors: FloatArray) -> float:
    """Share of the variation between therapists that is not chance: what a ranking is worth.

    Parameters
    ----------
    sd : float
        Standard deviation of the therapist effects, log-odds.
    standard_errors : ndarray
        Of each therapist's effect as estimated from their own patients alone (a fixed effect).

    Returns
    -------
    float
        ``sd^2 / (sd^2 + median(se^2))`` (Lingsma, Eijkemans and Steyerberg 2009, BMC Med. Res. Methodol.
        9:53, after van Houwelingen, Brand and Louis; van Dishoeck et al. 2011, BMJ Qual. Saf. 20:869-874). By
        their rule of thumb below 0.5 is poor, from 0.5 to 0.75 moderate, above good. NaN of nobody.
    """
    if not len(standard_errors):
        return float("nan")
    noise = float(np.median(standard_errors**2))
    return sd**2 / (sd**2 + noise) if sd > 0 else 0.0
