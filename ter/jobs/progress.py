"""How a job tells how far it is."""

from __future__ import annotations

from typing import Final, Protocol


class Progress(Protocol):
    """Hears of the steps of a job."""

    def step(self, text: str, counted: str = "") -> None:
        """Hear what the job does now, in a few words, and what `count` counts in this step."""

    def count(self, done: int, of: int) -> None:
        """Hear how much of this step is done."""

    def note(self, text: str) -> None:
        """Hear what whoever started the job should know; it is no error."""


class _Silent:
    """Tells nobody."""

    def step(self, text: str, counted: str = "") -> None:
        """Do nothing."""

    def count(self, done: int, of: int) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


SILENT: Final[Progress] = _Silent()
