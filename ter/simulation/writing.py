"""A simulated network as files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ter.errors import OptionError
from ter.files import folders_to, refuse_in_the_way
from ter.measures import OUTCOME_COLUMNS
from ter.schema import THERAPIST_COLUMNS
from ter.simulation.caseloads import Simulation
from ter.simulation.checks import shown
from ter.simulation.scenario import Scenario, holds_seed, read_json, scenario_of

EPISODES, SESSIONS, THERAPISTS = "episodes.parquet", "sessions.parquet", "therapists.parquet"
TRUE_THERAPISTS, TRUE_SERVICES = "truth_therapists.csv", "truth_services.csv"
TRUE_EPISODES = "truth_episodes.parquet"
SCENARIO, CHECKSUMS = "scenario.json", "SHA256SUMS"

#: Every file that `write_simulation` may write.
FILES = (
    EPISODES,
    SESSIONS,
    THERAPISTS,
    TRUE_THERAPISTS,
    TRUE_SERVICES,
    TRUE_EPISODES,
    SCENARIO,
    CHECKSUMS,
)


def write_simulation(simulation: Simulation, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Write a simulated network.

    The input tables (``episodes.parquet``, ``sessions.parquet`` if there are sessions,
    ``therapists.parquet``) tell nothing of the truth, and hold no derived outcomes. The truth stands beside
    them: ``truth_therapists.csv``, ``truth_services.csv``, ``truth_episodes.parquet`` (probability of
    recovery). ``scenario.json`` holds the scenario and the seed, ``SHA256SUMS`` the checksums of the rest.
    The same simulation gives the same bytes with the same versions of pandas and pyarrow; the truth may
    differ in its last digit on another kind of processor. All is written aside and moved into place when it
    is whole: where that fails, the folder is as it was.

    Parameters
    ----------
    simulation : Simulation
    folder : path-like
        Made where it does not exist.
    overwrite : bool
        Whether to replace the files of an earlier simulation.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    OptionError
        If files of an earlier simulation are in the folder, and `overwrite` is false; if a file is where the
        folder would be, or a folder where a file would be.
    """
    folder = Path(folder)
    truth = simulation.episodes[["episode_id"]].assign(probability=simulation.probability)
    known = [column for column in THERAPIST_COLUMNS if column in simulation.therapists]
    tables = {
        EPISODES: simulation.episodes.drop(columns=list(OUTCOME_COLUMNS)),
        THERAPISTS: simulation.therapists[known],
        TRUE_EPISODES: truth,
    }
    if simulation.sessions is not None:
        tables[SESSIONS] = simulation.sessions
    with new_files(folder, overwrite=overwrite) as aside:
        for name, table in tables.items():
            table.to_parquet(aside / name, index=False, compression="zstd")
        _write_csv(simulation.therapists.drop(columns=known[1:]), aside / TRUE_THERAPISTS)
        _write_csv(simulation.services, aside / TRUE_SERVICES)
        written = write_scenario(simulation.scenario, simulation.seed, aside)
    return [folder / path.name for path in written]


@contextlib.contextmanager
def new_files(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a hidden place to write to, whose files take the place of an earlier simulation's in the end.

    Where the block fails or is interrupted, the folder stays as it was. It is no `published` directory: what
    else lies in it is not ours, and stays.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    overwrite : bool
        Whether to replace the files of an earlier simulation.

    Yields
    ------
    Path
        A directory in `folder`, on the same file system.

    Raises
    ------
    OptionError
        As for `files_there`.
    """
    there = files_there(folder, overwrite=overwrite)
    aside = folder / f".{secrets.token_hex(8)}.partial"
    with folders_to(folder):
        try:
            aside.mkdir()
            yield aside
            _move_in(aside, there, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _move_in(aside: Path, there: list[Path], folder: Path) -> None:
    """Move new files into the folder and earlier ones out of it, or none of them."""
    new = [path for name in FILES if (path := aside / name).exists()]
    earlier = aside / "earlier"
    earlier.mkdir()
    try:
        for path in there:
            path.rename(earlier / path.name)
        for path in new:
            path.rename(folder / path.name)
    except BaseException:
        for path in new:
            if folder / path.name not in there:
                (folder / path.name).unlink(missing_ok=True)
        for path in earlier.iterdir():
            path.replace(folder / path.name)
        raise


def files_there(folder: Path, *, overwrite: bool) -> list[Path]:
    """Give the files of an earlier simulation in a folder.

    Raises
    ------
    OptionError
        If there are some and `overwrite` is false; if a file is where the folder would be, or a folder where
        a file would be, which is not ours to replace.
    """
    refuse_in_the_way(folder)
    there = [folder / name for name in FILES if (folder / name).exists()]
    for path in there:
        if path.is_dir():
            raise OptionError(
                f"{path} is a folder, where a file would be. Move it, or choose another folder."
            )
    if there and not overwrite:
        raise OptionError(
            f"{there[0]} exists already. Choose another folder, or ask for it to be overwritten."
        )
    return there


def write_scenario(scenario: Scenario, seed: int, folder: Path) -> list[Path]:
    """Write scenario and seed beside the tables of a simulation, and the checksums of all; give the files."""
    _write_text(folder / SCENARIO, scenario_to_json(scenario, seed))
    written = sorted(path for name in FILES if (path := folder / name).exists())
    sums = [f"{_sha256(path)}  {path.name}\n" for path in written]
    _write_text(folder / CHECKSUMS, "".join(sums))
    return [*written, folder / CHECKSUMS]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def scenario_to_json(scenario: Scenario, seed: int) -> str:
    """Write a scenario and a seed as one JSON text."""
    content = {"seed": int(seed), "scenario": json.loads(scenario.to_json())}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_scenario(path: Path) -> tuple[Scenario, int | None]:
    """Read a scenario from a file: a plain one, or one with the seed of a simulation.

    Parameters
    ----------
    path : Path

    Returns
    -------
    scenario : Scenario
    seed : int or None
        None where the file has none.

    Raises
    ------
    OptionError
        If the file cannot be read, is not JSON, or its scenario is not one.
    """
    content = read_json(path)
    if holds_seed(content):
        if not isinstance(content["seed"], int):
            raise OptionError(f"The seed in {path} must be a whole number, not {shown(content['seed'])}.")
        return scenario_of(content["scenario"]), content["seed"]
    return scenario_of(content), None


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    _write_text(path, table.to_csv(index=False, lineterminator="\n"))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
