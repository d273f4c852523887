"""How the random factors of a design stand to each other, which decides how they are integrated."""

from __future__ import annotations

from enum import Enum

import numpy as np

from ter.features.design import Design, Grouping
from ter.kernels.runs import has_homes


class Structure(Enum):
    """The structure of a design's factors; its value is the word for it in results."""

    ONE = "one factor"
    #: Every therapist in one service.
    NESTED = "nested: every therapist in one service"
    #: The factors' names are the other way round.
    NESTED_REVERSED = "nested: every service with one therapist"
    #: Both: the effects of therapist and service only ever come together.
    SAME = "one to one: every therapist in one service, every service with one therapist"
    CROSSED = "crossed"

    @property
    def nested(self) -> bool:
        """Whether one of the two factors lies within the other."""
        return self in (Structure.NESTED, Structure.NESTED_REVERSED)


def structure_of(design: Design) -> Structure:
    """The structure of the therapists and services of a design, from its modelled rows."""
    if design.service is None:
        return Structure.ONE
    inside = is_within(design.therapist, design.service)
    around = is_within(design.service, design.therapist)
    if inside and around:
        return Structure.SAME
    if inside:
        return Structure.NESTED
    return Structure.NESTED_REVERSED if around else Structure.CROSSED


def is_within(inner: Grouping, outer: Grouping) -> bool:
    """Whether every level of `inner` that has modelled rows lies in a single level of `outer`."""
    return bool(has_homes(inner.index, outer.index, np.full(len(inner.levels), -1, np.int64)))


def has_more_effects(design: Design) -> bool:
    """Whether the model has more than one effect a therapist and one a service."""
    return design.severity is not None or design.further is not None
