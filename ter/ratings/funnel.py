"""Funnel plots as numbers: limits, z-scores and who lies outside. Drawing them is left to the reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from ter.errors import DataError, OptionError
from ter.ratings.limits import (
    PROPORTION_SCALES,
    RATIO_SCALES,
    Scale,
    exact_binomial,
    exact_poisson,
    normal_binomial,
    normal_poisson,
    overdispersion,
    step_binomial,
    step_poisson,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int8]

Kind = Literal["proportion", "ratio"]
Limits = Literal["exact", "step", "normal"]
LIMITS: Final = get_args(Limits)
Overdispersion = Literal["none", "additive", "multiplicative"]
OVERDISPERSIONS: Final = get_args(Overdispersion)
FunnelScale = Literal["identity", "arcsine", "logit", "sqrt", "log"]
SCALES: Final = get_args(FunnelScale)

#: Where nothing else is asked for: the scales on which the variance does not depend on the target.
_DEFAULT_SCALE: Final[dict[Kind, FunnelScale]] = {"proportion": "arcsine", "ratio": "sqrt"}


@dataclass(frozen=True)
class FunnelOptions:
    """How the limits of a funnel are made.

    Attributes
    ----------
    limits : {"exact", "step", "normal"}
        Limits by chance alone: interpolated exact, plain quantiles, or normal. Used where overdispersion is
        "none"; with overdispersion the limits are normal on `scale`.
    overdispersion : {"none", "additive", "multiplicative"}
        "additive": units differ by a variance tau2 beside chance. "multiplicative": the variance is phi times
        that of chance; limits are never narrower than chance alone makes them.
    scale : {"identity", "arcsine", "logit"} or {"sqrt", "log"}, optional
        Scale of the z-scores and of the overdispersion: the first three for proportions, the last two for
        ratios. By default "arcsine" and "sqrt".
    trim : float
        Share of the units at each end that are winsorised before the overdispersion is estimated.
    levels : tuple of float
        Probabilities between the limits: 0.95 means that a unit on target lies between them in 95 of 100.

    Raises
    ------
    OptionError
        If an option is not one of these.
    """

    limits: Limits = "exact"
    overdispersion: Overdispersion = "none"
    scale: FunnelScale | None = None
    trim: float = 0.1
    levels: tuple[float, ...] = (0.95, 0.998)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("limits", self.limits, LIMITS),
            ("overdispersion", self.overdispersion, OVERDISPERSIONS),
            ("scale", self.scale, (None, *SCALES)),
        ):
            if value not in known:
                raise OptionError(f"{name}={value!r} is not one of {', '.join(map(repr, known))}.")
        if not 0 <= self.trim < 0.5:
            raise OptionError(f"trim={self.trim!r} must be a share from 0 to below 0.5, such as 0.1.")
        if not self.levels or not all(0 < level < 1 for level in self.levels):
            raise OptionError(f"levels={self.levels!r} must be probabilities between 0 and 1, such as 0.95.")


@dataclass(frozen=True, eq=False, repr=False)
class Funnel:
    """Units against limits that depend on their size. L levels, J units.

    Attributes
    ----------
    kind : {"proportion", "ratio"}
    options : FunnelOptions
    scale : str
        Scale of the z-scores.
    target : float
        The proportion that units are compared with, or the ratio: 1.
    phi, tau2 : float
        Overdispersion, estimated whether or not the limits use it: see `ter.ratings.limits.overdispersion`.
    sizes : ndarray, shape (J,)
        Denominators, or expected counts.
    values : ndarray, shape (J,)
        Proportions from 0 to 1, or ratios O/E.
    z : ndarray, shape (J,)
        z-scores by chance alone.
    z_adjusted : ndarray, shape (J,)
        z-scores with the overdispersion that was asked for; `z` where that is "none".
    lower, upper : ndarray, shape (L, J)
        Limits at each unit's size.
    outside : ndarray of int8, shape (L, J)
        -1 below the lower limit, 1 above the upper, 0 between them or on one.
    """

    kind: Kind
    options: FunnelOptions
    scale: str
    target: float
    phi: float
    tau2: float
    sizes: FloatArray
    values: FloatArray
    z: FloatArray
    z_adjusted: FloatArray
    lower: FloatArray
    upper: FloatArray
    outside: IntArray

    def curve(self, sizes: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Limits at any sizes: the lines of a plot.

        Parameters
        ----------
        sizes : array_like, shape (K,)
            Denominators or expected counts, above 0. Binomial limits take whole denominators.

        Returns
        -------
        lower, upper : ndarray, shape (L, K)
            By level, in the order of ``options.levels``.
        """
        return _limits(
            self.kind, self.options, self.scale, self.target, self.phi, self.tau2, np.asarray(sizes, float)
        )

    def to_frame(self, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Units with their limits.

        Parameters
        ----------
        ids : sequence of str, length J, optional
            The index.

        Returns
        -------
        DataFrame
            ``size``, ``value``, ``z``, ``z_adjusted``; of each level, ``95`` say, ``lower_95``, ``upper_95``
            and ``outside_95`` (-1, 0, 1).
        """
        columns = {"size": self.sizes, "value": self.values, "z": self.z, "z_adjusted": self.z_adjusted}
        frame = pd.DataFrame(columns, index=None if ids is None else pd.Index(ids))
        for level, low, high, outside in zip(
            self.options.levels, self.lower, self.upper, self.outside, strict=True
        ):
            name = f"{100 * level:.10g}"
            frame[f"lower_{name}"], frame[f"upper_{name}"], frame[f"outside_{name}"] = low, high, outside
        return frame

    def summary(self) -> str:
        """Say in a line or two how many units lie outside.

        Returns
        -------
        str
        """
        what = "target" if self.kind == "proportion" else "ratio on target"
        outside = "; ".join(
            f"outside {100 * level:.10g}%: {(row < 0).sum()} below, {(row > 0).sum()} above"
            for level, row in zip(self.options.levels, self.outside, strict=True)
        )
        return (
            f"{len(self.values)} units, {what} {self.target:.3g}, phi {self.phi:.2f} and tau "
            f"{math.sqrt(self.tau2):.3f} ({self.scale} scale); limits with overdispersion: "
            f"{self.options.overdispersion}.\n"
            f"{outside[0].upper() + outside[1:]}."
        )

    def __repr__(self) -> str:
        return f"<ter.Funnel: {self.summary().splitlines()[0]}>"

    def _repr_html_(self) -> str:
        """Show the summary and the table in Jupyter."""
        table = self.to_frame().to_html(max_rows=20, float_format="{:.3g}".format)
        return f"<p>{'<br>'.join(self.summary().splitlines())}</p>{table}"


def funnel(
    events: ArrayLike,
    denominators: ArrayLike,
    options: FunnelOptions | None = None,
    *,
    target: float | None = None,
) -> Funnel:
    """Compare proportions with one target.

    Parameters
    ----------
    events, denominators : array_like, shape (J,)
        Whole counts: events from 0 to the denominator, denominators above 0.
    options : FunnelOptions, optional
    target : float, optional
        Between 0 and 1; by default the proportion over all units together.

    Returns
    -------
    Funnel

    Raises
    ------
    DataError
        If there are no units, or counts are not such.
    OptionError
        If the target or the scale does not suit proportions.
    """
    r, n = _arrays(events, denominators, "events", "denominators")
    if (r > n).any() or (r % 1).any() or (n % 1).any():
        raise DataError("A funnel of proportions takes whole counts: events from 0 to the denominator.")
    if target is None:
        target = float(r.sum() / n.sum())
        if not 0 < target < 1:
            raise DataError(
                "All units together have no events, or nothing but events: there is nothing to compare with. "
                "Give a target."
            )
    if not 0 < target < 1:
        raise OptionError(f"target={target!r} must be a proportion between 0 and 1.")
    return _funnel("proportion", options or FunnelOptions(), target, r, n)


def funnel_ratio(observed: ArrayLike, expected: ArrayLike, options: FunnelOptions | None = None) -> Funnel:
    """Compare standardised ratios O/E with 1.

    Parameters
    ----------
    observed : array_like, shape (J,)
        Whole counts, 0 or more.
    expected : array_like, shape (J,)
        Counts expected of these patients, above 0.
    options : FunnelOptions, optional

    Returns
    -------
    Funnel
        By chance alone O is taken to be Poisson. Where events are common (recovery) its variance is less than
        that, and the limits are wider than they need be: `ter.ratings.poisson_binomial` is exact.

    Raises
    ------
    DataError
        If there are no units, or counts are not such.
    OptionError
        If the scale does not suit ratios.
    """
    o, e = _arrays(observed, expected, "observed", "expected")
    if (o % 1).any():
        raise DataError("observed must hold whole counts.")
    return _funnel("ratio", options or FunnelOptions(), 1.0, o, e)


def funnel_adjusted(
    observed: ArrayLike,
    expected: ArrayLike,
    denominators: ArrayLike,
    options: FunnelOptions | None = None,
    *,
    target: float | None = None,
) -> Funnel:
    """Compare proportions with one target, allowing for each unit's case mix.

    Parameters
    ----------
    observed, denominators : array_like, shape (J,)
        Whole counts: events from 0 to the denominator, denominators above 0.
    expected : array_like, shape (J,)
        Events expected of these patients, from 0 to the denominator.
    options : FunnelOptions, optional
    target : float, optional
        Between 0 and 1; by default the observed proportion over all units together.

    Returns
    -------
    Funnel
        A unit's value is ``target + (observed - expected) / denominator``: as far from the target as its rate
        is from what was expected of it. It may leave the range from 0 to 1. The limits are the binomial ones
        round the target. By chance alone the value's variance is the mean ``p (1 - p)`` of the unit's
        patients over their number: the limits are a little wide where the patients of a unit differ, and wide
        or narrow by ``q (1 - q) / (target (1 - target))`` in variance where the unit's expected rate q is not
        the target, which is little as long as both are near one half. (``target * observed / expected``, the
        other custom, is off by the ratio of their odds.)

    Raises
    ------
    DataError
        If there are no units, or counts are not such.
    OptionError
        If the target or the scale does not suit proportions.
    """
    o, n = _arrays(observed, denominators, "observed", "denominators")
    e, _ = _arrays(expected, denominators, "expected", "denominators")
    if (e > n).any():
        raise DataError("expected must hold counts from 0 to the denominator.")
    plain = funnel(o, n, options, target=target)
    moved = plain.target * n + o - e
    return _funnel("proportion", plain.options, plain.target, moved, n)


def _funnel(
    kind: Kind, options: FunnelOptions, target: float, events: FloatArray, sizes: FloatArray
) -> Funnel:
    """Estimate the overdispersion, then the limits, then who lies outside."""
    name = options.scale or _DEFAULT_SCALE[kind]
    scale = _scale(kind, name)
    sd = scale.sd(target, sizes)
    z = (scale.transform(events, sizes) - scale.target(target)) / sd
    phi, tau2 = overdispersion(z, sd, options.trim)
    lower, upper = _limits(kind, options, name, target, phi, tau2, sizes)
    values = events / sizes
    return Funnel(
        kind=kind,
        options=options,
        scale=name,
        target=target,
        phi=phi,
        tau2=tau2,
        sizes=sizes,
        values=values,
        z=z,
        z_adjusted=z * sd / _spread(options.overdispersion, sd, phi, tau2),
        lower=lower,
        upper=upper,
        outside=(values > upper).astype(np.int8) - (values < lower).astype(np.int8),
    )


def _limits(
    kind: Kind,
    options: FunnelOptions,
    scale_name: str,
    target: float,
    phi: float,
    tau2: float,
    sizes: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper limits by level, shape (L, K) each."""

    def at(p: float) -> FloatArray:
        if options.overdispersion == "none":
            if kind == "ratio":
                return {"exact": exact_poisson, "step": step_poisson, "normal": normal_poisson}[
                    options.limits
                ](sizes, p)
            return {"exact": exact_binomial, "step": step_binomial, "normal": normal_binomial}[
                options.limits
            ](target, sizes, p)
        scale = _scale(kind, scale_name)
        spread = _spread(options.overdispersion, scale.sd(target, sizes), phi, tau2)
        return scale.inverse(scale.target(target) + ndtri(p) * spread)

    tails = [(1 - level) / 2 for level in options.levels]
    return np.array([at(p) for p in tails]), np.array([at(1 - p) for p in tails])


def _spread(how: Overdispersion, sd: FloatArray, phi: float, tau2: float) -> FloatArray:
    """Standard deviation between units on target, chance and overdispersion together."""
    if how == "additive":
        return np.hypot(sd, np.sqrt(tau2))
    if how == "multiplicative":
        return sd * math.sqrt(max(phi, 1.0))
    return sd


def _scale(kind: Kind, name: str) -> Scale:
    """Find a scale, or say which there are."""
    scales = PROPORTION_SCALES if kind == "proportion" else RATIO_SCALES
    if name not in scales:
        raise OptionError(f"scale={name!r} does not suit a {kind}: take one of {', '.join(scales)}.")
    return scales[name]


def _arrays(events: ArrayLike, sizes: ArrayLike, *names: str) -> tuple[FloatArray, FloatArray]:
    """Two arrays of one length, of counts that can be."""
    r, n = np.asarray(events, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if r.ndim != 1 or r.shape != n.shape or not len(r):
        raise DataError(f"{names[0]} and {names[1]} must be of one length, at least 1.")
    bad = ~(np.isfinite(r) & np.isfinite(n) & (r >= 0) & (n > 0))
    if bad.any():
        raise DataError(
            f"{bad.sum()} units (first: {int(np.flatnonzero(bad)[0])}) have {names[0]} below 0, {names[1]} "
            "not above 0, or a value missing: leave them out."
        )
    return r, n
