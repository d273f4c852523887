"""The terms of a case mix: small frozen objects that name columns. No text is ever evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ter.errors import OptionError

#: The fewest columns of a natural cubic spline: one interval in the middle and one at either end.
LEAST_DF = 3


@dataclass(frozen=True)
class Linear:
    """A straight line in a numeric column, standardised.

    Attributes
    ----------
    column : str

    Raises
    ------
    OptionError
        If the column is not a name.
    """

    column: str

    def __post_init__(self) -> None:
        _check_column(self.column)

    @property
    def name(self) -> str:
        """The word for the term in results: its column."""
        return self.column

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the table that the term reads."""
        return (self.column,)


@dataclass(frozen=True)
class Spline:
    """A natural cubic spline in a numeric column.

    Attributes
    ----------
    column : str
    df : int
        Columns that it makes: knots at the quantiles 0, 1/df, ..., 1 of the data that it is learned on.

    Raises
    ------
    OptionError
        If the column is not a name, or `df` is not a whole number of 3 or more.
    """

    column: str
    df: int = 4

    def __post_init__(self) -> None:
        _check_column(self.column)
        if isinstance(self.df, bool) or not isinstance(self.df, int) or self.df < LEAST_DF:
            raise OptionError(
                f'spline("{self.column}", df={self.df!r}): df must be a whole number of {LEAST_DF} or more; '
                f'for a straight line use linear("{self.column}").'
            )

    @property
    def name(self) -> str:
        """The word for the term in results: its column."""
        return self.column

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the table that the term reads."""
        return (self.column,)


@dataclass(frozen=True)
class Factor:
    """A categorical column, treatment-coded against its first level.

    Attributes
    ----------
    column : str
    levels : tuple of str or None
        The levels as text, the reference first; None takes them from the data, sorted.

    Raises
    ------
    OptionError
        If the column is not a name, or the levels are not distinct texts.
    """

    column: str
    levels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_column(self.column)
        if self.levels is None:
            return
        if not self.levels or not all(isinstance(level, str) for level in self.levels):
            raise OptionError(
                f'factor("{self.column}"): the levels must be texts, the reference first: ["0", "1"], '
                f"not {list(self.levels)!r}."
            )
        if len(set(self.levels)) != len(self.levels):
            raise OptionError(f'factor("{self.column}"): a level is named twice in {list(self.levels)!r}.')

    @property
    def name(self) -> str:
        """The word for the term in results: its column."""
        return self.column

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the table that the term reads."""
        return (self.column,)


@dataclass(frozen=True)
class Interaction:
    """The products of the columns of two terms.

    Attributes
    ----------
    first, second : Linear, Spline or Factor
        The two terms; they enter the model by themselves only if the case mix names them as well.

    Raises
    ------
    OptionError
        If a part is not a term of its own, or both read the same column.
    """

    first: MainTerm
    second: MainTerm

    def __post_init__(self) -> None:
        for part in (self.first, self.second):
            if not isinstance(part, Linear | Spline | Factor):
                raise OptionError(
                    f"interaction: {part!r} is no term; give two of linear(...), spline(...) and factor(...)."
                )
        if self.first.column == self.second.column:
            raise OptionError(f'interaction: both terms read the column "{self.first.column}".')

    @property
    def name(self) -> str:
        """The word for the term in results: ``"a:b"``."""
        return f"{self.first.name}:{self.second.name}"

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the table that the term reads."""
        return self.first.reads + self.second.reads


MainTerm = Linear | Spline | Factor
Term = Linear | Spline | Factor | Interaction


def linear(column: str) -> Linear:
    """Let a numeric column enter as a straight line.

    Parameters
    ----------
    column : str
        A numeric column; missing values get its mean and an indicator column.

    Returns
    -------
    Linear

    Raises
    ------
    OptionError
        If the column is not a name.
    """
    return Linear(column)


def spline(column: str, df: int = 4) -> Spline:
    """Let a numeric column enter as a natural cubic spline.

    Parameters
    ----------
    column : str
        A numeric column; missing values get the mean of the curve and an indicator column.
    df : int
        Columns that it makes, 3 or more.

    Returns
    -------
    Spline

    Raises
    ------
    OptionError
        If the column is not a name, or `df` is not a whole number of 3 or more.
    """
    return Spline(column, df)


def factor(column: str, levels: Sequence[str] | None = None) -> Factor:
    """Let a categorical column enter as 0/1 columns, one for each level but the first.

    Parameters
    ----------
    column : str
        Text, booleans ("False", "True") or whole numbers ("0", "1"); missing values are a level ``missing``.
    levels : sequence of str, optional
        The levels, the reference first. By default those of the data, sorted as text.

    Returns
    -------
    Factor

    Raises
    ------
    OptionError
        If the column is not a name, or the levels are not distinct texts.
    """
    if isinstance(levels, str):
        raise OptionError(f'factor("{column}"): levels must be a list of texts, not the text {levels!r}.')
    return Factor(column, None if levels is None else tuple(levels))


def interaction(first: MainTerm, second: MainTerm) -> Interaction:
    """Let the effect of one term depend on another: the products of their columns.

    Parameters
    ----------
    first, second : Linear, Spline or Factor

    Returns
    -------
    Interaction

    Raises
    ------
    OptionError
        If a part is not a term of its own, or both read the same column.
    """
    return Interaction(first, second)


def _check_column(column: object) -> None:
    """Refuse what is no column name."""
    if not isinstance(column, str) or not column:
        raise OptionError(f"A term needs the name of a column, a text; it got {column!r}.")
