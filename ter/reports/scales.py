"""From numbers to places in a drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A linear scale across the width of a drawing.

    Attributes
    ----------
    low, high : float
        Its ends.
    """

    low: float
    high: float

    @classmethod
    def around(cls, values: list[float]) -> Scale:
        """Make a scale of percentages that holds all finite `values`, its ends multiples of ten.

        Parameters
        ----------
        values : list of float
            Percentages. Without a finite one the scale goes from 0 to 100.
        """
        finite = [value for value in values if math.isfinite(value)] or [0.0, 100.0]
        # Two points of room, so that a label at an end is not cut off.
        low = max(0, 10 * math.floor((min(finite) - 2) / 10))
        high = min(100, 10 * math.ceil((max(finite) + 2) / 10))
        return cls(low, max(high, low + 10))

    @property
    def ticks(self) -> list[int]:
        """Multiples of ten from end to end; of twenty where these would be more than eight."""
        span = round(self.high - self.low)
        return list(range(round(self.low), round(self.high) + 1, 10 if span <= 70 else 20))

    def at(self, value: float) -> float:
        """Place `value`, as a percentage of the width; beyond an end it stays at the end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)


def anchor(place: float) -> str:
    """Choose the SVG text anchor that keeps a label at `place` (percent of the width) inside the drawing."""
    if place < 18:
        return "start"
    return "end" if place > 82 else "middle"
