"""The files that every report has: pages, tables, manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ter.ratings.publication import Publication
from ter.reports.names import spreadsheet_frame
from ter.reports.publishing import write_manifest


def write_files(publication: Publication, directory: Path, *, index: str, about: Mapping[str, Any]) -> None:
    """Write what every report has: ``index.html``, ``ratings.csv``, ``ratings.parquet``, ``manifest.json``.

    In the CSV a text that a spreadsheet would take for a formula has an apostrophe before it
    (`ter.reports.names.spreadsheet_text`); the Parquet file has every id exactly.

    Parameters
    ----------
    publication : Publication
    directory : Path
        What it holds already goes into the manifest as well.
    index : str
        The network's page.
    about : mapping
        What the manifest says besides, as JSON values.
    """
    write_text(directory / "index.html", index)
    ratings = publication.ratings.reset_index(drop=True)
    write_text(directory / "ratings.csv", spreadsheet_frame(ratings).to_csv(index=False, lineterminator="\n"))
    ratings.to_parquet(directory / "ratings.parquet", engine="pyarrow", index=False)
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
            "versions": dict(model.versions),
        },
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, with the same line ends on every system."""
    path.write_text(text, encoding="utf-8", newline="")


def _counts(publication: Publication) -> dict[str, int]:
    counts = dataclasses.asdict(publication.network)
    return {name: value for name, value in counts.items() if isinstance(value, int)}
