"""Figures of a publication. Each takes an Axes, draws on it and returns it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from io import StringIO
from typing import Any, Final

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import MultipleLocator

from ter.ratings.publication import Publication

#: The colours of the pages: one accent, and greys that keep their order in black and white.
ACCENT: Final = "#0b5f70"
INK: Final = "#1d2a33"
MUTED: Final = "#56646f"
RULE: Final = "#d6dee3"

#: Up to so many units a caterpillar names each of them; of more than the second it draws a band.
_NAMED_UNITS: Final = 40
_DRAWN_ONE_BY_ONE: Final = 300
_LABEL_LENGTH: Final = 24

#: On top of matplotlib's own style, so that a style of the reader's does not change the pages.
_STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "svg.fonttype": "none",
    "path.simplify": False,
}

Drawing = Callable[[Publication, Axes], Axes]


def caterpillar(publication: Publication, ax: Axes) -> Axes:
    """Draw every rated unit's TER with its interval, from the lowest to the highest.

    Units behind the gate are not drawn. Up to 40 units are named.

    Parameters
    ----------
    publication : Publication
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: the TER in percent along x, the units along y.
    """
    low, high = (f"ter_{quantile}" for quantile in publication.options.quantile_names)
    rated = publication.ratings.dropna(subset=["ter"]).sort_values(["ter", "therapist_id"])
    _frame(ax)
    ax.set_xlabel("TER, percent")
    if rated.empty:
        return _nothing(ax)
    y = np.arange(1, len(rated) + 1)
    ter = rated["ter"].to_numpy(float)
    bounds = rated[[low, high]].to_numpy(float)
    few = len(rated) <= _NAMED_UNITS
    if len(rated) > _DRAWN_ONE_BY_ONE:
        ax.fill_betweenx(y, bounds[:, 0], bounds[:, 1], step="mid", color=ACCENT, alpha=0.45, linewidth=0)
    else:
        # One line with gaps, not a line a unit: the picture stays small.
        ax.plot(
            np.hstack([bounds, np.full((len(rated), 1), np.nan)]).ravel(),
            np.repeat(y, 3),
            color=ACCENT,
            alpha=0.9 if few else 0.45,
            linewidth=float(np.clip(260 / len(rated), 0.8, 2.4)),
            solid_capstyle="butt",
        )
    average = 100 * publication.network.expected
    if np.isfinite(average):
        ax.axvline(average, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    if publication.options.minimum is not None:
        ax.axvline(publication.options.minimum, color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)))
    if few:
        ax.plot(ter, y, "o", color=ACCENT, markersize=5)
    else:
        ax.plot(ter, y, color=INK, linewidth=1.4)
    ax.set_ylim(0.0, len(rated) + 1.0)
    if few:
        ax.set_yticks(y, [_label(name) for name in rated["therapist_id"]], parse_math=False)
        ax.tick_params(axis="y", length=0)
    else:
        ax.set_yticks([])
    return ax


def calibration(publication: Publication, ax: Axes) -> Axes:
    """Draw observed against predicted recovery by decile of prediction, with 95% Wilson intervals.

    Parameters
    ----------
    publication : Publication
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: predicted recovery in percent along x, observed along y, and the line where both agree.
    """
    table = publication.calibration.dropna(subset=["expected", "observed"])
    _frame(ax)
    ax.set_xlabel("Recovery predicted, percent")
    ax.set_ylabel("Recovery observed, percent")
    if table.empty:
        return _nothing(ax)
    expected, observed, low, high = 100 * table[["expected", "observed", "low", "high"]].to_numpy(float).T
    # A Wilson interval holds its rate but for rounding.
    bars = np.maximum(np.vstack([observed - low, high - observed]), 0.0)
    ends = (
        max(0.0, 10 * np.floor(min(expected.min(), low.min()) / 10)),
        min(100.0, 10 * np.ceil(max(expected.max(), high.max()) / 10)),
    )
    ax.plot(ends, ends, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.errorbar(expected, observed, yerr=bars, fmt="o", color=ACCENT, markersize=5, elinewidth=1.6)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(10))
    return ax


def figure_svg(drawing: Drawing, publication: Publication, *, size: tuple[float, float], name: str) -> str:
    """Draw a figure as SVG to stand inside a page.

    The same publication gives the same bytes: ids are hashed with a fixed salt, there is no date, and text
    stays text, which takes on the font of the page.

    Parameters
    ----------
    drawing : callable
        `caterpillar` or `calibration`.
    publication : Publication
    size : (float, float)
        Width and height, inches.
    name : str
        Prefix of the ids in the picture, so that two figures of a page do not share one.

    Returns
    -------
    str
        An ``<svg>`` element, hidden from screen readers: the page's figure describes it.
    """
    with style.context(["default", {**_STYLE, "svg.hashsalt": name}]):
        figure = Figure(figsize=size, layout="constrained")
        drawing(publication, figure.add_subplot())
        text = StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(text, format="svg", metadata=nothing)
    return _inline(text.getvalue(), name)


def caterpillar_size(n_rated: int) -> tuple[float, float]:
    """Choose the width and height (inches) of a caterpillar of `n_rated` units."""
    return 4.4, float(np.clip(1.2 + 0.2 * n_rated, 2.4, 4.4 if n_rated > _NAMED_UNITS else 9.2))


def _inline(svg: str, name: str) -> str:
    """Take the file's head away and make ids unique; what is left is an element of HTML."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'(<svg [^>]*?)width="[^"]*" ?', r"\1", re.sub(r'(<svg [^>]*?)height="[^"]*" ?', r"\1", svg))
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip()


def _frame(ax: Axes) -> None:
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(MUTED)
    ax.tick_params(colors=MUTED, labelcolor=INK, length=3)
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    ax.grid(visible=True, axis="x", color=RULE, linewidth=0.8)
    ax.set_axisbelow(True)


def _nothing(ax: Axes) -> Axes:
    ax.text(0.5, 0.5, "Nobody is rated yet", transform=ax.transAxes, ha="center", va="center", color=MUTED)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


@cache
def _drawable() -> frozenset[int]:
    return frozenset(FT2Font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def _label(identifier: str) -> str:
    """Shorten an id to a label; a character that the font lacks is drawn as a box, in place of a warning."""
    drawn = "".join(
        c if c.isprintable() and ord(c) in _drawable() else "\N{WHITE SQUARE}" for c in identifier
    )
    return drawn if len(drawn) <= _LABEL_LENGTH else drawn[: _LABEL_LENGTH - 1] + "…"
