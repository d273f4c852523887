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
