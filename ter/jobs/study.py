"""A study: from settings to tables, a figure and a summary, going on where an earlier run stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from ter.errors import DataError, OptionError
from ter.files import new_file
from ter.jobs.progress import SILENT, Progress
from ter.settings.study import StudyRequest
from ter.simulation.studies import StudyResult, run_study
from ter.simulation.studies.store import differences, empty_store
from ter.simulation.studies.study import fingerprint_of, identity_of, is_same

TABLE_CSV, TABLE_PARQUET, SUMMARY = "results.csv", "results.parquet", "summary.txt"
FIGURES: Final = ("figure.svg", "figure.png")
#: Written last: with it a study is finished.
FINISHED: Final = "study.json"

#: What a study writes beside its replicates.
RESULTS: Final = (FINISHED, TABLE_CSV, TABLE_PARQUET, SUMMARY, *FIGURES)


def run_study_job(request: StudyRequest, progress: Progress = SILENT) -> StudyResult:
    """Run a study, or what is missing of it, and write its results.

    A study that is finished goes on where more replicates are asked for.

    Parameters
    ----------
    request : StudyRequest
    progress : Progress

    Returns
    -------
    StudyResult

    Raises
    ------
    OptionError
        The folder holds this study, finished, or another one, and it is not to be overwritten.
    DataError, FitError
        As from `run_study`.
    """
    study = request.study()
    identity = identity_of(study, request.seed)
    if request.overwrite:
        empty_store(request.out)  # first: refused where another run is writing
        for name in RESULTS:
            (request.out / name).unlink(missing_ok=True)
    _refuse_finished(request, identity)
    progress.step(f"Running {request.replicates:,} replicates of the study {request.name}", "replicates")
    heard = _Counted(progress)
    try:
        result = run_study(
            study,
            request.replicates,
            request.seed,
            jobs=request.jobs,
            folder=request.out,
            progress=heard.count,
        )
    except KeyboardInterrupt:
        progress.note(
            f"Stopped. {heard.done:,} of {request.replicates:,} replicates are kept in {request.out}: "
            "the same command goes on from there."
        )
        raise
    progress.step("Writing the results")
    write_study(result, identity, request.out)
    return result


class _Counted:
    """Passes on how many replicates are done, and remembers it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.done = 0

    def count(self, done: int, of: int) -> None:
        self.done = done
        self._progress.count(done, of)


def write_study(result: StudyResult, identity: dict[str, Any], folder: Path) -> None:
    """Write the table, the figure and the summary of a study, and last of all that it is finished.

    Parameters
    ----------
    result : StudyResult
    identity : dict
        From `identity_of`.
    folder : Path
    """
    # Imported here because matplotlib is slow to load.
    from ter.reports.study_figures import save_study_figure

    with new_file(folder / TABLE_CSV) as place:
        place.write_text(
            result.table.to_csv(index=False, lineterminator="\n"), encoding="utf-8", newline="\n"
        )
    with new_file(folder / TABLE_PARQUET) as place:
        result.table.to_parquet(place, index=False)
    for name in FIGURES:
        with new_file(folder / name) as place:
            save_study_figure(result, place)
    with new_file(folder / SUMMARY) as place:
        place.write_text(result.summary() + "\n", encoding="utf-8", newline="\n")
    content = {"fingerprint": fingerprint_of(identity), "replicates": result.replicates, **identity}
    with new_file(folder / FINISHED) as place:
        place.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")


def _refuse_finished(request: StudyRequest, identity: dict[str, Any]) -> None:
    """Refuse a folder with a finished study, unless this one is the same with more replicates."""
    path = request.out / FINISHED
    if not path.exists():
        return
    try:
        finished = json.loads(path.read_text(encoding="utf-8"))
        same = is_same(finished, identity)
        done = int(finished["replicates"])
        how = "" if same else differences(finished, identity)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}): name another folder, or delete it.") from error
    if not same:
        raise OptionError(
            f"{request.out} holds a finished study of {done:,} replicates, which differs from this one in "
            f"{how}. Name another folder with --out, or replace it with --overwrite."
        )
    if request.replicates <= done:
        raise OptionError(
            f"{request.out} holds a finished study of {done:,} replicates: this one. Ask for more with "
            f"--replicates {2 * done}, and it goes on from there; or begin anew with --overwrite."
        )
