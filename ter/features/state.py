"""The learned case mix as plain JSON, written exactly and read strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from ter.errors import ModelFileError, OptionError
from ter.features.learned import LearnedFactor, LearnedInteraction, LearnedMain, LearnedNumeric, LearnedTerm
from ter.features.terms import Factor, Linear, Spline

T = TypeVar("T")
State = tuple[tuple[LearnedTerm, ...], tuple[str, ...], tuple[tuple[str, str], ...], tuple[str, ...]]

_FORMAT = "ter case mix 1"


def write_state(
    terms: tuple[LearnedTerm, ...],
    columns: tuple[str, ...],
    dropped: tuple[tuple[str, str], ...],
    notes: tuple[str, ...],
) -> str:
    """Write a learned case mix.

    Parameters
    ----------
    terms : tuple of LearnedNumeric, LearnedFactor or LearnedInteraction
    columns : tuple of str
    dropped : tuple of (str, str)
    notes : tuple of str

    Returns
    -------
    str
        JSON; numbers are written so that they are read back to the same bits.
    """
    state = {
        "format": _FORMAT,
        "terms": [_write_term(term) for term in terms],
        "columns": columns,
        "dropped": dropped,
        "notes": notes,
    }
    return json.dumps(state, allow_nan=False)


def read_state(text: str) -> State:
    """Read a learned case mix.

    Parameters
    ----------
    text : str

    Returns
    -------
    terms, columns, dropped, notes
        The attributes of a `LearnedCaseMix`.

    Raises
    ------
    ModelFileError
        If the text is not exactly what `write_state` writes.
    """
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"The saved case mix is not JSON: {error}.") from error
    fields = _keys(state, ("format", "terms", "columns", "dropped", "notes"), "the case mix")
    if fields["format"] != _FORMAT:
        raise ModelFileError(
            f'The saved case mix has the format {fields["format"]!r}; this version of ter reads "{_FORMAT}".'
        )
    try:
        terms = _tuple(fields["terms"], _read_term, "terms")
    except OptionError as error:
        raise ModelFileError(f"The saved case mix holds a term that is none: {error}") from error
    columns = _tuple(fields["columns"], _text, "columns")
    dropped = _tuple(fields["dropped"], _pair, "dropped")
    gone = {name for name, _ in dropped}
    every = ("intercept", *(name for term in terms for name in term.names))
    if columns != tuple(name for name in every if name not in gone) or len(set(every)) != len(every):
        raise ModelFileError("The saved case mix is damaged: its columns are not those that its terms make.")
    return terms, columns, dropped, _tuple(fields["notes"], _text, "notes")


def _write_term(term: LearnedTerm) -> dict[str, object]:
    """Turn a learned term into plain JSON values."""
    if isinstance(term, LearnedInteraction):
        return {
            "kind": "interaction",
            "first": _write_term(term.first),
            "second": _write_term(term.second),
            "centre": term.centre,
            "scale": term.scale,
        }
    if isinstance(term, LearnedFactor):
        given = term.term.levels
        return {"kind": "factor", "column": term.term.column, "given": given, "levels": term.levels}
    numeric = {"centre": term.centre, "scale": term.scale, "missing": term.missing}
    if isinstance(term.term, Linear):
        return {"kind": "linear", "column": term.term.column, **numeric}
    return {"kind": "spline", "column": term.term.column, "df": term.term.df, "knots": term.knots, **numeric}


def _read_term(value: object) -> LearnedTerm:
    """Read any term."""
    if isinstance(value, dict) and value.get("kind") == "interaction":
        fields = _keys(value, ("kind", "first", "second", "centre", "scale"), "an interaction")
        first, second = _read_main(fields["first"]), _read_main(fields["second"])
        return _checked(
            LearnedInteraction(first, second, _numbers(fields["centre"]), _scales(fields["scale"])),
            len(first.proper) * len(second.proper),
        )
    return _read_main(value)


def _read_main(value: object) -> LearnedMain:
    """Read a term that is no interaction."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "factor":
        fields = _keys(value, ("kind", "column", "given", "levels"), "a factor")
        given = None if fields["given"] is None else _tuple(fields["given"], _text, "given")
        levels = _tuple(fields["levels"], _text, "levels")
        if not levels or len(set(levels)) != len(levels):
            raise ModelFileError("The saved case mix is damaged: the levels of a factor are not distinct.")
        return LearnedFactor(Factor(_text(fields["column"]), given), levels)
    names = ("kind", "column", "centre", "scale", "missing")
    if kind == "linear":
        fields = _keys(value, names, "a line")
        term: Linear | Spline = Linear(_text(fields["column"]))
        knots: tuple[float, ...] = ()
    elif kind == "spline":
        fields = _keys(value, (*names, "df", "knots"), "a spline")
        df = fields["df"]
        if isinstance(df, bool) or not isinstance(df, int):
            raise ModelFileError(f"The saved case mix is damaged: df is {df!r}.")
        term, knots = Spline(_text(fields["column"]), df), _numbers(fields["knots"])
        if len(knots) != df + 1 or any(b <= a for a, b in pairwise(knots)):
            raise ModelFileError("The saved case mix is damaged: the knots of a spline do not increase.")
    else:
        raise ModelFileError(f"The saved case mix holds a term of the unknown kind {kind!r}.")
    missing = fields["missing"]
    if not isinstance(missing, bool):
        raise ModelFileError(f"The saved case mix is damaged: missing is {missing!r}, not true or false.")
    learned = LearnedNumeric(term, knots, _numbers(fields["centre"]), _scales(fields["scale"]), missing)
    return _checked(learned, len(learned.proper))


_N = TypeVar("_N", LearnedNumeric, LearnedInteraction)


def _checked(term: _N, columns: int) -> _N:
    """Refuse a term that has not one mean and one scale for each column."""
    if not len(term.centre) == len(term.scale) == columns:
        raise ModelFileError(
            f"The saved case mix is damaged: the means of {term.term.name} are not {columns}."
        )
    return term


def _keys(value: object, names: tuple[str, ...], what: str) -> dict[str, object]:
    """Refuse an object that has not exactly these keys."""
    if not isinstance(value, dict) or set(value) != set(names):
        found = sorted(value) if isinstance(value, dict) else value
        raise ModelFileError(f"The saved case mix is damaged: {what} has the keys {names}, not {found!r}.")
    return value


def _tuple(value: object, read: Callable[[object], T], what: str) -> tuple[T, ...]:
    """Read a list, entry by entry."""
    if not isinstance(value, list):
        raise ModelFileError(f"The saved case mix is damaged: {what} is no list.")
    return tuple(read(entry) for entry in value)


def _text(value: object) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise ModelFileError(f"The saved case mix is damaged: {value!r} stands where a text belongs.")
    return value


def _pair(value: object) -> tuple[str, str]:
    """Read two texts."""
    pair = _tuple(value, _text, "dropped")
    if len(pair) != 2:
        raise ModelFileError("The saved case mix is damaged: a dropped column has a name and a reason.")
    return pair[0], pair[1]


def _number(value: object) -> float:
    """Read a finite number."""
    if not isinstance(value, float) or not math.isfinite(value):
        raise ModelFileError(f"The saved case mix is damaged: {value!r} stands where a number belongs.")
    return value


def _numbers(value: object) -> tuple[float, ...]:
    """Read a list of finite numbers."""
    return _tuple(value, _number, "a list of numbers")


def _scales(value: object) -> tuple[float, ...]:
    """Read a list of positive numbers."""
    scales = _numbers(value)
    if any(scale <= 0 for scale in scales):
        raise ModelFileError("The saved case mix is damaged: a scale is not positive.")
    return scales
