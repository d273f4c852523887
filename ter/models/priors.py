"""The priors of engines "fast" and "nuts"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from ter.errors import OptionError
from ter.features.design import FloatArray

LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class Priors:
    """How far parameters are thought to be from zero before the data are seen.

    Attributes
    ----------
    beta : float
        SD of the normal prior of each fixed effect, the intercept among them: log-odds for an SD of a
        continuous column, or for a level against the reference.
    therapist, service, further : float
        Scale of the half-normal prior of the standard deviation of each factor's effects, log-odds.
    slope : float
        The same of the therapists' slopes, log-odds for a standard deviation of severity. Their correlation
        with the effects is LKJ(2), whatever the scales.

    Raises
    ------
    OptionError
        If one is not a positive number.
    """

    beta: float = 2.5
    therapist: float = 1.0
    service: float = 1.0
    further: float = 1.0
    slope: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if (
                not isinstance(value, int | float)
                or isinstance(value, bool)
                or not (math.isfinite(value) and value > 0.0)
            ):
                raise OptionError(f"priors: {field.name} must be a positive number, not {value!r}.")

    def scales(self, n_factors: int) -> FloatArray:
        """Scales of the half-normal priors of the first one or two factors."""
        return np.array([self.therapist, self.service][:n_factors])

    def log_sd(self, sd: FloatArray, names: Sequence[str] = ("therapist", "service")) -> FloatArray:
        """Log density of standard deviations, the first ones of those named; shape (..., F) -> (...)."""
        sd = np.asarray(sd)
        scale = np.array([getattr(self, name) for name, _ in zip(names, range(sd.shape[-1]), strict=False)])
        terms = np.log(2.0 / scale) - 0.5 * LOG_2PI - 0.5 * (sd / scale) ** 2
        return np.asarray(terms.sum(axis=-1))

    def log_beta(self, beta: FloatArray) -> FloatArray:
        """Log density of the fixed effects; shape (..., P) -> (...)."""
        terms = -0.5 * (np.asarray(beta) / self.beta) ** 2 - np.log(self.beta) - 0.5 * LOG_2PI
        return np.asarray(terms.sum(axis=-1))
