"""The month's report: pages and files from a fit and its ratings, published whole or not at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ter.checks.publishing import publish
from ter.errors import DataError, OptionError
from ter.ratings.publication import Publication
from ter.reports.coverage import coverage_note, refuse_uncovered
from ter.reports.names import file_stem
from ter.reports.outputs import write_files, write_text
from ter.reports.pages import Edition, index_page, therapist_pages
from ter.reports.publishing import published, refuse_inside, verify
from ter.reports.words import THERAPISTS, month_name
from ter.sources import month_end

if TYPE_CHECKING:
    import pandas as pd

    from ter.models.result import Fit
    from ter.ratings.model_card import ModelCard
    from ter.ratings.result import Ratings

__all__ = ["MODEL_FILE", "verify", "write_report"]

#: The name of the fitted model in its month's directory.
MODEL_FILE: Final = "model.ter"

Progress = Callable[[int, int], None]


def write_report(
    fit: Fit,
    ratings: Ratings,
    month: str,
    out: str | Path,
    *,
    models: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    card: ModelCard | None = None,
    changes: pd.DataFrame | None = None,
    covered_until: str = "",
) -> Path:
    """Write the TER report of a month: the network's page, a page for every therapist, tables and a manifest.

    The report is built in a hidden directory beside its place and renamed into it, so that a crash at any
    instant leaves the last published month whole. The same input gives the same bytes.

    Parameters
    ----------
    fit : Fit
        Of the episodes as known at the month's end: see `ter.sources.as_known_at`.
    ratings : Ratings
        Of this fit.
    month : str
        ``"2026-10"``.
    out : str or Path
        The report goes to ``out/2026-10/``.
    models : str or Path, optional
        The fitted model, which holds ungated effects, goes to ``models/2026-10/model.ter``. `models` must lie
        outside `out`. Without it the model is not saved.
    overwrite : bool
        Whether a month that is published already is replaced.
    progress : callable, optional
        Called with the number of therapists' pages written so far, and of all.
    card : ModelCard, optional
        `ter.checks.model_card` of this fit and its episodes; by default one made from what the fit holds.
    changes : DataFrame, optional
        What changed each rating since the last month: `ter.monitoring.explain_change`.
    covered_until : str
        ISO date that the data go to, where that is later than any date of the table that was fitted to: of
        the whole extract, before it was cut at the month's end.

    Returns
    -------
    Path
        The directory of the month.

    Raises
    ------
    OptionError
        `month` is none, `models` lies inside `out`, or the fit is of another outcome than recovery.
    DataError
        The table goes on after the month's end, or covers no day of the month.
    FitError
        The fit did not converge, or a check of the card failed and was not accepted.
    AlreadyPublishedError
        The month exists and `overwrite` is False, or another run is publishing it now.
    """
    end = month_end(month)
    out = Path(out)
    if fit.settings.outcome != "recovered":
        raise OptionError(
            f"The monthly report is about recovery, and this fit is of the outcome {fit.settings.outcome!r}. "
            "Fit with outcome='recovered', or read the ratings as a table."
        )
    if fit.known_until > end.isoformat():
        raise DataError(
            f"The table goes on until {fit.known_until}, after the end of {month}. "
            f"Fit to ter.sources.as_known_at(episodes, month_end({month!r})) instead."
        )
    refuse_uncovered(max(covered_until, fit.known_until), month)
    if models is not None:
        refuse_inside(Path(models), out)
    publication = publish(fit, ratings, card, changes)
    note = coverage_note(fit.known_until, month)
    edition = Edition(
        f"TER report, {month_name(month)}", month, fit.known_until, THERAPISTS, (note,) if note else ()
    )
    with published(out / month, overwrite=overwrite) as directory:
        hrefs = _write_therapists(publication, edition, directory, progress)
        write_files(
            publication,
            directory,
            edition=edition,
            index=index_page(publication, edition, hrefs),
            about={
                "month": month,
                "as_known_on": end.isoformat(),
                "known_until": fit.known_until,
                "settings": dataclasses.asdict(fit.settings),
            },
        )
        if models is not None:
            # Any model of this month that is there already is of a report that was not published, or is being
            # overwritten.
            with published(Path(models) / month, overwrite=True) as place:
                fit.save(place / MODEL_FILE)
    return out / month


def _write_therapists(
    publication: Publication, edition: Edition, directory: Path, progress: Progress | None
) -> dict[str, str]:
    """Write the therapists' pages; return where each is, from the network's page."""
    (directory / "therapists").mkdir()
    hrefs: dict[str, str] = {}
    for identifier, page in therapist_pages(publication, edition):
        hrefs[identifier] = f"therapists/{file_stem(identifier)}.html"
        write_text(directory / hrefs[identifier], page)
        if progress is not None:
            progress(len(hrefs), publication.network.n_therapists)
    return hrefs
