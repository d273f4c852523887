"""A fit of a table of episodes: the analyst's view."""

from __future__ import annotations

from ter.features import CaseMix
from ter.files import new_file, refuse_existing
from ter.jobs.progress import SILENT, Progress
from ter.jobs.tables import read_tables
from ter.models import Fit, fit
from ter.settings import FitRequest, read_case_mix
from ter.sources import episodes_from_sessions


def run_fit(request: FitRequest, progress: Progress = SILENT) -> Fit:
    """Fit the model to all episodes of a table, and save it where asked.

    Parameters
    ----------
    request : FitRequest
    progress : Progress

    Returns
    -------
    Fit

    Raises
    ------
    OptionError, DataError, FitError
        As from the functions that this calls. Nothing is written then.
    """
    case_mix = CaseMix.default() if request.case_mix is None else read_case_mix(request.case_mix)
    if request.out is not None:
        refuse_existing(request.out, overwrite=request.overwrite)
    progress.step(f"Reading {request.episodes}")
    episodes, sessions = read_tables(
        request.episodes, request.sessions, missing_outcome=request.missing_outcome
    )
    if sessions is not None:
        episodes = episodes_from_sessions(episodes, sessions, missing_outcome=request.missing_outcome)
    progress.step(f"Fitting the model to {len(episodes):,} episodes")
    fitted = fit(
        episodes,
        case_mix=case_mix,
        outcome=request.outcome,
        engine=request.engine,
        nodes=request.nodes,
        seed=request.seed,
    )
    if request.out is not None:
        with new_file(request.out) as place:
            fitted.save(place)
    return fitted
