"""The settings of the monthly job."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ter.errors import OptionError
from ter.options import CHECKS, GATE, MISSING_OUTCOMES, CheckName, MissingOutcome
from ter.ratings import RatingOptions
from ter.settings.fit import refuse_other_words
from ter.settings.toml import read_toml, refuse_unknown
from ter.sources import month_end

_WORDS: Final = {
    Path: "a path",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list of texts",
}


@dataclass(frozen=True)
class MonthSettings:
    """All that the monthly job is asked for. Every field is a key of the settings file.

    Attributes
    ----------
    episodes : Path
        The table of episodes.
    month : str
        ``"2026-10"``.
    sessions : Path or None
        The table of sessions, from which scores, counts and therapists are then derived.
    out : Path
        The report goes to ``out/2026-10/``.
    models : Path
        The fitted model goes to ``models/2026-10/``, outside `out`.
    case_mix : Path or None
        A file for `ter.settings.read_case_mix`; None for `CaseMix.default`.
    missing_outcome : {"not_recovered", "exclude"}
        What a missing last score means.
    completed : int
        Completed treatments that a rating takes; 10 or more.
    minimum : float or None
        The lowest TER that asks for nothing, percent.
    interval, support : float
        See `ter.rate`.
    seed : int
        Of the draws of the model.
    overwrite : bool
        Whether a month that is published already is replaced.
    accept_failed : tuple of str
        Checks of the model card whose failure does not stop the report, by name (`ter.options.CHECKS`).
    refits : bool
        Whether the model card fits the model again, to see how it does with therapists and months that it has
        not seen.

    Raises
    ------
    OptionError
        A value is of the wrong type or out of its range.
    """

    episodes: Path
    month: str
    sessions: Path | None = None
    out: Path = Path("reports")
    models: Path = Path("models")
    case_mix: Path | None = None
    missing_outcome: MissingOutcome = "not_recovered"
    completed: int = GATE
    minimum: float | None = None
    interval: float = 0.9
    support: float = 0.9
    seed: int = 1
    overwrite: bool = False
    accept_failed: tuple[CheckName, ...] = ()
    refits: bool = True

    def __post_init__(self) -> None:
        for name, value in _checked(dataclasses.asdict(self), "settings").items():
            object.__setattr__(self, name, value)
        month_end(self.month)
        refuse_other_words("missing_outcome", self.missing_outcome, MISSING_OUTCOMES)
        for name in self.accept_failed:
            refuse_other_words("accept_failed", name, CHECKS)
        # Refuses what is out of range before an hour of reading and fitting.
        RatingOptions(self.completed, self.minimum, self.interval, self.support)

    @classmethod
    def of(cls, file: str | Path | None = None, **given: Any) -> MonthSettings:
        """Take settings from a TOML file, and from what is given besides, which comes first.

        Parameters
        ----------
        file : path-like, optional
            Each key is a field. Relative paths are relative to the file's folder.
        **given
            Fields; None for one that is not given.

        Returns
        -------
        MonthSettings

        Raises
        ------
        OptionError
            The file cannot be read or has a key that is not known, a value is of the wrong type or out of its
            range, or the episodes or the month are not named.
        """
        settings = {} if file is None else _from_file(Path(file))
        settings |= {name: value for name, value in given.items() if value is not None}
        for name, example in (("episodes", "episodes.parquet"), ("month", "2026-10")):
            if name not in settings:
                raise OptionError(
                    f'Neither the command nor a settings file names the {name}: give it, such as "{example}".'
                )
        return cls(**settings)


def _from_file(path: Path) -> dict[str, Any]:
    content = read_toml(path)
    refuse_unknown(content, {field.name for field in dataclasses.fields(MonthSettings)}, str(path))
    return {
        name: path.parent / value if isinstance(value, Path) else value
        for name, value in _checked(content, str(path)).items()
    }


def _checked(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Convert texts to paths and whole numbers to numbers, and refuse values of any other wrong type."""
    hints = typing.get_type_hints(MonthSettings)
    return {
        name: _converted(value, _kinds(hints[name]), f"{where}: {name}") for name, value in values.items()
    }


def _kinds(hint: Any) -> tuple[type, ...]:
    """Give the types that a field may have: those of a union, the type of a literal's words, or the one."""
    if isinstance(hint, types.UnionType):
        return typing.get_args(hint)
    origin = typing.get_origin(hint)
    return (str,) if origin is typing.Literal else (origin or hint,)


def _converted(value: Any, kinds: tuple[type, ...], what: str) -> Any:
    if Path in kinds and isinstance(value, str) and value:
        return Path(value)
    if float in kinds and type(value) is int:
        return float(value)
    if tuple in kinds and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    # Not isinstance: true is no whole number. A path may be of any of its classes.
    if (type(value) in kinds and tuple not in kinds) or (Path in kinds and isinstance(value, Path)):
        return value
    words = next(word for kind, word in _WORDS.items() if kind in kinds)
    raise OptionError(f"{what} must be {words}, not {value!r}.")
