"""The month's job: from tables to the published report."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd

from ter.checks import model_card
from ter.errors import DataError, ModelFileError, OptionError
from ter.features import CaseMix
from ter.jobs.card import tell_card
from ter.jobs.progress import SILENT, Progress
from ter.jobs.tables import read_tables
from ter.models import Fit, fit, load_fit
from ter.monitoring import explain_change
from ter.ratings import RatingOptions, Ratings, rate
from ter.ratings.gate import refuse_unfinished
from ter.reports.coverage import coverage_note, data_until, refuse_uncovered
from ter.reports.monthly import MODEL_FILE, write_report
from ter.reports.publishing import refuse_inside, refuse_published
from ter.schema import COLUMNS
from ter.settings import MonthSettings, read_case_mix
from ter.sources import (
    as_known_at,
    episodes_from_sessions,
    fingerprint,
    is_comparable,
    last_date,
    month_end,
    sessions_known_at,
)


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
    table, covered_until = _known(settings, case_mix, end)
    refuse_uncovered(covered_until, settings.month)
    progress.note(data_until(last_date(table), settings.month))
    lacking = coverage_note(last_date(table), settings.month)
    if lacking:
        progress.note(lacking)
    progress.step(f"Fitting the model to {len(table):,} episodes")
    fitted = fit(table, case_mix=case_mix, seed=settings.seed)
    progress.step("Rating")
    ratings = rate(
        fitted,
        completed=settings.completed,
        minimum=settings.minimum,
        interval=settings.interval,
        support=settings.support,
    )
    refuse_unfinished(fitted)
    progress.step("Checking the model", "groups of checks")
    card = model_card(
        fitted,
        table,
        options=ratings.options,
        refits=settings.refits,
        seed=settings.seed,
        progress=progress.count,
    ).accepting(settings.accept_failed)
    tell_card(card, progress)
    card.refuse_failed()
    progress.step("Comparing with the month before", "rounds of ratings")
    changes = _changes(settings, case_mix, fitted, table, progress)
    progress.step(f"Writing the pages of {len(fitted.units.ids):,} therapists", "pages")
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
        covered_until=covered_until,
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
        if not is_comparable(previous.fingerprint):
            progress.note(
                f"The model of {before} was saved by an earlier version of ter, and cannot be told from one "
                "of other data: what moved each rating is not told."
            )
            return None
        known, _ = _known(settings, case_mix, month_end(before))
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


def _known(settings: MonthSettings, case_mix: CaseMix, end: dt.date) -> tuple[pd.DataFrame, str]:
    """Episodes as known at the month's end, and the last date that the tables go to (ISO), known then or not.

    They are in the order of their ids: sums depend on it in their last bits.

    Of the columns that `ter` does not know, only those of the case mix stay: others, such as the day of the
    export, may change from one extract to the next, and with them the fingerprint of the month.
    """
    episodes, sessions = read_tables(
        settings.episodes, settings.sessions, missing_outcome=settings.missing_outcome
    )
    covered_until = last_date(episodes)
    if sessions is not None:
        covered_until = max(covered_until, last_date(sessions, "date"))
        episodes = episodes_from_sessions(
            episodes, sessions_known_at(sessions, end), missing_outcome=settings.missing_outcome
        )
    kept = [column for column in episodes.columns if column in COLUMNS or column in case_mix.reads]
    return as_known_at(episodes[kept].sort_values("episode_id"), end), covered_until
