"""Whether a table is the one that a model was fitted to.

A fit holds no rows, so some methods are given them again.
"""

from __future__ import annotations

import pandas as pd

from ter.errors import OptionError
from ter.features import Design, build_design
from ter.models.fit import with_outcome
from ter.models.result import Fit
from ter.sources import fingerprint, is_comparable


def require_fitted_table(fit: Fit, table: pd.DataFrame, name: str = "table") -> pd.DataFrame:
    """Refuse another table than the one that was fitted.

    Parameters
    ----------
    fit : Fit
    table : DataFrame
    name : str
        What the caller calls it.

    Returns
    -------
    DataFrame
        The table, with the outcome where it lacked it.

    Raises
    ------
    OptionError
        If it is another table, or the model is too old to tell.
    """
    table = with_outcome(table, fit.settings.outcome, fit.settings.trials)
    if not is_comparable(fit.fingerprint):
        raise OptionError(
            "The model was fitted by an earlier version of ter, which knew tables by other fingerprints: it "
            f"cannot be told whether {name} is the one that it was fitted to. Fit the model again."
        )
    if fingerprint(table) != fit.fingerprint:
        raise OptionError(
            f"{name} is not the table that the model was fitted to: its fingerprint differs. Give the same "
            "rows and columns, such as what ter.as_known_at gave for the fit."
        )
    return table


def design_of(fit: Fit, table: pd.DataFrame, *, in_order_of_fit: bool = False) -> Design:
    """Build the design that a fit saw from its table once more.

    Parameters
    ----------
    fit : Fit
    table : DataFrame
    in_order_of_fit : bool
        Whether rows are sorted as the fit sorted them, so that sums agree to the last bit; else they keep
        the order of the table.

    Raises
    ------
    OptionError
        If it is another table.
    """
    s = fit.settings
    table = require_fitted_table(fit, table)
    return build_design(
        table,
        case_mix=fit.case_mix,
        outcome=s.outcome,
        trials=s.trials,
        therapist=s.therapist,
        service=s.service if fit.services.ids else None,
        severity=s.severity_slope,
        further=s.further,
        by_content=in_order_of_fit,
    )
