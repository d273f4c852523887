"""The gate, through everything that a month writes: the bytes of a report made from a real fit."""

import json
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from html_checks import check

from ter.errors import DataError
from ter.features import CaseMix, factor, linear, spline
from ter.models import Fit, fit
from ter.ratings import Ratings, publish, rate
from ter.reports.figure_data import effect_density
from ter.reports.monthly import verify, write_report
from ter.reports.names import file_stem
from ter.simulation import Scenario, simulate
from ter.sources import as_known_at, month_end

MONTH = "2026-10"
COUNTED = {"T001": 9, "T002": 10, "T005": 11}


@pytest.fixture(scope="module")
def fitted() -> Fit:
    """Forty therapists: one with 9 completed treatments, one with 10, one with 11, the others with more."""
    scenario = Scenario.preset("england_2024_25", n_therapists=40, n_services=3, mean_caseload=40)
    episodes = as_known_at(simulate(scenario, seed=1).episodes, month_end(MONTH))
    completed = episodes.groupby("therapist_id")["completed"]
    allowed = episodes["therapist_id"].map(COUNTED).fillna(np.inf)
    too_many = episodes["completed"] & (completed.cumsum() > allowed)
    kept = episodes[(completed.transform("sum") >= 12) & ~too_many].reset_index(drop=True)
    # A term of each kind: what a report tells of them passes the gate as well.
    case_mix = CaseMix([spline("phq9_first", df=3), linear("age"), factor("employment"), factor("gender")])
    return fit(kept, case_mix=case_mix)


@pytest.fixture(scope="module")
def ratings(fitted: Fit) -> Ratings:
    return rate(fitted, minimum=45.0)


@pytest.fixture(scope="module")
def out(fitted: Fit, ratings: Ratings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gate")
    write_report(fitted, ratings, MONTH, out / "reports", models=out / "models")
    return out


def test_nine_are_out_ten_and_eleven_are_in(out: Path) -> None:
    table = pd.read_parquet(out / "reports" / MONTH / "ratings.parquet").set_index("therapist_id")
    assert table.loc[list(COUNTED), "n_completed"].tolist() == [9, 10, 11]
    assert table.loc[list(COUNTED), "ter"].isna().tolist() == [True, False, False]
    # Taking the network's totals less everybody else's must be put to the test: one therapist alone is gated.
    assert (table["status"] == "provisional").sum() == 1


def test_no_outcome_of_the_gated_is_in_any_byte(out: Path, fitted: Fit) -> None:
    """The fit knows them all. Written with six digits or more, none is found; fewer digits could be anyone's.

    The observed rate is left to the tests of the sums: with 9 patients it is a fraction that others have too.
    """
    j = fitted.units.ids.index("T001")
    posterior = fitted.posterior
    assert posterior is not None
    figures = {
        "expected": posterior.expected_mean[j],
        "predicted": posterior.predicted_mean[j],
        "o_e": fitted.units.observed[j] / fitted.units.n[j] / posterior.expected_mean[j],
        "p_e": posterior.predicted_mean[j] / posterior.expected_mean[j],
        "ter": posterior.ter_mean[j],
        "effect": posterior.u_mean[j],
        "effect_sd": posterior.u_sd[j],
        "reliability": posterior.reliability[j],
    }
    month = out / "reports" / MONTH
    written = {path: path.read_bytes() for path in month.rglob("*") if path.is_file()}
    for name, value in figures.items():
        texts = {repr(float(value)), f"{value:.6f}", f"{100 * value:.6f}", f"{value:.8g}"}
        for path, data in written.items():
            assert not [text for text in texts if text.lstrip("-").encode() in data], (name, path.name)
            assert np.float64(value).tobytes() not in data, (name, path.name)


def test_the_workbook_has_no_outcome_of_the_gated(out: Path) -> None:
    """A workbook is packed, so that the search through bytes does not see into it."""
    book = openpyxl.load_workbook(out / "reports" / MONTH / "ratings.xlsx")
    header, *rows = book["Ratings"].iter_rows(values_only=True)
    cells = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    known = {"therapist_id", "service_id", "status", "n_completed"}
    assert {name for name, value in cells["T001"].items() if value is not None} == known
    assert cells["T001"]["n_completed"] == 9
    assert cells["T005"]["ter"] is not None
    others = [cell.value for name in book.sheetnames[1:] for line in book[name].iter_rows() for cell in line]
    assert "T001" not in others


def test_densities_are_of_the_rated_alone(fitted: Fit, ratings: Ratings) -> None:
    posterior = fitted.posterior
    assert posterior is not None
    for name in ("T001", "nobody"):
        with pytest.raises(DataError, match="not rated"):
            effect_density(fitted, ratings.options, name)
    j = fitted.units.ids.index("T005")
    effect, prior, after = effect_density(fitted, ratings.options, "T005").curves.to_numpy().T
    for density, mean, sd in (
        (prior, 0.0, np.sqrt(posterior.weights @ posterior.sd[:, 0] ** 2)),
        (after, posterior.u_mean[j], posterior.u_sd[j]),
    ):
        # The distribution function is tabulated at 41 points, and the prior cut at four of its SDs.
        assert np.trapezoid(density, effect) == pytest.approx(1.0, abs=0.005)
        assert np.trapezoid(effect * density, effect) == pytest.approx(mean, abs=0.01)
        found = np.sqrt(np.trapezoid((effect - mean) ** 2 * density, effect))
        assert found == pytest.approx(sd, rel=0.03)


def test_the_search_would_find_them(out: Path, fitted: Fit) -> None:
    """The same figures of a rated therapist are found, so that the search above can fail."""
    j = fitted.units.ids.index("T005")
    assert fitted.posterior is not None
    data = (out / "reports" / MONTH / "ratings.csv").read_bytes()
    assert repr(float(fitted.posterior.expected_mean[j])).encode() in data


def test_the_network_is_the_sum_of_the_rated(fitted: Fit, ratings: Ratings) -> None:
    """So nothing of the gated is left by subtraction: all published outcomes add up without them."""
    publication = publish(fitted, ratings)
    rated = publication.ratings.dropna(subset=["ter"])
    network = publication.network
    recovered = (rated["observed"] * rated["n_at_caseness"]).sum()
    # Sums of some thousand rates, in double precision.
    assert network.observed * network.n_at_caseness_rated == pytest.approx(recovered, abs=1e-9)
    for table in (publication.calibration, publication.services.rename(columns={"n_at_caseness_rated": "n"})):
        assert (table["observed"] * table["n"]).sum() == pytest.approx(recovered, abs=1e-9)
        assert table["n"].sum() == rated["n_at_caseness"].sum()
    for table in (publication.trend, publication.shift, publication.case_mix):
        assert "T001" not in set(table["therapist_id"])


def test_the_gated_page_has_only_the_count(out: Path) -> None:
    path = out / "reports" / MONTH / "therapists" / f"{file_stem('T001')}.html"
    page = check(path.read_text(encoding="utf-8"))
    assert "9 of 10 completed treatments" in page.visible
    assert "%" not in page.visible


def test_every_page_of_a_real_month_is_well_made(out: Path) -> None:
    month = out / "reports" / MONTH
    verify(month)
    pages = list(month.rglob("*.html"))
    assert len(pages) == 1 + len(pd.read_parquet(month / "ratings.parquet"))
    for path in pages:
        text = path.read_text(encoding="utf-8")
        visible = check(text).visible.lower()
        assert " nan" not in visible
        assert "none " not in visible.replace("none of", "")


def test_the_manifest_names_no_therapist_but_by_files(out: Path) -> None:
    manifest = json.loads((out / "reports" / MONTH / "manifest.json").read_text(encoding="utf-8"))
    files = manifest.pop("files")
    assert any(name.startswith("therapists/t001-") for name in files)
    assert "T001" not in json.dumps(manifest)


def test_a_fit_that_did_not_converge_is_refused(fitted: Fit, ratings: Ratings, tmp_path: Path) -> None:
    from dataclasses import replace

    from ter.errors import FitError

    failed = replace(fitted, record=replace(fitted.record, converged=False))
    with pytest.raises(FitError, match="converge"):
        write_report(failed, ratings, MONTH, tmp_path)
    assert list(tmp_path.iterdir()) == []
