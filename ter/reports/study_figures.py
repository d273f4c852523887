"""Figures of studies. Each takes the table of a study and an Axes, draws on it and returns it.

Bars reach two Monte Carlo standard errors to either side; of shares that chance cannot be told of by
networks, which all say the same, they are Wilson's interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from ter.reports.figures.style import ACCENT, DASHED, DOTTED, INK, MUTED, RULE, TINT, WARM, frame, nothing
from ter.simulation.studies import (
    CalibrationStudy,
    CoverageStudy,
    GateStudy,
    PowerStudy,
    RawVersusTerStudy,
    ReliabilityStudy,
    StudyResult,
)
from ter.simulation.studies.bands import band_name, figures
from ter.simulation.studies.uniformity import MOST_POINTS, points_of, simultaneous_band

FloatArray = NDArray[np.float64]

Drawing = Callable[[StudyResult, Axes], Axes]
Place = Literal["upper left", "upper center", "upper right", "lower center", "lower right"]

#: Shades of one colour from light to dark: they keep their order for any colour vision and in print.
_SHADES: Final = ("#8fbcc4", "#4f93a0", ACCENT, INK)
_MARKERS: Final = ("o", "s", "D", "^")
#: Between two numbers of this ratio lie two of the steps 1, 2, 5 of a logarithmic axis, and three of the
#: closer ones. Values that are more alike get an axis whose ends have the second ratio: none is at an end.
_LEAST_RATIO: Final = 5.0
_NARROW: Final = 6.0
_STEPS: Final = (1, 2, 5)
_CLOSER_STEPS: Final = (1, 2, 3, 5, 7)
#: A reliability below this stands as an arrow and a number at the edge: one band of few therapists shall
#: not flatten the rest.
_LEAST_RELIABILITY: Final = -1.0
_STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "study",
}


@dataclass(frozen=True)
class _Look:
    """How a series of points looks, and what it is called."""

    colour: str
    marker: str
    label: str
    line: bool = True


def reliability(result: StudyResult, ax: Axes) -> Axes:
    """Draw stated and true reliability against completed treatments, beside the closed form."""
    table = result.table
    number = _series(table, "mean_completed")["estimate"].to_numpy(float)
    frame(ax, "Completed treatments", "Reliability of a rating", grid="both")
    if not np.isfinite(number).any():
        return nothing(ax, "No therapist in any band")
    formula = _series(table, "formula")["estimate"].to_numpy(float)
    ax.plot(number, formula, color=MUTED, linestyle=DASHED, linewidth=1.2, label="closed form, recovery of ½")
    for look in (_Look(WARM, "s", "true", line=False), _Look(ACCENT, "o", "stated")):
        rows = _series(table, look.label)
        error = 2.0 * rows["mcse"].fillna(0.0).to_numpy(float)
        _points(ax, number, rows["estimate"].to_numpy(float), error, look)
    needed = table[table["statistic"] == "needed_stated"].dropna(subset=["estimate"])
    for _, row in needed.iterrows():
        ax.plot([row["estimate"]] * 2, [0, row["level"]], color=INK, linestyle=DOTTED, linewidth=1.0)
        ax.annotate(
            f"{row['level']:g} at {row['estimate']:.0f}",
            (row["estimate"], row["level"]),
            xytext=(-5, 4),
            textcoords="offset points",
            ha="right",
            color=INK,
        )
    _logarithmic(ax, number[np.isfinite(number)])
    ax.set_ylim(_lower_end(ax, number, _series(table, "true")["estimate"].to_numpy(float)), 1)
    return _legend(ax, "upper left")


def gate(result: StudyResult, ax: Axes) -> Axes:
    """Draw what goes wrong at each gate, in percent."""
    table = result.table[result.table["completed_to"].isna()]
    frame(ax, "", "Percent", grid="y")
    words = (
        ("missed", "truly below, no support offered", WARM, "s"),
        ("wrong_quartile", "in a wrong quartile", ACCENT, "o"),
        ("wrong_flag", "offers of support that are wrong", INK, "D"),
    )
    gates = _series(table, "rated")["completed_from"].to_numpy(int)
    x = np.arange(gates.size, dtype=float)
    for k, (name, label, colour, marker) in enumerate(words):
        _shares(result, ax, x + 0.06 * (k - 1), _series(table, name), _Look(colour, marker, label))
    chance = 100 * _series(table, "wrong_quartile_by_chance")["estimate"].to_numpy(float)
    ax.plot(x, chance, color=MUTED, linestyle=DASHED, linewidth=1.0, label="in a wrong quartile by chance")
    rated = 100 * _series(table, "rated")["estimate"].to_numpy(float)
    error = _series(table, "error")["estimate"].to_numpy(float)
    ax.set_xticks(
        x,
        [
            f"gate at {g}\n" + ("nobody rated" if np.isnan(e) else f"{r:.0f}% rated\nTER off by {e:.1f}")
            for g, r, e in zip(gates, rated, error, strict=True)
        ],
    )
    ax.set_xlim(-0.4, gates.size - 0.6)
    ax.set_ylim(0, 105)
    return _legend(ax, "upper center", below=True)


def power_below(result: StudyResult, ax: Axes) -> Axes:
    """Draw the share of therapists truly below the minimum who are offered support, by treatments."""
    table = result.table[result.table["statistic"] == "seen_below"]
    frame(ax, "Completed treatments", "Offered support, percent", grid="y")
    points = np.unique(table["points_below"])
    for k, below in enumerate(points):
        rows = table[table["points_below"] == below]
        shade = _SHADES[min(k, len(_SHADES) - 1)]
        label = "exactly at the minimum" if below == 0 else f"truly {below:g} points below"
        _shares(result, ax, np.arange(len(rows)) + 0.04 * k, rows, _Look(shade, _MARKERS[k % 4], label))
    bands = table[table["points_below"] == points[0]]
    ax.set_xticks(range(len(bands)), [band_name(row) for _, row in bands.iterrows()])
    ax.set_ylim(0, 105)
    return _legend(ax, "upper center", below=True)


def power_differ(result: StudyResult, ax: Axes) -> Axes:
    """Draw the share of networks in which therapists are seen to differ, by their size."""
    table = result.table[result.table["statistic"] == "seen_to_differ"]
    frame(ax, "Completed treatments of each therapist", "Differences seen, percent of networks", grid="y")
    truths = [icc for icc in np.unique(table["icc"]) if icc > 0]
    chosen = table[table["icc"] == (truths[0] if truths else 0.0)]
    for k, therapists in enumerate(np.unique(chosen["therapists"].astype(int))):
        rows = chosen[chosen["therapists"] == therapists]
        x = rows["patients"].to_numpy(float)
        look = _Look(_SHADES[min(k, 3)], _MARKERS[k % 4], f"{therapists} therapists")
        _shares(result, ax, x, rows, look)
    ax.axhline(80, color=MUTED, linestyle=DASHED, linewidth=1.0, label="enough: 80%")
    ax.set_xticks(np.unique(chosen["patients"].astype(int)))
    ax.set_ylim(0, 105)
    ax.set_title(f"ICC {truths[0]:g}" if truths else "no differences", color=INK, fontsize=9, loc="left")
    return _legend(ax, "upper center", below=True)


def coverage(result: StudyResult, ax: Axes) -> Axes:
    """Draw how often intervals hold the truth against how often they should."""
    table = result.table[result.table["statistic"] == "coverage"]
    frame(ax, "Probability of the interval, percent", "Coverage less that probability, points", grid="y")
    ax.axhline(0, color=INK, linestyle=DASHED, linewidth=1.0)
    words = {"therapist_sd": "therapists' SD", "service_sd": "services' SD", "coefficients": "coefficients"}
    groups = [
        (f"TER, {band_name(rows.iloc[0])} completed", rows)
        for _, rows in table[table["quantity"] == "ter"].groupby("completed_from")
    ]
    groups += [
        (words[str(q)], rows) for q, rows in table[table["quantity"] != "ter"].groupby("quantity", sort=False)
    ]
    levels = np.unique(table["level"])
    for k, (label, rows) in enumerate(groups):
        ter = label.startswith("TER")
        colour = _SHADES[min(k, 3)] if ter else WARM
        x = np.arange(len(levels)) + 0.1 * (k - len(groups) / 2)
        look = _Look(colour, "o" if ter else "sD^"[k % 3], label, line=False)
        _shares(result, ax, x, rows, look, above="level")
    ax.set_xticks(range(len(levels)), [f"{100 * level:g}" for level in levels])
    return _legend(ax, "upper center", below=True)


def calibration(result: StudyResult, ax: Axes) -> Axes:
    """Draw the distribution functions of the probabilities below the truth, less a uniform's."""
    table = result.table
    n = int(table["n"].iloc[0])
    band = result.study.band if isinstance(result.study, CalibrationStudy) else 0.95
    z, low, high = _whole_band(n, band)
    frame(ax, "Probability below the truth", "Distribution function less a uniform's", grid="y")
    ax.fill_between(z, low - z, high - z, color=TINT, label=f"{100 * band:g}% of uniform samples stay inside")
    ax.axhline(0, color=MUTED, linewidth=1.0)
    outside = set(table.loc[(table["statistic"] == "outside") & (table["estimate"] > 0), "quantity"])
    first = True
    for name, rows in table[table["statistic"] == "ecdf"].groupby("quantity", sort=False):
        x, y = rows["at"].to_numpy(float), rows["estimate"].to_numpy(float)
        bad = name in outside
        label = str(name) if bad else "a quantity" if first else None
        first = first and bad
        ax.plot(
            x, y - x, color=WARM if bad else ACCENT, linewidth=1.6 if bad else 1.0, alpha=0.8, label=label
        )
    return _legend(ax, "lower center")


def raw_versus_ter(result: StudyResult, ax: Axes) -> Axes:
    """Draw the share of pairs of therapists that raw rates and TERs put in the wrong order."""
    table = result.table[result.table["pairs"] == "by_gap"]
    frame(ax, "True difference of the pair, points", "Pairs in the wrong order, percent", grid="y")
    raw = _series(table, "raw_wrong")
    ter = _series(table, "ter_wrong")
    highest = 100.0 * np.concatenate([raw["estimate"], ter["estimate"]])
    if np.isnan(highest).all():
        return nothing(ax, "No pairs of therapists with enough completed treatments")
    x = np.arange(len(raw), dtype=float)
    _shares(result, ax, x - 0.03, raw, _Look(WARM, "s", "by raw recovery rate"))
    _shares(result, ax, x + 0.03, ter, _Look(ACCENT, "o", "by TER"))
    names = [
        f"{a:g} or more" if np.isnan(b) else f"{a:g}–{b:g}"
        for a, b in zip(raw["gap_from"], raw["gap_to"], strict=True)
    ]
    ax.set_xticks(x, names)
    # Half of the pairs are wrong by chance; of few pairs it may be more.
    ax.set_ylim(0, max(52.0, np.nanmax(highest) + 2.0))
    return _legend(ax, "upper right")


def raw_example(result: StudyResult, ax: Axes) -> Axes:
    """Draw what the raw difference of the example's pairs is made of."""
    found = figures(result.table[result.table["pairs"] == "example"])
    frame(ax, "Percentage points")
    if isinstance(result.study, RawVersusTerStudy):
        high, low = result.study.example
        ax.set_title(
            f"Mean difference of pairs with raw rates near {high:g}% and {low:g}%",
            color=INK,
            fontsize=9,
            loc="left",
        )
    if np.isnan(found["raw_gap"][0]):
        return nothing(ax, "No such pairs")
    left = 0.0
    for name, colour, ink in (
        ("chance", RULE, INK),
        ("patients", _SHADES[1], "white"),
        ("therapists", ACCENT, "white"),
    ):
        width = found[name][0]
        ax.barh(1.0, width, left=left, color=colour, height=0.5, edgecolor="white")
        ax.text(left + width / 2, 1.0, f"{name}\n{width:.0f}", ha="center", va="center", color=ink)
        left += width
    for y, name, colour in ((0.35, "true_gap", ACCENT), (-0.15, "ter_gap", _SHADES[1])):
        width, mcse = found[name]
        ax.barh(y, width, color=colour, height=0.3)
        error = 0.0 if np.isnan(mcse) else 2 * mcse
        ax.errorbar(width, y, xerr=error, color=INK, elinewidth=1.2)
        ax.annotate(
            f"{width:.1f}", (width + error, y), xytext=(5, 0), textcoords="offset points", va="center",
            color=INK,
        )  # fmt: skip
    ax.set_yticks([1.0, 0.35, -0.15], ["raw rates", "true TER", "rated TER"])
    ax.tick_params(axis="y", length=0)
    return ax


#: The drawings of each study, side by side, and the width of one, inches.
DRAWINGS: Final[dict[str, tuple[Drawing, ...]]] = {
    ReliabilityStudy.NAME: (reliability,),
    GateStudy.NAME: (gate,),
    PowerStudy.NAME: (power_below, power_differ),
    CoverageStudy.NAME: (coverage,),
    CalibrationStudy.NAME: (calibration,),
    RawVersusTerStudy.NAME: (raw_versus_ter, raw_example),
}
_SIZE: Final = (5.6, 4.2)
_BARS: Final = "Thin bars: two Monte Carlo standard errors to either side"


def study_figure(result: StudyResult) -> Figure:
    """Draw the figure of a study.

    Parameters
    ----------
    result : StudyResult

    Returns
    -------
    matplotlib.figure.Figure
    """
    drawings: Sequence[Drawing] = DRAWINGS[result.study.NAME]
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(_SIZE[0] * len(drawings), _SIZE[1]), layout="constrained")
        for k, drawing in enumerate(drawings):
            drawing(result, figure.add_subplot(1, len(drawings), k + 1))
        if result.study.NAME != CalibrationStudy.NAME:
            figure.supxlabel(_BARS, color=MUTED, fontsize=8)
    return figure


def save_study_figure(result: StudyResult, path: Path) -> None:
    """Save the figure of a study, as SVG or PNG. The same result gives the same bytes.

    Parameters
    ----------
    result : StudyResult
    path : Path
    """
    kind = path.suffix.removeprefix(".")
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with style.context(["default", _STYLE]):
        study_figure(result).savefig(path, format=kind, dpi=150, metadata=metadata)


def _series(table: pd.DataFrame, statistic: str) -> pd.DataFrame:
    rows = table[table["statistic"] == statistic]
    return rows[rows["completed_from"].notna()] if "completed_from" in rows else rows


def _logarithmic(ax: Axes, shown: FloatArray) -> None:
    """Make the x axis logarithmic, with plain numbers, two of them at least however alike the values are."""
    low, high = float(shown.min()), float(shown.max())
    ax.set_xscale("log")
    if high / low < _LEAST_RATIO:
        middle, half = np.sqrt(low * high), np.sqrt(_NARROW)
        low, high = middle / half, middle * half
        ax.set_xlim(low, high)
    else:
        # A tick in the margin beyond the last value says how far the axis goes.
        high = ax.get_xlim()[1]
    ticks = _ticks(low, high, _STEPS)
    ax.xaxis.set_major_locator(FixedLocator(ticks if len(ticks) > 2 else _ticks(low, high, _CLOSER_STEPS)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _ticks(low: float, high: float, steps: tuple[int, ...]) -> list[int]:
    """The steps of every decade from 1 that lie between two ends."""
    return [t for k in range(8) for step in steps if low <= (t := step * 10**k) <= high]


def _lower_end(ax: Axes, number: FloatArray, true: FloatArray) -> float:
    """Where the axis of reliabilities begins: at 0, or below the lowest true one.

    A true reliability is below 0 where ratings err by more than the therapists differ.
    """
    lowest = float(np.nanmin(true))
    if lowest >= 0:
        return 0.0
    ax.axhline(0, color=MUTED, linewidth=1.0)
    # Rounded down to a tick, with room for the marker.
    end = max(0.2 * float(np.floor((lowest - 0.05) / 0.2)), _LEAST_RELIABILITY)
    for x, value in zip(number[true < end], true[true < end], strict=True):
        ax.plot(x, end, "v", color=WARM, markersize=6, clip_on=False)
        ax.annotate(f"{value:,.1f}", (x, end), xytext=(5, 4), textcoords="offset points", color=WARM)
    return end


def _whole_band(n: int, band: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Points, lower and upper limits of the distribution function of n uniform values."""
    z = points_of(n)
    low, high = simultaneous_band(n, band)
    if n >= MOST_POINTS:
        return z, low, high
    # Between points that lie far apart: a distribution function does not fall, so that it stays above the
    # limit before and below the limit after.
    ends = np.concatenate([[0.0], np.repeat(z, 2), [1.0]])
    return ends, np.repeat(np.append(0.0, low), 2), np.repeat(np.append(high, 1.0), 2)


def _share_errors(rows: pd.DataFrame, networks: int) -> FloatArray:
    """Lengths of the bars of shares, downwards and upwards, shape (2, R).

    Where all networks say the same, or only one says anything, their differences give no error. Wilson's
    interval at two standard errors then takes a network as one case: its therapists are not independent.
    """
    share, mcse = rows["estimate"].to_numpy(float), rows["mcse"].to_numpy(float)
    n = np.clip(rows["n"].to_numpy(float), 1.0, networks)
    middle = (share + 2.0 / n) / (1.0 + 4.0 / n)
    half = 2.0 * np.sqrt(share * (1.0 - share) / n + 1.0 / n**2) / (1.0 + 4.0 / n)
    wilson = np.array([share - (middle - half), middle + half - share])
    # Rounding may leave a bar of 0 a little below it; two standard errors may lead beyond 0 or 1.
    bars = np.where(mcse > 0, 2.0 * mcse, np.maximum(wilson, 0.0))
    ends: FloatArray = np.minimum(bars, np.array([share, 1.0 - share]))
    return ends


def _points(ax: Axes, x: NDArray[Any], y: FloatArray, error: FloatArray, look: _Look) -> None:
    ax.errorbar(
        x,
        y,
        yerr=error,
        color=look.colour,
        marker=look.marker,
        markersize=5,
        elinewidth=1.4,
        linewidth=1.4,
        linestyle="-" if look.line else "none",
        label=look.label,
    )


def _shares(
    result: StudyResult, ax: Axes, x: NDArray[Any], rows: pd.DataFrame, look: _Look, above: str | None = None
) -> None:
    """Draw shares in percent, or how far they lie above another column, with bars."""
    share = rows["estimate"].to_numpy(float)
    if above is not None:
        share = share - rows[above].to_numpy(float)
    error = _share_errors(rows, result.replicates - result.not_converged)
    _points(ax, x, 100.0 * share, 100.0 * error, look)


def _legend(ax: Axes, place: Place, *, below: bool = False) -> Axes:
    if below:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False, labelcolor=INK)
    else:
        ax.legend(loc=place, frameon=False, labelcolor=INK)
    return ax
