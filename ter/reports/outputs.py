"""The files that every report has: pages, tables, manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ter.ratings.model_card import ModelCard
from ter.ratings.publication import Publication
from ter.reports.names import spreadsheet_frame
from ter.reports.pages import Edition
from ter.reports.publishing import write_manifest
from ter.reports.workbook import WORKBOOK, workbook


def write_files(
    publication: Publication, directory: Path, *, edition: Edition, index: str, about: Mapping[str, Any]
) -> None:
    """Write what every report has: the page, the ratings as CSV, Parquet and Excel, and the manifest.

    In the CSV and in the workbook a text that a spreadsheet would take for a formula has an apostrophe before
    it (`ter.reports.names.spreadsheet_text`); the Parquet file has every id exactly.

    Parameters
    ----------
    publication : Publication
    directory : Path
        What it holds already goes into the manifest as well.
    edition : Edition
    index : str
        The network's page.
    about : mapping
        What the manifest says besides, as JSON values.
    """
    write_text(directory / "index.html", index)
    ratings = publication.ratings.reset_index(drop=True)
    write_text(directory / "ratings.csv", spreadsheet_frame(ratings).to_csv(index=False, lineterminator="\n"))
    ratings.to_parquet(directory / "ratings.parquet", engine="pyarrow", index=False)
    (directory / WORKBOOK).write_bytes(workbook(publication, edition))
    model = publication.model
    write_manifest(
        directory,
        {
            **about,
            "options": dataclasses.asdict(publication.options),
            "fingerprint": publication.fingerprint,
            "counts": _counts(publication),
            "model": {
                "engine": model.engine,
                "outcome": model.outcome,
                "converged": model.converged,
                "service_effect": model.service_effect,
                "n_modelled": model.n_modelled,
                "left_out": dict(model.left_out),
                "notes": list(model.notes),
            },
            "card": _card(publication.card),
            "versions": dict(model.versions),
        },
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, with the same line ends on every system."""
    path.write_text(text, encoding="utf-8", newline="")


def _card(card: ModelCard | None) -> dict[str, Any] | None:
    """What the manifest says of the card: the verdict, each check, and failures accepted by name."""
    if card is None:
        return None
    return {
        "verdict": card.verdict,
        "checks": {check.name: check.status for check in card.checks},
        "accepted": list(card.accepted),
        "overridden": list(card.overridden),
    }


def _counts(publication: Publication) -> dict[str, int]:
    counts = dataclasses.asdict(publication.network)
    return {name: value for name, value in counts.items() if isinstance(value, int)}
