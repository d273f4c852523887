"""Whether a table is the one that a model was fitted to.

A fit holds no rows, so some methods are given them again.
"""

from __future__ import annotations

import pandas as pd

from ter.errors import OptionError
from ter.models.fit import with_outcome
from ter.models.result import Fit
from ter.sources import fingerprint


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
        If it is another table.
    """
    table = with_outcome(table, fit.settings.outcome, fit.settings.trials)
    if fingerprint(table) != fit.fingerprint:
        raise OptionError(
            f"{name} is not the table that the model was fitted to: its fingerprint differs. Give the same "
            "rows and columns, such as what ter.as_known_at gave for the fit."
        )
    return table
