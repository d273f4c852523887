"""The case mix: what was known of a patient before the therapist could influence it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError, OptionError
from ter.features.collinear import redundant
from ter.features.columns import Table, is_empty, numbers, require
from ter.features.each import Each, in_turn
from ter.features.learned import LearnedTerm, carries_spline, learn_term, width_of
from ter.features.state import read_state, write_state
from ter.features.terms import Factor, Interaction, Linear, Spline, Term
from ter.schema import COLUMNS

FloatArray = NDArray[np.float64]

INTERCEPT: Final = "intercept"

#: What `CaseMix.default` takes of a table that has it.
DEFAULT_TERMS: Final[tuple[Term, ...]] = (
    Spline("phq9_first"),
    Spline("gad7_first"),
    Spline("wsas_first"),
    Spline("age"),
    Factor("gender"),
    Factor("ethnicity"),
    Linear("imd_decile"),
    Factor("employment"),
    Factor("long_term_condition"),
    Factor("medication"),
    Factor("problem"),
    Linear("prior_episodes"),
    Factor("modality"),
    Factor("step"),
    Linear("wait_days"),
)


@dataclass(frozen=True)
class CaseMix:
    """The terms that a rating adjusts for.

    Attributes
    ----------
    terms : tuple of Linear, Spline, Factor or Interaction
        Given as any sequence of them.
    when_present : bool
        Leave out, with a note, the terms whose columns the table lacks, and let a line stand for a spline
        that the data cannot carry; otherwise either is an error.

    Raises
    ------
    OptionError
        If something is not a term, a term is named twice, or a column is measured after allocation or is an
        id.

    Notes
    -----
    Nothing measured after a patient was allocated to a therapist may adjust a rating: sessions attended,
    missed appointments, end reason and last scores are partly the therapist's own work, and adjusting for
    them hides it.
    """

    terms: tuple[Term, ...]
    when_present: bool = False

    def __init__(self, terms: Iterable[Term], *, when_present: bool = False) -> None:
        object.__setattr__(self, "terms", tuple(terms))
        object.__setattr__(self, "when_present", when_present)
        for term in self.terms:
            if not isinstance(term, Linear | Spline | Factor | Interaction):
                raise OptionError(f"CaseMix: {term!r} is no term: use linear, spline, factor or interaction.")
        names = [term.name for term in self.terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise OptionError(f"CaseMix: named more than once: {', '.join(twice)}.")
        _refuse_late_columns(self.terms)

    @classmethod
    def default(cls) -> CaseMix:
        """Take what the table has of the usual case mix.

        Returns
        -------
        CaseMix
            PHQ-9, GAD-7, WSAS and age (splines), gender, ethnicity, deprivation, employment, long-term
            condition, medication, problem, prior episodes, modality, step and waiting time, as far as the
            table that it is learned on has them; what is left out or made simpler stands in the notes of what
            was learned.
        """
        return cls(DEFAULT_TERMS, when_present=True)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the table that the terms read, each once."""
        return tuple(dict.fromkeys(column for term in self.terms for column in term.reads))

    def learn(self, df: pd.DataFrame) -> LearnedCaseMix:
        """Learn knots, levels, means and scales.

        Parameters
        ----------
        df : DataFrame
            The rows to learn on: the modelled ones.

        Returns
        -------
        LearnedCaseMix
            Constant columns, and columns that are exact combinations of earlier ones (less than 1e-7 of their
            length is left beside them), are in `dropped` and not in `columns`.

        Raises
        ------
        DataError
            If there are no rows, a column is absent or is not what its term needs, or two columns of the
            model would have one name.
        """
        carried, notes = self.carried_by(df)
        return carried.learn_and_encode(df, notes)[0]

    def carried_by(self, df: Table) -> tuple[CaseMix, tuple[str, ...]]:
        """What a table can carry of the terms, if not all are asked for, and notes on the others.

        Raises
        ------
        DataError
            If there are no rows.
        """
        if not len(df):
            raise DataError("There are no rows to learn the case mix on.")
        if not self.when_present:
            return self, ()
        terms, notes = _present(self.terms, df)
        return CaseMix(terms), notes

    def learn_and_encode(
        self, df: Table, notes: tuple[str, ...] = (), each: Each = in_turn
    ) -> tuple[LearnedCaseMix, FloatArray]:
        """Learn all terms as `learn` does, and encode the same rows.

        Parameters
        ----------
        df : DataFrame or TableView
            With N rows.
        notes : tuple of str
            Of `carried_by`.
        each : callable
            How the terms are gone through.

        Returns
        -------
        LearnedCaseMix
        X : ndarray of float64, shape (N, P)
            As `LearnedCaseMix.encode` makes it, column by column in memory.
        """
        terms = self.terms
        require(df, tuple(column for term in terms for column in term.reads), "the case mix")
        X, slices = _columns(each(lambda term: width_of(term, df), terms), len(df))
        learned = tuple(each(lambda k: learn_term(terms[k], df, X[:, slices[k]]), range(len(terms))))
        every = (INTERCEPT, *(name for term in learned for name in term.names))
        twice = sorted({name for name in every if every.count(name) > 1})
        if twice:
            raise DataError(f"Two columns of the model would be called {', '.join(twice)}: rename a column.")
        single = tuple(
            (term.term.name, "one level only in the modelled rows") for term in learned if not term.names
        )
        dropped = single + redundant(X, every, each)
        gone = {name for name, _ in dropped}
        found = LearnedCaseMix(learned, tuple(name for name in every if name not in gone), dropped, notes)
        return found, found.keep(X)


@dataclass(frozen=True, eq=False)
class Encoded:
    """Rows as a model takes them.

    Attributes
    ----------
    X : ndarray of float64, shape (N, P)
        The intercept first.
    columns : tuple of str, length P
    unseen : tuple of (str, int)
        By column of the table: rows with a level, or a missing value, that did not occur while learning. They
        are encoded as missing, or, where nothing was missing, as the reference level or the mean.
    """

    X: FloatArray
    columns: tuple[str, ...]
    unseen: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class LearnedCaseMix:
    """A case mix, frozen: it encodes new rows exactly as the rows that it was learned on.

    Attributes
    ----------
    terms : tuple of LearnedNumeric, LearnedFactor or LearnedInteraction
    columns : tuple of str, length P
        Columns of the model, the intercept first.
    dropped : tuple of (str, str)
        Columns that carry nothing of their own, and why.
    notes : tuple of str
        What `CaseMix.default` left out or made simpler.
    """

    terms: tuple[LearnedTerm, ...]
    columns: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def centre(self) -> FloatArray:
        """What is subtracted from each column, shape (P,); 0 for the intercept and for dummies."""
        return np.concatenate([np.zeros(1), *(term.shift for term in self.terms)])[self._kept()]

    @property
    def scale(self) -> FloatArray:
        """What each column is then divided by, shape (P,); 1 for the intercept and for dummies."""
        return np.concatenate([np.ones(1), *(term.divisor for term in self.terms)])[self._kept()]

    @property
    def term_slices(self) -> dict[str, slice]:
        """The columns of each term: empty for a term that was dropped whole."""
        slices, start = {}, 1
        for term in self.terms:
            stop = start + sum(name in self.columns for name in term.names)
            slices[term.term.name] = slice(start, stop)
            start = stop
        return slices

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the table that the terms read, each once."""
        return tuple(dict.fromkeys(column for term in self.terms for column in term.term.reads))

    def encode(self, df: pd.DataFrame) -> Encoded:
        """Turn rows into columns of the model.

        Parameters
        ----------
        df : DataFrame
            With every column that the terms read.

        Returns
        -------
        Encoded

        Raises
        ------
        DataError
            If a column is absent, or holds text where the term needs numbers.
        """
        require(df, self.reads, "the case mix")
        unseen: dict[str, int] = {}
        for term in self.terms:
            unseen |= term.unseen(df)
        counted = tuple((column, count) for column, count in unseen.items() if count)
        return Encoded(self.columns_of(df), self.columns, counted)

    def columns_of(self, df: Table, each: Each = in_turn) -> FloatArray:
        """Columns of the model for rows that have every column that the terms read: shape (N, P)."""
        X, slices = _columns([len(term.names) for term in self.terms], len(df))

        def encode(k: int) -> None:
            term = self.terms[k]
            X[:, slices[k]] = (term.encode(df) - term.shift) / term.divisor

        each(encode, range(len(self.terms)))
        return self.keep(X)

    def keep(self, X: FloatArray) -> FloatArray:
        """The model's columns of all that the terms make, moved to the front of the same memory."""
        kept = self._kept()
        for k, j in enumerate(kept):
            if k != j:
                X[:, k] = X[:, j]
        return X[:, : len(kept)]

    def to_json(self) -> str:
        """Write the learned state as JSON.

        Returns
        -------
        str
            `from_json` gives back an equal object, which encodes to the same bits.
        """
        return write_state(self.terms, self.columns, self.dropped, self.notes)

    @classmethod
    def from_json(cls, text: str) -> LearnedCaseMix:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str

        Returns
        -------
        LearnedCaseMix

        Raises
        ------
        ModelFileError
            If the text is not exactly such a state: a key too many or too few, a wrong type, a number that is
            not finite, or columns that do not belong to the terms.
        """
        return cls(*read_state(text))

    def _kept(self) -> NDArray[np.int64]:
        """Positions of the model's columns among all that the terms make."""
        every = (INTERCEPT, *(name for term in self.terms for name in term.names))
        return np.array([j for j, name in enumerate(every) if name in set(self.columns)], dtype=np.int64)


def _columns(widths: Sequence[int], n: int) -> tuple[FloatArray, list[slice]]:
    """Room for the columns of terms behind the intercept, column by column in memory, and where each goes."""
    edges = np.cumsum([1, *widths])
    X = np.empty((n, edges[-1]), order="F")
    X[:, 0] = 1.0
    return X, [slice(a, b) for a, b in pairwise(edges.tolist())]


def _refuse_late_columns(terms: tuple[Term, ...]) -> None:
    """Refuse columns that the therapist had a hand in, and ids."""
    reads = dict.fromkeys(column for term in terms for column in term.reads)
    measured = {column: COLUMNS[column].measured for column in reads if column in COLUMNS}
    late = [column for column in reads if measured.get(column) == "after_allocation"]
    if late:
        raise OptionError(
            f"The case mix names {', '.join(late)}, measured after the patient was allocated to a therapist. "
            "It is partly the therapist's own work, and adjusting for it would hide that work: leave it out."
        )
    ids = [column for column in reads if measured.get(column) == "id"]
    if ids:
        raise OptionError(
            f"The case mix names {', '.join(ids)}, which identifies a row or a group: leave it out."
        )


def _present(terms: tuple[Term, ...], df: Table) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """Keep the terms that a table can carry, and say which it cannot."""
    kept: list[Term] = []
    absent: list[str] = []
    notes: list[str] = []
    for term in terms:
        gone = [column for column in term.reads if column not in df.columns]
        empty = [column for column in term.reads if not gone and is_empty(df, column)]
        if gone:
            absent += gone
        elif empty:
            notes.append(
                f"{term.name} is not in the case mix: {', '.join(empty)} is empty in every modelled row."
            )
        elif isinstance(term, Spline) and not carries_spline(numbers(df, term.column), term.df):
            kept.append(Linear(term.column))
            notes.append(f"{term.column} enters as a line: it has too few distinct values for a spline.")
        else:
            kept.append(term)
    if absent:
        notes.insert(0, f"Not in the table, and so not in the case mix: {', '.join(dict.fromkeys(absent))}.")
    return tuple(kept), tuple(notes)
