"""``ter report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ter.cli.progress import shown
from ter.options import MissingOutcome

NAME = "report"
EXAMPLES = (
    "ter report episodes.parquet --month 2026-10",
    "ter report episodes.csv --sessions sessions.csv --month 2026-10 --minimum 45",
    "ter report --config ter.toml --month 2026-10",
    "ter report episodes.parquet --month 2026-10 --accept-failed missing_outcomes",
)


def run(
    episodes: Annotated[
        Path | None,
        typer.Argument(help="Table of episodes: .csv or .parquet. Not needed if --config names it."),
    ] = None,
    month: Annotated[
        str | None,
        typer.Option(help="The month to report, such as 2026-10. Only what was known at its end counts."),
    ] = None,
    sessions: Annotated[
        Path | None, typer.Option(help="Table of sessions, to derive scores, counts and therapists from.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of all reports.  (default: reports)")] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder of all fitted models, for analysts alone.  (default: models)")
    ] = None,
    case_mix: Annotated[
        Path | None, typer.Option(help="TOML file of the terms to adjust for.  (default: the usual ones)")
    ] = None,
    missing_outcome: Annotated[
        MissingOutcome | None,
        typer.Option(help="What a missing last score counts as; the first is the national rule."),
    ] = None,
    minimum: Annotated[
        float | None, typer.Option(help="The lowest TER, in percent, that asks for nothing.")
    ] = None,
    completed: Annotated[
        int | None, typer.Option(help="Completed treatments that a rating takes: 10 or more.  (default: 10)")
    ] = None,
    interval: Annotated[
        float | None, typer.Option(help="Probability of the intervals.  (default: 0.9)")
    ] = None,
    support: Annotated[
        float | None,
        typer.Option(
            help="Probability of a TER below the minimum from which support is offered.  (default: 0.9)"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the model's draws.  (default: 1)")] = None,
    overwrite: Annotated[
        bool | None,
        typer.Option("--overwrite/--no-overwrite", help="Replace a month that is published already."),
    ] = None,
    accept_failed: Annotated[
        list[str] | None,
        typer.Option(
            help="Publish although this check of the model card failed; can be given more than once.",
            metavar="CHECK",
        ),
    ] = None,
    refits: Annotated[
        bool | None,
        typer.Option(
            "--refits/--no-refits",
            help="Fit the model again some ten times, to see how it does with the unseen.  (default: refits)",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings. Options on the command line come first.")
    ] = None,
) -> None:
    """Write the TER report of a month.

    It holds a page of the network, a page for each therapist, tables and a manifest, and is published whole
    or not at all.
    """
    from ter.jobs import run_month
    from ter.settings import MonthSettings

    settings = MonthSettings.of(
        config,
        episodes=episodes,
        month=month,
        sessions=sessions,
        out=out,
        models=models,
        case_mix=case_mix,
        missing_outcome=missing_outcome,
        completed=completed,
        minimum=minimum,
        interval=interval,
        support=support,
        seed=seed,
        overwrite=overwrite,
        accept_failed=accept_failed or None,
        refits=refits,
    )
    with shown() as progress:
        report, ratings = run_month(settings, progress)
    typer.echo(ratings.summary())
    typer.echo(f"Report: {report / 'index.html'}")
