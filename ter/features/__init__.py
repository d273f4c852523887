"""From a table to arrays: terms, case mix, design."""

from ter.features.case_mix import CaseMix, Encoded, LearnedCaseMix
from ter.features.design import Design, Grouping, build_design
from ter.features.rows import ModelledRows, modelled_rows
from ter.features.terms import Factor, Interaction, Linear, Spline, factor, interaction, linear, spline

__all__ = [
    "CaseMix",
    "Design",
    "Encoded",
    "Factor",
    "Grouping",
    "Interaction",
    "LearnedCaseMix",
    "Linear",
    "ModelledRows",
    "Spline",
    "build_design",
    "factor",
    "interaction",
    "linear",
    "modelled_rows",
    "spline",
]
