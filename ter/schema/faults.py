"""Faults of a table, and the one error that lists them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError

_ROWS_SHOWN: Final = 3
_LONGEST_VALUE: Final = 40


@dataclass(frozen=True, eq=False)
class Fault:
    """One kind of fault in one column.

    Attributes
    ----------
    column : str
        Empty for a fault of the whole table.
    problem : str
        What is wrong, as the end of a sentence that begins with the column: ``"is outside 0 to 27"``.
    mend : str
        What to do about it.
    rows : ndarray of int64
        Positions of the faulty rows; empty for a fault of the whole column or table.
    """

    column: str
    problem: str
    mend: str
    rows: NDArray[np.int64]


def whole(column: str, problem: str, mend: str) -> Fault:
    """Fault of a whole column, or of the whole table (column "")."""
    return Fault(column, problem, mend, np.empty(0, np.int64))


def in_rows(column: str, problem: str, mend: str, faulty: NDArray[np.bool_]) -> Fault:
    """Fault of the rows that `faulty` (shape (N,)) marks."""
    return Fault(column, problem, mend, np.flatnonzero(faulty))


def short(value: object) -> str:
    """Show a cell on one line, whatever is in it."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def data_error(faults: Sequence[Fault], df: pd.DataFrame, table: str, key: str | None = None) -> DataError:
    """Make the error that lists every fault with its count, its column and its first rows.

    Parameters
    ----------
    faults : sequence of Fault, not empty
    df : DataFrame, shape (N, C)
        The table as it was given. Its index names the rows; files are read so that it counts as they do.
    table : str
        What to call the table.
    key : str, optional
        The column that identifies a row, shown beside its number where there is one.

    Returns
    -------
    DataError
    """
    kinds = "1 kind of fault" if len(faults) == 1 else f"{len(faults)} kinds of fault"
    return DataError("\n".join([f"{table}: {kinds}", *(f"  - {_line(f, df, key)}" for f in faults)]))


def _line(fault: Fault, df: pd.DataFrame, key: str | None) -> str:
    subject = f"column {short(fault.column)}" if fault.column else "the table"
    if not len(fault.rows):
        return f"{subject} {fault.problem}. To mend it: {fault.mend}."
    count = f"{len(fault.rows):,} row{'s' if len(fault.rows) > 1 else ''}"
    shown = "; ".join(_row(fault.column, int(row), df, key) for row in fault.rows[:_ROWS_SHOWN])
    more = "; …" if len(fault.rows) > _ROWS_SHOWN else ""
    return f"{subject} {fault.problem} in {count}: {shown}{more}. To mend it: {fault.mend}."


def _row(column: str, row: int, df: pd.DataFrame, key: str | None) -> str:
    label = f"row {df.index[row]}"
    if key is not None and key != column and key in df.columns and not pd.isna(name := _cell(df, key, row)):
        label = f"{label} ({key} {short(name)})"
    value = _cell(df, column, row)
    return (
        f"{label} is empty"
        if value is None or value is pd.NA or value != value
        else f"{label}: {short(value)}"
    )


def _cell(df: pd.DataFrame, column: str, row: int) -> Any:
    value = df[column].iloc[row]
    # Python's own number or text: repr(np.float64(30.0)) is nothing to show to anyone.
    return value.item() if isinstance(value, np.generic) else value
