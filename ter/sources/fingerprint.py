"""The fingerprint of a table: the same for the same content, however it is stored."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

Words = NDArray[np.uint64]

#: What fingerprints begin with. It grows when the same table gets another fingerprint than before.
DEFINITION: Final = "3-"
#: Rows that are hashed at a time: their lanes stay in the cache.
ROWS_A_PART: Final = 32_768
# Beyond it float64 no longer tells whole numbers apart.
_LARGEST_EXACT: Final = 2**53


def fingerprint(df: pd.DataFrame) -> str:
    """Hash of a table's content.

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
        The number of the definition, a hyphen, and 64 hexadecimal digits. They are the sha256 of the names
        and kinds of the columns and of a sum of 128 bits over the rows: enough to tell any accidental change,
        but no signature.
    """
    # Kernels take a while to load, and reading a table shall not wait for them.
    from ter.kernels.content import add_lanes, mix_words

    places = sorted(range(df.shape[1]), key=lambda place: str(df.columns[place]))
    columns = [_content(df.iloc[:, place]) for place in places]
    total = np.zeros(2, np.uint64)
    for start in range(0, len(df), ROWS_A_PART):
        lanes = np.zeros((2, min(ROWS_A_PART, len(df) - start)), np.uint64)
        for kind, words in columns:
            mix_words(np.ascontiguousarray(words[start : start + ROWS_A_PART]), kind == "number", lanes)
        add_lanes(lanes, total)
    digest = hashlib.sha256(f"{len(df)} rows, {len(columns)} columns".encode())
    for place, (kind, _) in zip(places, columns, strict=True):
        name = str(df.columns[place])
        digest.update(f"\n{len(name)} {name} {kind}\n".encode(errors="surrogatepass"))
    digest.update(total.astype("<u8").tobytes())
    return DEFINITION + digest.hexdigest()


def is_comparable(other: str) -> bool:
    """Whether a fingerprint that was kept is by this version's definition; else it says nothing."""
    return other.startswith(DEFINITION)


def _content(column: pd.Series[Any]) -> tuple[str, Words]:
    """A column's content without its storage: what kind of values, and a word for each."""
    from ter.kernels.content import MISSING

    if isinstance(column.dtype, pd.CategoricalDtype):
        if pd.api.types.is_string_dtype(column.cat.categories.dtype):
            return _category(column)
        column = column.astype(column.cat.categories.dtype)
    missing = column.isna().to_numpy(bool)
    if missing.all():
        return "missing", np.full(len(column), MISSING)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        instants = column.to_numpy(dtype="datetime64[us]").view(np.uint64)
        return "date", np.where(missing, MISSING, instants)
    if pd.api.types.is_any_real_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if pd.api.types.is_float_dtype(column.dtype) or np.nanmax(np.abs(floats)) < _LARGEST_EXACT:
            return "number", floats.view(np.uint64)
    return "text", _texts(column, missing)


def _category(column: pd.Series[Any]) -> tuple[str, Words]:
    """Categories that are texts: each is hashed once."""
    from ter.kernels.content import MISSING

    categories = pd.Series(column.cat.categories)
    if (column.cat.codes == -1).all():
        return "missing", np.full(len(column), MISSING)
    words = _texts(categories, np.zeros(len(categories), bool))
    # The last entry serves the code -1.
    return "text", np.append(words, MISSING)[column.cat.codes.to_numpy()]


def _texts(column: pd.Series[Any], missing: NDArray[np.bool_]) -> Words:
    """Words of cells by their text in UTF-8; cells of no other kind count by what they print as."""
    from ter.kernels.content import MISSING, words_of_texts

    texts = _in_arrow(column, missing)
    # An array may be a cut of a longer one.
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    words = np.empty(len(texts), np.uint64)
    words_of_texts(offsets, np.frombuffer(texts.buffers()[2] or b"", np.uint8), words)
    words[missing] = MISSING
    return words


def _in_arrow(column: pd.Series[Any], missing: NDArray[np.bool_]) -> pa.LargeBinaryArray:
    """Texts as bytes, missing ones as anything."""
    if isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow":
        texts = pa.array(column)
    else:
        try:
            texts = pa.array(column.to_numpy(object), pa.large_string(), mask=missing)
        except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
            cells = zip(column, missing, strict=True)
            encoded = [b"" if gone else str(cell).encode(errors="surrogatepass") for cell, gone in cells]
            return pa.array(encoded, pa.large_binary())
    if isinstance(texts, pa.ChunkedArray):
        texts = pa.concat_arrays(texts.chunks) if texts.num_chunks else pa.array([], texts.type)
    return texts.cast(pa.large_binary())
