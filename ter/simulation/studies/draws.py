"""Simulated networks as arrays: the rows that a model is fitted to, and the truth, without a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ter.simulation.modelled import draw_modelled
from ter.simulation.scenario import Scenario
from ter.simulation.tables import SEVERITY_CENTRE, SEVERITY_SCALE

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A simulated network: J therapists with an episode or more, N episodes that are modelled.

    Modelled is what recovery's denominator counts: completed, and at caseness at the start.

    Attributes
    ----------
    number : ndarray of int64, shape (J,)
        Which therapist of the scenario each one is, from 0.
    therapist, service : ndarray of int64, shape (N,)
        Position among the J therapists, and number of the service.
    codes : mapping of str to ndarray, shape (N,)
        By column: a number, or the position of a level in the scenario; -1 where nothing is recorded.
    recovered : ndarray of float64, shape (N,)
        0 or 1.
    log_odds : ndarray of float64, shape (N,)
        Of recovering with an average therapist: the truth without the therapist's part.
    severity : ndarray of float64, shape (N,)
        (PHQ-9 at the start - 14) / 6, which slopes multiply.
    effect, slope : ndarray of float64, shape (J,)
        The therapists' true effects and slopes on severity, log-odds.
    service_effect : ndarray of float64, shape (S,)
    n_completed : ndarray of int64, shape (J,)
        Completed treatments, modelled or not.
    """

    number: IntArray
    therapist: IntArray
    service: IntArray
    codes: Mapping[str, IntArray]
    recovered: FloatArray
    log_odds: FloatArray
    severity: FloatArray
    effect: FloatArray
    slope: FloatArray
    service_effect: FloatArray
    n_completed: IntArray


def draw_network(scenario: Scenario, seed: int) -> Drawn:
    """Simulate the modelled episodes of a network: the very ones of `ter.simulate` with this seed.

    Parameters
    ----------
    scenario : Scenario
    seed : int

    Returns
    -------
    Drawn

    Raises
    ------
    OptionError
        For a seed out of range.
    """
    m = draw_modelled(scenario, seed)
    c = m.caseloads
    present = np.flatnonzero(c.n)
    place = np.cumsum(c.n > 0) - 1
    unit = place[m.therapist]
    effect, slope = c.effect[present], c.slope[present]
    severity = np.asarray((m.codes["phq9_first"] - SEVERITY_CENTRE) / SEVERITY_SCALE, np.float64)
    return Drawn(
        number=c.number[present],
        therapist=unit,
        service=m.service,
        codes=m.codes,
        recovered=m.recovered.astype(np.float64),
        log_odds=m.log_odds - effect[unit] - slope[unit] * severity,
        severity=severity,
        effect=effect,
        slope=slope,
        service_effect=c.service_effect,
        n_completed=m.n_completed[present],
    )


def standardised_truth(drawn: Drawn) -> FloatArray:
    """True TER of each therapist: mean recovery of all modelled patients with this one, percent, (J,)."""
    if not drawn.slope.any():
        return 100.0 * _mean_rate(drawn.log_odds, drawn.effect)
    return np.array(
        [
            100.0 * np.mean(_expit(drawn.log_odds + effect + slope * drawn.severity))
            for effect, slope in zip(drawn.effect, drawn.slope, strict=True)
        ]
    )


#: Bins a unit of log-odds. Each row is split between the two nearest, so that the error of a mean rate is at
#: most p'' / (8 BINS^2) < 4e-6.
_BINS: Final = 64


def _mean_rate(log_odds: FloatArray, shifts: FloatArray) -> FloatArray:
    """Mean over rows (N,) of expit(log_odds + shift), for each shift (J,)."""
    low = np.floor(log_odds.min())
    position = (log_odds - low) * _BINS
    bins = position.astype(np.int64)
    part = position - bins
    counts = np.bincount(bins, 1.0 - part, bins.max() + 2) + np.bincount(bins + 1, part, bins.max() + 2)
    used = np.flatnonzero(counts)
    rates = _expit(low + used / _BINS + shifts[:, None])
    return np.asarray(rates @ counts[used] / log_odds.size)


def _expit(x: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def true_rates(drawn: Drawn) -> tuple[FloatArray, FloatArray]:
    """True mean rates (0 to 1) of each therapist's own patients; NaN without modelled patients.

    Returns
    -------
    average : ndarray, shape (J,)
        With an average therapist.
    own : ndarray, shape (J,)
        With this one.
    """
    J = drawn.effect.size
    n = np.bincount(drawn.therapist, minlength=J)
    shift = drawn.effect[drawn.therapist] + drawn.slope[drawn.therapist] * drawn.severity

    def mean(rates: FloatArray) -> FloatArray:
        total = np.bincount(drawn.therapist, rates, J)
        return np.asarray(np.divide(total, n, out=np.full(J, np.nan), where=n > 0))

    return mean(_expit(drawn.log_odds)), mean(_expit(drawn.log_odds + shift))


def weights_of(drawn: Drawn) -> FloatArray:
    """Sum of p (1 - p) over each therapist's own patients, p with an average therapist, shape (J,)."""
    p = _expit(drawn.log_odds)
    return np.bincount(drawn.therapist, p * (1.0 - p), drawn.effect.size).astype(np.float64)
