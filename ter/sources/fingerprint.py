"""The fingerprint of a table: the same for the same content, however it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

# Beyond it float64 no longer tells whole numbers apart.
_LARGEST_EXACT: Final = 2**53


@dataclass(frozen=True, eq=False)
class _Content:
    """A column's content without its storage: what kind of values, and the values."""

    name: str
    kind: str
    values: pa.Array


def fingerprint(df: pd.DataFrame) -> str:
    """Sha256 of a table's content.

    Two tables have the same fingerprint if they hold the same rows, in any order, under the same column
    names, in any order, with any index. Storage does not matter: a number is a number as int8, Int16, float64
    or bool, a text is a text as str, object or category, a date is a date at any resolution, and missing is
    missing.

    Parameters
    ----------
    df : DataFrame, shape (N, C)
        Best a validated one: the text "2026-10-01" and the date are not the same content.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    names = sorted(range(df.shape[1]), key=lambda place: str(df.columns[place]))
    columns = [_content(str(df.columns[place]), df.iloc[:, place]) for place in names]
    order = _row_order(columns, len(df))
    digest = hashlib.sha256(f"{len(df)} rows, {len(columns)} columns".encode())
    for column in columns:
        digest.update(f"\n{len(column.name)} {column.name} {column.kind}\n".encode(errors="surrogatepass"))
        _update(digest, column.values.take(order))
    return digest.hexdigest()


def _content(name: str, column: pd.Series[Any]) -> _Content:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    missing = column.isna().to_numpy(bool)
    if missing.all():
        return _Content(name, "missing", pa.nulls(len(column), pa.int64()))
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        instants = column.to_numpy(dtype="datetime64[us]").astype(np.int64)
        return _Content(name, "date", pa.array(instants, pa.int64(), mask=missing))
    if pd.api.types.is_any_real_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        floats = column.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # makes 0.0 of -0.0
        if pd.api.types.is_float_dtype(column.dtype) or np.nanmax(np.abs(floats)) < _LARGEST_EXACT:
            return _Content(name, "number", pa.array(floats, pa.float64(), mask=missing))
    return _Content(name, "text", _texts(column, missing))


def _texts(column: pd.Series[Any], missing: NDArray[np.bool_]) -> pa.Array:
    """Encode cells as text in UTF-8, those of no other kind by what they print as."""
    try:
        texts = pa.array(column.to_numpy(object), pa.large_string(), mask=missing)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        cells = zip(column, missing, strict=True)
        encoded = [None if gone else str(cell).encode(errors="surrogatepass") for cell, gone in cells]
        return pa.array(encoded, pa.large_binary())
    return texts.cast(pa.large_binary())


def _row_order(columns: Sequence[_Content], n_rows: int) -> IntArray:
    """Order that depends on the content alone: by a column that tells all rows apart, else by all columns."""
    for column in columns:
        if column.values.null_count == 0 and pc.count_distinct(column.values).as_py() == n_rows:
            return cast(IntArray, pc.sort_indices(column.values).to_numpy().astype(np.int64))
    if not columns:
        return np.arange(n_rows)
    ranks = [pc.rank(column.values, tiebreaker="dense").to_numpy() for column in columns]
    return np.lexsort(ranks)


def _update(digest: Any, values: pa.Array) -> None:
    missing = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
    # Every part is preceded by how long it is: a missing row 0 and the number 0.0 are the same eight bytes.
    digest.update(np.array([len(missing), *missing], dtype="<i8").tobytes())
    if pa.types.is_large_binary(values.type):
        present = values.drop_null()
        lengths = pc.binary_length(present).to_numpy().astype("<i8")
        digest.update(lengths.tobytes())
        # Just taken, they begin where the third buffer begins, which is all texts in a row.
        digest.update(memoryview(present.buffers()[2] or b"")[: lengths.sum()])
    else:
        filled = values.drop_null().to_numpy()
        digest.update(filled.astype(filled.dtype.newbyteorder("<")).tobytes())
