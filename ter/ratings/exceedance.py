"""How probable it is that a therapist is below a threshold, whichever is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ter.errors import OptionError
from ter.options import GATE
from ter.ratings.gate import admit
from ter.ratings.options import RatingOptions
from ter.ratings.tabulated import cdf_at

if TYPE_CHECKING:
    from ter.models.result import Fit


def exceedance(
    fit: Fit, *, ter: Sequence[float] = (), effect: Sequence[float] = (), completed: int = GATE
) -> pd.DataFrame:
    """Give the posterior probability of lying below thresholds.

    Parameters
    ----------
    fit : Fit
        With a posterior.
    ter : sequence of float
        Thresholds of the TER, percent.
    effect : sequence of float
        Thresholds of the therapist effect, log-odds: -0.405 for odds of recovery a third below the average
        therapist's.
    completed : int
        The gate: completed treatments that it takes, 10 or more.

    Returns
    -------
    DataFrame
        By ``therapist_id``, every therapist; ``p_ter_below_45`` and ``p_effect_below_-0.405``, say. Empty
        behind the gate. The probability of lying above is 1 less it.

    Raises
    ------
    OptionError
        If there is no threshold, one of the TER is no percentage, the gate is lowered, or the fit has no
        posterior.
    """
    if not ter and not effect:
        raise OptionError("Give at least one threshold: ter=[45] or effect=[-0.405].")
    for value in ter:
        if not 1 <= value < 100:
            raise OptionError(f"A threshold of the TER is in percent, such as 45, not {value!r}.")
    admitted = admit(fit, RatingOptions(completed))
    posterior = admitted.posterior
    columns = {
        f"p_ter_below_{value:g}": cdf_at(posterior.ter_grid, posterior.ter_cdf, value) for value in ter
    } | {f"p_effect_below_{value:g}": cdf_at(posterior.u_grid, posterior.u_cdf, value) for value in effect}
    frame = pd.DataFrame(index=pd.Index(fit.units.ids, name="therapist_id", dtype="object"))
    for name, values in columns.items():
        column = np.full(len(frame), np.nan)
        column[admitted.passed] = values
        frame[name] = column
    return frame
