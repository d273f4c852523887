"""Shared literals: the words that options may take, and the numbers that hold everywhere."""

from __future__ import annotations

from typing import Final, Literal, get_args

Engine = Literal["fast", "ml", "nuts"]
ENGINES: Final = get_args(Engine)

MissingOutcome = Literal["not_recovered", "exclude"]
MISSING_OUTCOMES: Final = get_args(MissingOutcome)

Status = Literal["provisional", "rated", "support", "watch"]
STATUSES: Final = get_args(Status)

#: Completed treatments before any outcome figure may leave a report. It can be raised, never lowered.
GATE: Final = 10

CheckStatus = Literal["passed", "caution", "failed", "not_run"]

#: The checks of a model card, in the order in which it shows them.
CheckName = Literal[
    "convergence",
    "sample_size",
    "missing_outcomes",
    "completion",
    "calibration_overall",
    "calibration_by_decile",
    "calibration_slope",
    "calibration_by_group",
    "new_therapists",
    "next_months",
    "spread",
    "normality",
    "severity_slope",
    "influence",
]
CHECKS: Final = get_args(CheckName)
