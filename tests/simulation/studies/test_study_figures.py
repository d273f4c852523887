"""Figures of studies show the numbers of their tables."""

import numpy as np
import pytest
from matplotlib.figure import Figure
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

STUDIES = {
    study.NAME: study
    for study in (
        ReliabilityStudy(small_scenario()),
        GateStudy(small_scenario()),
        PowerStudy(small_scenario(), therapists=(5, 10), patients=(5, 10)),
        CoverageStudy(small_scenario()),
        CalibrationStudy(small_scenario(), engine="ml", columns=("age",)),
        RawVersusTerStudy(small_scenario(), within=20.0),
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
