"""The month's job: from tables to the published report."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd

from ter.checks import model_card
from ter.errors import DataError, ModelFileError, OptionError
from ter.features import CaseMix
from ter.jobs.progress import SILENT, Progress
from ter.jobs.tables import read_tables
from ter.models import Fit, fit, load_fit
from ter.monitoring import explain_change
from ter.ratings import RatingOptions, Ratings, rate
from ter.ratings.gate import refuse_unfinished
from ter.reports.monthly import MODEL_FILE, write_report
from ter.reports.publishing import refuse_inside, refuse_published
from ter.reports.words import stale_note
from ter.schema import COLUMNS
from ter.settings import MonthSettings, read_case_mix
from ter.sources import as_known_at, episodes_from_sessions, fingerprint, month_end, sessions_known_at


def run_month(settings: MonthSettings, progress: Progress = SILENT) -> tuple[Path, Ratings]:
    """Write the report of a month from what was known at its end.

    Parameters
    ----------
    settings : MonthSettings
    progress : Progress

    Returns
    -------
    report : Path
        The directory of the month.
    ratings : Ratings
        What it shows, gated.

    Raises
    ------
    OptionError, DataError, FitError, AlreadyPublishedError
        As from the functions that this calls. Nothing is written then.
    """
    case_mix = CaseMix.default() if settings.case_mix is None else read_case_mix(settings.case_mix)
    end = month_end(settings.month)
    refuse_inside(settings.models, settings.out)
    if not settings.overwrite:
        refuse_published(settings.out / settings.month)
    progress.step(f"Reading {settings.episodes}")
    table = _known(settings, case_mix, end)
    progress.step(f"Fitting the model to {len(table):,} episodes known on {end}")
    fitted = fit(table, case_mix=case_mix, seed=settings.seed)
    stale = stale_note(fitted.known_until, settings.month)
    if stale:
        progress.note(stale)
    progress.step("Rating")
    ratings = rate(
        fitted,
        completed=settings.completed,
        minimum=settings.minimum,
        interval=settings.interval,
        support=settings.support,
    )
    refuse_unfinished(fitted)
    progress.step("Checking the model")
    card = model_card(
        fitted,
        table,
        options=ratings.options,
        refits=settings.refits,
        seed=settings.seed,
        progress=progress.count,
    ).accepting(settings.accept_failed)
    progress.note(f"Should these ratings be trusted this month? {card.answer}")
    for check in card.checks:
        if check.status in ("caution", "failed"):
            progress.note(f"{check.status}: {check.name}: {check.figure}. {check.words} {check.remedy}")
    card.refuse_failed()
    progress.step("Comparing with the month before")
    changes = _changes(settings, case_mix, fitted, table, progress)
    progress.step(f"Writing the pages of {len(fitted.units.ids):,} therapists")
    report = write_report(
        fitted,
        ratings,
        settings.month,
        settings.out,
        models=settings.models,
        overwrite=settings.overwrite,
        progress=progress.count,
        card=card,
        changes=changes,
    )
    return report, ratings


def _changes(
    settings: MonthSettings, case_mix: CaseMix, fitted: Fit, table: pd.DataFrame, progress: Progress
) -> pd.DataFrame | None:
    """What changed each rating since the month before, where its model was kept and its data still stand."""
    first = dt.date.fromisoformat(f"{settings.month}-01")
    before = f"{first - dt.timedelta(days=1):%Y-%m}"
    place = settings.models / before / MODEL_FILE
    if not place.is_file():
        return None
    try:
        previous = load_fit(place)
        known = _known(settings, case_mix, month_end(before))
        if fingerprint(known) != previous.fingerprint:
            progress.note(
                f"The data of {before} have changed since their report: what moved each rating is not told."
            )
            return None
        options = RatingOptions(settings.completed, settings.minimum, settings.interval, settings.support)
        return explain_change(
            previous, fitted, known, table, options=options, progress=progress.count
        ).to_frame()
    except (ModelFileError, OptionError, DataError) as error:
        progress.note(f"What moved each rating since {before} is not told: {error}")
        return None


def _known(settings: MonthSettings, case_mix: CaseMix, end: dt.date) -> pd.DataFrame:
    """Episodes as known at the month's end, in the order of their ids: sums depend on it in their last bits.

    Of the columns that `ter` does not know, only those of the case mix stay: others, such as the day of the
    export, may change from one extract to the next, and with them the fingerprint of the month.
    """
    episodes, sessions = read_tables(
        settings.episodes, settings.sessions, missing_outcome=settings.missing_outcome
    )
    if sessions is not None:
        episodes = episodes_from_sessions(
            episodes, sessions_known_at(sessions, end), missing_outcome=settings.missing_outcome
        )
    kept = [column for column in episodes.columns if column in COLUMNS or column in case_mix.reads]
    return as_known_at(episodes[kept].sort_values("episode_id"), end)
