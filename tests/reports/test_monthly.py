import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from html_checks import check
from made_fit import MadeFit, MadeSettings
from made_publication import HOSTILE_IDS

from ter.errors import AlreadyPublishedError, DataError, OptionError
from ter.ratings.publication import Publication
from ter.reports import monthly, profile
from ter.reports.monthly import verify, write_report
from ter.reports.names import file_stem
from ter.reports.profile import write_profile


@pytest.fixture(autouse=True)
def _gate(monkeypatch: pytest.MonkeyPatch, publication: Publication) -> None:
    """The gate has its own tests; here it lets a publication made by hand through."""
    for module in (monthly, profile):
        monkeypatch.setattr(module, "publish", lambda fit, ratings, *given: publication)


def write(out: Path, fit: MadeFit | None = None, **options: object) -> Path:
    return write_report(fit or MadeFit(), None, "2026-10", out / "reports", **options)  # type: ignore[arg-type]


def every_byte(directory: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()
    }


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory, publication: Publication) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monthly, "publish", lambda fit, ratings, *given: publication)
        return write(tmp_path_factory.mktemp("month"))


def test_the_files_of_a_month(month: Path, publication: Publication) -> None:
    assert month.name == "2026-10"
    verify(month)
    assert sorted(path.name for path in month.iterdir()) == [
        "index.html", "manifest.json", "ratings.csv", "ratings.parquet", "ratings.xlsx", "therapists"
    ]  # fmt: skip
    pages = {path.name for path in (month / "therapists").iterdir()}
    assert pages == {f"{file_stem(name)}.html" for name in publication.ratings["therapist_id"]}
    for path in month.rglob("*.html"):
        check(path.read_text(encoding="utf-8"))


def test_every_page_linked_exists(month: Path) -> None:
    index = (month / "index.html").read_text(encoding="utf-8")
    linked = [part.split('"')[0] for part in index.split('href="')[1:] if part.startswith("therapists/")]
    assert len(linked) == 150
    assert all((month / name).is_file() for name in linked)


def test_parquet_keeps_ids_exactly(month: Path, publication: Publication) -> None:
    table = pd.read_parquet(month / "ratings.parquet")
    pd.testing.assert_frame_equal(table, publication.ratings, check_dtype=False)
    assert set(HOSTILE_IDS) <= set(table["therapist_id"])


def test_csv_has_no_formula_and_gives_ids_back(month: Path, publication: Publication) -> None:
    with (month / "ratings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = [row["therapist_id"] for row in rows]
    assert [name.removeprefix("'") for name in ids] == publication.ratings["therapist_id"].tolist()
    assert not any(name.startswith(("=", "+", "-", "@")) for name in ids)
    for row, n, ter in zip(rows, publication.ratings["n_completed"], publication.ratings["ter"], strict=True):
        assert int(row["n_completed"]) == n
        assert row["ter"] == "" if n < 10 else float(row["ter"]) == ter


def test_the_manifest(month: Path, publication: Publication) -> None:
    manifest = json.loads((month / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["month"] == "2026-10"
    assert manifest["as_known_on"] == "2026-10-31"
    assert manifest["known_until"] == "2026-10-31"
    assert manifest["fingerprint"] == publication.fingerprint
    assert manifest["settings"] == {"engine": "fast", "outcome": "recovered", "seed": 1}
    assert manifest["options"] == {"completed": 10, "minimum": 44.0, "interval": 0.9, "support": 0.9}
    assert manifest["counts"]["n_therapists"] == 150
    assert manifest["model"]["left_out"] == {"not completed": 1200, "not at caseness at the start": 300}
    assert manifest["versions"]["ter"] == "0.1.0"
    assert len(manifest["files"]) == 154


def test_the_same_input_gives_the_same_bytes_anywhere(month: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "elsewhere" / "deep", models=tmp_path / "models")
    assert every_byte(again) == every_byte(month)
    assert str(tmp_path).encode() not in b"".join(every_byte(again).values())


def test_the_model_goes_its_own_way(tmp_path: Path) -> None:
    write(tmp_path, models=tmp_path / "models")
    assert (tmp_path / "models" / "2026-10" / "model.ter").read_text() == "model"
    assert not list((tmp_path / "reports").rglob("*.ter"))


@pytest.mark.parametrize("models", ["reports", "reports/2026-10", "reports/../reports/models"])
def test_a_model_is_not_kept_among_the_reports(tmp_path: Path, models: str) -> None:
    with pytest.raises(OptionError, match="behind the gate"):
        write(tmp_path, models=tmp_path / models)
    assert not (tmp_path / "reports").exists()


def test_a_month_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    month = write(tmp_path, models=tmp_path / "models")
    before = every_byte(tmp_path)
    with pytest.raises(AlreadyPublishedError):
        write(tmp_path, models=tmp_path / "models")
    assert every_byte(tmp_path) == before
    (month / "index.html").write_text("changed by hand")
    write(tmp_path, overwrite=True)
    assert every_byte(tmp_path) == before


def test_what_came_after_the_month_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="as_known_at"):
        write(tmp_path, MadeFit(known_until="2026-11-01"))
    assert not (tmp_path / "reports").exists()


def test_a_month_that_the_data_do_not_reach_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="30 September 2026, before October 2026 began"):
        write(tmp_path, MadeFit(known_until="2026-09-30"), models=tmp_path / "models")
    assert every_byte(tmp_path) == {}


def test_a_quiet_month_within_the_data_is_said(tmp_path: Path, month: Path) -> None:
    quiet = write(tmp_path, MadeFit(known_until="2026-09-30"), covered_until="2026-12-31")
    note = "No treatment started or ended in October 2026: this month adds nothing."
    assert note in (quiet / "index.html").read_text(encoding="utf-8")
    assert note not in (month / "index.html").read_text(encoding="utf-8")


def test_a_report_is_about_recovery(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="reliable_deterioration"):
        write(tmp_path, MadeFit(settings=MadeSettings(outcome="reliable_deterioration")))
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("month", ["2026-13", "../2026-10", "october", "2026-1", ""])
def test_a_month_is_a_month(tmp_path: Path, month: str) -> None:
    with pytest.raises(OptionError):
        write_report(MadeFit(), None, month, tmp_path / "reports")  # type: ignore[arg-type]
    assert not (tmp_path / "reports").exists()


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(monthly, "index_page", fail)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path, models=tmp_path / "models")
    assert every_byte(tmp_path) == {}


def test_progress_counts_the_pages(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write(tmp_path, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(i, 150) for i in range(1, 151)]


def test_a_profile(tmp_path: Path) -> None:
    options = {
        "unit_label": "provider",
        "title": "NHS providers 2023-24",
        "where": "reporting_period = 2023-24",
        "adjusted_for": ("decile", "region"),
    }
    out = write_profile(MadeFit(known_until=""), None, tmp_path / "profile", **options)  # type: ignore[arg-type]
    verify(out)
    assert sorted(p.name for p in out.iterdir()) == [
        "index.html",
        "manifest.json",
        "ratings.csv",
        "ratings.parquet",
        "ratings.xlsx",
    ]
    page = (out / "index.html").read_text(encoding="utf-8")
    check(page)
    assert "<h1>NHS providers 2023-24</h1>" in page
    assert "Rows where reporting_period = 2023-24." in page
    assert "Adjusted for decile, region." in page
    settings = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["settings"]
    assert settings["where"] == "reporting_period = 2023-24"
    assert settings["case_mix"] == ["decile", "region"]
    with pytest.raises(AlreadyPublishedError):
        write_profile(MadeFit(), None, out, **options)  # type: ignore[arg-type]
    write_profile(MadeFit(), None, out, overwrite=True, **options)  # type: ignore[arg-type]


def test_a_profile_never_replaces_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OptionError, match="something else"):
        write_profile(MadeFit(), None, tmp_path, unit_label="x", title="y", overwrite=True)  # type: ignore[arg-type]
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
