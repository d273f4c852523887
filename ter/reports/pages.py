"""Pages from a publication: HTML that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from ter._version import __version__
from ter.options import GATE, STATUSES, Status
from ter.ratings.options import SMALLEST_GROUP
from ter.ratings.publication import Publication
from ter.reports import views, words
from ter.reports.coverage import data_until
from ter.reports.pictures import pictures
from ter.reports.scales import anchor

#: Rows of the table that a screen shows at first, where scripts run: thousands would keep the browser busy.
FIRST_ROWS: Final = 50


@dataclass(frozen=True)
class Edition:
    """What a report is called, and which words it speaks.

    Attributes
    ----------
    title : str
        The heading of the network's page.
    month : str
        ``"2026-10"``; empty where the report is of no month.
    known_until : str
        ISO date of the last date in the table; empty if it has none.
    words : Vocabulary
    notes : tuple of str
        Sentences that the network's page says under its heading.
    """

    title: str
    month: str
    known_until: str
    words: words.Vocabulary
    notes: tuple[str, ...] = ()


def therapist_pages(publication: Publication, edition: Edition) -> Iterator[tuple[str, str]]:
    """Render the page of every therapist, rated or not, in the order of the publication.

    Parameters
    ----------
    publication : Publication
    edition : Edition

    Yields
    ------
    (str, str)
        The therapist's id and the page.
    """
    template = _environment().get_template("therapist.html.j2")
    facts = {
        **_facts(publication, edition),
        "month": edition.month,
        "version": __version__,
        "n_rated": publication.network.n_rated,
        "service_counts": publication.model.service_effect == "included",
    }
    for page in views.therapist_pages(publication):
        yield page.id, template.render(page=page, facts=facts)


def index_page(publication: Publication, edition: Edition, hrefs: dict[str, str]) -> str:
    """Render the page of the network.

    Parameters
    ----------
    publication : Publication
    edition : Edition
    hrefs : dict of str to str
        Where the page of an id is, relative to this one; empty where there are none.

    Returns
    -------
    str
    """
    environment = _environment()
    script, source = _script()
    return environment.get_template("index.html.j2").render(
        facts=_index_facts(publication, edition),
        words=edition.words,
        network=publication.network,
        model=publication.model,
        groups=_groups(publication.model.groups, edition.words),
        group_labels=[words.GROUP_LABELS[column] for column in publication.model.groups.columns],
        fingerprint=publication.fingerprint,
        services=list(publication.services.itertuples(index=False)),
        rows=views.table_rows(publication, hrefs),
        pictures=pictures(publication, edition.words),
        card=publication.card,
        check_words=words.CHECK_WORDS,
        script=script,
        script_source=source,
    )


def _facts(publication: Publication, edition: Edition) -> dict[str, Any]:
    interval = publication.options.interval
    return {
        "title": edition.title,
        "data_until": data_until(edition.known_until, edition.month),
        "needed": publication.options.completed,
        "smallest": SMALLEST_GROUP,
        "interval": f"{words.number(100 * interval, 0)}%",
        "odds": f"{words.number(100 * interval)} times in 100",
        "odds_against": f"{words.number(100 * (1 - interval))} times in 100",
    }


def _index_facts(publication: Publication, edition: Edition) -> dict[str, Any]:
    average = views.network_average(publication)
    scale = views.common_scale(publication)
    return {
        **_facts(publication, edition),
        "average": average,
        "notes": edition.notes,
        "minimum": publication.options.minimum,
        "support": publication.options.support,
        "scale": scale,
        "at_average": None if average is None else scale.at(average),
        "typical": views.typical_reliability(publication),
        "counts": _counts(publication, edition),
        "gate": GATE,
        "flags": _flags(publication),
        "statuses": _statuses(publication),
        "first_rows": FIRST_ROWS,
    }


def _counts(publication: Publication, edition: Edition) -> list[tuple[str, int]]:
    network = publication.network
    if edition.words.patients_only:
        return [("Patients", network.n_at_caseness)]
    return [
        ("Courses of treatment", network.n_episodes),
        ("Completed", network.n_completed),
        ("Completed, and at caseness at the start", network.n_at_caseness),
    ]


def _statuses(publication: Publication) -> list[tuple[str, str, int]]:
    """Count each status that occurs, for the filter."""
    counts = publication.ratings["status"].value_counts()
    present = [name for name in STATUSES if name in counts]
    return [(name, views.status_words(publication, name), int(counts[name])) for name in present]


def _flags(publication: Publication) -> list[tuple[str, int]]:
    """Count the flags; without a minimum nobody can have one."""
    if publication.options.minimum is None:
        return []
    status = publication.ratings["status"]
    flags: tuple[Status, ...] = ("support", "watch")
    return [(views.status_words(publication, flag), int((status == flag).sum())) for flag in flags]


def _groups(groups: pd.DataFrame, vocabulary: words.Vocabulary) -> list[tuple[str, list[str]]]:
    """Write how much therapists and services differ: counts as they are, the rest to three figures."""
    return [
        (
            vocabulary.unit if name == "therapist" else str(name),
            [words.number(value, 0 if column == "levels" else 3) for column, value in row.items()],
        )
        for name, row in groups.iterrows()
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ter.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": words.number,
        "percent": words.percent,
        "points": words.points,
        "points_text": words.points_text,
        "chance": words.chance,
        "month_name": words.month_name,
        "month_brief": words.month_brief,
        "month_short": words.month_short,
        "anchor": anchor,
    }
    return environment


@cache
def _script() -> tuple[str, str]:
    """Give the page's script, and its hash, the only source of scripts that the page allows."""
    script = _environment().get_template("table.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return script, f"'sha256-{digest}'"
