"""Each therapist's own patients, where a method needs more than sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from ter.models.same_table import design_of
from ter.ratings.standardise import divide

if TYPE_CHECKING:
    from ter.models.result import Fit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class OwnPatients:
    """Modelled rows of the table, without their outcomes.

    Attributes
    ----------
    unit : ndarray of int64, shape (N,)
        The therapist of each row, 0 to R - 1 among the rated; -1 of all others.
    eta : ndarray, shape (N,)
        Log-odds of recovery with the average therapist (u = 0, no slope), the other parameters at their
        posterior means.
    trials : ndarray, shape (N,)
        Patients a row stands for.
    """

    unit: IntArray
    eta: FloatArray
    trials: FloatArray

    def information(self, R: int) -> FloatArray:
        """Sum of p (1 - p) over each rated therapist's patients, shape (R,)."""
        p = expit(self.eta)
        return self._sum(p * (1 - p), R)

    def expected(self, u: FloatArray) -> FloatArray:
        """Recovery rate of each rated therapist's patients were the effects u, shape (R,); NaN of nobody."""
        rated = self.unit >= 0
        p = np.zeros(len(self.unit))
        p[rated] = expit(self.eta[rated] + u[self.unit[rated]])
        return divide(self._sum(p, len(u)), self._sum(np.ones(len(p)), len(u)))

    def patients(self) -> tuple[FloatArray, IntArray]:
        """Probability and therapist of each patient of a rated therapist, one entry a patient."""
        rated = self.unit >= 0
        times = self.trials[rated].astype(np.int64)
        return np.repeat(expit(self.eta[rated]), times), np.repeat(self.unit[rated], times)

    def _sum(self, values: FloatArray, R: int) -> FloatArray:
        rated = self.unit >= 0
        return np.bincount(self.unit[rated], (values * self.trials)[rated], R).astype(np.float64)


def own_patients(fit: Fit, table: pd.DataFrame, passed: BoolArray) -> OwnPatients:
    """Look up the patients of the therapists who passed the gate.

    Parameters
    ----------
    fit : Fit
        With a posterior.
    table : DataFrame
        The table that it was fitted to.
    passed : ndarray of bool, shape (J,)
        Who of all therapists of the fit passed the gate.

    Returns
    -------
    OwnPatients

    Raises
    ------
    OptionError
        If it is another table.
    """
    posterior = fit.posterior
    if posterior is None:
        raise AssertionError("only a fit with a posterior is admitted")
    design = design_of(fit, table)
    eta = design.X @ (posterior.weights @ posterior.beta)
    if design.service is not None:
        eta += (posterior.weights @ posterior.v)[design.service.index]
    if design.further is not None and posterior.f is not None:
        eta += (posterior.weights @ posterior.f)[design.further.index]
    position = np.where(passed, np.cumsum(passed) - 1, -1)
    return OwnPatients(unit=position[design.therapist.index], eta=eta, trials=design.trials)
