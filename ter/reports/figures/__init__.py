"""Figures of a publication. Each takes an Axes, draws on it and returns it.

What they draw is to be had as a table from `ter.reports.figure_data`; the drawing never changes a number.
"""

from ter.reports.figures.monitoring import cusum, vlad
from ter.reports.figures.network import (
    calibration,
    caterpillar,
    caterpillar_size,
    funnel,
    funnel_plot,
    ranks,
    reliability,
    shrinkage,
)
from ter.reports.figures.style import ACCENT, INK, MUTED, RULE, WARM
from ter.reports.figures.svg import figure_svg
from ter.reports.figures.therapist import case_mix, prior_posterior

__all__ = [
    "ACCENT",
    "INK",
    "MUTED",
    "RULE",
    "WARM",
    "calibration",
    "case_mix",
    "caterpillar",
    "caterpillar_size",
    "cusum",
    "figure_svg",
    "funnel",
    "funnel_plot",
    "prior_posterior",
    "ranks",
    "reliability",
    "shrinkage",
    "vlad",
]
