"""How ratings are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ter.errors import OptionError
from ter.options import GATE

#: Fewer patients than this are described neither by their case mix nor by their outcomes: NHS statistics
#: suppress counts below 5.
SMALLEST_GROUP: Final = 5


@dataclass(frozen=True)
class RatingOptions:
    """The gate, the minimum and the width of intervals.

    Attributes
    ----------
    completed : int
        Completed treatments that a rating takes; 10 or more.
    minimum : float or None
        The lowest TER that asks for nothing, percent.
    interval : float
        Posterior probability of every interval.
    support : float
        The probability of a TER below the minimum from which support is offered.

    Raises
    ------
    OptionError
        If the gate is lowered, the minimum is no percentage, or a probability is not between 0 and 1.
    """

    completed: int = GATE
    minimum: float | None = None
    interval: float = 0.9
    support: float = 0.9

    def __post_init__(self) -> None:
        if isinstance(self.completed, bool) or not isinstance(self.completed, int) or self.completed < GATE:
            raise OptionError(
                f"completed={self.completed!r}: nobody is rated before {GATE} completed treatments; "
                "the gate can be raised, not lowered."
            )
        if self.minimum is not None and not (_is_number(self.minimum) and 1 <= self.minimum < 100):
            raise OptionError(
                f"minimum={self.minimum!r}: the lowest TER that asks for nothing is a percentage from 1 to "
                "99, such as 45 (not 0.45)."
            )
        for name, value in (("interval", self.interval), ("support", self.support)):
            if not (_is_number(value) and 0 < value < 1):
                raise OptionError(f"{name}={value!r} must be a probability between 0 and 1, such as 0.9.")

    @property
    def quantiles(self) -> tuple[float, float]:
        """Probabilities at the ends of the interval: 0.05 and 0.95 of a 90% interval."""
        return (1 - self.interval) / 2, (1 + self.interval) / 2

    @property
    def quantile_names(self) -> tuple[str, str]:
        """Names of the ends: ``q05`` and ``q95``; ``q025`` and ``q975`` of a 95% interval."""
        low, high = (_digits(p) for p in self.quantiles)
        return f"q{low}", f"q{high}"


def _digits(p: float) -> str:
    """Write the decimals of a probability, two at least: 05, 95, 025."""
    # Rounded where 1 - 0.9 is not exactly 0.1.
    return f"{p:.10f}".removeprefix("0.").rstrip("0").ljust(2, "0")


def _is_number(value: object) -> bool:
    """Whether a value is a finite number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
