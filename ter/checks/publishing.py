"""From a fit and its ratings to what may leave the house, with the model card that goes with it."""

from __future__ import annotations

import pandas as pd

from ter.checks.card import model_card
from ter.models.result import Fit
from ter.ratings import gate
from ter.ratings.model_card import ModelCard
from ter.ratings.publication import Publication
from ter.ratings.result import Ratings


def publish(
    fit: Fit, ratings: Ratings, card: ModelCard | None = None, changes: pd.DataFrame | None = None
) -> Publication:
    """Gather all that may leave the house: see `ter.ratings.publish`.

    Parameters
    ----------
    fit : Fit
    ratings : Ratings
        Made from this fit.
    card : ModelCard, optional
        Of this fit; by default one made from what the fit holds, without the table of patients.
    changes : DataFrame, optional
        What changed the ratings since the last month: `ter.monitoring.explain_change`.

    Returns
    -------
    Publication

    Raises
    ------
    FitError
        The fit did not converge, or a check of the card failed and was not accepted.
    OptionError
        The ratings were made from another fit.
    """
    if card is None and fit.record.converged:
        card = model_card(fit, options=ratings.options)
    return gate.publish(fit, ratings, card, changes)
