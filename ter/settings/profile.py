"""The settings of a profile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ter.errors import OptionError
from ter.features import CaseMix, Factor, Linear, factor, linear
from ter.ratings import RatingOptions


@dataclass(frozen=True)
class ProfileSettings:
    """All that a profile of units, rated from their counts, is asked for.

    Attributes
    ----------
    counts : Path
        A table with a row, or with the case mix several rows, for each unit.
    unit, trials, recovered : str
        The columns of the unit, of its patients and of those who recovered.
    out : Path
        The directory of the profile.
    completed : str or None
        The column of completed treatments, which the gate looks at; None for `trials`.
    where : tuple of (str, str)
        Columns and the text that each must hold in the rows that count.
    case_mix : CaseMix or None
    minimum : float or None
        The lowest rating that asks for nothing, percent.
    interval : float
        Posterior probability of every interval.
    seed : int
        Of the draws of the model.
    label : str
        What one unit is called.
    title : str
        The heading of the page.
    overwrite : bool

    Raises
    ------
    OptionError
        A value is out of its range.
    """

    counts: Path
    unit: str
    trials: str
    recovered: str
    out: Path
    completed: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    case_mix: CaseMix | None = None
    minimum: float | None = None
    interval: float = 0.9
    seed: int = 1
    label: str = "unit"
    title: str = ""
    overwrite: bool = False

    def __post_init__(self) -> None:
        RatingOptions(minimum=self.minimum, interval=self.interval)
        if not self.label.strip():
            raise OptionError(
                'The label says what one unit is called, such as "provider"; it may not be empty.'
            )

    @property
    def heading(self) -> str:
        """The heading of the page: the title, or one made of the label and the conditions."""
        return self.title or ": ".join(filter(None, (f"Recovery by {self.label}", self.conditions)))

    @property
    def conditions(self) -> str:
        """The rows that count, in words: ``"reporting_period = 2023-24"``; empty for all of them."""
        return ", ".join(f"{column} = {value}" for column, value in self.where)

    @property
    def adjusted_for(self) -> tuple[str, ...]:
        """The columns of the case mix."""
        return () if self.case_mix is None else tuple(self.case_mix.reads)


def parse_where(conditions: list[str]) -> tuple[tuple[str, str], ...]:
    """Read conditions such as ``"reporting_period=2023-24"``.

    Parameters
    ----------
    conditions : list of str

    Returns
    -------
    tuple of (str, str)
        Columns and values.

    Raises
    ------
    OptionError
        A condition has no column or no equals sign.
    """
    parsed = []
    for condition in conditions:
        column, equals, value = condition.partition("=")
        if not equals or not column:
            raise OptionError(
                f'"{condition}" is no condition; write column=value, "reporting_period=2023-24".'
            )
        parsed.append((column, value))
    return tuple(parsed)


def profile_case_mix(linears: list[str], factors: list[str]) -> CaseMix | None:
    """Make the case mix of a profile from names of columns; None if there are none.

    Parameters
    ----------
    linears, factors : list of str

    Returns
    -------
    CaseMix or None

    Raises
    ------
    OptionError
        A column is named twice, or may not adjust a rating.
    """
    terms: list[Linear | Factor] = [*map(linear, linears), *map(factor, factors)]
    return CaseMix(terms) if terms else None
