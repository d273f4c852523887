"""What the checks look at: patients, or cells of like patients, with the recoveries expected of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.features import modelled_rows
from ter.features.columns import texts
from ter.models.fit import with_outcome
from ter.models.predict import mean_expected
from ter.models.result import Fit
from ter.models.sums import sum_by
from ter.models.units import Deciles, Units

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Cases:
    """Outcomes and what was expected of them; C cases (patients, or cells of patients), J therapists.

    Attributes
    ----------
    therapist : ndarray of int64, shape (C,)
        Index of the therapist, 0 to J - 1. Outcomes of one therapist go together; of two they do not.
    ids : tuple of str, length J
        The therapists, all of whom have patients.
    n : ndarray, shape (C,)
        Patients of each case.
    observed : ndarray, shape (C,)
        Their recoveries.
    expected : ndarray, shape (C,)
        The rate expected of them (0 to 1), the therapist's effect integrated over its distribution: what a
        therapist drawn at random would reach.
    row : ndarray of int64, shape (C,)
        Position of each case in the table that it was made from.
    """

    therapist: IntArray
    ids: tuple[str, ...]
    n: FloatArray
    observed: FloatArray
    expected: FloatArray
    row: IntArray

    @property
    def n_therapists(self) -> int:
        """J."""
        return len(self.ids)

    def by_therapist(self, values: FloatArray) -> FloatArray:
        """Add values of cases up: shape (J,)."""
        return sum_by(self.therapist, values, self.n_therapists)

    @property
    def residual(self) -> FloatArray:
        """Recoveries above those expected, of each case: shape (C,)."""
        return self.observed - self.n * self.expected


def cases_of(fit: Fit, table: pd.DataFrame, expected: FloatArray | None = None) -> Cases:
    """Take the patients of a table whom the model is about.

    Parameters
    ----------
    fit : Fit
    table : DataFrame
        The table that was fitted to, or another with the same columns. Its therapists need not be known.
    expected : ndarray, shape (rows of the table,), optional
        Rates to compare with; by default those of `Fit.expected`: parameters averaged over their posterior,
        the therapist's effect over its distribution, a known service's effect as estimated.

    Returns
    -------
    Cases
        A case for each modelled row.

    Raises
    ------
    DataError
        If a column is absent, or no row can be modelled.
    """
    settings = fit.settings
    table = with_outcome(table, settings.outcome, settings.trials)
    chosen = modelled_rows(table, outcome=settings.outcome, trials=settings.trials)
    codes, levels = texts(table[settings.therapist])
    rates = mean_expected(fit, table.iloc[chosen.rows]) if expected is None else expected[chosen.rows]
    return _numbered(codes[chosen.rows], levels, chosen.trials, chosen.successes, rates, chosen.rows)


def _numbered(
    code: IntArray,
    levels: tuple[str, ...],
    n: FloatArray,
    observed: FloatArray,
    expected: FloatArray,
    row: IntArray,
) -> Cases:
    """Number the therapists that have cases."""
    used, index = np.unique(code, return_inverse=True)
    ids = tuple(levels[k] for k in used)
    return Cases(index.astype(np.int64), ids, n, observed, expected, row)


def cases_from_sums(deciles: Deciles, units: Units) -> Cases:
    """Take what a fit keeps of its patients: a cell for each therapist and tenth of the expected rate."""
    J, D = deciles.n.shape
    therapist, decile = np.nonzero(deciles.n > 0)
    n = deciles.n[therapist, decile]
    return _numbered(
        therapist.astype(np.int64),
        units.ids,
        n,
        deciles.observed[therapist, decile],
        deciles.expected[therapist, decile] / n,
        np.arange(J * D, dtype=np.int64).reshape(J, D)[therapist, decile],
    )


def only(cases: Cases, kept: BoolArray) -> Cases:
    """Keep cases, and number their therapists anew."""
    return _numbered(
        cases.therapist[kept],
        cases.ids,
        cases.n[kept],
        cases.observed[kept],
        cases.expected[kept],
        cases.row[kept],
    )


def pooled(cases: Cases, tenths: int = 10) -> Cases:
    """Pool each therapist's patients of like expectation: a cell for each therapist and tenth of it."""
    cell = cases.therapist * tenths + bins(cases.expected, cases.n, tenths)
    used, index = np.unique(cell, return_inverse=True)
    n, observed, expected = (
        sum_by(index, values, len(used)) for values in (cases.n, cases.observed, cases.n * cases.expected)
    )
    return replace(cases, therapist=used // tenths, n=n, observed=observed, expected=expected / n, row=used)


def bins(values: FloatArray, weights: FloatArray, count: int) -> IntArray:
    """Cut values into bins of equal weight; equal values share a bin, so there may be fewer.

    Parameters
    ----------
    values, weights : ndarray, shape (C,)
    count : int

    Returns
    -------
    ndarray of int64, shape (C,)
        From 0 to ``count - 1``.
    """
    distinct, index = np.unique(values, return_inverse=True)
    mass = np.bincount(index, weights, len(distinct))
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    bin_of: IntArray = np.minimum((middle * count).astype(np.int64), count - 1)
    return bin_of[index]
