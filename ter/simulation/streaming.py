"""A network of any size as one Parquet file, in the memory of a few therapists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from ter.errors import OptionError
from ter.files import new_file, refuse_existing
from ter.measures import OUTCOME_COLUMNS
from ter.simulation.caseloads import check_seed, set_up
from ter.simulation.checks import check_count
from ter.simulation.scenario import Scenario, check_scenario
from ter.simulation.writing import EPISODES, new_files, write_scenario

#: Episodes that are held at a time, about.
ROWS = 500_000
# By which `ter.read_episodes` knows a Parquet file.
_SUFFIXES = (".parquet", ".pq")


def stream_episodes(
    scenario: Scenario,
    seed: int,
    path: str | Path,
    *,
    overwrite: bool = False,
    rows: int = ROWS,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Simulate a network into a Parquet file, some therapists at a time.

    The rows are those of ``simulate(scenario, seed).episodes``, in their order, without the outcome columns:
    what `write_simulation` writes as ``episodes.parquet``. Memory depends on `rows`, and on the largest
    caseload where that is larger, but not on the number of therapists. The file is written beside its place,
    under a hidden name, and moved there when it is whole.

    Parameters
    ----------
    scenario : Scenario
    seed : int
    path : path-like
        The file, which ends in ``.parquet`` or ``.pq``; its folder is made where it does not exist.
    overwrite : bool
        Whether to replace a file that is there.
    rows : int
        Episodes to be held at a time, on average.
    progress : callable, optional
        Told how many therapists are done, and of how many.

    Returns
    -------
    int
        Episodes written.

    Raises
    ------
    OptionError
        If the file is there and `overwrite` is false, for another ending of its name, if a folder is in its
        place or a file in that of its folder, or for a seed or `rows` out of range.
    """
    import pyarrow.parquet as pq  # takes long, and all of `ter.simulation` loads this module

    check_scenario(scenario)
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise OptionError(f"{path} would hold Parquet; let its name end in {' or '.join(_SUFFIXES)}.")
    refuse_existing(path, overwrite=overwrite)
    check_count("rows", rows, 1, 1_000_000_000)
    check_seed(seed)
    n_therapists = scenario.network.n_therapists
    step = max(1, min(n_therapists, int(rows / max(scenario.network.mean_caseload, 1.0))))
    written = 0
    with new_file(path) as aside:
        writer: pq.ParquetWriter | None = None
        for first in range(0, n_therapists, step):
            last = min(first + step, n_therapists)
            table = _table(scenario, seed, range(first, last))
            if writer is None:
                writer = pq.ParquetWriter(aside, table.schema, compression="zstd")
            writer.write_table(table)
            written += table.num_rows
            del table  # before there is another
            if progress is not None:
                progress(last, n_therapists)
        if writer is not None:
            writer.close()
    return written


def _table(scenario: Scenario, seed: int, therapists: range) -> pa.Table:
    from ter.simulation.assembly import episodes_of  # as in `caseloads.simulate`

    setup = set_up(scenario, seed, therapists)
    room = setup.room()
    episodes = episodes_of(setup, setup.record(room), room).drop(columns=list(OUTCOME_COLUMNS))
    table = pa.Table.from_pandas(episodes, preserve_index=False)
    # Older versions of pandas leave a column of words that none of these episodes has without a type.
    fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields, table.schema.metadata))


def stream_simulation(
    scenario: Scenario,
    seed: int,
    folder: str | Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Stream the episodes of a network into a folder, with what they were made from.

    ``episodes.parquet``, ``scenario.json`` and ``SHA256SUMS`` are those of `write_simulation`, whose other
    files are left out. An earlier simulation stays whole until the new one is.

    Parameters
    ----------
    scenario, seed, progress
        As for `stream_episodes`.
    folder : path-like
        Made where it does not exist.
    overwrite : bool
        Whether to replace the files of an earlier simulation.

    Returns
    -------
    int
        Episodes written.

    Raises
    ------
    OptionError
        As for `write_simulation`; or for a seed out of range.
    """
    with new_files(Path(folder), overwrite=overwrite) as aside:
        written = stream_episodes(scenario, seed, aside / EPISODES, progress=progress)
        write_scenario(scenario, seed, aside)
    return written
