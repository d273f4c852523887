"""CSV and Parquet files, read so that nothing in them is guessed away."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from ter.errors import DataError, OptionError
from ter.schema import COLUMNS, SESSION_COLUMNS, THERAPIST_COLUMNS

_CSV_SUFFIXES: Final = (".csv",)
_PARQUET_SUFFIXES: Final = (".parquet", ".pq")

#: A spreadsheet shows the header in row 1, so the first record is in row 2.
_FIRST_CSV_ROW: Final = 2

_AT_LEAST: Final = "it must hold a header and at least one row"
_LONGEST_HEADER: Final = 1 << 20
_BLOCK: Final = 1 << 24

_TEXT_COLUMNS: Final = frozenset(
    column.name
    for registry in (COLUMNS, SESSION_COLUMNS, THERAPIST_COLUMNS)
    for column in registry.values()
    if column.kind in ("id", "date", "factor", "measure")
)
_ID_COLUMNS: Final = frozenset(
    column.name
    for registry in (COLUMNS, SESSION_COLUMNS, THERAPIST_COLUMNS)
    for column in registry.values()
    if column.kind == "id"
)

# Numbers as a person writes them. 007, 1e5 and 8E123 stay text: they may be codes.
_WHOLE: Final = r"^-?(0|[1-9][0-9]{0,17})$"
_DECIMAL: Final = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?$"


def read_table(path: str | os.PathLike[str], *, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table from a CSV or a Parquet file, without validating it.

    CSV files are UTF-8, with or without byte order mark, separated by commas, with a header. Only an empty
    field is missing: "NA", "NaN", "None" and "NULL" are text. Ids, dates and factors that `ter` knows and the
    columns named in `text` stay text exactly as written; any other column becomes numbers if all its fields
    are plain numbers without leading zeros or exponents. In Parquet files the columns have their types
    already; whole numbers in id columns become text.

    Parameters
    ----------
    path : path-like
        Ends in ``.csv``, ``.parquet`` or ``.pq``.
    text : collection of str
        Further columns that are text.

    Returns
    -------
    DataFrame
        Its index numbers the rows as the file does: from 2 for CSV, where the header is row 1 (blank lines
        are not counted), from 0 for Parquet.

    Raises
    ------
    OptionError
        There is no such file, or it may not be read.
    DataError
        The file is empty, has no rows, is no table, or is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise OptionError(f"{path} {what}; name a .csv or .parquet file")
    suffix = path.suffix.lower()
    try:
        if not path.stat().st_size:
            raise DataError(f"{path} is empty; {_AT_LEAST}")
        if suffix in _CSV_SUFFIXES:
            _check_text(path)
            table = _read_csv(path)
        elif suffix in _PARQUET_SUFFIXES:
            table = _read_parquet(path)
        else:
            raise DataError(f"{path} is not a table that ter reads; store it as .csv or .parquet")
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror or error}") from error
    if not table.num_rows:
        raise DataError(f"{path} has a header and no rows; {_AT_LEAST}")
    csv = suffix in _CSV_SUFFIXES
    typed = (
        _with_numbers(table, _TEXT_COLUMNS | set(text))
        if csv
        else _with_text_ids(table, _ID_COLUMNS | set(text))
    )
    df: pd.DataFrame = typed.to_pandas(ignore_metadata=True, date_as_object=False)
    first = _FIRST_CSV_ROW if csv else 0
    return df.set_axis(pd.RangeIndex(first, first + len(df)), axis=0)


def _check_text(path: Path) -> None:
    """Raise what makes a file no table before the CSV reader sees it, whose own messages would not help."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
        if head.startswith(b"PAR1"):
            raise DataError(f"{path} is a Parquet file; let its name end in .parquet")
        block = head
        while block:
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                raise DataError(f"{path} is not encoded in UTF-8; export it as CSV in UTF-8") from error
            if b"\x00" in block:
                raise DataError(f"{path} is not a text table; export it as CSV in UTF-8")
            block = file.read(_BLOCK)
    if decoder.getstate()[0]:
        raise DataError(f"{path} is not encoded in UTF-8: it ends within a character; export it again")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if not text:
        raise DataError(f"{path} is empty; {_AT_LEAST}")
    header, *more = re.split(rb"[\r\n]+", text, maxsplit=1)
    if len(head) == _LONGEST_HEADER and not more:
        raise DataError(f"{path} is not a table: its first line is longer than {_LONGEST_HEADER:,} bytes")
    if not any(more):
        raise DataError(f"{path} has a header and no rows; {_AT_LEAST}")
    for separator, word in ((b";", "semicolons"), (b"\t", "tabs")):
        if separator in header and b"," not in header:
            raise DataError(f"{path} seems to be separated by {word}; export it separated by commas")


def _read_csv(path: Path) -> pa.Table:
    """Read every field of a CSV file as text; empty ones are null."""
    crooked: list[tuple[int, int, int]] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        crooked.append((row.number, row.actual_columns, row.expected_columns))
        return "skip"

    # One thread: only then does the reader know the numbers of crooked rows.
    reading = pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK)
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note)
    try:
        # The columns' names must be known to ask for text, and only the reader knows how to unquote them.
        with pyarrow.csv.open_csv(path, read_options=reading, parse_options=parsing) as reader:
            names = reader.schema.names
        crooked.clear()
        converting = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
        )
        table = pyarrow.csv.read_csv(path, reading, parsing, converting)
    except pa.ArrowInvalid as error:
        # The reader's own message may quote whole rows of patients.
        raise DataError(f"{path} is not a table separated by commas; export it as CSV again") from error
    if crooked:
        shown = "; ".join(f"row {number}: {found} fields, not {due}" for number, found, due in crooked[:3])
        raise DataError(
            f"{path} has more or fewer fields than its header in {len(crooked):,} "
            f"row{'s' if len(crooked) > 1 else ''}: {shown}{'; …' if len(crooked) > 3 else ''}. "
            "To mend it: quote fields that hold commas"
        )
    return table


def _read_parquet(path: Path) -> pa.Table:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            return file.read()
    except (pa.ArrowException, OSError) as error:
        # The library's own message tells of footers and magic bytes.
        raise DataError(f"{path} is not a whole Parquet file; write it again") from error


def _with_numbers(table: pa.Table, text: Collection[str]) -> pa.Table:
    """Turn columns of plain numbers into numbers, all but those named in `text`."""
    arrays = [_number_or_text(column) if name not in text else column for name, column in _items(table)]
    return pa.table(arrays, names=table.column_names)


def _number_or_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.null_count == len(column):
        return column
    for pattern, dtype in ((_WHOLE, pa.int64()), (_DECIMAL, pa.float64())):
        if pc.all(pc.match_substring_regex(column, pattern)).as_py():
            return column.cast(dtype)
    return column


def _with_text_ids(table: pa.Table, ids: Collection[str]) -> pa.Table:
    """Turn whole numbers in id columns into text, before a null among them makes them floats."""
    arrays = [
        column.cast(pa.string()) if name in ids and pa.types.is_integer(column.type) else column
        for name, column in _items(table)
    ]
    return pa.table(arrays, names=table.column_names)


def _items(table: pa.Table) -> list[tuple[str, Any]]:
    return list(zip(table.column_names, table.columns, strict=True))
