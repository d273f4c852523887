"""Text columns: one dtype for them, whatever the version of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
from numpy.typing import NDArray

#: pandas 3 has a text dtype of its own; before it, text was object.
TEXT_DTYPE: Final = "str" if int(pd.__version__.partition(".")[0]) >= 3 else "object"


def text_series(values: Sequence[Any] | NDArray[Any], index: pd.Index[Any] | None = None) -> pd.Series[str]:
    """Text column of the canonical dtype: ``str`` from pandas 3 on, ``object`` before it."""
    return pd.Series(values, index=index, dtype=TEXT_DTYPE)
