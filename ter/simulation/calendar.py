"""When treatments start: on working days, more in some months than in others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ter.simulation.parts import NetworkPlan

IntArray = NDArray[np.int64]
UIntArray = NDArray[np.uint64]

#: The mass of all starts: parts of it are whole numbers, so that no rounding depends on the machine.
MASS = 2**31


@dataclass(frozen=True, eq=False)
class Calendar:
    """The working days on which a treatment may start, D of them.

    Attributes
    ----------
    days : ndarray of int64, shape (D,)
        Days since 1970-01-01. If the period is a weekend, its days.
    mass : ndarray of uint64, shape (D + 1,)
        Before each day, and in all: of the starts of a therapist who is there throughout, out of `MASS`.
    entries : ndarray of uint64
        For equal parts of the mass, each with one change of the day at most: the later day, the earlier day
        (after the first; 16 bits each), and the mass at which the later one begins (32 bits).
    shift : uint64
        A part is 2**shift of mass.
    """

    days: IntArray
    mass: UIntArray
    entries: UIntArray
    shift: np.uint64

    @property
    def first_day(self) -> int:
        """The first of the days, since 1970-01-01."""
        return int(self.days[0])


def day_number(day: date) -> int:
    """Give the days since 1970-01-01."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


# Cached, because a study simulates one plan many times; a calendar is only read.
@lru_cache(maxsize=4)
def make_calendar(plan: NetworkPlan) -> Calendar:
    """Give the calendar of a scenario."""
    days = np.arange(day_number(plan.start), day_number(plan.last_start) + 1)
    working = (days + 3) % 7 < 5  # day 0 was a Thursday; Monday is 0
    days = days[working] if working.any() else days
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    weight = np.asarray(plan.season, dtype=np.float64)[month]
    mass = np.rint(np.concatenate([[0.0], np.cumsum(weight)]) / weight.sum() * MASS).astype(np.uint64)
    # Parts no wider than the least day, so that a part holds one change of the day at the most.
    shift = int(np.diff(mass.astype(np.int64)).min()).bit_length() - 1
    begins = np.arange(0, MASS, 1 << shift, dtype=np.uint64)
    earlier = np.searchsorted(mass, begins, side="right") - 1
    later = np.minimum(earlier + 1, days.size - 1)
    offset = (days - days[0]).astype(np.uint64)
    entries = (offset[later] << np.uint64(48)) | (offset[earlier] << np.uint64(32)) | mass[earlier + 1]
    return Calendar(days, mass, entries, np.uint64(shift))
