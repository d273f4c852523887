import zipfile
from dataclasses import replace
from io import BytesIO

import numpy as np
import openpyxl
import pytest
from made_card import CARD
from made_publication import HOSTILE_IDS, OUTCOME_COLUMNS, make_publication

from ter.ratings.options import RatingOptions
from ter.ratings.publication import Publication
from ter.reports.pages import Edition
from ter.reports.words import THERAPISTS, Vocabulary
from ter.reports.workbook import workbook

EDITION = Edition("TER report, October 2026", "2026-10", "2026-10-31", THERAPISTS)
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture(scope="module")
def made(publication: Publication) -> bytes:
    return workbook(replace(publication, card=CARD), EDITION)


@pytest.fixture(scope="module")
def book(made: bytes) -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(made))


def test_the_ratings_are_those_of_the_publication(book: openpyxl.Workbook, publication: Publication) -> None:
    header, *rows = book["Ratings"].iter_rows(values_only=True)
    assert list(header) == publication.ratings.columns.tolist()
    for row, wanted in zip(rows, publication.ratings.itertuples(index=False), strict=True):
        for value, right in zip(row, wanted, strict=True):
            if isinstance(right, str):
                assert value.removeprefix("'") == right
            else:
                # A workbook keeps 16 digits of a number.
                assert value is None if np.isnan(right) else value == pytest.approx(right, rel=1e-15)


def test_nothing_of_the_gated_is_in_it(book: openpyxl.Workbook) -> None:
    header, *rows = book["Ratings"].iter_rows(values_only=True)
    status = header.index("status")
    gated = [row for row in rows if row[status] == "provisional"]
    assert gated
    outcomes = [header.index(name) for name in OUTCOME_COLUMNS]
    assert all(row[column] is None for row in gated for column in outcomes)


def test_no_cell_is_a_formula(made: bytes, book: openpyxl.Workbook) -> None:
    texts = [
        cell for sheet in book for cells in sheet.iter_rows() for cell in cells if isinstance(cell.value, str)
    ]
    assert {cell.data_type for cell in texts} == {"s"}
    assert not [cell.value for cell in texts if cell.value.startswith(FORMULA)]
    # The file itself: a formula would be an element f.
    with zipfile.ZipFile(BytesIO(made)) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        assert len(sheets) == 4
        assert not [name for name in sheets if b"<f>" in archive.read(name) or b"<f " in archive.read(name)]
        assert not [
            name for name in archive.namelist() if "external" in name.lower() or "vba" in name.lower()
        ]
    ids = {cell.value.removeprefix("'") for cell in book["Ratings"]["A"]}
    assert set(HOSTILE_IDS) <= ids


def test_texts_that_no_workbook_holds_are_mended() -> None:
    one = make_publication(5, hostile=False)
    ratings = one.ratings.copy()
    ratings["therapist_id"] = ["\x01bell", "=1+1\x0b", "x" * 40_000, "a\nb", "\tTab"]
    book = openpyxl.load_workbook(BytesIO(workbook(replace(one, ratings=ratings), EDITION)))
    ids = [cell.value for cell in book["Ratings"]["A"][1:]]
    assert ids == ["\ufffdbell", "'=1+1\ufffd", "x" * 32_767, "a\nb", "'\tTab"]


def test_the_same_publication_gives_the_same_bytes(
    made: bytes, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Later":
            return cls(2031, 5, 17, 13, 14, 15, tzinfo=tz)

    monkeypatch.setattr("openpyxl.writer.excel.datetime.datetime", Later)
    assert workbook(replace(publication, card=CARD), EDITION) == made
    with zipfile.ZipFile(BytesIO(made)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_sheets_are_ready_to_read(book: openpyxl.Workbook, publication: Publication) -> None:
    assert book.sheetnames == ["Ratings", "Services", "What the columns mean", "Model"]
    for name in ("Ratings", "Services"):
        sheet = book[name]
        assert sheet.freeze_panes == "B2"
        assert sheet.auto_filter.ref == sheet.dimensions
        assert all(sheet.column_dimensions[cell.column_letter].width >= 8 for cell in sheet[1])
    formats = {
        head.value: cell.number_format
        for head, cell in zip(book["Ratings"][1], book["Ratings"][2], strict=True)
    }
    assert (formats["observed"], formats["ter"], formats["n_completed"], formats["therapist_id"]) == (
        "0.0%", "0.0", "#,##0", "@",
    )  # fmt: skip


def test_every_column_has_its_meaning(book: openpyxl.Workbook, publication: Publication) -> None:
    meanings = dict(book["What the columns mean"].iter_rows(values_only=True))
    assert set(publication.ratings.columns) <= set(meanings)
    assert all(meanings[name] for name in publication.ratings.columns)
    assert {"status: provisional", "status: rated", "status: watch", "status: support"} <= set(meanings)


def test_the_model_and_its_card_are_told(book: openpyxl.Workbook) -> None:
    lines = {row[0]: row[1:] for row in book["Model"].iter_rows(values_only=True)}
    assert lines["Should these ratings be trusted?"][0] == CARD.answer
    assert lines["Did as many recover as predicted?"][:2] == ("Caution", "51.2% recovered, 50.1% predicted")
    assert lines["Rows that the model saw"][0] == 4500
    assert lines["Fingerprint of the rows"][0] == "ab" * 32


def test_other_units_intervals_and_no_services() -> None:
    one = make_publication(20, hostile=False)
    names = {"ter_q05": "ter_q025", "ter_q95": "ter_q975", "rank_q05": "rank_q025", "rank_q95": "rank_q975"}
    wide = replace(
        one,
        ratings=one.ratings.rename(columns=names),
        services=one.services.iloc[:0],
        options=RatingOptions(interval=0.95),
    )
    edition = Edition("Providers", "", "", Vocabulary.of("provider"))
    book = openpyxl.load_workbook(BytesIO(workbook(wide, edition)))
    assert book.sheetnames == ["Ratings", "What the columns mean", "Model"]
    assert [cell.value for cell in book["Ratings"][1]] == wide.ratings.columns.tolist()
    meanings = dict(book["What the columns mean"].iter_rows(values_only=True))
    assert "95 times in 100" in meanings["range"]
    assert not [text for text in meanings.values() if "therapist" in text]
