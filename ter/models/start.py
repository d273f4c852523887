"""Where a fit begins that follows another one: last month's answer, matched by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from ter.features.design import Design, FloatArray, Grouping, Severity
from ter.models.layout import Layout
from ter.models.ml import Start, starting_beta
from ter.models.slope import Sigma
from ter.models.weighted import TAILS

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
    sd : dict
        By factor of the new design, and of "therapist slope".
    log_sd_se : dict
        By factor, and of "therapist slope": standard error of log sd; NaN where it is not known.
    effects : dict
        By factor: an effect for each level; 0 for a level that the earlier fit did not have.
    sigma : Sigma or None
        With a severity slope: of the therapists, on the scale of the new design's severity.
    """

    beta: FloatArray
    sd: dict[str, float]
    log_sd_se: dict[str, float]
    effects: dict[str, FloatArray]
    sigma: Sigma | None = None

    def start(self, inner: Grouping, outer: Grouping | None) -> Start:
        """Where an engine begins that has these factors."""
        names = [g.name for g in (inner, outer) if g is not None]
        return Start(
            beta=self.beta,
            sd=np.array([self.sd[name] for name in names]),
            v=np.zeros(0) if outer is None else self.effects[outer.name],
            log_sd_se=np.array([self.log_sd_se[name] for name in names]),
        )


def from_nothing(design: Design, layout: Layout) -> EarlierFit:
    """Where a search begins that follows no other: the overall rate, no effects, usual SDs."""
    groups = [g for g in (design.therapist, design.service, design.further) if g is not None]
    names = [*(g.name for g in groups), "therapist slope"]
    return EarlierFit(
        beta=starting_beta(layout),
        sd=dict.fromkeys(names, START_SD),
        log_sd_se=dict.fromkeys(names, np.nan),
        effects={g.name: np.zeros(len(g.levels)) for g in groups},
        sigma=None if design.severity is None else Sigma(START_SD, START_SD, 0.0),
    )


def from_earlier(fit: Fit, design: Design) -> EarlierFit:
    """Read an earlier fit by the names of a new design, of whatever engine either is."""
    fixed = fit.fixed.iloc[:, 0]
    raw = fixed.reindex(list(design.columns), fill_value=0.0).to_numpy()
    # From the scale of the columns to that of the model.
    beta = raw * design.scale
    beta[0] = raw[0] + float(raw[1:] @ design.centre[1:])
    groups = [g for g in (design.therapist, design.service, design.further) if g is not None]
    names = [*(g.name for g in groups), "therapist slope"]
    known = fit.groups.reindex(names)
    sds = known["sd"].fillna(START_SD).to_numpy(np.float64)
    ends = known[["q05", "q95"]].to_numpy(np.float64)
    # An SD on its boundary has no interval on the log scale.
    width = np.log(ends, out=np.full(ends.shape, np.nan), where=ends > 0.0) @ [-1.0, 1.0]
    return EarlierFit(
        beta=beta,
        sd=dict(zip(names, np.maximum(sds, LOWEST_START_SD).tolist(), strict=True)),
        log_sd_se=dict(zip(names, (width / (2.0 * ndtri(TAILS[1]))).tolist(), strict=True)),
        effects={g.name: _effects(fit, g) for g in groups},
        sigma=None if design.severity is None else _sigma(fit, design.severity, float(sds[0])),
    )


def _effects(fit: Fit, group: Grouping) -> FloatArray:
    """Effects of a factor's levels in the earlier fit."""
    if group.name not in fit.groups.index:
        return np.zeros(len(group.levels))
    known = fit.effects(group.name)["mean"]
    return known.reindex(list(group.levels), fill_value=0.0).to_numpy(np.float64)


def _sigma(fit: Fit, severity: Severity, sd_u: float) -> Sigma:
    """Covariance of intercept and slope in the earlier fit, in this severity's units."""
    if fit.severity is None or fit.severity.column != severity.column:
        return Sigma(sd_u, START_SD, 0.0)
    sd_u, sd_w, rho = np.nan_to_num(fit.slope.iloc[:, 0].to_numpy(np.float64))
    covariance = np.array([[sd_u**2, rho * sd_u * sd_w], [rho * sd_u * sd_w, sd_w**2]])
    # u is the effect at mean severity and w that of an SD of it: this month's mean and SD are others.
    was = fit.severity
    to_new = np.array([[1.0, (severity.centre - was.centre) / was.scale], [0.0, severity.scale / was.scale]])
    (uu, uw), (_, ww) = to_new @ covariance @ to_new.T
    sd_u, sd_w = (max(float(np.sqrt(x)), LOWEST_START_SD) for x in (uu, ww))
    return Sigma(sd_u, sd_w, float(uw) / (sd_u * sd_w))
