"""The little that a report reads of a fit itself; the rest comes through the gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class MadeSettings:
    engine: str = "fast"
    outcome: str = "recovered"
    seed: int = 1


@dataclass(frozen=True)
class MadeFit:
    known_until: str = "2026-10-31"
    settings: MadeSettings = field(default_factory=MadeSettings)

    def save(self, path: Path) -> None:
        path.write_text("model")
