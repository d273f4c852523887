"""Inference on standard deviations of an engine "ml" fit, from the table that it was fitted to.

A fit holds no rows, so that the table is asked for again; that it is the same one is checked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
from threadpoolctl import threadpool_limits

from ter.errors import OptionError
from ter.models.layout import Layout, arrange
from ter.models.ml import Estimates
from ter.models.profile import Profile
from ter.models.same_table import design_of
from ter.models.structure import structure_of
from ter.models.variance_test import VarianceTest, variance_test

if TYPE_CHECKING:
    from ter.models.result import Fit

FACTORS = ("therapist", "service")


def profile_intervals(fit: Fit, table: pd.DataFrame, level: float) -> pd.DataFrame:
    """See `Fit.profile_intervals`."""
    if not 0.0 < level < 1.0:
        raise OptionError(f"level must lie between 0 and 1, not {level!r}.")
    with threadpool_limits(limits=1):
        layout, found, order = _maximum(fit, table)
        rows = []
        for name in order:
            place = order.index(name)
            interval = Profile(layout, fit.settings.nodes, found, place).interval(level)
            rows.append((name, float(found.sd[place]), interval.lower, interval.upper))
    frame = pd.DataFrame(rows, columns=["factor", "sd", "lower", "upper"]).set_index("factor")
    return frame.loc[[name for name in FACTORS if name in order]]


def test_of_variance(fit: Fit, table: pd.DataFrame, factor: str) -> VarianceTest:
    """See `Fit.variance_test`."""
    with threadpool_limits(limits=1):
        layout, found, order = _maximum(fit, table)
        if factor not in order:
            raise OptionError(f'factor must be one of {", ".join(sorted(order))}, not "{factor}".')
        return variance_test(layout, fit.settings.nodes, found, order.index(factor), factor)


def _maximum(fit: Fit, table: pd.DataFrame) -> tuple[Layout, Estimates, list[str]]:
    """The layout, the estimates in its order, and the factors in that order."""
    found = fit.estimates
    if found is None:
        raise OptionError('Only engine "ml" has a likelihood to profile: fit with engine="ml".')
    design = design_of(fit, table, in_order_of_fit=True)
    by_recursion = fit.settings.nodes != 1 and structure_of(design).nested
    if found.slope is not None or found.f is not None or by_recursion:
        raise OptionError(
            "Profiles are offered for one factor or two crossed ones, and for nested ones with nodes=1; not "
            "with a severity slope or a third factor."
        )
    if design.service is None:
        return arrange(design, design.therapist, None), found, ["therapist"]
    if len(design.service.levels) > len(design.therapist.levels):
        # As the fit did: the larger factor is the inner one.
        swapped = replace(found, sd=found.sd[::-1].copy(), u=found.v, v=found.u)
        return arrange(design, design.service, design.therapist), swapped, ["service", "therapist"]
    return arrange(design, design.therapist, design.service), found, ["therapist", "service"]
