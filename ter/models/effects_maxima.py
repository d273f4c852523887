"""Maxima with standard deviations held, with a severity slope, a third factor, or both."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from ter.features.design import Design, FloatArray
from ter.models.boundary import Mixture, block_information, block_mixture
from ter.models.climb import Slope
from ter.models.effects_ml import model_of
from ter.models.maxima import ClimbedMaxima
from ter.models.ml import LOWEST_LOG_SD, Estimates
from ter.models.newton import Optimum

#: The least cosine of an angle: a correlation that cannot be told from +-1.
LEAST_COSINE = 1e-6
#: About a standard error of an angle.
ANGLE_UNIT = 0.3


def effects_maxima(design: Design, nodes: int, found: Estimates) -> ClimbedMaxima:
    """The likelihood of `fit_effects` in SDs and the angle of the correlation.

    Parameters
    ----------
    design : Design
    nodes : int
    found : Estimates
        Its maximum.
    """
    model = model_of(design, nodes)
    P, places = model.n_beta, dict(model.places)
    factors = [g.name for g in (design.therapist, design.service, design.further) if g is not None]
    sd = dict(zip(factors, found.sd.tolist(), strict=True))
    slope: Slope = model.likelihood.evaluate
    units, lowest, angle = model.units.copy(), model.lowest.copy(), None
    x = np.zeros(lowest.size)
    x[:P] = found.beta
    if found.slope is not None:
        # In the place of (log a, b, log c): (log sd_u, log sd_w, angle).
        sd["therapist slope"], places["therapist slope"], angle = found.slope.sd, P + 1, P + 2
        slope, units[angle] = by_angle(slope, P), ANGLE_UNIT
        lowest[P + 1 : P + 3] = LOWEST_LOG_SD, -np.inf
        x[angle] = np.arcsin(np.nan_to_num(found.slope.correlation))
    for name, value in sd.items():
        x[places[name]] = np.log(max(value, np.exp(LOWEST_LOG_SD)))
    return ClimbedMaxima(slope, x, units, lowest, places, sd, angle)


def by_angle(slope: Slope, first: int) -> Slope:
    """Value and gradient in (log sd_u, log sd_w, angle), from those in (log a, b, log c).

    The sine of the angle is the correlation. At +-1 it turns back, smoothly.
    """

    def of_angle(y: FloatArray) -> tuple[float, FloatArray]:
        sd_w, angle = np.exp(y[first + 1]), y[first + 2]
        cosine = np.cos(angle)
        cosine = np.copysign(max(abs(cosine), LEAST_COSINE), cosine)
        b, c = sd_w * np.sin(angle), sd_w * cosine
        x = y.copy()
        x[first + 1 : first + 3] = b, np.log(abs(c))
        value, gradient = slope(x)
        in_b, in_log_c = gradient[first + 1 : first + 3]
        out = gradient.copy()
        out[first + 1 : first + 3] = in_b * b + in_log_c, in_b * c - in_log_c * b / c
        return value, out

    return of_angle


def mixture_of_block(design: Design, nodes: int, without: Optimum) -> Mixture:
    """How the ratio of the test of all therapists' effects is distributed if there are none.

    Effects of other factors are taken for known.

    Parameters
    ----------
    design : Design
        With a severity.
    nodes : int
    without : Optimum
        The maximum without therapists' effects, of `effects_maxima`.
    """
    model = model_of(design, nodes)
    P = model.n_beta
    x = without.x.copy()
    x[P : P + 3] = LOWEST_LOG_SD, 0.0, LOWEST_LOG_SD
    outer = model.likelihood.effects(x)[2]
    eta, start = design.X @ x[:P], 0
    for group in (design.service, design.further):
        if group is not None:
            eta += outer[start + group.index]
            start += len(group.levels)
    assert design.severity is not None  # noqa: S101 - it is the block's
    information = block_information(
        design.X, design.therapist.index, design.severity.values, design.trials, expit(eta)
    )
    return block_mixture(information)
