"""Figures of studies show the numbers of their tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import binomtest, norm
from small_study import small_scenario

from ter.reports import study_figures
from ter.simulation.studies import (
    CalibrationStudy,
    CoverageStudy,
    GateStudy,
    PowerStudy,
    RawVersusTerStudy,
    ReliabilityStudy,
    run_study,
)
from ter.simulation.studies.uniformity import ecdf, outside_band, points_of, simultaneous_band

STUDIES = {
    study.NAME: study
    for study in (
        ReliabilityStudy(small_scenario()),
        GateStudy(small_scenario()),
        PowerStudy(small_scenario(), therapists=(5, 10), patients=(5, 10)),
        CoverageStudy(small_scenario()),
        CalibrationStudy(small_scenario(), engine="ml", columns=("age",)),
        RawVersusTerStudy(small_scenario(), within=17.0),
    )
}


@pytest.fixture(scope="module")
def results():
    return {name: run_study(study, 3, seed=2) for name, study in STUDIES.items()}


def lines(drawing, result):
    """The points of every series, by its label."""
    ax = Figure().add_subplot()
    assert drawing(result, ax) is ax
    return {
        container.get_label(): np.column_stack(container.lines[0].get_data()) for container in ax.containers
    } | {line.get_label(): np.column_stack(line.get_data()) for line in ax.lines}


def column(result, statistic, scale=1.0, **cell):
    table = result.table[result.table["statistic"] == statistic]
    for name, value in cell.items():
        table = table[table[name].isna()] if value is None else table[table[name] == value]
    return scale * table["estimate"].to_numpy(float)


def test_figures_draw_what_the_tables_say(results):
    drawn = lines(study_figures.reliability, results["reliability"])
    np.testing.assert_array_equal(drawn["stated"][:, 1], column(results["reliability"], "stated"))
    np.testing.assert_array_equal(drawn["stated"][:, 0], column(results["reliability"], "mean_completed"))
    np.testing.assert_array_equal(drawn["true"][:, 1], column(results["reliability"], "true"))
    drawn = lines(study_figures.gate, results["gate"])
    wrong = column(results["gate"], "wrong_quartile", 100.0, completed_to=None)
    np.testing.assert_array_equal(drawn["in a wrong quartile"][:, 1], wrong)
    chance = column(results["gate"], "wrong_quartile_by_chance", 100.0, completed_to=None)
    np.testing.assert_array_equal(drawn["in a wrong quartile by chance"][:, 1], chance)
    drawn = lines(study_figures.power_below, results["power"])
    seen = column(results["power"], "seen_below", 100.0, points_below=10.0)
    np.testing.assert_array_equal(drawn["truly 10 points below"][:, 1], seen)
    drawn = lines(study_figures.power_differ, results["power"])
    seen = column(results["power"], "seen_to_differ", 100.0, icc=0.05, therapists=10)
    np.testing.assert_array_equal(drawn["10 therapists"][:, 1], seen)
    drawn = lines(study_figures.raw_versus_ter, results["raw_versus_ter"])
    np.testing.assert_array_equal(
        drawn["by raw recovery rate"][:, 1],
        column(results["raw_versus_ter"], "raw_wrong", 100.0, pairs="by_gap"),
    )
    drawn = lines(study_figures.coverage, results["coverage"])
    covered = column(results["coverage"], "coverage", quantity="coefficients")
    np.testing.assert_allclose(drawn["coefficients"][:, 1], 100 * (covered - [0.5, 0.8, 0.9, 0.95]))


def test_bars_of_the_example_are_its_parts(results):
    ax = Figure().add_subplot()
    study_figures.raw_example(results["raw_versus_ter"], ax)
    widths = [bar.get_width() for container in ax.containers for bar in getattr(container, "patches", [])]
    names = ("chance", "patients", "therapists", "true_gap", "ter_gap")
    expected = [column(results["raw_versus_ter"], name, pairs="example")[0] for name in names]
    np.testing.assert_allclose(widths, expected)
    # The parts make up the whole.
    np.testing.assert_allclose(sum(widths[:3]), column(results["raw_versus_ter"], "raw_gap", pairs="example"))


def test_a_quantity_outside_the_band_is_named(results):
    result = results["calibration"]
    table = result.table.copy()
    table.loc[(table["statistic"] == "outside") & (table["quantity"] == "ter"), "estimate"] = 0.2
    bad = type(result)(result.study, result.seed, result.replicates, result.not_converged, table)
    assert "ter" in lines(study_figures.calibration, bad)
    assert "ter" not in lines(study_figures.calibration, result)


def with_table(result, change):
    """A result whose table is changed."""
    table = result.table.copy()
    change(table)
    return type(result)(result.study, result.seed, result.replicates, result.not_converged, table)


def of_bands(result, treatments, true=(0.3,)):
    """A study of reliability with these mean numbers of treatments, by band, and no more bands."""
    treatments = np.array(treatments, float)
    bands = np.arange(1, len(treatments) + 1)
    values = {
        "mean_completed": treatments, "formula": 0.4, "stated": 0.3, "true": np.resize(true, len(bands)),
    }  # fmt: skip
    table = pd.concat(
        [
            pd.DataFrame(
                {
                    "completed_from": bands,
                    "statistic": name,
                    # A band without a therapist has no figures.
                    "estimate": np.where(np.isnan(treatments), np.nan, value),
                    "mcse": 0.01,
                }
            )
            for name, value in values.items()
        ]
    )
    return type(result)(result.study, result.seed, result.replicates, result.not_converged, table)


def drawn_on(drawing, result):
    """The Axes of a drawing as it is saved."""
    figure = Figure(layout="constrained")
    drawing(result, figure.add_subplot())
    figure.draw_without_rendering()
    return figure.axes[0]


def words(ax):
    return [text.get_text() for text in ax.texts]


def seen_ticks(ax):
    """Labels of the x axis between its ends, in order."""
    low, high = ax.get_xlim()
    labels = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    return [label.get_text() for at, label in labels if low <= at <= high and label.get_text()]


@pytest.mark.parametrize(
    ("treatments", "ticks"),
    [
        # Bands without a therapist have no mean: they must not take the ticks of the others away.
        ([2.5, 7, 12, 17, 23, 34, np.nan], ["5", "10", "20"]),
        ([12.2, np.nan], ["5", "10", "20"]),
        ([11.9, 17.0, np.nan], ["7", "10", "20", "30"]),
        ([1000.0, np.nan], ["500", "1000", "2000"]),
        # As on the figure of docs/studies.md.
        ([2.5, 7, 12, 17, 24, 36, 56, 83, 120, 187, 307, 580], ["5", "10", "20", "50", "100", "200", "500"]),
    ],
)
def test_reliability_has_plain_ticks_however_alike_the_caseloads_are(results, treatments, ticks):
    ax = drawn_on(study_figures.reliability, of_bands(results["reliability"], treatments))
    assert seen_ticks(ax) == ticks
    low, high = ax.get_xlim()
    assert low < np.nanmin(treatments) <= np.nanmax(treatments) < high


def test_a_logarithmic_axis_has_two_labels_at_least():
    for factor in (1.0, 1.3, 4.9, 5.1, 9.0):
        for value in np.geomspace(1.0, 900.0, 11):
            ax = Figure().add_subplot()
            x = np.array([value, value * factor])
            ax.plot(x, x)
            study_figures._logarithmic(ax, x)
            labels = seen_ticks(ax)
            assert len(labels) >= 2, (value, factor)
            assert all(label.isdigit() for label in labels)


def test_reliability_shows_what_is_below_zero(results):
    def ends(*true):
        result = of_bands(results["reliability"], [7, 12, 17, np.nan], [*true, 0.2])
        return drawn_on(study_figures.reliability, result).get_ylim()

    assert ends(0.2, 0.5, 0.0) == (0, 1)
    low, high = ends(0.2, -0.25, 0.1)
    assert -0.6 < low < -0.25
    assert high == 1


def test_a_reliability_far_below_zero_does_not_flatten_the_rest(results):
    far = of_bands(results["reliability"], [7, 12, 17], [0.2, -18031.9, -0.3])
    ax = drawn_on(study_figures.reliability, far)
    assert ax.get_ylim() == (-1, 1)
    assert [text for text in words(ax) if text.startswith("-")] == ["-18,031.9"]


def test_reliability_without_a_therapist_in_any_band_says_so(results):
    ax = drawn_on(study_figures.reliability, of_bands(results["reliability"], [np.nan, np.nan]))
    assert words(ax) == ["No therapist in any band"]
    assert not ax.containers


def test_panels_without_pairs_say_so(results):
    def nobody(table):
        table[["estimate", "mcse"]] = np.nan

    empty = with_table(results["raw_versus_ter"], nobody)
    for drawing, text in (
        (study_figures.raw_versus_ter, "No pairs of therapists with enough completed treatments"),
        (study_figures.raw_example, "No such pairs"),
    ):
        ax = drawn_on(drawing, empty)
        assert words(ax) == [text]
        assert not ax.containers
        assert seen_ticks(ax) == []
        assert text not in words(drawn_on(drawing, results["raw_versus_ter"]))


def test_a_rate_that_misleads_more_often_than_chance_is_on_the_figure(results):
    def worse(table):
        table.loc[(table["statistic"] == "raw_wrong") & (table["gap_from"] == 0), "estimate"] = 0.8

    ax = drawn_on(study_figures.raw_versus_ter, with_table(results["raw_versus_ter"], worse))
    assert ax.get_ylim()[1] > 80


def test_a_gate_that_nobody_passes_says_so(results):
    def nobody(table):
        last = table["completed_from"] == table["completed_from"].max()
        table.loc[last & (table["statistic"] == "error"), "estimate"] = np.nan

    labels = seen_ticks(drawn_on(study_figures.gate, with_table(results["gate"], nobody)))
    assert labels[-1].endswith("nobody rated")
    assert not any("nan" in label for label in labels)


@pytest.mark.parametrize("n", [2, 6, 12, 60])
def test_the_band_of_few_replicates_holds_every_sample_that_stays_inside(n):
    at, low, high = study_figures._whole_band(n, 0.95)
    assert (at[0], at[-1]) == (0, 1)
    assert len(at) == len(low) == len(high)
    points = points_of(n)
    limits = simultaneous_band(n, 0.95)
    rng = np.random.default_rng(1)
    x = np.arange(1, 20) / 20
    # Between the points of the band: on one of them the limit is that of the summary.
    x = x[np.abs(x[:, None] - points).min(axis=1) > 1e-9]
    inside = 0
    for _ in range(300):
        sample = rng.random(n)
        if outside_band(sample, *limits) > 0:
            continue
        inside += 1
        share = ecdf(sample, x)
        assert np.all(share <= np.interp(x, at, high) + 1e-12)
        assert np.all(share >= np.interp(x, at, low) - 1e-12)
    assert inside >= 270


def test_the_band_of_many_replicates_is_the_one_of_the_summary():
    at, low, high = study_figures._whole_band(100, 0.95)
    np.testing.assert_array_equal(at, points_of(100))
    np.testing.assert_array_equal([low, high], simultaneous_band(100, 0.95))


def test_bars_of_shares_where_all_networks_say_the_same():
    """Against Wilson's interval of SciPy, at two standard errors."""
    level = 2 * norm.cdf(2.0) - 1
    rows = pd.DataFrame(
        {
            "estimate": [1.0, 0.0, 0.5, 0.9, 1.0],
            "mcse": [0.0, 0.0, np.nan, 0.02, 0.0],
            "n": [6, 6, 2, 90, 800],
        }
    )
    drawn = study_figures._share_errors(rows, 20)
    # The last has many therapists, and no more than 20 networks.
    for k, (inside, n) in {0: (6, 6), 1: (0, 6), 2: (1, 2), 4: (20, 20)}.items():
        interval = binomtest(inside, n).proportion_ci(level, method="wilson")
        expected = [inside / n - interval.low, interval.high - inside / n]
        np.testing.assert_allclose(drawn[:, k], expected, atol=1e-12)
    np.testing.assert_allclose(drawn[:, 3], 0.04)


def test_bars_of_shares_end_at_0_and_1():
    rows = pd.DataFrame({"estimate": [0.97, 0.01], "mcse": [0.05, 0.02], "n": [30, 30]})
    np.testing.assert_allclose(study_figures._share_errors(rows, 20), [[0.1, 0.01], [0.03, 0.04]])


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_figures_are_saved_and_their_bytes_repeat(tmp_path, results, name):
    for ending in ("svg", "png"):
        first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
        study_figures.save_study_figure(results[name], first)
        study_figures.save_study_figure(results[name], second)
        assert first.read_bytes() == second.read_bytes()
        assert len(first.read_bytes()) > 5000


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_every_study_speaks_plainly(results, name):
    text = results[name].summary()
    assert "nan" not in text
    assert text.endswith("Monte Carlo standard error.")
    assert len(text.splitlines()) >= 3
