"""From a figure to an element of a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any, Final

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ter.ratings.publication import Publication

#: On top of matplotlib's own style, so that a style of the reader's does not change the pages.
_STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "svg.fonttype": "none",
    "path.simplify": False,
}

Drawing = Callable[[Publication, Axes], Axes]


def figure_svg(drawing: Drawing, publication: Publication, *, size: tuple[float, float], name: str) -> str:
    """Draw a figure as SVG to stand inside a page.

    The same publication gives the same bytes: ids are hashed with a fixed salt, there is no date, and text
    stays text, which takes on the font of the page.

    Parameters
    ----------
    drawing : callable
        Such as `caterpillar`: it takes the publication and an Axes.
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


def _inline(svg: str, name: str) -> str:
    """Take the file's head away and make ids unique; what is left is an element of HTML."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'(<svg [^>]*?)width="[^"]*" ?', r"\1", re.sub(r'(<svg [^>]*?)height="[^"]*" ?', r"\1", svg))
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip()
