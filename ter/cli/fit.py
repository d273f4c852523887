"""``ter fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ter.cli.progress import shown
from ter.options import Engine, MissingOutcome

NAME = "fit"
EXAMPLES = (
    "ter fit episodes.parquet --out model.ter",
    "ter fit episodes.parquet --outcome reliable_recovery --case-mix case_mix.toml",
    "ter fit episodes.parquet --engine ml",
)


def run(
    episodes: Annotated[Path, typer.Argument(help="Table of episodes: .csv or .parquet.")],
    out: Annotated[
        Path | None, typer.Option(help="Save the model here. It holds ungated effects: for analysts alone.")
    ] = None,
    sessions: Annotated[
        Path | None, typer.Option(help="Table of sessions, to derive scores, counts and therapists from.")
    ] = None,
    outcome: Annotated[str, typer.Option(help="The outcome, or another column of true/false.")] = "recovered",
    case_mix: Annotated[
        Path | None, typer.Option(help="TOML file of the terms to adjust for.  (default: the usual ones)")
    ] = None,
    missing_outcome: Annotated[
        MissingOutcome,
        typer.Option(help="What a missing last score counts as; the first is the national rule."),
    ] = "not_recovered",
    engine: Annotated[
        Engine, typer.Option(help="Posterior (fast; nuts, slow), or maximum likelihood (ml).")
    ] = "fast",
    nodes: Annotated[
        int | None, typer.Option(help="Quadrature nodes for each therapist (default: 11; engine ml: 1).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the model's draws.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model in --out.")] = False,
) -> None:
    """Fit the model to all episodes of a table: the analyst's view."""
    from ter.jobs import run_fit
    from ter.settings import FitRequest

    request = FitRequest(
        episodes=episodes,
        out=out,
        sessions=sessions,
        outcome=outcome,
        case_mix=case_mix,
        missing_outcome=missing_outcome,
        engine=engine,
        nodes=nodes,
        seed=seed,
        overwrite=overwrite,
    )
    with shown() as progress:
        fitted = run_fit(request, progress)
    typer.echo(fitted.summary())
    if out is not None:
        typer.echo(f"\nModel: {out}")
