"""``ter study``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ter.cli.progress import shown

NAME = "study"
EXAMPLES = (
    "ter study reliability --replicates 1000 --out studies/reliability",
    "ter study gate --scenario typed_therapy_network --seed 7 --out studies/gate",
    "ter study calibration --engine fast --jobs 2 --out studies/calibration",
    "ter study power --config power.toml --out studies/power",
)


def run(
    name: Annotated[
        str,
        typer.Argument(
            help="The study: reliability, gate, power, coverage, calibration or raw_versus_ter.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for tables, figure and summary. What is unfinished there goes on.")
    ],
    scenario: Annotated[
        str | None,
        typer.Option(help="A preset by name, or a JSON file.  (default: England, at the size of the study)"),
    ] = None,
    replicates: Annotated[
        int | None, typer.Option(help="Networks that are simulated, fitted and rated.  (default: 100)")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the study.  (default: 1)")] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="ml (maximum likelihood, quick) or fast (the whole posterior).  "
            "(default: ml; fast for calibration)"
        ),
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Workers.  (default: one on each core)")] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of these options; its table [settings] holds those of the study alone, such as "
            "gates = [5, 10]. Options on the command line come first."
        ),
    ] = None,
    overwrite: Annotated[
        bool | None, typer.Option("--overwrite/--no-overwrite", help="Replace a study that is in the folder.")
    ] = None,
) -> None:
    """Simulate, fit and rate many times, to learn what ratings can tell.

    \b
    reliability: how far a rating is to be trusted, by completed treatments.
    gate: what a gate at another number of them would let through.
    power: what it takes to see that a therapist is below, or that therapists differ.
    coverage: whether intervals hold the truth as often as they say.
    calibration: whether an engine's posterior is what it says it is.
    raw_versus_ter: how often raw recovery rates mislead where TERs do not.

    Stop it with Ctrl-C when you like: the same command goes on where it stopped.
    """  # noqa: D301  click keeps lines after a backspace
    from ter.jobs.study import run_study_job
    from ter.settings.study import StudyRequest

    request = StudyRequest.of(
        name,
        out,
        config,
        scenario=scenario,
        replicates=replicates,
        seed=seed,
        engine=engine,
        jobs=jobs,
        overwrite=overwrite,
    )
    with shown() as progress:
        result = run_study_job(request, progress)
    typer.echo(result.summary())
    typer.echo(f"Results: {out}")
