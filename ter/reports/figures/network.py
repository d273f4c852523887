"""Figures of a whole network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, MultipleLocator
from numpy.typing import NDArray

from ter.ratings.publication import Publication
from ter.reports import figure_data
from ter.reports.figures.style import (
    ACCENT,
    DASHED,
    DOTTED,
    INK,
    MUTED,
    NAMED,
    ONE_BY_ONE,
    WARM,
    dots,
    frame,
    intervals,
    label,
    middles,
    name_points,
    nothing,
    spread,
)
from ter.reports.views import network_average

if TYPE_CHECKING:
    from ter.ratings.funnel import Funnel

FloatArray = NDArray[np.float64]

#: The stages of a rating, from left to right: columns of `figure_data.shrinkage_data`, and their words.
_STAGES: Final = {"observed": "Raw rate", "adjusted": "Adjusted for\ncase mix", "ter": "TER"}
#: How the network's average is drawn: over intervals, under their middles.
_AVERAGE: Final[dict[str, Any]] = {"color": INK, "linewidth": 1.0, "linestyle": DASHED, "zorder": 2.1}
#: Labels of axes.
_COUNTED: Final = "Patients who count for recovery"
_ADJUSTED: Final = "Adjusted recovery, percent"
#: Reliabilities that people ask for.
_RELIABLE: Final = (0.5, 0.7, 0.9)
_CURVE_POINTS: Final = 200
#: Units of a slope chart that are named.
_NAMED_SLOPES: Final = 15


def caterpillar(publication: Publication, ax: Axes) -> Axes:
    """Draw every rated unit's TER with its interval, from the lowest to the highest.

    Units behind the gate are not drawn. Up to 40 units are named. Data: `figure_data.caterpillar_data`.

    Parameters
    ----------
    publication : Publication
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: the TER in percent along x, the units along y.
    """
    frame(ax, "TER, percent")
    table = figure_data.caterpillar_data(publication)
    if table.empty:
        return nothing(ax)
    _ladder(table, ax)
    average = network_average(publication)
    if average is not None:
        ax.axvline(average, **_AVERAGE)
    if publication.options.minimum is not None:
        ax.axvline(publication.options.minimum, color=MUTED, linewidth=1.0, linestyle=DOTTED, zorder=2.1)
    return ax


def caterpillar_size(n_rated: int) -> tuple[float, float]:
    """Choose the width and height (inches) of a caterpillar of `n_rated` units."""
    return 4.4, float(np.clip(1.2 + 0.2 * n_rated, 2.4, 4.4 if n_rated > NAMED else 9.2))


def ranks(publication: Publication, ax: Axes) -> Axes:
    """Draw every rated unit's expected rank with its interval, the first rank at the top.

    Data: `figure_data.ranks_data`.

    Parameters
    ----------
    publication : Publication
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: the rank along x, 1 for the highest, the units along y.
    """
    frame(ax, "Rank (1 = highest TER)")
    table = figure_data.ranks_data(publication)
    if table.empty:
        return nothing(ax)
    _ladder(table, ax)
    room = 0.03 * len(table)
    ax.set_xlim(1 - room, len(table) + room)
    # Round ranks, and the first one: no rank is 0.
    ticks = np.asarray(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]).tick_values(1, len(table)))
    ticks = np.unique(np.clip(ticks[ticks <= len(table)], 1, None))
    ax.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    return ax


def calibration(publication: Publication, ax: Axes) -> Axes:
    """Draw observed against predicted recovery by decile of prediction, with 95% Wilson intervals.

    Data: `figure_data.calibration_data`.

    Parameters
    ----------
    publication : Publication
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: predicted recovery in percent along x, observed along y, and the line where both agree.
    """
    table = figure_data.calibration_data(publication)
    frame(ax, "Recovery predicted, percent", "Recovery observed, percent")
    if table.empty:
        return nothing(ax)
    expected, observed, low, high = table[["expected", "observed", "low", "high"]].to_numpy(float).T
    # A Wilson interval holds its rate but for rounding.
    bars = np.maximum(np.vstack([observed - low, high - observed]), 0.0)
    ends = (
        max(0.0, 10 * np.floor(min(expected.min(), low.min()) / 10)),
        min(100.0, 10 * np.ceil(max(expected.max(), high.max()) / 10)),
    )
    ax.plot(ends, ends, color=INK, linewidth=1.0, linestyle=DASHED)
    ax.errorbar(expected, observed, yerr=bars, fmt="o", color=ACCENT, markersize=5, elinewidth=1.6)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(10))
    return ax


def reliability(publication: Publication, ax: Axes) -> Axes:
    """Draw how the reliability grows with the patients treated, with this network's units.

    Data: `figure_data.reliability_data` and `figure_data.reliability_curve`.

    Parameters
    ----------
    publication : Publication
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: patients who count for recovery along x, the reliability along y.
    """
    frame(ax, _COUNTED, "Reliability", grid="y")
    table = figure_data.reliability_data(publication)
    if table.empty:
        return nothing(ax)
    n, value = table["n_at_caseness"].to_numpy(float), table["reliability"].to_numpy(float)
    longest = max(1.08 * n.max(), 20.0)
    ax.set_xlim(0.0, longest)
    ax.set_ylim(0.0, 1.0)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    along = np.linspace(0.0, longest, _CURVE_POINTS)
    curve = figure_data.reliability_curve(publication, along)
    dots(ax, n, value)
    ax.plot(along, curve, color=INK, linewidth=1.2)
    reached = [float(np.interp(level, curve, along, right=np.nan)) for level in _RELIABLE]
    for level, patients in zip(_RELIABLE, reached, strict=True):
        if np.isfinite(patients):
            ax.plot(
                [patients, patients, 0.0], [0.0, level, level], color=MUTED, linewidth=0.9, linestyle=DOTTED
            )
            ax.annotate(
                f"{level}: {np.ceil(patients):,.0f}", (0.0, level), xytext=(4, 3), textcoords="offset points",
                fontsize=8, color=INK,
            )  # fmt: skip
    if len(table) <= NAMED:
        order = np.argsort(-n, kind="stable")
        name_points(ax, n[order], value[order], [table["therapist_id"][i] for i in order], most=6)
    return ax


def shrinkage(publication: Publication, ax: Axes) -> Axes:
    """Draw the way from the raw recovery rate to the TER.

    First the case mix is allowed for, then what a few patients may owe to luck is taken away. Up to 15
    units are named; more than 300 are drawn as tenths by their raw rate, with the range of the middle 90%.
    Data: `figure_data.shrinkage_data`.

    Parameters
    ----------
    publication : Publication
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: the stages along x, percent along y.
    """
    frame(ax, "", "Recovery, percent", grid="y")
    table = figure_data.shrinkage_data(publication)
    if table.empty:
        return nothing(ax)
    values = table[list(_STAGES)].to_numpy(float)
    at = np.arange(len(_STAGES), dtype=np.float64)
    many = len(table) > ONE_BY_ONE
    ax.set_xticks(at, list(_STAGES.values()))
    ax.set_xlim(-0.15, at[-1] + (0.55 if len(table) <= _NAMED_SLOPES else 0.15))
    if many:
        ends = np.quantile(values, [0.05, 0.95], axis=0)
        ax.vlines(at, ends[0], ends[1], color=ACCENT, alpha=0.25, linewidth=14)
        tenth = pd.Series(values[:, 0]).rank(method="first").to_numpy() * 10 // (len(table) + 1)
        values = np.array([values[tenth == k].mean(axis=0) for k in range(10)])
    for row in values:
        ax.plot(at, row, color=ACCENT, alpha=0.9 if many or len(values) <= NAMED else 0.25, linewidth=1.2)
    if many or len(values) <= NAMED:
        ax.plot(np.tile(at, len(values)), values.ravel(), "o", color=ACCENT, markersize=4)
    average = network_average(publication)
    if average is not None:
        ax.axhline(average, **_AVERAGE)
    if len(table) <= _NAMED_SLOPES:
        low, high = ax.get_ylim()
        places = spread(values[:, -1], 0.055 * (high - low))
        for place, name in zip(places, table["therapist_id"], strict=True):
            ax.annotate(
                label(name), (at[-1], place), xytext=(8, 0), textcoords="offset points", va="center",
                fontsize=8, color=INK, parse_math=False, annotation_clip=False,
            )  # fmt: skip
    return ax


def funnel(publication: Publication, ax: Axes) -> Axes:
    """Draw case-mix-adjusted recovery against the number of patients, with the limits that luck explains.

    Data: `figure_data.funnel_data`, of all units whose results are shown.

    Parameters
    ----------
    publication : Publication
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        As of `funnel_plot`.
    """
    made = figure_data.funnel_data(publication)
    if made is None:
        frame(ax, _COUNTED, _ADJUSTED, grid="y")
        return nothing(ax)
    ids, computed = made
    return funnel_plot(computed, ax, ids=ids, x=_COUNTED, y=_ADJUSTED)


def funnel_plot(
    computed: Funnel,
    ax: Axes,
    *,
    ids: tuple[str, ...] | None = None,
    x: str = "Patients",
    y: str = "Percent",
    scale: float = 100.0,
) -> Axes:
    """Draw a funnel plot. What is drawn is what was computed: no option here changes a limit.

    Parameters
    ----------
    computed : ter.ratings.funnel.Funnel
        Of units that may be shown.
    ax : matplotlib.axes.Axes
    ids : tuple of str, optional
        Names of the units. The farthest outside of all limits are named, or all where they are few.
    x, y : str
        Labels of the axes.
    scale : float
        What values are multiplied with: 100 writes rates as percentages.

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: sizes along x, values along y; dotted the target, dashed the limits, the outermost
        ones full. Units outside of the outermost limits are warm in colour and square.
    """
    frame(ax, x, y, grid="y")
    sizes, values = np.asarray(computed.sizes, dtype=float), scale * np.asarray(computed.values)
    ax.set_xlim(0.0, 1.05 * sizes.max())
    # Binomial limits take whole denominators; they bend most where these are small.
    along = np.unique(np.geomspace(max(1.0, 0.5 * sizes.min()), 1.05 * sizes.max(), _CURVE_POINTS).round())
    lower, upper = computed.curve(along)
    room = 0.05 * max(np.ptp(values), 1e-9 * scale)
    # The outermost limits of the largest unit are seen, and the others of the smallest.
    last, seen = len(lower) - 1, along >= sizes.min()
    low = min(values.min(), scale * lower[0][seen].min(), scale * lower[last][-1]) - room
    high = max(values.max(), scale * upper[0][seen].max(), scale * upper[last][-1]) + room
    ax.set_ylim(low, high)
    for k in range(len(lower)):
        for limit in (lower[k], upper[k]):
            look: dict[str, Any] = {"color": INK} if k == last else {"color": MUTED, "linestyle": DASHED}
            ax.plot(along, scale * limit, linewidth=1.1, zorder=3, **look)
    ax.axhline(scale * computed.target, color=INK, linewidth=1.0, linestyle=DOTTED, zorder=3)
    outside = np.asarray(computed.outside[last]) != 0
    dots(ax, sizes[~outside], values[~outside])
    ax.plot(sizes[outside], values[outside], "s", color=WARM, markersize=5, markeredgewidth=0)
    if ids is not None:
        far = np.argsort(-np.abs(np.asarray(computed.z_adjusted)), kind="stable")
        named = far if len(ids) <= 12 else far[outside[far]]
        name_points(ax, sizes[named], values[named], [ids[i] for i in named])
    return ax


def _ladder(table: pd.DataFrame, ax: Axes) -> None:
    """Draw the intervals of a table of `figure_data`, one above another, and their middles."""
    position, value, low, high = table[["position", "value", "low", "high"]].to_numpy(float).T
    intervals(ax, position, value, low, high)
    middles(ax, position, value, table["therapist_id"].tolist())
