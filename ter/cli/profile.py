"""``ter profile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ter.cli.progress import shown

NAME = "profile"
EXAMPLES = (
    "ter profile counts.csv --unit org_code --trials at_caseness --recovered recovery \\",
    '    --where "reporting_period=2023-24" --label provider --out profile/',
    "ter profile deciles.csv --unit org_code --trials at_caseness --recovered recovery \\",
    "    --case-mix-factor decile --out adjusted/",
)


def run(
    counts: Annotated[Path, typer.Argument(help="Table of counts: .csv or .parquet.")],
    unit: Annotated[str, typer.Option(help="Column of the unit that is rated.")],
    trials: Annotated[str, typer.Option(help="Column of the patients who could recover.")],
    recovered: Annotated[str, typer.Option(help="Column of those who did.")],
    out: Annotated[Path, typer.Option(help="Folder for the page and the tables.")],
    completed: Annotated[
        str | None, typer.Option(help="Column of completed treatments, for the gate.  (default: as --trials)")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Only rows where COLUMN=VALUE; may be given several times.")
    ] = None,
    case_mix_linear: Annotated[
        list[str] | None, typer.Option(help="Adjust for this column of numbers; may be given several times.")
    ] = None,
    case_mix_factor: Annotated[
        list[str] | None, typer.Option(help="Adjust for this column of groups; may be given several times.")
    ] = None,
    minimum: Annotated[
        float | None, typer.Option(help="The lowest rating, in percent, that asks for nothing.")
    ] = None,
    interval: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.9,
    label: Annotated[str, typer.Option(help="What one unit is called, such as provider.")] = "unit",
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the model's draws.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the profile in --out.")] = False,
) -> None:
    """Rate units, such as providers, from their counts.

    Writes a page that compares them, and tables. A row is a unit, or, with a case mix, a part of one. Rows
    with a blank count are left out and counted.
    """
    from ter.jobs import describe_rows, run_profile
    from ter.settings import ProfileSettings, parse_where, profile_case_mix

    settings = ProfileSettings(
        counts=counts,
        unit=unit,
        trials=trials,
        recovered=recovered,
        out=out,
        completed=completed,
        where=parse_where(where or []),
        case_mix=profile_case_mix(case_mix_linear or [], case_mix_factor or []),
        minimum=minimum,
        interval=interval,
        seed=seed,
        label=label,
        title=title,
        overwrite=overwrite,
    )
    with shown() as progress:
        page, fitted, ratings = run_profile(settings, progress)
    typer.echo(ratings.summary())
    for line in describe_rows(fitted):
        typer.echo(line)
    typer.echo(f"Profile: {page / 'index.html'}")
