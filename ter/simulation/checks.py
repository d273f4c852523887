"""What may stand in a scenario: checks that refuse with the reason."""

from __future__ import annotations

import math

from ter.errors import OptionError


def check_number(name: str, value: float, low: float = -math.inf, high: float = math.inf) -> None:
    """Refuse a number that is not finite or not from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise OptionError(f"{name} must be a finite number, not {value!r}.")
    if not low <= value <= high:
        raise OptionError(f"{name} is {value}; it must lie between {low} and {high}.")


def check_count(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is not a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"{name} must be a whole number, not {value!r}.")
    check_number(name, value, low, high)


def check_shares(name: str, shares: tuple[float, ...]) -> None:
    """Refuse shares that are negative, none, or do not sum to 1."""
    if not shares:
        raise OptionError(f"{name} is empty; it needs at least one share.")
    for k, share in enumerate(shares):
        check_number(f"{name}[{k}]", share, 0, 1)
    if abs(math.fsum(shares) - 1) > 1e-6:
        raise OptionError(f"The shares of {name} sum to {math.fsum(shares):.6g}, not to 1.")


def check_distinct(name: str, values: tuple[str, ...]) -> None:
    """Refuse names that repeat."""
    if len(set(values)) < len(values):
        raise OptionError(f"{name} names the same thing twice: {', '.join(sorted(values))}.")
