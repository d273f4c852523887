"""A profile: one page and the tables of units that are rated from counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from ter.errors import OptionError
from ter.ratings.gate import publish
from ter.reports.outputs import write_files
from ter.reports.pages import Edition, index_page
from ter.reports.publishing import MANIFEST, published
from ter.reports.words import Vocabulary

if TYPE_CHECKING:
    from ter.models.result import Fit
    from ter.ratings.model_card import ModelCard
    from ter.ratings.result import Ratings


def write_profile(
    fit: Fit,
    ratings: Ratings,
    out: str | Path,
    *,
    unit_label: str,
    title: str,
    where: str = "",
    adjusted_for: tuple[str, ...] = (),
    card: ModelCard | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the profile of units that were rated from counts: a page, tables and a manifest.

    Built aside and renamed into place, as a month's report is.

    Parameters
    ----------
    fit : Fit
    ratings : Ratings
        Of this fit.
    out : str or Path
        The directory of the profile. It may exist if it is empty.
    unit_label : str
        What one unit is called: ``"provider"``.
    title : str
        The heading of the page.
    where : str
        The rows that count, in words: ``"reporting_period = 2023-24"``; empty for all of them.
    adjusted_for : tuple of str
        The columns of the case mix.
    card : ModelCard, optional
        `ter.checks.counts_card` of this fit. The page shows it, and a check that fails stops nothing: counts
        are all that there is, and whoever asked for the profile reads what they are worth.
    overwrite : bool
        Whether a profile that is in `out` already is replaced. A directory of anything else never is.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    OptionError
        `out` is to be overwritten, and is no profile.
    FitError
        The fit did not converge.
    AlreadyPublishedError
        `out` is not empty and `overwrite` is False.
    """
    # Whole, because its parent and name are needed, which "." lacks.
    out = Path(out).resolve()
    publication = dataclasses.replace(publish(fit, ratings), card=card)
    if overwrite and out.exists() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise OptionError(
            f"{out} holds something else than a profile, and is not overwritten. Choose a new directory."
        )
    notes = (
        f"Rows where {where}." if where else "All rows of the table.",
        f"Adjusted for {', '.join(adjusted_for)}." if adjusted_for else "Not adjusted for any case mix.",
    )
    edition = Edition(title, "", fit.known_until, Vocabulary.of(unit_label), notes)
    with published(out, overwrite=overwrite) as directory:
        write_files(
            publication,
            directory,
            edition=edition,
            index=index_page(publication, edition, {}),
            about={
                "title": title,
                "known_until": fit.known_until,
                "settings": {
                    **dataclasses.asdict(fit.settings),
                    "where": where,
                    "case_mix": list(adjusted_for),
                },
            },
        )
    return out
