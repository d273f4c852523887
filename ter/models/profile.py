"""Profile likelihood of the standard deviations: their confidence intervals.

The profile log-likelihood of one SD is the maximum over all other parameters with that SD held. Twice its
fall from the overall maximum is compared with chi-squared on one degree of freedom (Venzon and Moolgavkar
1988, Applied Statistics 37; lme4's ``confint(method = "profile")``, Bates et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2

from ter.models.maxima import Maxima
from ter.models.ml import LARGEST_LOG_SD, LOWEST_LOG_SD

#: An end of an interval is found to this, in log sd.
END_TOLERANCE = 1e-6
FIRST_STEP = 0.3


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
    """The profile log-likelihood of one SD.

    Parameters
    ----------
    maxima : Maxima
    name : str
        Whose SD: one of the maxima's names.
    """

    def __init__(self, maxima: Maxima, name: str) -> None:
        self._maxima, self._name = maxima, name
        self.log_sd = float(np.log(max(maxima.sd[name], np.exp(LOWEST_LOG_SD))))

    def fall(self, log_sd: float) -> float:
        """Twice the fall of the log-likelihood from its maximum."""
        return max(2.0 * (self._maxima.highest - self._maxima.value_at(self._name, log_sd)), 0.0)

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
