"""Ids as text: exact in pages, harmless as file names and in spreadsheets."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import pandas as pd

#: Letters and digits of the id that a file name keeps, and hexadecimal digits of its hash (64 bits).
_SLUG_LENGTH: Final = 40
_HASH_LENGTH: Final = 16

#: A cell that starts with one of these is a formula to a spreadsheet; or, with the apostrophe, looks escaped.
_ESCAPED: Final = ("=", "+", "-", "@", "'", "\t", "\r", "\n")


def file_stem(identifier: str) -> str:
    """Turn an id into a file name without its ending.

    Parameters
    ----------
    identifier : str
        Any text.

    Returns
    -------
    str
        At most 57 characters of ``[a-z0-9-]``: what is readable of the id, and a hash that keeps different
        ids apart, on file systems that ignore case as well.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", identifier.lower())[:_SLUG_LENGTH].strip("-")
    digest = hashlib.sha256(identifier.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{slug}-{digest}" if slug else digest


def spreadsheet_text(text: str) -> str:
    """Escape a text cell, so that no spreadsheet takes it for a formula.

    A text that starts with ``= + - @ '``, a tab or a line break gets an apostrophe before it. Taking one
    leading apostrophe away gives every text back exactly.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return f"'{text}" if text.startswith(_ESCAPED) else text


def spreadsheet_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Escape every text column of a table with `spreadsheet_text`.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    DataFrame
        A new table; columns without text are as they were.
    """
    return frame.assign(
        **{
            name: frame[name].map(spreadsheet_text, na_action="ignore")
            for name in frame.columns
            if pd.api.types.is_string_dtype(frame[name].dtype)
        }
    )
