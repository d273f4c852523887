"""The figures of the network's page: each with its title, its words, and what it draws as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ter.ratings.publication import Publication
from ter.reports import figure_data, words
from ter.reports.views import network_average

#: Inches. The drawings of a page are two in a row.
_WIDE = (4.4, 3.6)
_SQUARE = (4.4, 4.4)


@dataclass(frozen=True)
class Table:
    """A small table of text: a caption, the names of its columns, its lines."""

    caption: str
    names: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A figure of a page.

    Attributes
    ----------
    name : str
        Prefix of all ids in it.
    title, alt, caption : str
        The heading, the words in the drawing's place, the words under it.
    svg : str
        The drawing; empty where there is nothing to draw, which the caption then says.
    table : Table or None
        What is drawn, where it is small; else the page's table of ratings has it.
    """

    name: str
    title: str
    alt: str
    caption: str
    svg: str
    table: Table | None = None


def pictures(publication: Publication, vocabulary: words.Vocabulary) -> list[Picture]:
    """Draw the figures of the network's page; none where nobody is rated.

    Parameters
    ----------
    publication : Publication
    vocabulary : Vocabulary
    """
    if not publication.network.n_rated:
        return []
    makers: list[Callable[[Publication, words.Vocabulary], Picture | None]] = [
        _caterpillar,
        _funnel,
        _shrinkage,
        _reliability,
        _calibration,
    ]
    made = (maker(publication, vocabulary) for maker in makers)
    return [picture for picture in made if picture is not None]


# Drawing is the only need for matplotlib, which takes its time to import: each function imports its own.


def _caterpillar(publication: Publication, vocabulary: words.Vocabulary) -> Picture:
    from ter.reports.figures import caterpillar, caterpillar_size, figure_svg

    n, average, minimum = (
        publication.network.n_rated,
        network_average(publication),
        publication.options.minimum,
    )
    marks = [] if average is None else [f"Dashed: the network's average, {words.number(average)}."]
    marks += [] if minimum is None else [f"Dotted: the minimum, {words.number(minimum)}."]
    interval = f"{words.number(100 * publication.options.interval)}%"
    return Picture(
        "caterpillar",
        f"How far apart are the {vocabulary.units}?",
        f"TER and interval of {n} rated {vocabulary.units}, from the lowest to the highest. "
        "The table below has the same figures.",
        " ".join(
            [
                f"Each line is the {interval} range of one {vocabulary.unit}, from the lowest TER to the "
                "highest.",
                *marks,
                "Where ranges overlap, the order may be luck.",
            ]
        ),
        figure_svg(caterpillar, publication, size=caterpillar_size(n), name="caterpillar"),
    )


def _funnel(publication: Publication, vocabulary: words.Vocabulary) -> Picture | None:
    from ter.reports.figures import figure_svg, funnel

    made = figure_data.funnel_data(publication)
    if made is None:
        return None
    ids, computed = made
    inner, outer = (int((row != 0).sum()) for row in computed.outside)
    return Picture(
        "funnel",
        "How much of it can be luck?",
        f"Recovery, allowing for case mix, of {len(ids)} {vocabulary.units} against their number of "
        f"patients: {outer} lie outside the outer limits.",
        f"Each dot is one {vocabulary.unit}. The fewer the patients, the more luck can do: that is why the "
        "lines open to the left. If all were alike, about 5 in 100 would lie outside the dashed lines, and 2 "
        f"in 1,000 outside the full ones. Here {words.number(inner)} and {words.number(outer)} of "
        f"{words.number(len(ids))} do. Squares: outside the full lines.",
        figure_svg(funnel, publication, size=_WIDE, name="funnel"),
    )


def _shrinkage(publication: Publication, vocabulary: words.Vocabulary) -> Picture | None:
    from ter.reports.figures import figure_svg, shrinkage

    table = figure_data.shrinkage_data(publication)
    if table.empty:
        return None
    raw, ter = (float(np.ptp(table[name])) for name in ("observed", "ter"))
    return Picture(
        "shrinkage",
        "From raw rates to fair ratings",
        f"Raw recovery rates of {len(table)} {vocabulary.units}, their rates adjusted for case mix, and "
        "their TER.",
        f"Raw rates lie up to {words.number(raw)} points apart, and TERs up to {words.number(ter)}. First we "
        "allow for the patients' case mix. Then we take away what a few patients may owe to luck. Extreme "
        "results mostly come nearer to the average when new patients are treated. A TER allows for that "
        "beforehand.",
        figure_svg(shrinkage, publication, size=_WIDE, name="shrinkage"),
    )


def _reliability(publication: Publication, vocabulary: words.Vocabulary) -> Picture | None:
    from ter.reports.figures import figure_svg, reliability

    if publication.calibration.empty:
        return None
    return Picture(
        "reliability",
        "How many patients does it take?",
        f"Reliability of the TER against the number of patients, of {publication.network.n_rated} "
        f"{vocabulary.units}.",
        f"Each dot is one {vocabulary.unit}. The line is what a number of patients gives in this network. "
        "Dotted: the patients that it takes to reach a reliability of 0.5, 0.7 and 0.9, where that is near.",
        figure_svg(reliability, publication, size=_WIDE, name="reliability"),
    )


def _calibration(publication: Publication, vocabulary: words.Vocabulary) -> Picture:
    from ter.reports.figures import calibration, figure_svg

    title, alt = (
        "Are the predictions right?",
        "Observed against predicted recovery in tenths. The figures follow as a table.",
    )
    if len(publication.calibration) <= 1:
        nothing = (
            "The model tells no patients apart: it has no case mix, so all are expected to recover equally "
            "often. There is nothing to compare."
        )
        return Picture("calibration", title, alt, nothing, "")
    columns = ["decile", "n", "expected", "observed", "low", "high"]
    lines = tuple(
        (
            words.number(decile),
            words.number(n),
            words.percent(expected, 1),
            words.percent(observed, 1),
            f"{words.percent(low)} to {words.percent(high)}",
        )
        for decile, n, expected, observed, low, high in publication.calibration[columns].to_numpy(float)
    )
    return Picture(
        "calibration",
        title,
        alt,
        f"Patients of rated {vocabulary.units}, in tenths by predicted recovery. Each dot shows how many "
        "really did recover, with its 95% range. Dots near the dashed line mean the model is right on "
        "average.",
        figure_svg(calibration, publication, size=_SQUARE, name="calibration"),
        Table(
            "Recovery predicted and observed, by tenth of prediction.",
            ("Tenth", "Patients", "Predicted", "Observed", "95% range"),
            lines,
        ),
    )
