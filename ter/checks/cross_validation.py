"""Cross-validation: how the model does with therapists, and in months, that it has not seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from ter.checks.calibration import Calibration, calibrate_cases
from ter.checks.cases import BoolArray, Cases, cases_of
from ter.checks.refit import refit
from ter.errors import DataError, OptionError
from ter.features.columns import texts
from ter.models.predict import mean_expected
from ter.models.result import Fit
from ter.options import Engine
from ter.sources import as_known_at

Progress = Callable[[int, int], None]

FOLDS = 5


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """Calibration out of sample.

    Attributes
    ----------
    over : {"therapists", "time"}
    cases : Cases
        Patients who were held out, with the rates that a model without them expected.
    folds : int
        Models that were fitted.
    converged : bool
        Whether all of them did.
    """

    over: Literal["therapists", "time"]
    cases: Cases
    folds: int
    converged: bool

    @cached_property
    def calibration(self) -> Calibration:
        """Calibration over these patients; its groups are empty."""
        return calibrate_cases(self.cases, {})

    def to_frame(self) -> pd.DataFrame:
        """Give the comparisons as a table."""
        return self.calibration.to_frame()

    def summary(self) -> str:
        """Say it in a few lines."""
        what = "new therapists" if self.over == "therapists" else "later months"
        head = f"Held out: {what}, {self.cases.n.sum():,.0f} patients, {self.folds} fits."
        lines = [head, self.calibration.summary()]
        if not self.converged:
            lines.append("A fit did not converge.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ter.CrossValidation: {self.summary().splitlines()[0]}>"


def over_therapists(
    fit: Fit,
    episodes: pd.DataFrame,
    *,
    folds: int = FOLDS,
    seed: int = 1,
    engine: Engine = "ml",
    progress: Progress | None = None,
) -> CrossValidation:
    """Hold out whole therapists, a fold at a time: the rest of the network tells what to expect of them.

    Parameters
    ----------
    fit : Fit
        Whose terms and settings are used; it is not used otherwise.
    episodes : DataFrame
    folds : int
        At least 2. Therapists are dealt out by size, so that folds are of like size.
    seed : int
    engine : {"ml", "fast"}
    progress : callable, optional
        Called with the folds done, and all.

    Returns
    -------
    CrossValidation

    Raises
    ------
    OptionError
        If there are fewer than 2 folds, or more than therapists.
    DataError
        If a fold cannot carry the model.
    """
    codes, levels = texts(episodes[fit.settings.therapist])
    if not 2 <= folds <= len(levels):
        raise OptionError(f"folds={folds} must lie between 2 and the number of therapists, {len(levels)}.")
    # By size, largest first, and within a run of `folds` therapists at random: even folds, random content.
    rng = np.random.default_rng([seed, 2])
    order = np.argsort(-np.bincount(codes), kind="stable")
    fold = np.empty(len(levels), np.int64)
    for start in range(0, len(levels), folds):
        part = order[start : start + folds]
        fold[part] = rng.permutation(folds)[: part.size]
    expected = np.full(len(episodes), np.nan)
    converged = True
    for k in range(folds):
        out = fold[codes] == k
        trained = refit(fit, episodes[~out], engine)
        converged &= trained.record.converged
        expected[out] = mean_expected(trained, episodes[out])
        if progress is not None:
            progress(k + 1, folds)
    cases = cases_of(fit, episodes, expected)
    return CrossValidation("therapists", cases, folds, bool(converged))


def over_time(fit: Fit, episodes: pd.DataFrame, until: dt.date, *, engine: Engine = "ml") -> CrossValidation:
    """Train on what was known on a day, and test on the treatments that ended after it.

    Parameters
    ----------
    fit : Fit
        Whose terms and settings are used.
    episodes : DataFrame
        With ``start_date`` and ``end_date``.
    until : date
        The last day that the model may know of.
    engine : {"ml", "fast"}

    Returns
    -------
    CrossValidation

    Raises
    ------
    DataError
        If nothing ended after that day, or what ended before it cannot carry the model.
    """
    later = ended_after(episodes, until)
    if not later.any():
        raise DataError(f"No episode ended after {until}: choose an earlier day.")
    trained = refit(fit, as_known_at(episodes, until), engine)
    return CrossValidation("time", cases_of(trained, episodes[later]), 1, trained.record.converged)


def ended_after(episodes: pd.DataFrame, day: dt.date) -> BoolArray:
    """Which episodes ended after a day: shape (rows,)."""
    if "end_date" not in episodes:
        raise DataError('The table has no column "end_date", which a test over time needs.')
    return np.asarray(episodes["end_date"] > pd.Timestamp(day), dtype=np.bool_)
