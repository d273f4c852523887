"""What all figures share: colours, the frame of an Axes, labels that do not overlap, dots or density."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

#: The colours of the pages: one accent, and greys that keep their order in black and white. The warm one is
#: for what needs a second look; with the accent it is told apart by readers of any colour vision.
ACCENT: Final = "#0b5f70"
WARM: Final = "#a8480b"
INK: Final = "#1d2a33"
MUTED: Final = "#56646f"
RULE: Final = "#d6dee3"
TINT: Final = "#dcebee"

#: Line styles: of the network's average, and of a limit that somebody has set.
DASHED: Final = (0, (4, 3))
DOTTED: Final = (0, (1, 2))

#: Up to so many units a figure names each; of more than the second number it draws a band, of more than
#: the third the density of their dots.
NAMED: Final = 40
ONE_BY_ONE: Final = 300
DOTS: Final = 1_500
_LABEL_LENGTH: Final = 24

_DENSITY: Final = LinearSegmentedColormap.from_list("density", ["#c3dade", ACCENT, INK])

FloatArray = NDArray[np.float64]


def frame(ax: Axes, x: str = "", y: str = "", *, grid: str = "x") -> None:
    """Give an Axes the look of the pages.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x, y : str
        Labels of the axes.
    grid : {"x", "y", "both"}
    """
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(MUTED)
    ax.tick_params(colors=MUTED, labelcolor=INK, length=3)
    ax.set_xlabel(x, color=INK)
    ax.set_ylabel(y, color=INK)
    ax.grid(visible=True, axis=grid, color=RULE, linewidth=0.8)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def nothing(ax: Axes, text: str = "Nobody is rated yet") -> Axes:
    """Say that there is nothing to draw."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def intervals(ax: Axes, position: FloatArray, value: FloatArray, low: FloatArray, high: FloatArray) -> None:
    """Draw horizontal intervals, one under another; a band where there are many.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    position, value, low, high : ndarray, shape (R,)
        Place along y; middle and ends along x.
    """
    R = len(position)
    if R > ONE_BY_ONE:
        ax.fill_betweenx(position, low, high, step="mid", color=ACCENT, alpha=0.45, linewidth=0)
    else:
        # One line with gaps, not a line a unit: the picture stays small.
        ax.plot(
            np.column_stack([low, high, np.full(R, np.nan)]).ravel(),
            np.repeat(position, 3),
            color=ACCENT,
            alpha=0.9 if R <= NAMED else 0.45,
            linewidth=float(np.clip(260 / R, 0.8, 2.4)),
            solid_capstyle="butt",
        )
    ax.set_ylim(0.0, R + 1.0)
    ax.tick_params(axis="y", length=0)


def middles(ax: Axes, position: FloatArray, value: FloatArray, names: list[str]) -> None:
    """Draw the middles of `intervals`: named dots where there are few, a line where there are many."""
    if len(position) <= NAMED:
        ax.plot(value, position, "o", color=ACCENT, markersize=5, zorder=2.2)
        ax.set_yticks(position, [label(name) for name in names], parse_math=False)
    else:
        ax.plot(value, position, color=INK, linewidth=1.4, zorder=2.2)
        ax.set_yticks([])


def dots(ax: Axes, x: FloatArray, y: FloatArray, *, zorder: float = 2.0) -> None:
    """Draw dots; of more than 1,500 their density in hexagons, so that a picture stays small and legible.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Its limits are set already.
    x, y : ndarray
    zorder : float
    """
    if len(x) > DOTS:
        low, high = ax.get_xlim()
        bottom, top = ax.get_ylim()
        ax.hexbin(
            x, y, gridsize=(42, 24), extent=(low, high, bottom, top), mincnt=1, bins="log", cmap=_DENSITY,
            linewidths=0.0, zorder=zorder,
        )  # fmt: skip
        return
    few = len(x) <= NAMED
    ax.plot(
        x, y, "o", color=ACCENT, markersize=6 if few else 3.5, alpha=1.0 if few else 0.6, markeredgewidth=0,
        zorder=zorder,
    )  # fmt: skip


def name_points(ax: Axes, x: FloatArray, y: FloatArray, names: list[str], *, most: int = 12) -> None:
    """Write names beside points, each where it covers no other point that is named and no other name.

    A name that finds no room is left out: the table has it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Its limits are set already.
    x, y : ndarray
    names : list of str
        The most important first.
    most : int
        Not more names than this.
    """
    at = ax.transData.transform(np.column_stack([x, y]))
    pixels = ax.figure.dpi / 72.0
    room, size = ax.get_window_extent(), 8.0
    taken = [Bbox.from_bounds(px - 4 * pixels, py - 4 * pixels, 8 * pixels, 8 * pixels) for px, py in at]
    for (px, py), place_x, place_y, name in list(zip(at, x, y, names, strict=True))[:most]:
        text = label(name)
        width, height = 0.64 * size * len(text) * pixels, 1.2 * size * pixels
        gap = 6 * pixels
        for ha, va, left, bottom in (
            ("left", "center", px + gap, py - height / 2),
            ("right", "center", px - gap - width, py - height / 2),
            ("center", "bottom", px - width / 2, py + gap),
            ("center", "top", px - width / 2, py - gap - height),
        ):
            box = Bbox.from_bounds(left, bottom, width, height)
            inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                shift = {"left": (6, 0), "right": (-6, 0)}.get(ha, (0, 6 if va == "bottom" else -6))
                ax.annotate(
                    text, (place_x, place_y), xytext=shift, textcoords="offset points", fontsize=size,
                    ha=ha, va=va, color=INK, parse_math=False,
                )  # fmt: skip
                break


def spread(y: FloatArray, gap: float) -> FloatArray:
    """Move places apart until each is `gap` from the next, as little as can be (least squares).

    Parameters
    ----------
    y : ndarray
        In any order.
    gap : float

    Returns
    -------
    ndarray
        In the order of `y`.
    """
    from scipy.optimize import isotonic_regression

    order = np.argsort(y, kind="stable")
    steps = gap * np.arange(len(y))
    moved = np.empty(len(y))
    moved[order] = isotonic_regression(y[order] - steps).x + steps
    return moved


@cache
def _drawable() -> frozenset[int]:
    return frozenset(FT2Font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def label(identifier: str) -> str:
    """Shorten an id to a label; a character that the font lacks is drawn as a box, in place of a warning."""
    drawn = "".join(
        c if c.isprintable() and ord(c) in _drawable() else "\N{WHITE SQUARE}" for c in identifier
    )
    return drawn if len(drawn) <= _LABEL_LENGTH else drawn[: _LABEL_LENGTH - 1] + "…"
