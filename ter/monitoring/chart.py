"""Charts of one therapist's patients in order: VLAD and risk-adjusted CUSUM, their limits by simulation.

VLAD (Lovegrove et al. 1997, Lancet 350:1128-1130): recoveries above those expected, added up. CUSUM (Steiner
et al. 2000, Biostatistics 1:441-452): the log-likelihood ratio of odds that are `odds` times as high ("up")
or as low ("down") against the expected ones, added up, never below 0; a sum over its limit is a signal.

Limits keep the chance of a false alarm over all patients of the chart at what is chosen. A false alarm is a
signal about a therapist whose patients recover exactly as expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError, OptionError
from ter.kernels.cusum import cusum, drawn_maxima, run_lengths

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Draws of a chart.
REPLICATES = 4000
#: The band of the VLAD begins at this patient: before it chance alone is almost everything.
FIRST_OF_BAND = 5
#: Halvings of the bracket in the search for a limit.
_HALVINGS = 30


@dataclass(frozen=True)
class ChartOptions:
    """How charts are made.

    Attributes
    ----------
    odds : float
        The change that the CUSUM looks for: odds of recovery multiplied ("up") or divided ("down") by it.
    false_alarm : float
        Chance that a chart of a therapist as expected signals, each direction by itself.
    replicates : int
    seed : int

    Raises
    ------
    OptionError
        If one is out of its range.
    """

    odds: float = 2.0
    false_alarm: float = 0.05
    replicates: int = REPLICATES
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.odds > 1.0:
            raise OptionError(f"odds={self.odds!r} must be above 1, such as 2: a doubling, or a halving.")
        if not 0.0 < self.false_alarm < 1.0:
            raise OptionError(f"false_alarm={self.false_alarm!r} must be a probability, such as 0.05.")
        if self.replicates * min(self.false_alarm, 1.0 - self.false_alarm) < 20:
            raise OptionError(
                f"{self.replicates} replicates are too few for a false alarm rate of {self.false_alarm}: "
                f"{int(np.ceil(20 / min(self.false_alarm, 1.0 - self.false_alarm)))} or more."
            )


@dataclass(frozen=True, eq=False, repr=False)
class Chart:
    """VLAD and CUSUM of one sequence of patients.

    Attributes
    ----------
    table : DataFrame
        By patient in order (``patient``, from 1): ``vlad``, recoveries above those expected so far, with the
        band ``vlad_low`` to ``vlad_high`` (NaN before the fifth); ``up`` and ``down``, the two CUSUMs. A row
        is a patient: for analysts and the therapist, not for a page.
    h_up, h_down : float
        Limits of the CUSUMs.
    options : ChartOptions
    """

    table: pd.DataFrame
    h_up: float
    h_down: float
    options: ChartOptions

    @property
    def signals(self) -> tuple[int, ...]:
        """Patients (from 1) at which a CUSUM reaches its limit from below."""
        both = [self.table["up"].to_numpy() >= self.h_up, self.table["down"].to_numpy() >= self.h_down]
        fresh = [over & ~np.concatenate([[False], over[:-1]]) for over in both]
        return tuple(int(k) + 1 for k in np.flatnonzero(fresh[0] | fresh[1]))

    def to_frame(self) -> pd.DataFrame:
        """Give a copy of the table."""
        return self.table.copy()

    def summary(self) -> str:
        """Say what the chart shows, in a line."""
        last = self.table.iloc[-1]
        words = [f"patient {k}" for k in self.signals]
        return (
            f"{len(self.table)} patients, {last['vlad']:+.1f} recoveries against those expected "
            f"(band {last['vlad_low']:.1f} to {last['vlad_high']:.1f}). "
            + (f"Signals at {', '.join(words)}." if words else "No signal.")
        )

    def __repr__(self) -> str:
        return f"<ter.Chart: {self.summary()}>"


def chart(
    recovered: BoolArray,
    expected: FloatArray,
    options: ChartOptions | None = None,
    *,
    truth: FloatArray | None = None,
) -> Chart:
    """Chart a sequence of patients.

    Parameters
    ----------
    recovered : ndarray of bool, shape (n,)
        In order of time.
    expected : ndarray, shape (n,)
        The rate expected of each patient, between 0 and 1.
    options : ChartOptions, optional
    truth : ndarray, shape (D, n), optional
        Draws of what the expected rates may be in truth. With them the limits allow for these being
        estimates; by default they are taken as known.

    Returns
    -------
    Chart

    Raises
    ------
    DataError
        If there is no patient, or a rate is not between 0 and 1.
    """
    options = options or ChartOptions()
    y = np.ascontiguousarray(recovered, dtype=np.bool_)
    p = np.ascontiguousarray(expected, dtype=np.float64)
    rates = np.ascontiguousarray(p[None, :] if truth is None else truth, dtype=np.float64)
    if not y.size or p.shape != y.shape or rates.shape[1:] != y.shape:
        raise DataError("A chart takes an outcome and an expected rate for each patient, and a patient.")
    if not (((p > 0.0) & (p < 1.0)).all() and ((rates > 0.0) & (rates < 1.0)).all()):
        raise DataError("Expected rates must lie between 0 and 1.")
    odds = np.array([options.odds, 1.0 / options.odds])
    maxima = np.empty((options.replicates, 4))
    drawn_maxima(np.uint64(options.seed), p, rates, odds, FIRST_OF_BAND, maxima)
    h_up, h_down, z_high, z_low = (quantile_above(column, options.false_alarm) for column in maxima.T)
    table = pd.DataFrame(index=pd.RangeIndex(1, len(y) + 1, name="patient"))
    table["vlad"] = np.cumsum(y - p)
    sd = np.sqrt(np.cumsum(p * (1.0 - p)))
    sd[: FIRST_OF_BAND - 1] = np.nan
    table["vlad_low"], table["vlad_high"] = -z_low * sd, z_high * sd
    for name, ratio in zip(("up", "down"), odds, strict=True):
        path = np.empty(len(y))
        cusum(y, p, float(ratio), path)
        table[name] = path
    return Chart(table, h_up, h_down, options)


def quantile_above(values: FloatArray, share: float) -> float:
    """Find the smallest limit that no more than a share of all values reach.

    Maxima of charts are discrete: the limit is put halfway up to the next larger value, so that a sum that
    equals a drawn one to rounding falls on the side it belongs to.
    """
    distinct, counts = np.unique(np.round(values, 9), return_counts=True)
    reached = counts[::-1].cumsum()[::-1]  # how many draws get as far as each value
    allowed = np.flatnonzero(reached <= share * values.size)
    if not allowed.size:
        return float(distinct[-1] + 1e-6)
    k = allowed[0]
    return float((distinct[k] + distinct[k - 1]) / 2.0) if k else float(distinct[0])


def limit_for_run_length(
    pool: FloatArray,
    odds: float,
    run_length: float,
    *,
    replicates: int = 2000,
    seed: int = 1,
) -> float:
    """Find the CUSUM limit with a chosen mean number of patients until a false alarm (ARL0).

    Parameters
    ----------
    pool : ndarray, shape (n,)
        Expected rates of patients like those to come; each is drawn with equal probability.
    odds : float
        Above 1 for the upper chart; its inverse for the lower one.
    run_length : float
        Patients, 2 or more.
    replicates, seed : int

    Returns
    -------
    float
        Its Monte Carlo error in the run length is about run_length / sqrt(replicates).

    Raises
    ------
    OptionError
        If the run length or the odds are out of their range.
    """
    if not (run_length >= 2.0 and odds > 0.0 and odds != 1.0):
        raise OptionError("run_length must be 2 or more, and odds above 0 and not 1.")
    p = np.ascontiguousarray(pool, dtype=np.float64)
    low, high = 0.0, 1.0
    while mean_run_length(p, odds, high, replicates, seed, run_length) < run_length:
        low, high = high, 2.0 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        short = mean_run_length(p, odds, middle, replicates, seed, run_length) < run_length
        low, high = (middle, high) if short else (low, middle)
    return high


def mean_run_length(
    pool: FloatArray, odds: float, limit: float, replicates: int, seed: int, aim: float
) -> float:
    """Mean run length; runs are cut off at 20 times the aim, which 1 in 10^8 reaches at the aim."""
    out = np.empty(replicates, np.int64)
    run_lengths(np.uint64(seed), pool, odds, limit, int(20 * aim), out)
    return float(out.mean())
