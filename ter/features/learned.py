"""Terms as learned from data: knots, levels, means and scales, frozen for the rows to come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ter.errors import DataError
from ter.features.columns import MISSING, Table, coded, has_gaps, numbers, read_numbers
from ter.features.spline_basis import natural_spline, quantile_knots
from ter.features.terms import Factor, Interaction, Linear, MainTerm, Spline, Term

FloatArray = NDArray[np.float64]

#: More levels than this are ids or free text, not a case mix.
MOST_LEVELS = 100


@dataclass(frozen=True)
class LearnedNumeric:
    """A line or a spline, learned.

    Attributes
    ----------
    term : Linear or Spline
    knots : tuple of float
        Empty for a line.
    centre, scale : tuple of float
        Mean and standard deviation (divisor n) of each proper column over the known values; the scale of a
        constant column is 1. A missing value gets the mean.
    missing : bool
        Whether values were missing, so that there is an indicator column.
    """

    term: Linear | Spline
    knots: tuple[float, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    missing: bool

    @property
    def proper(self) -> tuple[str, ...]:
        """Names of the columns without the missing-indicator."""
        if isinstance(self.term, Linear):
            return (self.term.column,)
        return tuple(f"{self.term.column}[s{k + 1}]" for k in range(self.term.df))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return (*self.proper, f"{self.term.column}[{MISSING}]") if self.missing else self.proper

    @property
    def shift(self) -> FloatArray:
        """What is subtracted from each column, the indicator included."""
        return np.array((*self.centre, 0.0) if self.missing else self.centre)

    @property
    def divisor(self) -> FloatArray:
        """What each column is divided by, the indicator included."""
        return np.array((*self.scale, 1.0) if self.missing else self.scale)

    def encode(self, df: Table) -> FloatArray:
        """Columns before centring and scaling, shape (n, columns)."""
        x = numbers(df, self.term.column)
        known = ~np.isnan(x)
        if known.all() and not self.missing:
            return _basis(x, self.knots)
        proper = np.broadcast_to(np.array(self.centre), (len(x), len(self.centre))).copy()
        proper[known] = _basis(x[known], self.knots)
        return np.column_stack([proper, ~known]) if self.missing else proper

    def unseen(self, df: Table) -> dict[str, int]:
        """Missing values where none were missing when this was learned."""
        gaps = not self.missing and has_gaps(df, self.term.column)
        count = int(np.isnan(numbers(df, self.term.column)).sum()) if gaps else 0
        return {self.term.column: count}


@dataclass(frozen=True)
class LearnedFactor:
    """A factor, learned.

    Attributes
    ----------
    term : Factor
    levels : tuple of str
        The reference first; ``missing`` is among them if values were missing.
    """

    term: Factor
    levels: tuple[str, ...]

    @property
    def proper(self) -> tuple[str, ...]:
        """Names of the columns: a level's column is 1 where the row has that level."""
        return tuple(f"{self.term.column}[{level}]" for level in self.levels[1:])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return self.proper

    @property
    def shift(self) -> FloatArray:
        """What is subtracted from each column: nothing."""
        return np.zeros(len(self.levels) - 1)

    @property
    def divisor(self) -> FloatArray:
        """What each column is divided by: 1."""
        return np.ones(len(self.levels) - 1)

    def encode(self, df: Table) -> FloatArray:
        """Columns of 0 and 1, shape (n, columns)."""
        return np.equal.outer(np.arange(1, len(self.levels)), self.codes(df)).astype(np.float64).T

    def codes(self, df: Table) -> NDArray[np.int64]:
        """Position of each row's level, shape (n,)."""
        return self._codes(df)[0]

    def unseen(self, df: Table) -> dict[str, int]:
        """Rows whose level is none of those learned, or is missing where none was."""
        return {self.term.column: self._codes(df)[1]}

    def _codes(self, df: Table) -> tuple[NDArray[np.int64], int]:
        """Level of each row, and how many rows have a level that is not known."""
        codes, found = coded(df, self.term.column)
        fallback = self.levels.index(MISSING) if MISSING in self.levels else 0
        position = {level: i for i, level in enumerate(self.levels)}
        # The last entry serves the code -1, a missing value.
        known = np.array([*(level in position for level in found), MISSING in position])
        recode = np.array([*(position.get(level, fallback) for level in found), fallback], dtype=np.int64)
        return recode[codes], int((~known[codes]).sum())


LearnedMain = LearnedNumeric | LearnedFactor


@dataclass(frozen=True)
class LearnedInteraction:
    """An interaction, learned.

    The products are of the columns before centring, so that a coefficient means the same as in any other
    program; unless both parts are factors, the product is then standardised. Missing-indicators of numeric
    parts have no products.

    Attributes
    ----------
    first, second : LearnedNumeric or LearnedFactor
    centre, scale : tuple of float
        Of each product; 0 and 1 where both parts are factors.
    """

    first: LearnedMain
    second: LearnedMain
    centre: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def term(self) -> Interaction:
        """The term that was learned."""
        return Interaction(self.first.term, self.second.term)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(f"{a}:{b}" for a in self.first.proper for b in self.second.proper)

    @property
    def shift(self) -> FloatArray:
        """What is subtracted from each column."""
        return np.array(self.centre)

    @property
    def divisor(self) -> FloatArray:
        """What each column is divided by."""
        return np.array(self.scale)

    def encode(self, df: Table) -> FloatArray:
        """Columns before centring and scaling, shape (n, columns)."""
        return _products(self.first, self.second, df)

    def unseen(self, df: Table) -> dict[str, int]:
        """Values that the parts did not see."""
        return self.first.unseen(df) | self.second.unseen(df)


LearnedTerm = LearnedNumeric | LearnedFactor | LearnedInteraction


def width_of(term: Term, df: Table) -> int:
    """How many columns a term makes of rows, before it is learned on them."""
    if isinstance(term, Interaction):
        return _proper_width(term.first, df) * _proper_width(term.second, df)
    if isinstance(term, Factor):
        return _proper_width(term, df)
    return _proper_width(term, df) + has_gaps(df, term.column)


def learn_term(term: Term, df: Table, out: FloatArray | None = None) -> LearnedTerm:
    """Learn a term's knots, levels, means and scales.

    Parameters
    ----------
    term : Linear, Spline, Factor or Interaction
    df : DataFrame or TableView
        The rows to learn on, with the term's columns.
    out : ndarray, shape (n, width_of(term, df)), optional
        Takes the rows as the learned term encodes them, centred and scaled.

    Returns
    -------
    LearnedNumeric, LearnedFactor or LearnedInteraction

    Raises
    ------
    DataError
        If a column is not what the term needs: text for numbers, no known value, too few distinct values for
        the knots of a spline, or ids for a factor.
    """
    if isinstance(term, Factor):
        factor = LearnedFactor(term, _learn_levels(term, df))
        if out is not None:
            out[:] = factor.encode(df)
        return factor
    if not isinstance(term, Interaction):
        return _learn_numeric(term, df, out)
    first, second = _learn_main(term.first, df), _learn_main(term.second, df)
    products = _products(first, second, df)
    if isinstance(first, LearnedFactor) and isinstance(second, LearnedFactor):
        learned = LearnedInteraction(first, second, (0.0,) * products.shape[1], (1.0,) * products.shape[1])
    else:
        learned = LearnedInteraction(first, second, *_standard(products))
    if out is not None:
        out[:] = (products - learned.shift) / learned.divisor
    return learned


def carries_spline(x: FloatArray, df: int) -> bool:
    """Whether the knots of a spline are distinct.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Values, NaN where missing, at least one known.
    df : int

    Returns
    -------
    bool
    """
    return bool(np.all(np.diff(quantile_knots(x[~np.isnan(x)], df)) > 0))


def _learn_main(term: MainTerm, df: Table) -> LearnedMain:
    """Learn a part of an interaction."""
    if isinstance(term, Factor):
        return LearnedFactor(term, _learn_levels(term, df))
    return _learn_numeric(term, df)


def _learn_numeric(term: Linear | Spline, df: Table, out: FloatArray | None = None) -> LearnedNumeric:
    """Learn a line or a spline; `out` takes its columns."""
    from ter.kernels.moments import standardise

    # A line without gaps is standardised where it stands.
    x, complete = read_numbers(df, term.column, None if out is None or out.shape[1] > 1 else out[:, 0])
    there = np.ones(0, np.bool_) if complete else ~np.isnan(x)
    known = x if complete else x[there]
    if not known.size:
        raise DataError(f'The column "{term.column}" is empty in all {len(x)} modelled rows: leave it out.')
    if isinstance(term, Spline) and not carries_spline(known, term.df):
        knots = ", ".join(f"{knot:g}" for knot in quantile_knots(known, term.df))
        raise DataError(
            f'spline("{term.column}", df={term.df}) needs {term.df + 1} distinct knots, but the quantiles '
            f"of the {len(np.unique(known))} distinct values are {knots}: use fewer df, "
            f'linear("{term.column}") or factor("{term.column}").'
        )
    knots_ = tuple(quantile_knots(known, term.df).tolist()) if isinstance(term, Spline) else ()
    proper = _basis(known, knots_)
    centre, scale = _standard(proper)
    if out is not None:
        columns = out[:, : len(centre)]
        if not complete:
            # A missing value is taken for the mean: zero, once centred.
            columns[:] = 0.0
            columns[there] = (proper - centre) / scale
            out[:, len(centre)] = ~there
        else:
            for column, given, mean, sd in zip(columns.T, proper.T, centre, scale, strict=True):
                standardise(np.ascontiguousarray(given), mean, sd, column)
    return LearnedNumeric(term, knots_, centre, scale, not complete)


def _proper_width(term: MainTerm, df: Table) -> int:
    """Columns of a part, without a missing-indicator."""
    if isinstance(term, Factor):
        return len(_learn_levels(term, df)) - 1
    return 1 if isinstance(term, Linear) else term.df


def _learn_levels(term: Factor, df: Table) -> tuple[str, ...]:
    """Levels of a factor, ``missing`` last where a row has none of the others."""
    codes, found = coded(df, term.column)
    levels = term.levels or tuple(level for level in found if level != MISSING)
    if len(levels) > MOST_LEVELS:
        raise DataError(
            f'factor("{term.column}"): the column has {len(levels)} levels, more than {MOST_LEVELS}: '
            "group the rare ones, or leave it out."
        )
    outside = bool((codes < 0).any()) or any(level not in levels for level in found)
    return (*levels, MISSING) if outside and MISSING not in levels else levels


def _basis(x: FloatArray, knots: tuple[float, ...]) -> FloatArray:
    """Columns of a line (no knots) or of a spline."""
    return natural_spline(x, np.array(knots)) if knots else x[:, None]


def _standard(columns: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation (divisor n) of each column; 1 for the deviation of a constant column."""
    # Kernels take a while to load, and `ter --help` shall not wait for them.
    from ter.kernels.moments import moments

    found = [moments(np.ascontiguousarray(column)) for column in columns.T]
    return tuple(mean for mean, _ in found), tuple(sd or 1.0 for _, sd in found)


def _products(first: LearnedMain, second: LearnedMain, df: Table) -> FloatArray:
    """Products of the proper columns of two terms, the second's varying fastest."""
    a = first.encode(df)[:, : len(first.proper)]
    b = second.encode(df)[:, : len(second.proper)]
    products: FloatArray = (a[:, :, None] * b[:, None, :]).reshape(len(df), -1)
    return products
