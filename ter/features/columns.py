"""Columns of a table as arrays: numbers, and the text of levels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Number = TypeVar("Number", np.float64, np.uint64, np.int64)
Coded = tuple[IntArray, tuple[str, ...]]

#: The level that stands for a missing value.
MISSING = "missing"


@dataclass(frozen=True, eq=False)
class TableView:
    """Rows of a table in some order, of which a column is copied only when it is asked for.

    Attributes
    ----------
    table : DataFrame
    rows : ndarray of int64, shape (n,), or None
        Positions in the table; None for all rows as they stand.
    """

    table: pd.DataFrame
    rows: IntArray | None = None
    # By column: the code of every row of the table, and the levels. A column of ids is read several times.
    _coded: dict[str, Coded] = field(default_factory=dict, repr=False)
    # By column: whether any row of the table lacks a number.
    _gaps: dict[str, bool] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.table) if self.rows is None else len(self.rows)

    @property
    def columns(self) -> pd.Index:
        """Names of the table's columns."""
        return self.table.columns

    def pick(self, rows: IntArray) -> TableView:
        """Look at other rows, by their positions in the table."""
        return TableView(self.table, rows, self._coded, self._gaps)

    def of_table(self, column: str) -> Coded:
        """Code a column by the text of its values, as `texts` does, whatever the rows."""
        if column not in self._coded:
            self._coded[column] = texts(self.table[column])
        return self._coded[column]

    def lacks_numbers(self, column: str) -> bool:
        """Whether a numeric column of the table is missing in any row, whatever the rows looked at."""
        if column not in self._gaps:
            self._gaps[column] = bool(np.isnan(as_numbers(self.table, column)).any())
        return self._gaps[column]

    def gather(self, values: NDArray[Number], out: NDArray[Number] | None = None) -> NDArray[Number]:
        """Take these rows of an array that has all of the table's; the array itself where these are all."""
        if self.rows is None:
            return values
        # Kernels take a while to load, and `ter --help` shall not wait for them.
        from ter.kernels.order import take

        picked = np.empty(len(self.rows), values.dtype) if out is None else out
        take(values, self.rows, picked)
        return picked


#: What terms are learned on and encode.
Table = pd.DataFrame | TableView


def require(df: Table, columns: tuple[str, ...], role: str) -> None:
    """Refuse a table that lacks columns.

    Parameters
    ----------
    df : DataFrame or TableView
    columns : tuple of str
    role : str
        What they are for: "the case mix".

    Raises
    ------
    DataError
        Naming every column that is absent.
    """
    absent = [name for name in dict.fromkeys(columns) if name not in df.columns]
    if absent:
        raise DataError(
            f"The table has no column {_listed(absent)}, which {role} names. "
            f"It has: {_listed([str(name) for name in df.columns])}."
        )


def numbers(df: Table, column: str, out: FloatArray | None = None) -> FloatArray:
    """Read a numeric column, NaN where it is missing.

    Parameters
    ----------
    df : DataFrame or TableView
    column : str
    out : ndarray of float64, shape (n,), optional
        May be used for the result.

    Returns
    -------
    ndarray of float64, shape (n,)
        Not to be written to, unless it is `out`: it may be the table's own.

    Raises
    ------
    DataError
        If the column holds text, dates or infinite numbers.
    """
    return read_numbers(df, column, out)[0]


def read_numbers(df: Table, column: str, out: FloatArray | None = None) -> tuple[FloatArray, bool]:
    """Read a numeric column as `numbers` does, and say whether it is missing nowhere."""
    view = df if isinstance(df, TableView) else TableView(df)
    array = view.gather(as_numbers(view.table, column), out)
    # Their sum is finite only if all are; it is not if it overflows, or if one is missing.
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()
    if np.isfinite(total):
        return array, True
    infinite = np.flatnonzero(np.isinf(array))
    if infinite.size:
        first = infinite[0] if view.rows is None else view.rows[infinite].min()
        raise DataError(
            f'The column "{column}" holds {infinite.size} infinite numbers, first in row {first}: '
            "correct them or leave them blank."
        )
    return array, not np.isnan(array).any()


def as_numbers(table: pd.DataFrame, column: str) -> FloatArray:
    """Read a numeric column of a whole table, infinite or not.

    Raises
    ------
    DataError
        If the column holds text or dates.
    """
    values = table[column]
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise DataError(
            f'The column "{column}" holds {values.dtype}, not numbers: '
            f'convert it, or use factor("{column}") for categories.'
        )
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def has_gaps(df: Table, column: str) -> bool:
    """Whether a numeric column is missing in some row."""
    view = df if isinstance(df, TableView) else TableView(df)
    if not view.lacks_numbers(column):
        return False
    return view.rows is None or bool(np.isnan(view.gather(as_numbers(view.table, column))).any())


def is_empty(df: Table, column: str) -> bool:
    """Whether no row has a value in a column."""
    view = df if isinstance(df, TableView) else TableView(df)
    values = view.table[column]
    # A few rows say so of nearly every column.
    for some in (slice(0, 100), slice(None)):
        rows = values.iloc[some] if view.rows is None else values.iloc[view.rows[some]]
        if not rows.isna().all():
            return False
    return True


def coded(df: Table, column: str) -> Coded:
    """Code a column by the text of its values; see `texts`, which this does for the rows of a view."""
    if not isinstance(df, TableView):
        return texts(df[column])
    codes, levels = df.of_table(column)
    if df.rows is None:
        return codes, levels
    codes = codes.take(df.rows)
    occurs = np.bincount(codes + 1, minlength=len(levels) + 1)[1:] > 0
    if not occurs.all():
        # The last entry serves the code -1.
        codes = np.append(np.cumsum(occurs) - 1, -1)[codes]
        levels = tuple(level for level, there in zip(levels, occurs, strict=True) if there)
    return codes, levels


def texts(values: pd.Series) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Code a column by the text of its values.

    The text does not depend on how the column is stored: 1, 1.0 (as whole numbers beside blanks are stored)
    and "1" are all "1"; true is "True".

    Parameters
    ----------
    values : Series

    Returns
    -------
    codes : ndarray of int64, shape (n,)
        Position in the levels, -1 where missing.
    levels : tuple of str
        Those that occur, sorted.
    """
    codes, uniques = pd.factorize(values)
    as_text = [_text(value) for value in uniques.tolist()]
    levels = tuple(sorted(set(as_text)))
    position = {level: i for i, level in enumerate(levels)}
    # The last entry serves the code -1.
    recode = np.array([*(position[text] for text in as_text), -1], dtype=np.int64)
    return recode.take(codes), levels


def _text(value: object) -> str:
    """Write one value as a level."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _listed(names: list[str]) -> str:
    """Write names one after the other, in quotation marks."""
    return ", ".join(f'"{name}"' for name in names)
