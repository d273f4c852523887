"""Maxima of a likelihood with standard deviations held: what profiles and tests of variances compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ter.features.design import FloatArray
from ter.models.climb import Slope, ascend, climb, restricted
from ter.models.layout import Layout
from ter.models.ml import LOWEST_LOG_SD, Bounds, Estimates, Surface, bounds_of, climb_to_edge, surface_of
from ter.models.newton import Evaluation, Optimum

#: An SD that is not held is looked for from at least here, in log sd: from zero it would take long to rise.
LEAST_START = float(np.log(0.1))
#: A correlation that is not held is looked for from no nearer to +-1 than this, in radians.
WIDEST_ANGLE = float(np.arcsin(0.95))


class Maxima(Protocol):
    """Maxima over all other parameters with an SD held.

    Attributes
    ----------
    names : tuple of str
        What has an SD.
    sd : dict
        Its estimates.
    highest : float
        The log-likelihood at its maximum, without binomial constants.
    """

    names: tuple[str, ...]
    sd: dict[str, float]
    highest: float

    def value_at(self, name: str, log_sd: float) -> float:
        """The maximum with this SD held."""

    def without(self, name: str) -> Optimum:
        """The maximum without these effects, whose x holds all parameters."""


class SurfaceMaxima:
    """Of one factor or two crossed ones; each ascent begins where the last one of the same SD ended.

    Parameters
    ----------
    layout : Layout
    nodes : int
    found : Estimates
        The maximum, in the order of the layout's factors.
    names : tuple of str
        Of the inner and the outer factor.
    """

    def __init__(self, layout: Layout, nodes: int, found: Estimates, names: tuple[str, ...]) -> None:
        self.names = names
        self.sd = dict(zip(names, found.sd.tolist(), strict=True))
        self.highest = found.log_likelihood
        self._surface: Surface = surface_of(layout, nodes, found)
        self._bounds = bounds_of(found.beta.size, found.sd.size)
        x = np.concatenate([found.beta, np.log(np.maximum(found.sd, np.exp(LOWEST_LOG_SD)))])
        self._x = dict.fromkeys(names, x)

    def value_at(self, name: str, log_sd: float) -> float:
        """The maximum with this SD held."""
        return self._at(name, log_sd).value

    def without(self, name: str) -> Optimum:
        """The maximum without this factor's effects."""
        return self._at(name, LOWEST_LOG_SD)

    def _at(self, name: str, log_sd: float) -> Optimum:
        x, surface = self._x[name].copy(), self._surface
        place = x.size - len(self.names) + self.names.index(name)
        others, x[place] = np.arange(x.size) != place, log_sd

        def whole(part: FloatArray) -> FloatArray:
            out = x.copy()
            out[others] = part
            return out

        def evaluate(part: FloatArray) -> Evaluation:
            value, gradient, information = surface.evaluate(whole(part))
            return value, gradient[others], information[np.ix_(others, others)]

        held = Surface(
            evaluate,
            lambda part: surface.value(whole(part)),
            None if surface.gradient is None else restricted(surface.gradient, x, others),
        )
        bounds = Bounds(lowest=self._bounds["lowest"][others], max_step=self._bounds["max_step"][others])
        start = np.where(np.isfinite(bounds["lowest"]), np.maximum(x[others], LEAST_START), x[others])
        found = climb_to_edge(held, start, bounds, tolerance=1e-8)
        self._x[name] = whole(found.x)
        return replace(found, x=self._x[name])


class ClimbedMaxima:
    """Of a likelihood that comes with a gradient; each ascent begins where the last one of the SD ended.

    Parameters
    ----------
    slope : callable
        Value and gradient in (beta, log SDs, and the angle of a correlation).
    x : ndarray, shape (n,)
        Its maximum.
    units, lowest : ndarray, shape (n,)
        As in `climb`.
    places : dict
        By name: the place of its log SD.
    sd : dict
        By name: its estimate.
    angle : int or None
        The place of the angle whose sine is the correlation of effect and slope.
    """

    def __init__(
        self,
        slope: Slope,
        x: FloatArray,
        units: FloatArray,
        lowest: FloatArray,
        places: dict[str, int],
        sd: dict[str, float],
        angle: int | None = None,
    ) -> None:
        self.names, self.sd = tuple(sd), sd
        self.highest = slope(x)[0]
        self._slope, self._units, self._lowest = slope, units, lowest
        self._places, self._angle = places, angle
        self._x = dict.fromkeys(places, x)

    def value_at(self, name: str, log_sd: float) -> float:
        """The maximum with this SD held."""
        x, free = self._begin(name, {self._places[name]: log_sd})
        part = restricted(self._slope, x, free)
        x[free], _ = climb(part, x[free], self._units[free], self._lowest[free])
        self._x[name] = x
        return self._slope(x)[0]

    def without(self, name: str) -> Optimum:
        """The maximum without these effects; without therapists' effects there are no slopes either."""
        held = {self._places[name]: LOWEST_LOG_SD}
        if self._angle is not None and name in ("therapist", "therapist slope"):
            held |= {self._places["therapist slope"]: LOWEST_LOG_SD, self._angle: 0.0}
        x, free = self._begin(name, held)
        part = restricted(self._slope, x, free)
        found = ascend(part, x[free], self._units[free], self._lowest[free])
        x[free] = found.x
        return replace(found, x=x)

    def _begin(self, name: str, held: dict[int, float]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Where an ascent begins, and what is free in it."""
        x = self._x[name].copy()
        x = np.where(np.isfinite(self._lowest), np.maximum(x, LEAST_START), x)
        if self._angle is not None:
            # Where the correlation is +-1 the likelihood is flat in the angle.
            folded = float(np.arcsin(np.sin(x[self._angle])))
            x[self._angle] = np.clip(folded, -WIDEST_ANGLE, WIDEST_ANGLE)
        free = np.ones(x.size, np.bool_)
        for place, value in held.items():
            x[place], free[place] = value, False
        return x, free
