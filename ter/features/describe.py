"""The case mix of rows in plain figures: means of numbers, shares of levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.features.case_mix import LearnedCaseMix
from ter.features.columns import numbers
from ter.features.learned import LearnedFactor, LearnedInteraction, LearnedMain

FloatArray = NDArray[np.float64]
Labels = tuple[tuple[str, str], ...]


def describe(df: pd.DataFrame, case_mix: LearnedCaseMix | None) -> tuple[Labels, FloatArray]:
    """Lay out the variables of a case mix, so that their means over any rows describe these rows.

    Parameters
    ----------
    df : DataFrame
        The modelled rows.
    case_mix : LearnedCaseMix or None

    Returns
    -------
    labels : tuple of (str, str), length K
        Variable and level; the level is empty for a numeric variable.
    matrix : ndarray of float64, shape (N, K)
        The raw number, NaN where it is missing; 1 for the row's level of a factor and 0 for its other levels,
        the reference included.

    Raises
    ------
    DataError
        If a column holds text where the case mix needs numbers.
    """
    parts: dict[str, LearnedMain] = {}
    for term in case_mix.terms if case_mix else ():
        for part in (term.first, term.second) if isinstance(term, LearnedInteraction) else (term,):
            parts.setdefault(part.term.column, part)
    labels: list[tuple[str, str]] = []
    blocks: list[FloatArray] = [np.empty((len(df), 0))]
    for column, part in parts.items():
        if isinstance(part, LearnedFactor):
            labels += [(column, level) for level in part.levels]
            blocks.append(part.indicators(df))
        else:
            labels.append((column, ""))
            blocks.append(numbers(df, column)[:, None])
    matrix = np.empty((len(df), len(labels)), order="F")
    return tuple(labels), np.concatenate(blocks, axis=1, out=matrix)
