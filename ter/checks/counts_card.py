"""The model card of units that are rated from counts: the checks that counts can answer, in their words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import pandas as pd

from ter.checks.card import model_card
from ter.models.result import Fit
from ter.options import CheckName
from ter.ratings.model_card import Check, ModelCard
from ter.ratings.options import RatingOptions

#: What counts can answer. They tell nothing of single patients: of last scores, endings, months, severity.
OF_COUNTS: Final[tuple[CheckName, ...]] = ("convergence", "sample_size", "spread", "normality")
#: What they can answer besides, where a case mix tells groups of patients apart.
OF_GROUPS: Final[tuple[CheckName, ...]] = (
    "calibration_overall", "calibration_by_decile", "calibration_slope", "calibration_by_group",
)  # fmt: skip
_NOT_OF_COUNTS: Final = ("Service effect",)
_THERAPIST: Final = re.compile(r"\b([Aa] )?([Tt])herapist(s)?\b")


def counts_card(
    fit: Fit, counts: pd.DataFrame, *, options: RatingOptions, unit: str, units: str, seed: int = 1
) -> ModelCard:
    """Check a model of counts, as `model_card` does, by the checks that counts can answer.

    Parameters
    ----------
    fit : Fit
    counts : DataFrame
        The table that was fitted to.
    options : RatingOptions
    unit, units : str
        What one rated unit is called, and several.
    seed : int

    Returns
    -------
    ModelCard
        Its words speak of these units.
    """
    card = model_card(fit, counts, options=options, refits=False, seed=seed)
    chosen = OF_COUNTS if fit.case_mix is None else (*OF_COUNTS, *OF_GROUPS)

    def said(text: str) -> str:
        return _THERAPIST.sub(lambda found: _named(found, unit, units), text)

    def about(check: Check) -> Check:
        texts = (check.title, check.figure, check.bar, check.words, check.remedy)
        title, figure, bar, words, remedy = map(said, texts)
        return replace(check, title=title, figure=figure, bar=bar, words=words, remedy=remedy)

    return ModelCard(
        tuple(about(check) for check in card.checks if check.name in chosen),
        tuple((said(label), said(text)) for label, text in card.facts if label not in _NOT_OF_COUNTS),
    )


def _named(found: re.Match[str], unit: str, units: str) -> str:
    """Put units in the place of therapists, with the article and the capital that belong to them."""
    article, first, several = found.groups()
    if several:
        words = units
    elif article:
        words = f"{'an' if unit[:1].lower() in 'aeiou' else 'a'} {unit}"
    else:
        words = unit
    return words[:1].upper() + words[1:] if (article or first)[0].isupper() else words
