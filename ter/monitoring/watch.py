"""Charts of all therapists of a fit, behind the gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ter.checks.cases import Cases, IntArray, cases_of
from ter.errors import DataError
from ter.models.result import Fit
from ter.monitoring.chart import Chart, ChartOptions, chart
from ter.ratings.gate import shown_therapists
from ter.ratings.options import SMALLEST_GROUP, RatingOptions

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Watch:
    """Charts by therapist; therapists behind the gate, or with fewer than 5 patients, have none.

    Attributes
    ----------
    charts : dict of str to Chart
    ended : dict of str to DatetimeIndex
        When the treatment of each patient of a chart ended.
    """

    charts: dict[str, Chart]
    ended: dict[str, pd.DatetimeIndex]

    def to_frame(self) -> pd.DataFrame:
        """Give a row for each therapist.

        Returns
        -------
        DataFrame
            By ``therapist_id``: ``n``, ``vlad`` (at the end), ``h_up``, ``h_down``, ``up`` and ``down`` (at
            the end), ``signals`` (how many), ``last_signal`` (month, "2026-03"; "" without).
        """
        rows = {}
        for name, c in self.charts.items():
            last = c.table.iloc[-1]
            signals = c.signals
            rows[name] = {
                "n": len(c.table),
                "vlad": last["vlad"],
                "h_up": c.h_up,
                "h_down": c.h_down,
                "up": last["up"],
                "down": last["down"],
                "signals": len(signals),
                "last_signal": f"{self.ended[name][signals[-1] - 1]:%Y-%m}" if signals else "",
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("therapist_id")

    def summary(self) -> str:
        """Say how many charts signal, and how many would by chance."""
        if not self.charts:
            return "No therapist has enough patients for a chart."
        table = self.to_frame()
        rate = next(iter(self.charts.values())).options.false_alarm
        return (
            f"{len(table)} charts, {(table['signals'] > 0).sum()} with a signal. If all were as expected, "
            f"each direction would signal by chance in {rate:.0%} of charts."
        )

    def __repr__(self) -> str:
        return f"<ter.Watch: {self.summary()}>"


def watch(
    fit: Fit,
    episodes: pd.DataFrame,
    *,
    since: pd.Timestamp | None = None,
    options: ChartOptions | None = None,
    rating: RatingOptions | None = None,
    progress: Progress | None = None,
) -> Watch:
    """Chart the patients of each therapist in the order in which their treatments ended.

    The expected rate is that of a therapist drawn at random, and an estimate: where `fit` has seen the same
    patients it lies a little too near to what happened. Fit to the months before `since` for a chart that
    looks forward. Therapists truly differ, so more signals come than by chance, from therapists who have been
    better or worse than expected all along: a signal is a question, not a verdict.

    Parameters
    ----------
    fit : Fit
    episodes : DataFrame
        With ``end_date``; a patient a row.
    since : Timestamp, optional
        Only treatments that ended on or after this day.
    options : ChartOptions, optional
    rating : RatingOptions, optional
        Its gate.
    progress : callable, optional
        Called with the charts drawn, and all.

    Returns
    -------
    Watch

    Raises
    ------
    DataError
        If the table has no dates of ending, or counts instead of patients.
    """
    if fit.settings.trials is not None or "end_date" not in episodes:
        raise DataError("Charts take a table of patients, a row each, with an end_date.")
    kept = shown_therapists(fit, rating or RatingOptions())
    allowed = [name for name, passed in zip(fit.units.ids, kept, strict=True) if passed]
    table = episodes if since is None else episodes[episodes["end_date"] >= since]
    cases = cases_of(fit, table)
    ended = pd.DatetimeIndex(table["end_date"].iloc[cases.row])
    options = options or ChartOptions()
    charts: dict[str, Chart] = {}
    dates: dict[str, pd.DatetimeIndex] = {}
    present = [name for name in allowed if name in cases.ids]
    for done, name in enumerate(present, start=1):
        rows = _in_order(cases, cases.ids.index(name), ended)
        if len(rows) >= SMALLEST_GROUP:
            charts[name] = chart(cases.observed[rows] == 1.0, cases.expected[rows], options)
            dates[name] = ended[rows]
        if progress is not None:
            progress(done, len(present))
    return Watch(charts, dates)


def _in_order(cases: Cases, therapist: int, ended: pd.DatetimeIndex) -> IntArray:
    """Cases of a therapist by date of ending; on one day by content, so that rows may come in any order."""
    rows = np.flatnonzero(cases.therapist == therapist)
    order = np.lexsort((cases.observed[rows], cases.expected[rows], ended[rows].asi8))
    return rows[order]
