"""``ter score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ter.cli.progress import shown

NAME = "score"
EXAMPLES = (
    "ter score models/2026-10/model.ter patients.csv --out scored.csv",
    "ter score model.ter patients.parquet > scored.csv",
)


def run(
    model: Annotated[Path, typer.Argument(help="A model that ter fit or ter report saved.")],
    patients: Annotated[Path, typer.Argument(help="Table of new patients: .csv or .parquet.")],
    out: Annotated[
        Path | None, typer.Option(help="File for the result: .csv or .parquet.  (default: CSV to stdout)")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file in --out.")] = False,
) -> None:
    """Say how likely new patients are to recover."""
    from ter.jobs import run_score, scored_csv

    with shown() as progress:
        scored, notes = run_score(model, patients, out, overwrite=overwrite, progress=progress)
    for note in notes:
        typer.echo(note, err=True)
    if out is None:
        # Bytes, so that ids stay what they are whatever the encoding of the terminal.
        typer.echo(scored_csv(scored).encode(), nl=False)
    else:
        typer.echo(f"{len(scored):,} patients: {out}")
