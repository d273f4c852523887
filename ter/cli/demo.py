"""``ter demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ter.cli.progress import shown

NAME = "demo"
EXAMPLES = ("ter demo", "ter demo --out /tmp/demo")


def run(
    out: Annotated[Path, typer.Option(help="Folder for the reports and models of the demonstration.")] = Path(
        "demo"
    ),
) -> None:
    """Write the report of a month of a synthetic network."""
    from ter.jobs import run_demo

    typer.echo("A synthetic network of therapists: no patient and no therapist in it is real.")
    with shown() as progress:
        report, ratings = run_demo(out, progress)
    typer.echo(ratings.summary())
    typer.echo(f"The network's page: {report / 'index.html'}")
    typer.echo(f"A page for each therapist: {report / 'therapists'}")
    typer.echo(f"The fitted model, for analysts alone: {out / 'models'}")
