"""How work that falls into parts is gone through: one part after the other, or as the caller says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


class Each(Protocol):
    """Results of `work` for each part, in the order of the parts; on several threads, if it likes."""

    def __call__(self, work: Callable[[Part], Result], parts: Sequence[Part], /) -> list[Result]:
        """Go through the parts."""
        ...


def in_turn(work: Callable[[Part], Result], parts: Sequence[Part], /) -> list[Result]:
    """Go through the parts one after the other."""
    return [work(part) for part in parts]
