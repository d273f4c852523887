"""What may stand in a scenario: checks that refuse with the reason."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

from ter.errors import OptionError

# So many letters of a value stand in a message.
_SHOWN = 80


def shown(value: object) -> str:
    """Give a value as it stands in a message: cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of lists in lists
        return f"a value of type {type(value).__name__} too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def check_number(name: str, value: float, low: float = -math.inf, high: float = math.inf) -> None:
    """Refuse a number that is not finite or not from `low` to `high`."""
    # A whole number is finite, though it may be too large for `math.isfinite`.
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and not (isinstance(value, float) and math.isfinite(value)):
        raise OptionError(f"{name} must be a finite number, not {shown(value)}.")
    if not low <= value <= high:
        number = shown(value if whole else float(value))
        raise OptionError(f"{name} is {number}; it must lie between {low} and {high}.")


def check_count(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is not a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"{name} must be a whole number, not {shown(value)}.")
    check_number(name, value, low, high)


def check_shares(name: str, shares: tuple[float, ...]) -> None:
    """Refuse shares that are negative, none, or do not sum to 1."""
    if not shares:
        raise OptionError(f"{name} is empty; it needs at least one share.")
    for k, share in enumerate(shares):
        check_number(f"share of {name}[{k}]", share, 0, 1)
    if abs(math.fsum(shares) - 1) > 1e-6:
        raise OptionError(f"The shares of {name} sum to {math.fsum(shares):.6g}, not to 1.")


def check_distinct(name: str, values: tuple[str, ...]) -> None:
    """Refuse names that repeat, and the name that fits give to what is not recorded."""
    if "missing" in values:
        raise OptionError(
            f'{name} has the name "missing", which is for what is not recorded: leave it empty.'
        )
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise OptionError(f"{name} names the same thing twice: {', '.join(map(repr, twice))}.")


def check_text(name: str, value: str) -> None:
    """Refuse what is not text."""
    if not isinstance(value, str):
        raise OptionError(f"{name} must be text, not {shown(value)}.")
    if not value.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise OptionError(f"{name} is {shown(value)}, which holds half of a letter and cannot be written.")


def check_kind(name: str, value: object, kind: type) -> None:
    """Refuse what is not of a kind of part."""
    if not isinstance(value, kind):
        raise OptionError(f"{name} must be of type {kind.__name__}, not {shown(value)}.")


def check_tuple(name: str, values: tuple[Any, ...], kind: type | None = None) -> None:
    """Refuse what is not a tuple, or not of a kind of part: a scenario is frozen with all it holds."""
    if not isinstance(values, tuple):
        raise OptionError(f"{name} must be a tuple, not {shown(values)}.")
    for k, value in enumerate(values):
        if kind is not None:
            check_kind(f"{name}[{k}]", value, kind)


def check_date(name: str, value: date) -> None:
    """Refuse what is not a date, or is a time as well."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise OptionError(f"{name} must be a date such as datetime.date(2024, 11, 1), not {shown(value)}.")
