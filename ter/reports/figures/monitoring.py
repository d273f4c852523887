"""Charts that watch one therapist, patient by patient: for analysts and the therapist, not for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from ter.reports.figures.style import ACCENT, DASHED, INK, MUTED, TINT, WARM, frame

if TYPE_CHECKING:
    from ter.monitoring.chart import Chart


def vlad(chart: Chart, ax: Axes) -> Axes:
    """Draw recoveries above those expected, patient by patient, with the band that luck explains.

    Parameters
    ----------
    chart : ter.monitoring.chart.Chart
        Its ``table`` is what is drawn.
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: patients in order along x, recoveries above those expected along y. Squares: patients
        at whom a CUSUM signals.
    """
    frame(ax, "Patients, in order", "Recoveries above those expected", grid="y")
    patient = chart.table.index.to_numpy(float)
    line, low, high = chart.table[["vlad", "vlad_low", "vlad_high"]].to_numpy(float).T
    ax.fill_between(patient, low, high, color=TINT, linewidth=0)
    ax.axhline(0.0, color=INK, linewidth=1.0, linestyle=DASHED)
    ax.plot(patient, line, color=ACCENT, linewidth=1.6)
    at = np.array(chart.signals, dtype=np.int64)
    ax.plot(at, line[at - 1], "s", color=WARM, markersize=6, markeredgewidth=0)
    ax.set_xlim(0.0, len(patient) + 1.0)
    return ax


def cusum(chart: Chart, ax: Axes) -> Axes:
    """Draw the two risk-adjusted CUSUMs with their limits: for better above zero, for worse below it.

    Parameters
    ----------
    chart : ter.monitoring.chart.Chart
        Its ``table`` is what is drawn; ``down`` with its sign turned.
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: patients in order along x, the CUSUMs along y, dashed their limits.
    """
    frame(ax, "Patients, in order", "Evidence of a change (CUSUM)", grid="y")
    patient = chart.table.index.to_numpy(float)
    up, down = chart.table[["up", "down"]].to_numpy(float).T
    for values, limit, words in ((up, chart.h_up, "better"), (-down, -chart.h_down, "worse")):
        ax.plot(patient, values, color=ACCENT if limit > 0 else MUTED, linewidth=1.6)
        ax.axhline(limit, color=INK, linewidth=1.0, linestyle=DASHED)
        over = np.abs(values) >= abs(limit)
        ax.plot(patient[over], values[over], "s", color=WARM, markersize=5, markeredgewidth=0)
        ax.annotate(
            words, (0.0, limit), xytext=(3, -3 if limit > 0 else 3), textcoords="offset points", fontsize=8,
            va="top" if limit > 0 else "bottom", color=INK,
        )  # fmt: skip
    ax.axhline(0.0, color=MUTED, linewidth=0.8)
    reach = 1.15 * max(chart.h_up, chart.h_down, up.max(), down.max())
    ax.set_ylim(-reach, reach)
    ax.set_xlim(0.0, len(patient) + 1.0)
    # The lower one counts upwards as well.
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    return ax
