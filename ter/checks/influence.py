"""Influence: what one therapist does to the model and to the ratings of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.checks.refit import refit
from ter.features.columns import texts
from ter.models.result import Fit
from ter.models.weighted import mean_and_sd

FloatArray = NDArray[np.float64]
Progress = Callable[[int, int], None]

#: Therapists that are left out in turn, unless asked otherwise.
CANDIDATES = 3


@dataclass(frozen=True, eq=False, repr=False)
class Influence:
    """What leaving out one therapist changes; ungated, for analysts.

    Attributes
    ----------
    table : DataFrame
        By therapist left out: ``n`` (modelled patients), ``sd`` (of the therapists' effects without them),
        ``sd_ratio`` (over the one with all), ``sd_moved`` (their difference in standard errors of that SD),
        ``beta`` (largest change of a fixed effect, in its standard
        errors), ``others`` (largest change of another therapist's effect, in log-odds), ``others_sd`` (the
        same in posterior standard deviations of that effect).
    """

    table: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Give a copy of the table."""
        return self.table.copy()

    def summary(self) -> str:
        """Say it in a line."""
        worst = self.table.max()
        return (
            f"Leaving out one of {len(self.table)} therapists moves the spread by up to "
            f"{worst['sd_moved']:.2f} standard errors, a fixed effect by "
            f"up to {worst['beta']:.2f} standard errors, and another therapist's effect by up to "
            f"{worst['others_sd']:.2f} of its standard deviation."
        )

    def __repr__(self) -> str:
        return f"<ter.Influence: {self.summary()}>"


def influence(
    fit: Fit,
    episodes: pd.DataFrame,
    *,
    therapists: list[str] | None = None,
    candidates: int = CANDIDATES,
    progress: Progress | None = None,
) -> Influence:
    """Leave out one therapist after another, and fit again by maximum likelihood.

    Parameters
    ----------
    fit : Fit
    episodes : DataFrame
        That it was fitted to.
    therapists : list of str, optional
        Whom to leave out. By default the `candidates` of the largest sum of residuals in absolute value:
        how much a therapist pulls at the intercept and the spread.
    candidates : int
    progress : callable, optional
        Called with the fits done, and all.

    Returns
    -------
    Influence

    Raises
    ------
    DataError
        If the table without a therapist cannot carry the model.
    """
    whole = refit(fit, episodes, relearn=False)
    codes, levels = texts(episodes[fit.settings.therapist])
    ids = therapists or most_pulling(fit, candidates)
    at = whole.effects("therapist")
    uncertainty = (fit if fit.posterior is not None else whole).effects("therapist")["sd"]
    fixed, sd = whole.fixed, _sd(whole)
    sd_error = _sd_error(fit if fit.posterior is not None else whole)
    rows = []
    for done, name in enumerate(ids, start=1):
        without = refit(fit, episodes[codes != levels.index(name)], relearn=False)
        fixed_without = without.fixed.reindex(fixed.index)
        moved = (without.effects("therapist")["mean"] - at["mean"].drop(index=name)).abs()
        sd_without = _sd(without)
        rows.append(
            {
                "n": at["n"][name],
                "sd": sd_without,
                "sd_ratio": sd_without / sd if sd > 0.0 else np.nan,
                "sd_moved": abs(sd_without - sd) / sd_error,
                "beta": ((fixed_without["estimate"] - fixed["estimate"]) / fixed["se"]).abs().max(),
                "others": moved.max(),
                "others_sd": (moved / uncertainty.drop(index=name)).max(),
            }
        )
        if progress is not None:
            progress(done, len(ids))
    return Influence(pd.DataFrame(rows, index=pd.Index(ids, name="therapist_id")))


def _sd(fit: Fit) -> float:
    """The estimated SD of the therapists' effects."""
    return float(fit.groups["sd"].to_numpy()[0] if fit.estimates is None else fit.estimates.sd[0])


def _sd_error(fit: Fit) -> float:
    """Its standard error; infinite where it is estimated as zero."""
    if fit.posterior is not None:
        return float(mean_and_sd(fit.posterior.sd, fit.posterior.weights)[1][0])
    if fit.estimates is None or fit.estimates.sd[0] == 0.0:
        return float("inf")
    P = len(fit.columns.names)
    return float(fit.estimates.sd[0] * np.sqrt(fit.estimates.covariance[P, P]))


def most_pulling(fit: Fit, count: int) -> list[str]:
    """Therapists of the largest residual sums in absolute value, the first first."""
    expected = fit.deciles.expected.sum(axis=1)
    pull = np.abs(fit.units.observed - expected)
    order = np.argsort(-pull, kind="stable")[:count]
    return [fit.units.ids[k] for k in order]
