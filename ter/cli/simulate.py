"""``ter simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ter.cli.progress import shown

NAME = "simulate"
EXAMPLES = (
    "ter simulate --preset england_2024_25 --therapists 100 --out data/",
    "ter simulate --scenario scenario.json --seed 7 --sessions --out data/",
    "ter simulate --preset england_2024_25 --therapists 1000000 --stream --out data/",
)


def run(
    out: Annotated[Path, typer.Option(help="Folder for the tables and the truth beside them.")],
    preset: Annotated[
        str | None, typer.Option(help="A scenario by name, such as england_2024_25 or essex_2017_19.")
    ] = None,
    scenario: Annotated[Path | None, typer.Option(help="A scenario in a JSON file.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed.  (default: that of the scenario's file, or 1)")
    ] = None,
    therapists: Annotated[int | None, typer.Option(help="Number of therapists.")] = None,
    services: Annotated[int | None, typer.Option(help="Number of services.")] = None,
    caseload: Annotated[float | None, typer.Option(help="Mean number of episodes a therapist.")] = None,
    sessions: Annotated[bool, typer.Option("--sessions", help="Write the table of sessions too.")] = False,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Write episodes and scenario alone, some therapists at a time: for large networks.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", "--force", help="Replace an earlier simulation in the folder.")
    ] = False,
) -> None:
    """Simulate a network of therapists whose truth is known."""
    from ter.errors import OptionError
    from ter.simulation import Scenario, read_scenario, stream_simulation, write_simulation
    from ter.simulation import simulate as simulated
    from ter.simulation.writing import files_there

    if (preset is None) == (scenario is None):
        raise OptionError("Name either a --preset or a --scenario file.")
    chosen, file_seed = read_scenario(scenario) if scenario else (Scenario.preset(str(preset)), None)
    asked = {"n_therapists": therapists, "n_services": services, "mean_caseload": caseload}
    chosen = chosen.replace(**{name: value for name, value in asked.items() if value is not None})
    if seed is None:
        seed = 1 if file_seed is None else file_seed
    if stream:
        if sessions:
            raise OptionError("--stream writes episodes and scenario alone; leave out --sessions.")
        with shown() as progress:
            progress.step("Simulating the therapists", "therapists")
            written = stream_simulation(chosen, seed, out, overwrite=overwrite, progress=progress.count)
        typer.echo(f"{chosen.network.n_therapists:,} therapists, {written:,} episodes: {out}")
        return
    files_there(out, overwrite=overwrite)  # refused before the work, not after it
    with shown() as progress:
        progress.step("Simulating the therapists")
        simulation = simulated(chosen, seed, sessions=sessions)
        progress.step("Writing the tables")
        write_simulation(simulation, out, overwrite=overwrite)
    typer.echo(
        f"{len(simulation.therapists):,} therapists, {len(simulation.services):,} services, "
        f"{len(simulation.episodes):,} episodes: {out}"
    )
