"""The ratings as an Excel workbook, for managers: the same gated figures as every other file."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any, Final

import pandas as pd

from ter.options import Status
from ter.ratings.publication import Publication
from ter.reports import words
from ter.reports.coverage import data_until
from ter.reports.names import spreadsheet_text
from ter.reports.pages import Edition
from ter.reports.views import status_words

#: The name of the workbook in a report's directory.
WORKBOOK: Final = "ratings.xlsx"

#: Every zip entry carries a time: always this one, the earliest there is, so that the bytes are the same.
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_ISO_TIME: Final = "1980-01-01T00:00:00Z"

#: What no cell may hold (XML 1.0), and the longest text that Excel keeps.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LONGEST: Final = 32_767

_PERCENT, _ONE, _TWO, _WHOLE, _TEXT = "0.0%", "0.0", "0.00", "#,##0", "@"

#: By the name of a column: its format, its width, and what it means.
Columns = dict[str, tuple[str, int, str]]

_COLUMNS: Final[Columns] = {
    "therapist_id": (_TEXT, 18, "Who is rated."),
    "service_id": (_TEXT, 14, "The service of most of their treatments."),
    "status": (_TEXT, 16, "Where they stand: see the lines below."),
    "n_completed": (_WHOLE, 12, "What the gate counts: {counted}."),
    "n_at_caseness": (_WHOLE, 12, "Of these, unwell enough at the start to count for recovery."),
    "observed": (_PERCENT, 11, "Share of these patients who recovered."),
    "expected": (_PERCENT, 11, "Share that we would expect of the same patients with an average {unit}."),
    "predicted": (_PERCENT, 11, "Share that we would expect of the same patients with this {unit}."),
    "o_e": (_TWO, 9, "Observed over expected: above 1 means more recovered than expected."),
    "p_e": (_TWO, 9, "Predicted over expected: the same, with luck taken away."),
    "ter": (_ONE, 9, "TER: of 100 typical patients of the network, how many would recover with this {unit}."),
    "ter_low": (_ONE, 9, "Lower end of the range of the TER."),
    "ter_high": (_ONE, 9, "Upper end of the range of the TER."),
    "effect": (_TWO, 9, "Difference from the average {unit}, in log-odds."),
    "effect_sd": (_TWO, 9, "How unsure that difference is (standard deviation)."),
    "reliability": (_TWO, 11, "How much of the TER comes from their own results, from 0 to 1."),
    "expected_rank": (_ONE, 10, "Rank that we expect; 1 is the highest. Never to be read without its range."),
    "rank_low": (_WHOLE, 10, "Upper end of the range of the rank."),
    "rank_high": (_WHOLE, 10, "Lower end of the range of the rank."),
    "percentile": (_ONE, 10, "The expected rank as a percentile: 100 is the highest."),
    "p_below_minimum": (_PERCENT, 12, "Chance that the TER is truly below the minimum."),
    "p_top_quartile": (_PERCENT, 12, "Chance of being in the top quarter."),
}  # fmt: skip

_SERVICE_COLUMNS: Final[Columns] = {
    "service_id": (_TEXT, 18, "The service."),
    "n_therapists": (_WHOLE, 12, "How many have most of their treatments there."),
    "n_rated": (_WHOLE, 12, "Of these, rated."),
    "n_completed": (_WHOLE, 12, "Completed treatments of all of them."),
    "n_at_caseness_rated": (_WHOLE, 14, "Patients of those rated who count for recovery."),
    "observed": (_PERCENT, 11, "Share of these patients who recovered."),
    "expected": (_PERCENT, 11, "Share that we would expect on average."),
}

_STATUS_MEANS: Final[dict[Status, str]] = {
    "provisional": "Too few to rate: no result is shown.",
    "rated": "There is a rating, and nothing to do.",
    "watch": "Rated too. The TER is below the minimum, but not surely.",
    "support": "Rated too. The TER is surely below the minimum: support is offered.",
}


def workbook(publication: Publication, edition: Edition) -> bytes:
    """Make the workbook: ratings, services, what the columns mean, and the model.

    No cell is a formula: a text that a spreadsheet might take for one has an apostrophe before it, as in
    ``ratings.csv``, and is stored as text. The same publication gives the same bytes.

    Parameters
    ----------
    publication : Publication
    edition : Edition

    Returns
    -------
    bytes
        An ``.xlsx`` file.
    """
    # openpyxl takes its time to import, and only reports need it.
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    columns = _rating_columns(publication)
    _table(book, "Ratings", publication.ratings, columns)
    if len(publication.services):
        _table(book, "Services", publication.services, _SERVICE_COLUMNS)
    _lines(book, "What the columns mean", _meanings(publication, columns, edition.words), (24, 100))
    _lines(book, "Model", _model(publication, edition), (52, 24, 60, 90))
    file = BytesIO()
    book.save(file)
    return _same_bytes(file.getvalue())


def _rating_columns(publication: Publication) -> Columns:
    """Give the columns of the table of ratings; names of intervals depend on their width."""
    low, high = publication.options.quantile_names
    return {name.replace("_low", f"_{low}").replace("_high", f"_{high}"): c for name, c in _COLUMNS.items()}


def _table(book: Any, title: str, frame: pd.DataFrame, columns: Columns) -> None:
    """Write a table with a frozen header, filters, number formats and widths."""
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    sheet = book.create_sheet(title)
    sheet.append(list(columns))
    formats = [look for look, *_ in columns.values()]
    for row in frame[list(columns)].itertuples(index=False, name=None):
        sheet.append([_value(value) for value in row])
    for cells in sheet.iter_rows(min_row=2):
        for cell, look in zip(cells, formats, strict=True):
            cell.number_format = look
            _as_text(cell)
    for column, (_, width, _) in enumerate(columns.values(), start=1):
        sheet.column_dimensions[get_column_letter(column)].width = width
        head = sheet.cell(1, column)
        head.font, head.fill = Font(bold=True), PatternFill("solid", fgColor="DCEBEE")
        head.alignment = Alignment(wrap_text=True, vertical="top")
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = sheet.dimensions
    sheet.print_title_rows = "1:1"
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", sheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


def _lines(book: Any, title: str, lines: Iterable[Sequence[object]], widths: tuple[int, ...]) -> None:
    """Write lines of text; the first cell of each is its heading."""
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    sheet = book.create_sheet(title)
    for line in lines:
        sheet.append([_value(value) for value in line])
    for cells in sheet.iter_rows():
        for cell in cells:
            _as_text(cell)
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            cell.font = Font(bold=cell.column == 1)
    for column, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(column)].width = width


def _meanings(
    publication: Publication, columns: Columns, vocabulary: words.Vocabulary
) -> Iterable[tuple[str, str]]:
    names = {"unit": vocabulary.unit, "counted": vocabulary.counted}
    yield from ((name, meaning.format(**names)) for name, (*_, meaning) in columns.items())
    for status, meaning in _STATUS_MEANS.items():
        yield f"status: {status}", f"{status_words(publication, status)}. {meaning}"
    interval = words.number(100 * publication.options.interval)
    yield "range", f"{interval} times in 100, the true value lies in it."
    yield (
        "empty cell",
        (
            f"Nothing to show: fewer than {publication.options.completed} {vocabulary.counted}, or too few "
            "patients."
        ),
    )


def _model(publication: Publication, edition: Edition) -> Iterable[tuple[object, ...]]:
    network, model, options = publication.network, publication.model, publication.options
    yield ("Report", edition.title)
    yield ("Data", data_until(edition.known_until, edition.month))
    yield ("Engine", model.engine)
    yield ("Converged", "yes" if model.converged else "no")
    yield ("Service effect", model.service_effect)
    yield ("Rows that the model saw", model.n_modelled)
    yield from ((f"Left out: {reason}", n) for reason, n in model.left_out)
    yield (edition.words.units.capitalize(), network.n_therapists)
    yield ("Rated", network.n_rated)
    yield ("Recovered, percent (patients of the rated)", _rounded(100 * network.observed))
    yield ("Expected, percent (the same patients)", _rounded(100 * network.expected))
    yield (f"{edition.words.counted.capitalize()} that a rating takes", options.completed)
    yield ("Minimum TER", "none" if options.minimum is None else options.minimum)
    yield from (("Note", note) for note in model.notes)
    if publication.card is not None:
        yield ("Should these ratings be trusted?", publication.card.answer)
        for check in publication.card.checks:
            result = f"{check.words} {check.remedy}".strip()
            yield (check.title, words.CHECK_WORDS[check.status], check.figure, result)
        yield from publication.card.facts
    yield from ((f"Version of {name}", version) for name, version in model.versions)
    yield ("Fingerprint of the rows", publication.fingerprint)


def _rounded(value: float) -> float | str:
    return round(value, 1) if math.isfinite(value) else words.NOTHING


def _value(value: Any) -> object:
    """Turn a value into a cell's: numbers as they are, nothing for NaN, text that is harmless."""
    if isinstance(value, str):
        return _text(value)
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _text(text: str) -> str:
    return spreadsheet_text(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text))[:_LONGEST]


def _as_text(cell: Any) -> None:
    """Store text as text, whatever it looks like, also once somebody has edited the cell."""
    if isinstance(cell.value, str):
        cell.data_type = "s"
        cell.quotePrefix = True


def _same_bytes(file: bytes) -> bytes:
    """Write the archive anew without the hour of its making."""
    made = BytesIO()
    with zipfile.ZipFile(BytesIO(file)) as old, zipfile.ZipFile(made, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:\w+[^>]*>)[^<]*", rb"\g<1>" + _ISO_TIME.encode(), content)
            info = zipfile.ZipInfo(entry.filename, _TIME)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            # Of a Unix system, wherever it is made.
            info.create_system = 3
            new.writestr(info, content)
    return made.getvalue()
