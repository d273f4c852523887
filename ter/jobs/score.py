"""Scoring: the expected recovery of patients who were not in the model."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from ter.errors import OptionError
from ter.files import new_file, refuse_existing
from ter.jobs.progress import SILENT, Progress
from ter.models import load_fit
from ter.reports.names import spreadsheet_frame
from ter.schema import validate_patients
from ter.sources import read_table

_SUFFIXES: Final = (".csv", ".parquet")


def run_score(
    model: Path,
    patients: Path,
    out: Path | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Add to a table of patients the recovery that a saved model expects of them.

    Parameters
    ----------
    model : Path
        A saved fit.
    patients : Path
        A table with the columns that the model's case mix reads, and the service's if it has an effect.
    out : Path, optional
        A ``.csv`` or ``.parquet`` file to write the result to. In CSV, a text that a spreadsheet would take
        for a formula has an apostrophe before it.
    overwrite : bool
        Whether a file that is in `out` already is replaced.
    progress : Progress

    Returns
    -------
    scored : DataFrame
        The table with ``expected``, ``q05``, ``q95`` (0 to 1) added; columns of these names are replaced.
    notes : tuple of str
        What the model did not know of the patients.

    Raises
    ------
    OptionError
        There is no such file, or `out` exists or is of another kind.
    DataError
        The table is faulty.
    ModelFileError
        The model file is damaged or from a newer version.
    """
    if out is not None:
        refuse_existing(out, overwrite=overwrite)
        if out.suffix.lower() not in _SUFFIXES:
            raise OptionError(
                f"{out} is no kind of table that ter writes; let its name end in .csv or .parquet."
            )
    progress.step(f"Reading {model}")
    fitted = load_fit(model)
    progress.step(f"Reading {patients}")
    case_mix = fitted.case_mix
    service = {fitted.settings.service} if fitted.services.ids and fitted.settings.service else set[str]()
    needs = service if case_mix is None else service.union(case_mix.reads)
    table = validate_patients(read_table(patients, text=service), needs, table=str(patients))
    table = table.reset_index(drop=True)
    progress.step(f"Scoring {len(table):,} patients")
    figures = fitted.expected(table)
    unseen = () if case_mix is None else case_mix.encode(table).unseen
    notes = tuple(
        f"{column}: {count:,} patients have a value, or a missing one, that the model has not met. It counts "
        "as missing, or, where the model has met no missing one, as the usual value."
        for column, count in unseen
    )
    scored = table.assign(**{name: figures[name] for name in figures.columns})
    if out is not None:
        with new_file(out) as place:
            if out.suffix.lower() == ".csv":
                place.write_text(scored_csv(scored), encoding="utf-8", newline="")
            else:
                scored.to_parquet(place, engine="pyarrow", index=False)
    return scored, notes


def scored_csv(scored: pd.DataFrame) -> str:
    """Write scored patients as CSV in which no spreadsheet sees a formula."""
    return spreadsheet_frame(scored).to_csv(index=False, lineterminator="\n")
