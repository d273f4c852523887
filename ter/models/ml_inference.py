"""Inference on standard deviations of an engine "ml" fit, from the table that it was fitted to.

A fit holds no rows, so that the table is asked for again; that it is the same one is checked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
from threadpoolctl import threadpool_limits

from ter.errors import OptionError
from ter.features.design import Design
from ter.models.boundary import EVEN, SLOPE, Mixture
from ter.models.effects_maxima import effects_maxima, mixture_of_block
from ter.models.layout import arrange
from ter.models.maxima import Maxima, SurfaceMaxima
from ter.models.ml import Estimates
from ter.models.nested import nested_maxima
from ter.models.newton import Optimum
from ter.models.profile import Profile
from ter.models.same_table import design_of
from ter.models.structure import Structure, has_more_effects, structure_of
from ter.models.variance_test import VarianceTest, variance_test

if TYPE_CHECKING:
    from ter.models.result import Fit

#: The order of results.
NAMES = ("therapist", "service", "further", "therapist slope")


def profile_intervals(fit: Fit, table: pd.DataFrame, level: float) -> pd.DataFrame:
    """See `Fit.profile_intervals`."""
    if not 0.0 < level < 1.0:
        raise OptionError(f"level must lie between 0 and 1, not {level!r}.")
    with threadpool_limits(limits=1):
        _, maxima = _maxima(fit, table)
        rows = []
        for name in sorted(maxima.names, key=NAMES.index):
            interval = Profile(maxima, name).interval(level)
            rows.append((name, maxima.sd[name], interval.lower, interval.upper))
    return pd.DataFrame(rows, columns=["factor", "sd", "lower", "upper"]).set_index("factor")


def test_of_variance(fit: Fit, table: pd.DataFrame, factor: str) -> VarianceTest:
    """See `Fit.variance_test`."""
    with threadpool_limits(limits=1):
        design, maxima = _maxima(fit, table)
        if factor not in maxima.names:
            raise OptionError(f'factor must be one of {", ".join(sorted(maxima.names))}, not "{factor}".')
        without = maxima.without(factor)
        return variance_test(maxima, factor, without, _reference(design, factor, fit.settings.nodes, without))


def _reference(design: Design, factor: str, nodes: int, without: Optimum) -> Mixture:
    """How twice the log-likelihood ratio is distributed if there is no such variance."""
    if factor == "therapist slope":
        return SLOPE
    if factor == "therapist" and design.severity is not None:
        return mixture_of_block(design, nodes, without)
    return EVEN


def _maxima(fit: Fit, table: pd.DataFrame) -> tuple[Design, Maxima]:
    """The design once more, and the likelihood that the fit maximised."""
    found, nodes = fit.estimates, fit.settings.nodes
    if found is None:
        raise OptionError('Only engine "ml" has a likelihood to profile: fit with engine="ml".')
    design = design_of(fit, table, in_order_of_fit=True)
    if has_more_effects(design):
        return design, effects_maxima(design, nodes, found)
    if design.service is None:
        return design, SurfaceMaxima(arrange(design, design.therapist, None), nodes, found, ("therapist",))
    structure = structure_of(design)
    by_recursion = nodes != 1 and structure.nested
    names, inner, outer = ("therapist", "service"), design.therapist, design.service
    # As the fit did: the larger factor is the inner one, or the one that is nested.
    if structure is Structure.NESTED_REVERSED if by_recursion else len(outer.levels) > len(inner.levels):
        names, inner, outer = ("service", "therapist"), outer, inner
        found = _swapped(found)
    layout = arrange(design, inner, outer)
    if by_recursion:
        return design, nested_maxima(layout, nodes, found, names)
    return design, SurfaceMaxima(layout, nodes, found, names)


def _swapped(found: Estimates) -> Estimates:
    """The estimates with inner and outer factor exchanged; their covariance is not looked at."""
    return replace(found, sd=found.sd[::-1].copy(), u=found.v, v=found.u)
