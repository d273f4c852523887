"""From the cells of a column to canonical values, and which cells could not be read as what they should be.

Only an empty field is missing: the words "NaN", "None", "NA" and "NULL" are words like all others, so they
are kept in ids and factors, and are faults where a number or a date belongs.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import numbers
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.measures import ANXIETY_MEASURES, anxiety_measure_key
from ter.schema.columns import Kind
from ter.schema.text import TEXT_DTYPE, text_series

BoolArray = NDArray[np.bool_]

# Plain ASCII digits: float() would also take "1_0", "infinity" and the digits of other scripts.
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NAT: Final = np.datetime64("NaT", "s")


class _Unreadable(Exception):  # noqa: N818 - a signal within this module, never seen outside
    """A cell does not hold what its column should."""


@dataclass(frozen=True, eq=False)
class Parsed:
    """A column as read.

    Attributes
    ----------
    values : Series, shape (N,)
        float64, datetime64[s] or text; missing where the cell is empty or unreadable.
    unreadable : ndarray of bool, shape (N,)
        Cells that hold something else than they should.
    problem, mend : str
        What is wrong with these, and what to do about it.
    """

    values: pd.Series[Any]
    unreadable: BoolArray
    problem: str
    mend: str


def parse(column: pd.Series[Any], kind: Kind) -> Parsed:
    """Read a column as what its kind says.

    Parameters
    ----------
    column : Series, shape (N,)
        Of any dtype.
    kind : Kind

    Returns
    -------
    Parsed
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if kind == "date":
        return _dates(column)
    if kind == "id":
        return _ids(column)
    if kind == "factor":
        if (text := _exact_text(column)) is not None:
            return Parsed(text, np.zeros(len(column), bool), "", "")
        return _words(column, _factor_word, "is not text, a whole number or true/false", "write a word")
    if kind == "measure":
        known = (
            f"write one of {', '.join(ANXIETY_MEASURES)}, or leave the field empty where GAD-7 alone was used"
        )
        return _words(column, _measure_word, "is not an anxiety measure that ter knows", known)
    return _numbers(column)


def _numbers(column: pd.Series[Any]) -> Parsed:
    mend = "write a plain number such as 14 or 2.5, or leave the field empty"
    if pd.api.types.is_any_real_numeric_dtype(column.dtype):
        floats = pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan))
        return Parsed(floats, np.zeros(len(column), bool), "is not a number", mend)
    values, bad = _by_distinct_cell(column, _number, np.nan, np.float64)
    return Parsed(pd.Series(values), bad, "is not a number", mend)


def _dates(column: pd.Series[Any]) -> Parsed:
    mend = "write every date as yyyy-mm-dd, such as 2026-10-31, without time zone"
    if pd.api.types.is_datetime64_dtype(column.dtype):
        dates = pd.Series(column.to_numpy().astype("datetime64[s]"))
        return Parsed(dates, np.zeros(len(column), bool), "is not a date", mend)
    values, bad = _by_distinct_cell(column, _date, _NAT, "datetime64[s]")
    return Parsed(pd.Series(values), bad, "is not a date of the form yyyy-mm-dd", mend)


def _ids(column: pd.Series[Any]) -> Parsed:
    if (text := _exact_text(column)) is not None:
        return Parsed(text, np.zeros(len(column), bool), "", "")
    if pd.api.types.infer_dtype(column, skipna=True) == "mixed-integer":
        # 7 and "7" would become the same person; which of them were meant is not for us to say.
        return _words(column, _text, "is a number among texts", "store every id of the column as text")
    return _words(
        column, _id_word, "is no text or whole number", "store ids as text: 7.0 may have been 7 or 007"
    )


def _exact_text(column: pd.Series[Any]) -> pd.Series[str] | None:
    """Keep a column of strings as it is, empty ones missing; None if it holds anything else."""
    column = column.reset_index(drop=True)
    if isinstance(column.dtype, pd.StringDtype):
        text = column.astype(TEXT_DTYPE)
    elif column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) == "string":
        try:
            "".join(column.dropna()).encode()
        except UnicodeEncodeError:  # half a character, which no file can hold
            return None
        text = text_series(column.to_numpy(object))
    else:
        return None
    empty = text == ""
    return text.mask(empty) if empty.any() else text


def _words(column: pd.Series[Any], read: Callable[[Any], str | None], problem: str, mend: str) -> Parsed:
    values, bad = _by_distinct_cell(column, read, None, object)
    return Parsed(text_series(values), bad, problem, mend)


def _by_distinct_cell(
    column: pd.Series[Any], read: Callable[[Any], Any], missing: Any, dtype: Any
) -> tuple[NDArray[Any], BoolArray]:
    """Read each distinct cell once: a column of a million dates holds some thousand days."""
    cells = column.to_numpy(object)
    if pd.api.types.infer_dtype(cells, skipna=True).startswith("mixed"):
        # True equals 1, and lists equal nothing: cells of several types are read one by one.
        codes, distinct = np.where(column.isna(), -1, np.arange(len(cells))), cells
    else:
        codes, distinct = pd.factorize(cells)
    values = np.empty(len(distinct) + 1, dtype=dtype)
    bad = np.zeros(len(distinct) + 1, bool)
    values[-1] = missing
    for position, cell in enumerate(distinct):
        try:
            value = read(cell)
        except _Unreadable:
            value, bad[position] = None, True
        values[position] = missing if value is None else value
    return values[codes], bad[codes]


def _number(cell: Any) -> float | None:
    if isinstance(cell, str):
        if cell == "":
            return None
        if not _NUMBER.fullmatch(cell):
            raise _Unreadable
        return float(cell)
    if isinstance(cell, bool | np.bool_) or not isinstance(cell, numbers.Real | decimal.Decimal):
        raise _Unreadable
    return float(cell)


def _date(cell: Any) -> np.datetime64 | None:
    if isinstance(cell, str):
        if cell == "":
            return None
        if not _DATE.fullmatch(cell):
            raise _Unreadable
        try:
            return np.datetime64(dt.date.fromisoformat(cell), "s")
        except ValueError:  # 2026-02-30
            raise _Unreadable from None
    if isinstance(cell, dt.datetime) and cell.tzinfo is None:
        return np.datetime64(cell.replace(microsecond=0), "s")
    if isinstance(cell, dt.date) and not isinstance(cell, dt.datetime):
        return np.datetime64(cell, "s")
    raise _Unreadable


def _text(cell: Any) -> str | None:
    if not isinstance(cell, str):
        raise _Unreadable
    try:
        cell.encode()
    except UnicodeEncodeError:  # half a character, which no file can hold
        raise _Unreadable from None
    return cell or None


def _id_word(cell: Any) -> str | None:
    if isinstance(cell, int | np.integer) and not isinstance(cell, bool):
        return str(int(cell))
    return _text(cell)


def _factor_word(cell: Any) -> str | None:
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell))
    if isinstance(cell, float | np.floating) and math.isfinite(cell) and float(cell).is_integer():
        return str(int(cell))
    return _id_word(cell)


def _measure_word(cell: Any) -> str | None:
    if not isinstance(cell, str):
        raise _Unreadable
    if cell == "":
        return None
    key = anxiety_measure_key(cell)
    if key is None:
        raise _Unreadable
    return key
