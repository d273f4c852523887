import subprocess
import sys

import numpy as np
import pytest
from made_publication import HOSTILE_IDS, make_publication
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ter.ratings.publication import Publication
from ter.reports.figures import ACCENT, calibration, caterpillar, caterpillar_size, figure_svg


def axes() -> Axes:
    return Figure().add_subplot()


def test_a_caterpillar_draws_the_rated_from_low_to_high(publication: Publication) -> None:
    ax = axes()
    assert caterpillar(publication, ax) is ax
    rated = publication.ratings.dropna(subset=["ter"]).sort_values("ter")
    intervals = np.asarray(ax.lines[0].get_xdata(), dtype=float).reshape(-1, 3)
    np.testing.assert_array_equal(intervals[:, :2], rated[["ter_q05", "ter_q95"]])
    assert np.isnan(intervals[:, 2]).all()
    np.testing.assert_array_equal(ax.lines[-1].get_xdata(), rated["ter"])
    assert list(ax.lines[1].get_xdata()) == [pytest.approx(100 * publication.network.expected)] * 2
    assert list(ax.lines[2].get_xdata()) == [publication.options.minimum] * 2


def test_a_caterpillar_of_many_is_a_band() -> None:
    many = make_publication(600, hostile=False)
    ax = caterpillar(many, axes())
    rated = many.ratings.dropna(subset=["ter"]).sort_values("ter")
    (band,) = ax.collections
    (outline,) = (path.vertices for path in band.get_paths())
    # Every bound is a corner of the band.
    assert set(rated[["ter_q05", "ter_q95"]].to_numpy().ravel()) <= set(outline[:, 0])


def test_a_caterpillar_of_few_names_them_exactly() -> None:
    few = make_publication(5, hostile=False)
    ax = caterpillar(few, axes())
    rated = few.ratings.dropna(subset=["ter"]).sort_values("ter")
    assert [label.get_text() for label in ax.get_yticklabels()] == rated["therapist_id"].tolist()


def test_hostile_ids_are_drawn_without_a_warning() -> None:
    """Warnings are errors here: no missing glyph, no formula in dollars."""
    few = make_publication(len(HOSTILE_IDS))
    svg = figure_svg(caterpillar, few, size=caterpillar_size(few.network.n_rated), name="c")
    assert "<script" not in svg
    assert "<img" not in svg
    # It has a dollar at each end, and would be a fraction to matplotlib.
    assert "$\\frac{1}{2}$" in svg


def test_calibration_draws_the_table_in_percent(publication: Publication) -> None:
    ax = axes()
    assert calibration(publication, ax) is ax
    table = publication.calibration
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_xdata(), 100 * table["expected"])
    np.testing.assert_allclose(dots.get_ydata(), 100 * table["observed"])
    (bars,) = ax.collections
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, 100 * table[["low", "high"]])
    low, high = ax.get_xlim()
    assert (low, high) == ax.get_ylim()
    assert 0 <= low <= ends.min()
    assert ends.max() <= high <= 100


@pytest.mark.parametrize("drawing", [caterpillar, calibration])
def test_the_same_publication_gives_the_same_bytes(publication: Publication, drawing) -> None:
    first, second = (figure_svg(drawing, publication, size=(4, 4), name="x") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("n", [1, 5, 150, 5000])
def test_figures_stay_small(n: int) -> None:
    many = make_publication(n, hostile=False)
    size = caterpillar_size(many.network.n_rated)
    svg = figure_svg(caterpillar, many, size=size, name="x")
    # 5,000 intervals are two lines of 5,000 places, not 5,000 elements.
    assert svg.count("<path") < 200
    assert len(svg) < 700_000
    assert 2 < size[1] < 10


def test_nobody_rated_is_said() -> None:
    none = make_publication(1, hostile=False)
    for drawing in (caterpillar, calibration):
        from dataclasses import replace

        empty = replace(none, calibration=none.calibration.iloc[:0])
        ax = drawing(empty, axes())
        assert [text.get_text() for text in ax.texts] == ["Nobody is rated yet"]


def test_ids_of_two_figures_differ(publication: Publication) -> None:
    import re

    first, second = (figure_svg(caterpillar, publication, size=(4, 4), name=name) for name in ("a", "b"))
    ids = [set(re.findall(r'\bid="([^"]*)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((first, second), ids, strict=True):
        used = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)
        assert {a or b for a, b in used} <= own


def test_drawing_leaves_no_global_state() -> None:
    """Nothing of ter loads pyplot; the report layer loads matplotlib only when it draws."""
    code = (
        "import sys, ter, ter.reports.pages, ter.reports.publishing\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import ter.reports.figures\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_accent_is_told_from_grey_in_black_and_white() -> None:
    red, green, blue = (int(ACCENT[i : i + 2], 16) for i in (1, 3, 5))
    # Luma of the accent lies far from paper, so that it prints dark.
    assert 0.299 * red + 0.587 * green + 0.114 * blue < 100
