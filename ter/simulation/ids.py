"""Columns of text from their bytes, and the ids of therapists and services."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from ter.schema.text import TEXT_DTYPE
from ter.simulation.scenario import Scenario

IntArray = NDArray[np.int64]

_TEXT = pd.StringDtype("pyarrow", na_value=np.nan) if TEXT_DTYPE == "str" else None


def text_column(offsets: IntArray, data: NDArray[np.uint8], validity: NDArray[np.uint8] | None = None) -> Any:
    """Give a column of text from Arrow's buffers, without a Python object for each."""
    bitmap = None if validity is None else pa.py_buffer(validity)
    array = pa.LargeStringArray.from_buffers(
        offsets.size - 1, pa.py_buffer(offsets), pa.py_buffer(data[: offsets[-1]]), bitmap
    )
    if TEXT_DTYPE == "str":
        # What `pd.array` would return, without looking at every text again.
        return pd.arrays.ArrowStringArray(array, dtype=_TEXT)  # type: ignore[call-arg]
    return array.to_numpy(zero_copy_only=False)


def id_width(digits: int, count: int) -> int:
    """Give the digits of ids: those that the last of `count` needs, and `digits` at the least."""
    return max(digits, len(str(count)))


def numbered(letter: str, numbers: NDArray[Any], count: int, digits: int) -> Any:
    """Give ids such as ``T001`` for numbers counted from 0, as wide as the last of `count` needs."""
    width = id_width(digits, count)
    data = np.full((numbers.size, width + 1), ord(letter), np.uint8)
    # Numbers of 32 bits take a third of the time of `np.divmod` in 64; no network has as many units.
    rest = (numbers + 1).astype(np.uint32)
    for k in range(width, 0, -1):
        tens = rest // 10
        data[:, k] = ord("0") + (rest - 10 * tens)
        rest = tens
    return text_column(np.arange(numbers.size + 1) * (width + 1), data.ravel())


def id_names(letter: str, count: int, digits: int) -> list[str]:
    """Give all ids such as ``S01``, as `numbered` spells them."""
    width = id_width(digits, count)
    return [f"{letter}{k:0{width}d}" for k in range(1, count + 1)]


def therapist_ids(scenario: Scenario, numbers: IntArray) -> Any:
    """Give the ids of therapists by their numbers: ``T001``."""
    return numbered("T", numbers, scenario.network.n_therapists, 3)


def service_ids(scenario: Scenario) -> Any:
    """Give the ids of all services: ``S01``."""
    return numbered("S", np.arange(scenario.network.n_services), scenario.network.n_services, 2)
