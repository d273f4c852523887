"""A profile: from counts to a page that compares units."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from ter.checks import counts_card
from ter.errors import DataError
from ter.features.learned import LearnedFactor
from ter.jobs.card import tell_card
from ter.jobs.progress import SILENT, Progress
from ter.models import Fit, fit
from ter.ratings import Ratings, rate
from ter.reports.profile import write_profile
from ter.reports.words import Vocabulary
from ter.schema import validate_counts
from ter.settings import ProfileSettings
from ter.sources import read_table

_SHOWN: Final = 3


def run_profile(settings: ProfileSettings, progress: Progress = SILENT) -> tuple[Path, Fit, Ratings]:
    """Rate units from their counts, and write the page and the tables.

    Parameters
    ----------
    settings : ProfileSettings
    progress : Progress

    Returns
    -------
    profile : Path
        The directory of the profile.
    fit : Fit
    ratings : Ratings

    Raises
    ------
    OptionError, DataError, FitError, AlreadyPublishedError
        As from the functions that this calls. Nothing is written then.
    """
    progress.step(f"Reading {settings.counts}")
    table = _counts(settings)
    progress.step(f"Fitting the model to {len(table):,} rows")
    fitted = fit(
        table,
        case_mix=settings.case_mix,
        outcome=settings.recovered,
        trials=settings.trials,
        completed=settings.completed,
        therapist=settings.unit,
        service=None,
        seed=settings.seed,
    )
    progress.step("Rating")
    ratings = rate(fitted, minimum=settings.minimum, interval=settings.interval)
    progress.step("Checking the model")
    card = counts_card(
        fitted,
        table,
        options=ratings.options,
        unit=settings.label,
        units=Vocabulary.of(settings.label).units,
        seed=settings.seed,
    )
    tell_card(card, progress)
    progress.step("Writing the profile")
    place = write_profile(
        fitted,
        ratings,
        settings.out,
        unit_label=settings.label,
        title=settings.heading,
        where=settings.conditions,
        adjusted_for=settings.adjusted_for,
        card=card,
        overwrite=settings.overwrite,
    )
    return place, fitted, ratings


def describe_rows(fitted: Fit) -> tuple[str, ...]:
    """Say which rows of the counts were left out, and which groups of patients were told apart.

    Parameters
    ----------
    fitted : Fit

    Returns
    -------
    tuple of str
        A line for each reason, and one for each factor of the case mix.
    """
    record = fitted.record
    left_out = [
        f"Left out: {rows:,} of {record.n_rows:,} rows ({reason})." for reason, rows in record.left_out
    ]
    terms = () if fitted.case_mix is None else fitted.case_mix.terms
    factors = [term for term in terms if isinstance(term, LearnedFactor)]
    groups = [
        f"Adjusted for {term.term.column}, in {len(term.levels)} groups: {'; '.join(term.levels)}."
        for term in factors
    ]
    return (*left_out, *groups)


def _counts(settings: ProfileSettings) -> pd.DataFrame:
    """Read the rows that the settings ask for, one for each unit and combination of its case mix."""
    factors = () if settings.case_mix is None else settings.case_mix.reads
    conditions = dict(settings.where)
    table = read_table(settings.counts, text={settings.unit, *conditions})
    for column, value in settings.where:
        if column not in table.columns:
            raise DataError(
                f'{settings.counts} has no column "{column}" to choose rows by; '
                f"it has {', '.join(map(str, table.columns))}."
            )
        chosen = table[table[column] == value]
        if chosen.empty:
            there = ", ".join(repr(v) for v in sorted(table[column].dropna().unique())[-_SHOWN:])
            raise DataError(f'{settings.counts} has no row where {column} is "{value}"; it has {there}, …')
        table = chosen
    if settings.completed is not None and settings.completed not in table.columns:
        raise DataError(f'{settings.counts} has no column "{settings.completed}" of completed treatments.')
    counts = validate_counts(
        table,
        unit=settings.unit,
        trials=settings.trials,
        recovered=settings.recovered,
        table=str(settings.counts),
    )
    _refuse_duplicates(counts, [settings.unit, *(column for column in factors if column in counts)], settings)
    return counts.reset_index(drop=True)


def _refuse_duplicates(counts: pd.DataFrame, key: list[str], settings: ProfileSettings) -> None:
    """Refuse two rows of the same patients: other years, or totals beside their parts."""
    again = counts.duplicated(key, keep=False)
    if not again.any():
        return
    rows = counts[again]
    units = rows[settings.unit].unique()
    group = rows.groupby(key, dropna=False).ngroup()
    first = rows[group == group.iloc[0]]
    differing = [
        str(column)
        for column in counts.columns
        if column not in (*key, settings.trials, settings.recovered)
        and not pd.api.types.is_numeric_dtype(counts[column].dtype)
        and len(first[column].unique()) > 1
    ]
    hint = "give each one row"
    if differing:
        value = first[differing[0]].dropna().iloc[-1]
        hint = (
            f'choose rows, such as --where "{differing[0]}={value}"; or, if its rows are different patients, '
            f"adjust for it with --case-mix-factor {differing[0]}"
        )
    raise DataError(
        f"{settings.counts} has {len(rows):,} rows that share their {' and '.join(key)} with another row "
        f"({len(units):,} units, such as {', '.join(units[:_SHOWN])}). Their patients would count twice. "
        f"To mend it: {hint}."
    )
