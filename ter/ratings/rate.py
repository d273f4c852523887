"""Ratings from a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.options import GATE, Status
from ter.ratings.gate import Admitted, admit
from ter.ratings.options import RatingOptions
from ter.ratings.ranks import summarise_ranks
from ter.ratings.result import Ratings
from ter.ratings.standardise import divide
from ter.ratings.tabulated import cdf_at, quantile

if TYPE_CHECKING:
    from ter.models.result import Fit

FloatArray = NDArray[np.float64]

__all__ = ["RatingOptions", "Ratings", "rate"]


def rate(
    fit: Fit,
    completed: int = GATE,
    minimum: float | None = None,
    interval: float = 0.9,
    support: float = 0.9,
) -> Ratings:
    """Rate therapists, each with the uncertainty that there is.

    Parameters
    ----------
    fit : Fit
        With a posterior: engine "fast" or "nuts".
    completed : int
        Completed treatments that a rating takes. Therapists with fewer are listed, without any outcome
        figure. It can be raised above 10, not lowered.
    minimum : float, optional
        The lowest TER that asks for nothing, percent.
    interval : float
        Posterior probability of the intervals of TER and rank.
    support : float
        Support is offered where the TER is below the minimum with this probability or more.

    Returns
    -------
    Ratings

    Raises
    ------
    OptionError
        If an option is out of its range, or the fit has no posterior.

    Notes
    -----
    Ranks are among the rated therapists, so that they tell nothing about the others. A therapist who is rated
    but of whom no patient is in the model (nobody at caseness) has the TER of any therapist, a reliability of
    0, and no observed or expected rate.
    """
    options = RatingOptions(completed, minimum, interval, support)
    admitted = admit(fit, options)
    figures = _figures(admitted, options)
    status = np.full(len(fit.units.ids), "provisional", dtype=object)
    status[admitted.passed] = _status(figures["ter"], figures["p_below_minimum"], options)
    table = pd.DataFrame(
        {
            "status": status,
            "n_completed": fit.units.n_completed,
            "n_at_caseness": fit.units.n_at_caseness,
        },
        index=pd.Index(fit.units.ids, name="therapist_id", dtype="object"),
    )
    for name, values in figures.items():
        column = np.full(len(table), np.nan)
        column[admitted.passed] = values
        table[name] = column
    notes = tuple(fit.record.notes)
    if not fit.record.converged:
        notes = ("The model did not converge: these ratings must not be published.", *notes)
    return Ratings(options, table, notes)


def _figures(admitted: Admitted, options: RatingOptions) -> dict[str, FloatArray]:
    """All outcome figures of those who passed, by column in the table's order."""
    units, posterior = admitted.units, admitted.posterior
    observed = divide(units.observed, units.n)
    ranks = summarise_ranks(posterior.u_draws, options.quantiles)
    low, high = options.quantile_names
    ter_low, ter_high = (quantile(posterior.ter_grid, posterior.ter_cdf, p) for p in options.quantiles)
    if options.minimum is None:
        p_below = np.full(len(units.ids), np.nan)
    else:
        p_below = cdf_at(posterior.ter_grid, posterior.ter_cdf, options.minimum)
    return {
        "observed": observed,
        "expected": posterior.expected_mean,
        "predicted": posterior.predicted_mean,
        "o_e": divide(observed, posterior.expected_mean),
        "p_e": divide(posterior.predicted_mean, posterior.expected_mean),
        "ter": posterior.ter_mean,
        f"ter_{low}": ter_low,
        f"ter_{high}": ter_high,
        "effect": posterior.u_mean,
        "effect_sd": posterior.u_sd,
        "reliability": posterior.reliability,
        "expected_rank": ranks.expected,
        f"rank_{low}": ranks.low,
        f"rank_{high}": ranks.high,
        "percentile": ranks.percentile,
        "p_below_minimum": p_below,
        "p_top_quartile": ranks.top_quartile,
    }


def _status(ter: FloatArray, p_below: FloatArray, options: RatingOptions) -> list[Status]:
    """Status of therapists who are rated."""
    if options.minimum is None:
        return ["rated"] * len(ter)
    return [
        "support" if p >= options.support else "watch" if value < options.minimum else "rated"
        for value, p in zip(ter, p_below, strict=True)
    ]
