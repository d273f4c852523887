import re
import subprocess
import sys
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from made_publication import HOSTILE_IDS, make_publication
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ter.errors import DataError
from ter.monitoring import ChartOptions
from ter.monitoring.chart import chart
from ter.ratings.funnel import FunnelOptions
from ter.ratings.funnel import funnel as compute_funnel
from ter.ratings.publication import Publication
from ter.reports import figure_data
from ter.reports.figures import (
    ACCENT,
    WARM,
    calibration,
    case_mix,
    caterpillar,
    caterpillar_size,
    cusum,
    figure_svg,
    funnel,
    funnel_plot,
    prior_posterior,
    ranks,
    reliability,
    shrinkage,
    vlad,
)
from ter.reports.figures.style import name_points, spread

NETWORK = [caterpillar, ranks, calibration, funnel, shrinkage, reliability]


def axes() -> Axes:
    return Figure().add_subplot()


def test_a_caterpillar_draws_the_rated_from_low_to_high(publication: Publication) -> None:
    ax = axes()
    assert caterpillar(publication, ax) is ax
    rated = publication.ratings.dropna(subset=["ter"]).sort_values("ter")
    intervals = np.asarray(ax.lines[0].get_xdata(), dtype=float).reshape(-1, 3)
    np.testing.assert_array_equal(intervals[:, :2], rated[["ter_q05", "ter_q95"]])
    assert np.isnan(intervals[:, 2]).all()
    _, middles, average, minimum = ax.lines
    np.testing.assert_array_equal(middles.get_xdata(), rated["ter"])
    assert list(average.get_xdata()) == [pytest.approx(100 * publication.network.expected)] * 2
    assert list(minimum.get_xdata()) == [publication.options.minimum] * 2
    # The middles lie over all else.
    assert middles.get_zorder() == max(line.get_zorder() for line in ax.lines)


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


@pytest.mark.parametrize("drawing", NETWORK)
def test_the_same_publication_gives_the_same_bytes(publication: Publication, drawing) -> None:
    first, second = (figure_svg(drawing, publication, size=(4, 4), name="x") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("n", [1, 5, 150, 5000])
def test_figures_stay_small(n: int) -> None:
    many = make_publication(n, hostile=False)
    for drawing in NETWORK:
        size = caterpillar_size(many.network.n_rated) if drawing is caterpillar else (4.4, 3.6)
        svg = figure_svg(drawing, many, size=size, name="x")
        # 5,000 intervals are two lines of 5,000 places, and 5,000 dots some hundred hexagons.
        assert svg.count("<path") < 800, drawing.__name__
        assert len(svg) < 700_000, drawing.__name__
        assert 2 < size[1] < 10


@pytest.mark.parametrize("drawing", NETWORK)
def test_nobody_rated_is_said(drawing) -> None:
    none = make_publication(1, hostile=False)
    network = replace(none.network, n_rated=0, expected=np.nan)
    empty = replace(none, calibration=none.calibration.iloc[:0], network=network)
    assert drawing(empty, axes()).texts[0].get_text() == "Nobody is rated yet"


def test_ranks_are_drawn_with_the_first_at_the_top(publication: Publication) -> None:
    ax = axes()
    assert ranks(publication, ax) is ax
    rated = publication.ratings.dropna(subset=["ter"]).sort_values("expected_rank")
    drawn = np.asarray(ax.lines[0].get_xdata(), dtype=float).reshape(-1, 3)[::-1, :2]
    np.testing.assert_array_equal(drawn, rated[["rank_q05", "rank_q95"]])
    assert ax.get_xticks()[0] == 1
    assert ax.get_xticks()[-1] <= publication.network.n_rated


def test_a_funnel_draws_what_was_computed(publication: Publication) -> None:
    made = figure_data.funnel_data(publication)
    assert made is not None
    ids, computed = made
    shown = publication.ratings.dropna(subset=["observed"])
    assert ids == tuple(shown["therapist_id"])
    # O - E a patient, on top of the network's expected rate.
    right = publication.network.expected + shown["observed"] - shown["expected"]
    np.testing.assert_allclose(computed.values, right, rtol=1e-12)
    np.testing.assert_array_equal(computed.sizes, shown["n_at_caseness"])
    ax = funnel(publication, axes())
    outside = computed.outside[-1] != 0
    inner, outer = (line for line in ax.lines if line.get_marker() in {"o", "s"})
    np.testing.assert_array_equal(inner.get_xdata(), computed.sizes[~outside])
    np.testing.assert_array_equal(outer.get_ydata(), 100 * computed.values[outside])
    assert outer.get_color() == WARM
    assert {text.get_text() for text in ax.texts} <= {
        name for name, out in zip(ids, outside, strict=True) if out
    }


@pytest.mark.parametrize("overdispersion", ["none", "additive", "multiplicative"])
def test_the_lines_of_a_funnel_are_its_limits(overdispersion) -> None:
    """At a size that a unit has, the line is the unit's limit."""
    n = np.array([10.0, 40, 90, 200, 500])
    computed = compute_funnel(
        [2, 30, 50, 90, 300], n, FunnelOptions(overdispersion=overdispersion, scale="logit")
    )
    ax = funnel_plot(computed, axes())
    lines = [line for line in ax.lines if len(line.get_xdata()) > 10]
    assert len(lines) == 4
    for k, limit in enumerate((computed.lower[0], computed.upper[0], computed.lower[1], computed.upper[1])):
        x, y = (np.asarray(values, dtype=float) for values in lines[k].get_data())
        for size, value in zip(n, limit, strict=True):
            if size in x:
                assert y[x == size] == pytest.approx(100 * value, rel=1e-12)
    low, high = ax.get_ylim()
    assert low < 100 * computed.values.min() < 100 * computed.values.max() < high


def test_shrinkage_goes_from_the_raw_rate_to_the_ter(publication: Publication) -> None:
    ax = shrinkage(publication, axes())
    shown = publication.ratings.dropna(subset=["observed"])
    lines = np.array([line.get_ydata() for line in ax.lines[: len(shown)]])
    network = publication.network.expected
    right = [100 * shown["observed"], 100 * (network + shown["observed"] - shown["expected"]), shown["ter"]]
    np.testing.assert_allclose(lines.T, right)
    many = make_publication(600, hostile=False)
    tenths = np.array([line.get_ydata() for line in shrinkage(many, axes()).lines[:10]])
    table = figure_data.shrinkage_data(many)
    # Tenths by the raw rate: in order, and of the same mean as all.
    assert (np.diff(tenths[:, 0]) > 0).all()
    np.testing.assert_allclose(tenths.mean(axis=0), table[["observed", "adjusted", "ter"]].mean(), atol=0.5)


def test_reliability_grows_as_the_formula_says() -> None:
    """An ICC of 5% and half recovering: 0.30 at 10 patients, 0.7 at 54, 0.9 at 208 (Spearman-Brown)."""
    one = make_publication(20, hostile=False)
    groups = one.model.groups.copy()
    groups.loc["therapist", "sd"] = np.sqrt(0.05 / 0.95 * np.pi**2 / 3)
    even = one.calibration.assign(expected=0.5)
    half = replace(one, model=replace(one.model, groups=groups), calibration=even)
    curve = figure_data.reliability_curve(half, np.array([0.0, 10.0, 54.0, 208.0]))
    np.testing.assert_allclose(curve, [0.0, 0.302, 0.700, 0.900], atol=0.001)
    # Patients who are surely unwell, or surely well, tell less: half of them at 0.1 and half at 0.9 give 0.09
    # each in place of 0.25.
    sure = even.assign(expected=[0.1, 0.9] * 5)
    mixed = figure_data.reliability_curve(replace(half, calibration=sure), np.array([150.0]))
    np.testing.assert_allclose(mixed, 0.700, atol=0.001)
    ax = reliability(half, axes())
    table = figure_data.reliability_data(half)
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(dots.get_xdata(), table["n_at_caseness"])
    np.testing.assert_array_equal(dots.get_ydata(), table["reliability"])


def test_case_mix_of_one_is_what_the_page_shows(publication: Publication) -> None:
    name = publication.shift["therapist_id"].iloc[0]
    table = figure_data.case_mix_data(publication, name)
    own = publication.shift[publication.shift["therapist_id"] == name]["shift"]
    np.testing.assert_allclose(table["shift"].abs(), 100 * own.abs().nlargest(6))
    ax = case_mix(publication, axes(), therapist_id=name)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], table["shift"])
    assert ax.get_yticklabels()[0].get_text().startswith(table["label"][0])


def test_behind_the_gate_there_is_no_data_to_draw(publication: Publication) -> None:
    ratings = publication.ratings.set_index("therapist_id")
    gated = set(ratings.index[ratings["status"] == "provisional"])
    assert gated
    for table in (
        figure_data.caterpillar_data(publication),
        figure_data.ranks_data(publication),
        figure_data.shrinkage_data(publication),
        figure_data.reliability_data(publication),
    ):
        assert not gated & set(table["therapist_id"])
        assert len(table) == publication.network.n_rated
    made = figure_data.funnel_data(publication)
    assert made is not None
    assert not gated & set(made[0])
    for name in (*gated, "nobody"):
        with pytest.raises(DataError, match="No case mix is shown"):
            figure_data.case_mix_data(publication, name)


def test_monitoring_draws_the_chart() -> None:
    rng = np.random.default_rng(1)
    expected = np.full(60, 0.7)
    made = chart(rng.random(60) < 0.25, expected, ChartOptions(replicates=400))
    assert made.signals
    ax = vlad(made, axes())
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), made.table["vlad"])
    np.testing.assert_array_equal(ax.lines[2].get_xdata(), made.signals)
    ax = cusum(made, axes())
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), made.table["up"])
    np.testing.assert_array_equal(ax.lines[3].get_ydata(), -made.table["down"])
    assert ax.lines[4].get_ydata()[0] == -made.h_down
    for drawing in (vlad, cusum):
        drawing(made, axes()).figure.savefig(BytesIO(), format="svg")


def test_prior_and_posterior_are_drawn_as_they_are() -> None:
    effect = np.linspace(-1, 1, 41)
    curves = pd.DataFrame({"effect": effect, "prior": 1 - effect**2, "posterior": 2 * (1 - effect**2)})
    ax = prior_posterior(figure_data.EffectDensity("T1", curves), axes())
    np.testing.assert_array_equal(
        [line.get_ydata() for line in ax.lines[:2]], curves[["prior", "posterior"]].T
    )


@pytest.mark.parametrize("seed", range(5))
def test_spread_keeps_the_order_and_the_gap(seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=12)
    moved = spread(y, 0.3)
    order = np.argsort(y)
    # Floating point: a gap is a difference of sums.
    assert (np.diff(moved[order]) >= 0.3 - 1e-12).all()
    assert moved.mean() == pytest.approx(y.mean())
    far = np.array([0.0, 10.0, 5.0])
    np.testing.assert_allclose(spread(far, 0.3), far)


def test_names_do_not_overlap() -> None:
    rng = np.random.default_rng(2)
    figure = Figure(figsize=(5, 4), dpi=100)
    ax = figure.add_subplot()
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    x, y = rng.random((2, 60))
    name_points(ax, x, y, [f"T{i:04d}" for i in range(60)], most=60)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert 20 < len(boxes) <= 60
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    room = ax.get_window_extent()
    assert all(room.x0 <= box.x0 and box.x1 <= room.x1 for box in boxes)


def test_ids_of_two_figures_differ(publication: Publication) -> None:
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
        "import sys, ter, ter.reports.pages, ter.reports.figure_data, ter.reports.workbook\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import ter.reports.figures\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_accent_is_told_from_grey_in_black_and_white() -> None:
    red, green, blue = (int(ACCENT[i : i + 2], 16) for i in (1, 3, 5))
    # Luma of the accent lies far from paper, so that it prints dark.
    assert 0.299 * red + 0.587 * green + 0.114 * blue < 100


#: What is left to eyes without one kind of cone, on linear RGB (Machado, Oliveira and Fernandes 2009, IEEE
#: Trans. Vis. Comput. Graph. 15:1291-1298, severity 1).
VISION = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("vision", VISION)
def test_the_two_colours_are_told_apart_by_every_eye(vision: str) -> None:
    def linear(colour: str) -> np.ndarray:
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)

    def lightness(colour: np.ndarray) -> np.ndarray:
        return np.cbrt(np.clip(colour, 0, 1))

    seen = [lightness(np.array(VISION[vision]) @ linear(colour)) for colour in (ACCENT, WARM)]
    # Half of what lies between them for an eye that sees all colours.
    whole = [lightness(linear(colour)) for colour in (ACCENT, WARM)]
    assert np.linalg.norm(seen[0] - seen[1]) > 0.5 * np.linalg.norm(whole[0] - whole[1])
