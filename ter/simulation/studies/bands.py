"""Bands of completed treatments."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def band_of(completed: IntArray, lowest: tuple[int, ...]) -> IntArray:
    """The band of each number of completed treatments: -1 below the first, the last has no upper end."""
    return np.asarray(np.searchsorted(np.array(lowest), completed, side="right") - 1, np.int64)


def band_frame(lowest: tuple[int, ...]) -> pd.DataFrame:
    """First and last number of each band, ``completed_from`` and ``completed_to``; the last has no end."""
    last = pd.array([*(value - 1 for value in lowest[1:]), None], dtype="Int64")
    return pd.DataFrame({"completed_from": pd.array(lowest, dtype="Int64"), "completed_to": last})


def band_name(row: pd.Series) -> str:
    """A band in words: ``"10 to 14"``, ``"220 or more"``."""
    end = row["completed_to"]
    return f"{row['completed_from']} or more" if pd.isna(end) else f"{row['completed_from']} to {end}"


def shown(estimate: float, mcse: float, digits: int = 2) -> str:
    """An estimate with its Monte Carlo standard error: ``"0.30 ± 0.01"``, ``"0.30 ± ?"`` without one."""
    if np.isnan(estimate):
        return "unknown"
    return f"{estimate:.{digits}f} ± {'?' if np.isnan(mcse) else f'{mcse:.{digits}f}'}"


def figures(rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Estimate and Monte Carlo standard error by statistic, of rows with one row for each."""
    columns = (rows[name].tolist() for name in ("statistic", "estimate", "mcse"))
    return {str(name): (float(estimate), float(mcse)) for name, estimate, mcse in zip(*columns, strict=True)}


def percent(figure: tuple[float, float], digits: int = 1) -> str:
    """A share as a percentage with its error: ``"12.3 ± 0.4%"``."""
    text = shown(100 * figure[0], 100 * figure[1], digits)
    return text if np.isnan(figure[0]) else f"{text}%"
