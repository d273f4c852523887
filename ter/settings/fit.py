"""The settings of a fit from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ter.errors import OptionError
from ter.options import MISSING_OUTCOMES, Engine, MissingOutcome


@dataclass(frozen=True)
class FitRequest:
    """All that a fit of a table of episodes is asked for.

    Attributes
    ----------
    episodes : Path
    out : Path or None
        Where the model is saved.
    sessions, case_mix, missing_outcome
        As in `MonthSettings`.
    outcome, engine, nodes, seed
        As in `ter.fit`.
    overwrite : bool
        Whether a file that is in `out` already is replaced.

    Raises
    ------
    OptionError
        The engine or the meaning of a missing outcome is none of the words for it.
    """

    episodes: Path
    out: Path | None = None
    sessions: Path | None = None
    case_mix: Path | None = None
    missing_outcome: MissingOutcome = "not_recovered"
    outcome: str = "recovered"
    engine: Engine = "fast"
    nodes: int | None = None
    seed: int = 1
    overwrite: bool = False

    def __post_init__(self) -> None:
        refuse_other_words("missing_outcome", self.missing_outcome, MISSING_OUTCOMES)
        refuse_other_words("engine", self.engine, get_args(Engine))


def refuse_other_words(name: str, value: str, words: tuple[str, ...]) -> None:
    """Refuse a value that is none of the words for it.

    Raises
    ------
    OptionError
    """
    if value not in words:
        raise OptionError(f'{name} is "{value}"; it must be {" or ".join(words)}.')
