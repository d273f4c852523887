"""The gate: the one place through which every figure about a therapist leaves the fit.

`admit` cuts a fit down to the therapists who have enough completed treatments. `rate` and `publish` read
outcome figures from what was admitted and from nothing else; of the therapists who were not, they see ids and
counts of treatments. Sums cover the admitted alone, so that no outcome of a therapist behind the gate can be
had by subtraction. Nor can those of a rated therapist with too few patients to show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import FitError, OptionError
from ter.models.posterior import Posterior
from ter.models.units import CaseMixMeans, Deciles, Months, Units
from ter.ratings import aggregates
from ter.ratings.model_card import ModelCard
from ter.ratings.options import SMALLEST_GROUP, RatingOptions
from ter.ratings.publication import ModelNote, Network, Publication
from ter.ratings.result import Ratings

if TYPE_CHECKING:
    from ter.models.result import Fit

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Admitted:
    """What a fit knows of the therapists who passed the gate, and of nobody else.

    Attributes
    ----------
    passed : ndarray of bool, shape (J,)
        Who of all therapists of the fit passed; R of them.
    units : Units, of R therapists
    posterior : Posterior
        Its rows by therapist are of R therapists.
    months : Months or None
        Indexes into `units`.
    deciles : Deciles
    case_mix : CaseMixMeans
        The network is still that of the fit: all modelled patients.
    """

    passed: BoolArray
    units: Units
    posterior: Posterior
    months: Months | None
    deciles: Deciles
    case_mix: CaseMixMeans


def admit(fit: Fit, options: RatingOptions) -> Admitted:
    """Let through the therapists with enough completed treatments.

    Parameters
    ----------
    fit : Fit
    options : RatingOptions
        Its `completed` is the gate.

    Returns
    -------
    Admitted

    Raises
    ------
    OptionError
        If the fit has no posterior.
    """
    if fit.posterior is None:
        raise OptionError(
            'This fit has estimates but no posterior, which ratings are made from: fit with engine="fast".'
        )
    passed = fit.units.n_completed >= options.completed
    return Admitted(
        passed=passed,
        units=_units(fit.units, passed),
        posterior=fit.posterior.of_units(passed),
        months=None if fit.months is None else _months(fit.months, passed),
        deciles=_deciles(fit.deciles, passed),
        case_mix=replace(
            fit.case_mix_means,
            units=fit.case_mix_means.units[passed],
            level_shift=fit.case_mix_means.level_shift[passed],
            shift=fit.case_mix_means.shift[passed],
        ),
    )


def shown_therapists(fit: Fit, options: RatingOptions) -> BoolArray:
    """Say whose outcomes may be shown, alone or in a sum: those through the gate with 5 modelled patients.

    Parameters
    ----------
    fit : Fit
    options : RatingOptions

    Returns
    -------
    ndarray of bool, shape (J,)
    """
    out: BoolArray = (fit.units.n_completed >= options.completed) & (fit.units.n >= SMALLEST_GROUP)
    return out


def refuse_unfinished(fit: Fit) -> None:
    """Refuse to publish a fit that did not converge, whatever else is accepted.

    Raises
    ------
    FitError
        If it did not.
    """
    if not fit.record.converged:
        raise FitError("The model did not converge, and so must not be published: see fit.record.")


def publish(
    fit: Fit, ratings: Ratings, card: ModelCard | None = None, changes: pd.DataFrame | None = None
) -> Publication:
    """Gather all that may leave the house.

    The observed rate of a rated therapist with fewer than 5 modelled patients tells how single patients
    fared: it is blanked, and left out of every sum, so that subtraction does not bring it back.

    Parameters
    ----------
    fit : Fit
    ratings : Ratings
        Made from this fit.
    card : ModelCard, optional
        Of this fit: `ter.checks.model_card`.
    changes : DataFrame, optional
        What changed the ratings since the last month, by ``therapist_id``: `ter.monitoring.explain_change`.
        Rows of therapists who are not shown now are left out.

    Returns
    -------
    Publication

    Raises
    ------
    FitError
        If the fit did not converge, or a check of the card failed and was not accepted.
    OptionError
        If the ratings were made from another fit.
    """
    refuse_unfinished(fit)
    if card is not None:
        card.refuse_failed()
    admitted = admit(fit, ratings.options)
    table = ratings.to_frame().reset_index()
    rated = table[table["status"] != "provisional"]
    if (
        tuple(table["therapist_id"]) != fit.units.ids
        or tuple(rated["therapist_id"]) != admitted.units.ids
        or not np.array_equal(rated["ter"], admitted.posterior.ter_mean)
    ):
        raise OptionError("These ratings were made from another fit: rate this fit, then publish both.")
    table.insert(1, "service_id", list(fit.units.service))
    table.loc[fit.units.n < SMALLEST_GROUP, ["observed", "o_e"]] = np.nan
    # Of one patient or two, whether they were at caseness would be a clinical fact of somebody.
    provisional = table["status"] == "provisional"
    table["n_at_caseness"] = table["n_at_caseness"].astype("Int64").mask(provisional)
    shown = admitted.units.n >= SMALLEST_GROUP
    units, expected = _units(admitted.units, shown), admitted.posterior.expected_mean[shown]
    months = None if admitted.months is None else _months(admitted.months, shown)
    return Publication(
        options=ratings.options,
        ratings=table,
        network=_network(fit.units, len(rated), units, expected),
        calibration=aggregates.calibration(_deciles(admitted.deciles, shown)),
        trend=aggregates.trend(units.ids, months, ratings.options.completed),
        case_mix=aggregates.case_mix(admitted.units, admitted.case_mix),
        shift=aggregates.shift(admitted.units, admitted.case_mix),
        services=aggregates.services(fit.units, admitted.units, units, expected),
        model=_model_note(fit, ratings),
        fingerprint=fit.fingerprint,
        card=card,
        changes=None if changes is None else changes[changes["therapist_id"].isin(units.ids)],
    )


def _units(units: Units, passed: BoolArray) -> Units:
    """Keep the units that passed."""
    return Units(
        ids=_chosen(units.ids, passed),
        service=_chosen(units.service, passed),
        n_episodes=units.n_episodes[passed],
        n_completed=units.n_completed[passed],
        n_at_caseness=units.n_at_caseness[passed],
        n=units.n[passed],
        observed=units.observed[passed],
    )


def _months(months: Months, passed: BoolArray) -> Months:
    """Keep the months of those who passed, and count them anew."""
    kept = passed[months.unit]
    return Months(
        unit=(np.cumsum(passed) - 1)[months.unit[kept]],
        month=months.month[kept],
        n_completed=months.n_completed[kept],
        n=months.n[kept],
        observed=months.observed[kept],
        expected=months.expected[kept],
    )


def _deciles(deciles: Deciles, passed: BoolArray) -> Deciles:
    """Keep the counts of those who passed."""
    return replace(
        deciles,
        n=deciles.n[passed],
        observed=deciles.observed[passed],
        expected=deciles.expected[passed],
    )


def _chosen(texts: tuple[str, ...], passed: BoolArray) -> tuple[str, ...]:
    """Keep the texts of those who passed."""
    return tuple(text for text, kept in zip(texts, passed, strict=True) if kept)


def _network(units: Units, n_rated: int, shown: Units, expected: NDArray[np.float64]) -> Network:
    """Count the network, with outcomes over the patients of those whose results are shown."""
    n, observed_rate, expected_rate = aggregates.rates(shown, expected)
    return Network(
        n_therapists=len(units.ids),
        n_rated=n_rated,
        n_provisional=len(units.ids) - n_rated,
        n_services=len(set(units.service) - {""}),
        n_episodes=int(units.n_episodes.sum()),
        n_completed=int(units.n_completed.sum()),
        n_at_caseness=int(units.n_at_caseness.sum()),
        n_at_caseness_rated=n,
        observed=observed_rate,
        expected=expected_rate,
    )


def _model_note(fit: Fit, ratings: Ratings) -> ModelNote:
    """Sum up the model, without any therapist's figure."""
    return ModelNote(
        engine=fit.settings.engine,
        outcome=fit.settings.outcome,
        groups=fit.groups.copy(),
        service_effect=fit.record.service_effect,
        converged=fit.record.converged,
        notes=ratings.notes,
        n_modelled=fit.record.n_modelled,
        left_out=fit.record.left_out,
        versions=fit.record.versions,
    )
