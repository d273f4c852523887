"""Scoring: the expected recovery of patients who were not in the model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ter.jobs.progress import SILENT, Progress
from ter.models import load_fit
from ter.schema import validate_patients
from ter.sources import read_table


def score(
    model: str | Path, patients: str | Path, progress: Progress = SILENT
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Add to a table of patients the recovery that a saved model expects of them.

    Parameters
    ----------
    model : path-like
        A saved fit.
    patients : path-like
        A table with the columns that the model's case mix reads, and the service's if it has a service effect.
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
        There is no such file.
    DataError
        The table is faulty.
    ModelFileError
        The model file is damaged or from a newer version.
    """
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
        f"{column}: {count:,} patients have a value, or a missing one, that the model has not met. It counts as "
        "missing, or, where the model has met no missing one, as the usual value."
        for column, count in unseen
    )
    return table.assign(**{name: figures[name] for name in figures.columns}), notes
