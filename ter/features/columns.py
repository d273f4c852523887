"""Columns of a table as arrays: numbers, and the text of levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError

#: The level that stands for a missing value.
MISSING = "missing"


def require(df: pd.DataFrame, columns: tuple[str, ...], role: str) -> None:
    """Refuse a table that lacks columns.

    Parameters
    ----------
    df : DataFrame
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


def numbers(df: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """Read a numeric column, NaN where it is missing.

    Parameters
    ----------
    df : DataFrame
    column : str

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    DataError
        If the column holds text, dates or infinite numbers.
    """
    values = df[column]
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise DataError(
            f'The column "{column}" holds {values.dtype}, not numbers: '
            f'convert it, or use factor("{column}") for categories.'
        )
    array = values.to_numpy(dtype=np.float64, na_value=np.nan)
    infinite = np.flatnonzero(np.isinf(array))
    if infinite.size:
        raise DataError(
            f'The column "{column}" holds {infinite.size} infinite numbers, first in row {infinite[0]}: '
            "correct them or leave them blank."
        )
    return array


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
    as_text = [_text(value) for value in uniques]
    levels = tuple(sorted(set(as_text)))
    position = {level: i for i, level in enumerate(levels)}
    # The last entry serves the code -1.
    recode = np.array([*(position[text] for text in as_text), -1], dtype=np.int64)
    return recode[codes], levels


def _text(value: object) -> str:
    """Write one value as a level."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _listed(names: list[str]) -> str:
    """Write names one after the other, in quotation marks."""
    return ", ".join(f'"{name}"' for name in names)
