"""Run a study: many replicates, in parallel through joblib, kept as they are finished."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ter.errors import FitError, OptionError
from ter.simulation.caseloads import check_seed
from ter.simulation.checks import check_count
from ter.simulation.studies.store import ReplicateStore, open_store
from ter.simulation.studies.study import Replicate, Study, identity_of

MOST_REPLICATES: Final = 10_000_000
#: Fewer therapists do not tell how far therapists differ, as engine "ml" takes for granted.
FEWEST_FOR_ML: Final = 100
#: Tasks a worker in a round, where a backend gives its results all at once.
_TASKS_A_ROUND: Final = 4

#: Hears how many replicates are done, and of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class StudyResult:
    """What came out of a study.

    Attributes
    ----------
    study : Study
        Its settings.
    seed : int
    replicates : int
    not_converged : int
        Replicates with a fit that did not converge; they are not in the table.
    table : DataFrame
        Tidy: what names a cell, then ``statistic``, ``estimate``, ``mcse`` (Monte Carlo standard error) and
        ``n``, the cases that the estimate rests on.
    """

    study: Study
    seed: int
    replicates: int
    not_converged: int
    table: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Give the results as a table."""
        return self.table.copy()

    def summary(self) -> str:
        """Say in plain sentences what came out."""
        lines = self.study.in_words(self.table)
        left = (
            f", {self.not_converged} of them left out because a fit did not converge"
            if self.not_converged
            else ""
        )
        therapists = self.study.scenario.network.n_therapists
        if self.study.engine == "ml" and therapists < FEWEST_FOR_ML:
            lines.append(
                f'Engine "ml" takes its estimates of the SDs for the truth. With {therapists} therapists '
                "they err: its intervals are too short, and offers of support come too easily. Published "
                'ratings are those of engine "fast".'
            )
        lines.append(
            f'{self.replicates:,} replicates{left}; engine "{self.study.engine}"; scenario '
            f"{self.study.scenario.name}; seed {self.seed}. "
            "The figure after ± is the Monte Carlo standard error."
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"<ter.StudyResult: {self.study.NAME}, {self.replicates:,} replicates, {len(self.table):,} rows>"
        )


def check_replicates(replicates: int) -> None:
    """Refuse a number of replicates that a study cannot have.

    Raises
    ------
    OptionError
    """
    check_count("replicates", replicates, -MOST_REPLICATES, MOST_REPLICATES)
    if replicates < 2:
        raise OptionError(
            f"replicates is {replicates}, and must be 2 or more: one network alone does not tell how far "
            "chance goes (Monte Carlo error). A first look takes some 20, a figure to rely on some hundreds."
        )


def check_jobs(jobs: int | None) -> None:
    """Refuse a number of workers that there cannot be; None leaves it to joblib.

    Raises
    ------
    OptionError
    """
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs == 0):
        raise OptionError(f"jobs must be a whole number of workers, or -1 for all cores, not {jobs!r}.")


def seed_of(seed: int, number: int) -> int:
    """The seed of a replicate: by its number, from the study's seed."""
    words = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)
    return int(words[0])


def run_study(
    study: Study,
    replicates: int = 100,
    seed: int = 1,
    *,
    jobs: int | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> StudyResult:
    """Run a study.

    Parameters
    ----------
    study : Study
        Settings of a study, such as ``ReliabilityStudy()``.
    replicates : int
        At least 2: one has no Monte Carlo error.
    seed : int
        From 0 to 2**64 - 1. The same study, seed and number of replicates give the same table, on any number
        of workers.
    jobs : int, optional
        Workers; -1 for one on each core. By default what joblib is set to: one worker, or those of a cluster
        inside ``joblib.parallel_config(backend="dask")``.
    folder : Path, optional
        Keeps finished replicates in its file ``replicates.jsonl``; those that are there already are not run
        again.
    progress : callable, optional
        Hears ``(done, of)`` after each replicate.

    Returns
    -------
    StudyResult

    Raises
    ------
    OptionError
        If an argument is out of range, or the folder holds replicates of another study.
    FitError
        If fewer than two replicates converged.
    """
    check_replicates(replicates)
    check_seed(seed)
    seed = int(seed)  # NumPy's would not go into the file
    check_jobs(jobs)
    with _store(folder, study, seed) as store:
        missing = [number for number in range(replicates) if number not in store.kept]
        if progress is not None:
            progress(replicates - len(missing), replicates)
        # Closed at once when this is interrupted, so that no worker goes on.
        with contextlib.closing(_finished(study, seed, missing, jobs)) as finished:
            for done, (number, replicate) in enumerate(finished, start=1):
                store.keep(number, replicate)
                if progress is not None:
                    progress(replicates - len(missing) + done, replicates)
        # In the order of their numbers, so that sums do not depend on which was finished first.
        kept = [store.kept[number] for number in range(replicates)]
    converged = [replicate.sums for replicate in kept if replicate.converged]
    if len(converged) < 2:
        raise FitError(f"{len(converged)} of {replicates} replicates converged: the scenario carries no fit.")
    return StudyResult(
        study=study,
        seed=seed,
        replicates=replicates,
        not_converged=replicates - len(converged),
        table=study.summarise(np.stack(converged)),
    )


class _Memory:
    """Replicates that are kept nowhere else."""

    def __init__(self) -> None:
        self.kept: dict[int, Replicate] = {}

    def keep(self, number: int, replicate: Replicate) -> None:
        self.kept[number] = replicate


@contextlib.contextmanager
def _store(folder: Path | None, study: Study, seed: int) -> Iterator[ReplicateStore | _Memory]:
    if folder is None:
        yield _Memory()
        return
    with open_store(folder, identity_of(study, seed)) as store:
        yield store


def run_one(study: Study, seed: int, number: int) -> tuple[int, Replicate]:
    """Run one replicate by its number: what a worker does. One that carries no fit is told apart."""
    try:
        return number, study.replicate(seed_of(seed, number))
    except FitError:
        return number, Replicate(np.zeros(0), converged=False)


def _finished(
    study: Study, seed: int, numbers: list[int], jobs: int | None
) -> Generator[tuple[int, Replicate], None, None]:
    """Replicates as they are finished."""
    # Imported here because joblib is slow to load.
    from joblib import Parallel, delayed, effective_n_jobs

    tasks = (delayed(run_one)(study, seed, number) for number in numbers)
    try:
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
    except ValueError:
        # A backend of the kind of multiprocessing, such as Ray's, gives all results of a call at once.
        with Parallel(n_jobs=jobs) as workers:
            while part := list(islice(tasks, _TASKS_A_ROUND * effective_n_jobs(jobs))):
                yield from workers(part)
    else:
        with _interrupts_held_back():
            finished = parallel(tasks)
        yield from finished


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold interrupts back until the block is done, and for good from the processes that it starts.

    A terminal sends Ctrl-C to workers too. This process ends them: none has anything to say of its own.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started by the first worker otherwise, and it would let interrupts through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
