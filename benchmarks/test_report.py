"""Reporting. Beside a page that says nothing, and beside the time that is allowed."""

from __future__ import annotations

import html
import io

import pytest
from jinja2 import Environment
from made_publication import make_publication
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.side_by_side import Allowance, Items, Yardstick
from ter.ratings.publication import Publication
from ter.reports.pages import Edition, index_page, therapist_pages
from ter.reports.words import THERAPISTS

EDITION = Edition("TER report, October 2026", "2026-10", "2026-10-31", THERAPISTS)
THERAPISTS_RATED = 1_000


@pytest.fixture(scope="module")
def publication() -> Publication:
    return make_publication(THERAPISTS_RATED, hostile=False)


def trivial_pages() -> list[str]:
    template = Environment(autoescape=True).from_string("<!DOCTYPE html><title>{{ id }}</title>")
    return [template.render(id=k) for k in range(THERAPISTS_RATED)]


def test_therapist_pages(beside, publication: Publication):
    pages = beside(
        lambda: dict(therapist_pages(publication, EDITION)),
        Yardstick("as many trivial pages (jinja2)", trivial_pages),
        Allowance("10,000 pages a minute", 60.0 * THERAPISTS_RATED / 10_000),
        rounds=5,
        items=Items(THERAPISTS_RATED, "page"),
    )
    ratings = publication.ratings.set_index("therapist_id")
    assert list(pages) == list(ratings.index)
    for identifier, page in pages.items():
        assert html.escape(identifier) in page
        gated = ratings.at[identifier, "status"] == "provisional"
        assert (f"{ratings.at[identifier, 'n_completed']} of 10 completed" in page) == gated


def empty_figure() -> str:
    figure = Figure(figsize=(6.0, 4.0))
    figure.subplots()
    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out)
    return out.getvalue()


def test_index_page(beside, publication: Publication):
    hrefs = {
        identifier: f"therapists/{k}.html" for k, identifier in enumerate(publication.ratings["therapist_id"])
    }
    page = beside(
        lambda: index_page(publication, EDITION, hrefs),
        Yardstick("an empty figure (matplotlib)", empty_figure),
        rounds=5,
    )
    assert all(f'"{href}"' in page for href in hrefs.values())
