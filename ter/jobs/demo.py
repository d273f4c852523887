"""The demonstration: the month's job on a synthetic network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import ter
from ter.jobs.month import run_month
from ter.jobs.progress import SILENT, Progress
from ter.ratings import Ratings
from ter.settings import MonthSettings
from ter.simulation import Scenario, simulate, write_simulation
from ter.sources import read_table

#: The TER that asks for nothing, in the demonstration.
MINIMUM: Final = 40.0


def run_demo(out: str | Path, progress: Progress = SILENT) -> tuple[Path, Ratings]:
    """Write the report of the last month of a synthetic network.

    The network is that of ``data/synthetic`` where `ter` runs from its repository; elsewhere a smaller one is
    simulated into ``out/data``.

    Parameters
    ----------
    out : path-like
        Gets ``reports`` and ``models``. An earlier demonstration is replaced.
    progress : Progress

    Returns
    -------
    report : Path
        The directory of the month.
    ratings : Ratings
    """
    out = Path(out)
    data = Path(ter.__file__).parents[1] / "data" / "synthetic"
    if not (data / "episodes.parquet").exists():
        data = out / "data"
        progress.step(f"Simulating a network of 60 therapists into {data}")
        scenario = Scenario.preset("england_2024_25", n_therapists=60, n_services=4, mean_caseload=40)
        write_simulation(simulate(scenario, seed=2, sessions=True), data, overwrite=True)
    settings = MonthSettings(
        episodes=data / "episodes.parquet",
        sessions=data / "sessions.parquet",
        month=_last_month(data / "episodes.parquet"),
        out=out / "reports",
        models=out / "models",
        minimum=MINIMUM,
        overwrite=True,
    )
    return run_month(settings, progress)


def _last_month(episodes: Path) -> str:
    """The month of the last day that a table knows of."""
    last = read_table(episodes)[["start_date", "end_date"]].max().max()
    return f"{last:%Y-%m}"
