"""``ter validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NAME = "validate"
EXAMPLES = ("ter validate episodes.csv", "ter validate episodes.parquet --sessions sessions.parquet")


def run(
    episodes: Annotated[Path, typer.Argument(help="Table of episodes: .csv or .parquet.")],
    sessions: Annotated[Path | None, typer.Option(help="Table of sessions.")] = None,
) -> None:
    """Check tables, and list every kind of fault in them."""
    from ter.jobs import check_tables

    typer.echo(check_tables(episodes, sessions))
