"""Profile likelihood of the standard deviations: their confidence intervals, and tests against zero.

The profile log-likelihood of one SD is the maximum over all other parameters with that SD held. Twice its
fall from the overall maximum is compared with chi-squared on one degree of freedom (Venzon and Moolgavkar
1988, Applied Statistics 37; lme4's ``confint(method = "profile")``, Bates et al. 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2

from ter.features.design import FloatArray
from ter.models.layout import Layout
from ter.models.ml import LOWEST_LOG_SD, Bounds, Estimates, Surface, bounds_of, climb_to_edge, surface_of
from ter.models.newton import Evaluation, Optimum

ValueAndGradient = Callable[[FloatArray], tuple[float, FloatArray]]
#: No SD of log-odds is looked for beyond.
LARGEST_LOG_SD = float(np.log(50.0))
#: An end of an interval is found to this, in log sd.
END_TOLERANCE = 1e-6
FIRST_STEP = 0.3
#: The other factor's SD is looked for from at least here, in log sd.
LEAST_START = float(np.log(0.1))


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a standard deviation.

    Attributes
    ----------
    lower, upper : float
        The lower end is 0 where no SD, however small, can be ruled out; the upper one infinite likewise.
    """

    lower: float
    upper: float


class Profile:
    """The profile log-likelihood of one SD; it begins each ascent where the last one ended.

    Parameters
    ----------
    layout : Layout
    nodes : int
    found : Estimates
        The maximum, in the order of the layout's factors.
    factor : int
        0 for the inner factor, 1 for the outer one.
    """

    def __init__(self, layout: Layout, nodes: int, found: Estimates, factor: int) -> None:
        self._surface: Surface = surface_of(layout, nodes, found)
        self._place = found.beta.size + factor
        self._bounds = bounds_of(found.beta.size, found.sd.size)
        self._others = np.arange(found.beta.size + found.sd.size) != self._place
        self.highest = found.log_likelihood
        self.log_sd = float(np.log(max(found.sd[factor], np.exp(LOWEST_LOG_SD))))
        self._x = np.concatenate([found.beta, np.log(np.maximum(found.sd, np.exp(LOWEST_LOG_SD)))])

    def _whole(self, part: FloatArray, log_sd: float) -> FloatArray:
        x = np.empty(self._others.size)
        x[self._others], x[self._place] = part, log_sd
        return x

    def at(self, log_sd: float) -> Optimum:
        """Maximum over the other parameters."""
        others, surface = self._others, self._surface

        def evaluate(part: FloatArray) -> Evaluation:
            value, gradient, information = surface.evaluate(self._whole(part, log_sd))
            return value, gradient[others], information[np.ix_(others, others)]

        def restricted(whole: ValueAndGradient) -> ValueAndGradient:
            def gradient(part: FloatArray) -> tuple[float, FloatArray]:
                value, slope = whole(self._whole(part, log_sd))
                return value, slope[others]

            return gradient

        held = Surface(
            evaluate,
            lambda part: surface.value(self._whole(part, log_sd)),
            None if surface.gradient is None else restricted(surface.gradient),
        )
        bounds = Bounds(lowest=self._bounds["lowest"][others], max_step=self._bounds["max_step"][others])
        # From zero another SD would take long to rise again.
        start = np.where(
            np.isfinite(bounds["lowest"]), np.maximum(self._x[others], LEAST_START), self._x[others]
        )
        found = climb_to_edge(held, start, bounds, tolerance=1e-8)
        self._x = self._whole(found.x, log_sd)
        return found

    def fall(self, log_sd: float) -> float:
        """Twice the fall of the log-likelihood from its maximum."""
        return max(2.0 * (self.highest - self.at(log_sd).value), 0.0)

    def interval(self, level: float) -> Interval:
        """Where twice the fall is the quantile of chi-squared on one degree of freedom."""
        allowed = float(chi2.ppf(level, 1))
        return Interval(self._end(allowed, -1.0), self._end(allowed, 1.0))

    def _end(self, allowed: float, direction: float) -> float:
        """One end: steps outward until the fall is too large, then the root between."""
        inside, step = self.log_sd, FIRST_STEP
        edge = LOWEST_LOG_SD if direction < 0.0 else LARGEST_LOG_SD
        if inside <= LOWEST_LOG_SD + 1e-6:
            if direction < 0.0:
                return 0.0
            # From zero, steps in log sd would take long to leave.
            inside = float(np.log(1e-2))
        while True:
            outside = float(np.clip(inside + direction * step, LOWEST_LOG_SD, LARGEST_LOG_SD))
            if self.fall(outside) > allowed:
                break
            if outside == edge:
                return 0.0 if direction < 0.0 else float("inf")
            inside, step = outside, 1.5 * step
        root = brentq(lambda x: np.sqrt(self.fall(x)) - np.sqrt(allowed), inside, outside, xtol=END_TOLERANCE)
        return float(np.exp(root))
