"""The same model again, on another table."""

from __future__ import annotations

import pandas as pd

from ter.features import CaseMix, LearnedCaseMix
from ter.models import fit as fit_model
from ter.models.result import Fit
from ter.options import Engine


def refit(fit: Fit, table: pd.DataFrame, engine: Engine = "ml", *, relearn: bool = True) -> Fit:
    """Fit the model of `fit` to another table: the same terms and the same settings.

    Parameters
    ----------
    fit : Fit
    table : DataFrame
    engine : {"ml", "fast"}
        "ml" is several times as quick, and its expected rates differ little.
    relearn : bool
        Whether knots, levels and scales are learned anew, as they must be where `table` stands for the past.

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        If the table cannot carry the model.
    """
    settings = fit.settings
    case_mix: CaseMix | LearnedCaseMix | None = fit.case_mix
    if relearn and fit.case_mix is not None:
        case_mix = CaseMix([learned.term for learned in fit.case_mix.terms], when_present=True)
    return fit_model(
        table,
        case_mix=case_mix,
        outcome=settings.outcome,
        trials=settings.trials,
        therapist=settings.therapist,
        service=settings.service,
        severity_slope=settings.severity_slope,
        further=settings.further,
        priors=None if engine == "ml" else settings.priors,
        engine=engine,
        seed=settings.seed,
    )
