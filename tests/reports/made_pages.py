"""What the tests of the pages share: how pages are made, and their style."""

import re
from dataclasses import replace
from importlib.resources import files

import pandas as pd
from made_card import CARD

from ter.ratings.publication import Publication
from ter.reports.names import file_stem
from ter.reports.pages import Edition
from ter.reports.words import THERAPISTS

CSS = "".join(
    (files("ter.reports") / "templates" / name).read_text(encoding="utf-8")
    for name in ("style.css", "network.css", "print.css")
)
COLOURS = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", CSS))

EDITION = Edition("TER report, October 2026", "2026-10", "2026-10-31", THERAPISTS)


def hrefs(publication: Publication) -> dict[str, str]:
    return {name: f"therapists/{file_stem(name)}.html" for name in publication.ratings["therapist_id"]}


def of_status(publication: Publication, status: str) -> list[str]:
    ratings = publication.ratings
    return ratings.loc[ratings["status"] == status, "therapist_id"].tolist()


def told(publication: Publication) -> Publication:
    """The same with a model card, and with what changed since the last month."""
    rated = publication.ratings.dropna(subset=["ter"])
    parts = {"own_patients": 1.04, "others": 0.3, "reference": -0.1, "model": -0.04}
    changes = pd.DataFrame(
        {"therapist_id": rated["therapist_id"], "previous": rated["ter"] - 1.2, "change": 1.2, **parts}
    )
    return replace(publication, card=CARD, changes=changes)
