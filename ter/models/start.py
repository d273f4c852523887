"""Where a fit begins that follows another one: last month's answer, matched by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ter.features.design import Design, FloatArray, Grouping
from ter.models.ml import Start

if TYPE_CHECKING:
    from ter.models.result import Fit

#: Where the search for an SD begins that the earlier fit did not have, and the least it begins with.
START_SD = 0.3
LOWEST_START_SD = 0.02


@dataclass(frozen=True, eq=False)
class EarlierFit:
    """What an earlier fit says of the columns and levels of a new design.

    Attributes
    ----------
    beta : ndarray, shape (P,)
        On the scale of the new design; 0 for a column that the earlier fit did not have.
    sd : ndarray, shape (F,)
        Therapist, then service.
    u, v : ndarray, shapes (J,), (S,)
        Effects; 0 for a level that the earlier fit did not have.
    """

    beta: FloatArray
    sd: FloatArray
    u: FloatArray
    v: FloatArray

    def start(self, swapped: bool = False) -> Start:
        """Where an engine begins whose inner factor is the therapist or, if swapped, the service."""
        if swapped:
            return Start(self.beta, self.sd[::-1].copy(), self.u)
        return Start(self.beta, self.sd, self.v)


def from_earlier(fit: Fit, design: Design) -> EarlierFit:
    """Read an earlier fit by the names of a new design, of whatever engine either is."""
    fixed = fit.fixed.iloc[:, 0]
    raw = fixed.reindex(list(design.columns), fill_value=0.0).to_numpy()
    # From the scale of the columns to that of the model.
    beta = raw * design.scale
    beta[0] = raw[0] + float(raw[1:] @ design.centre[1:])
    groups = [g for g in (design.therapist, design.service) if g is not None]
    sds = fit.groups["sd"].reindex([g.name for g in groups], fill_value=START_SD)
    return EarlierFit(
        beta=beta,
        sd=np.maximum(sds.to_numpy(np.float64), LOWEST_START_SD),
        u=_effects(fit, design.therapist),
        v=np.zeros(0) if design.service is None else _effects(fit, design.service),
    )


def _effects(fit: Fit, group: Grouping) -> FloatArray:
    """Effects of a factor's levels in the earlier fit."""
    if group.name not in fit.groups.index:
        return np.zeros(len(group.levels))
    known = fit.effects(group.name)["mean"]
    return known.reindex(list(group.levels), fill_value=0.0).to_numpy(np.float64)
