"""A small network as files, and the command line in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from typer.testing import CliRunner, Result

from ter.cli import app

#: Few terms, so that a network of this size carries the model.
CASE_MIX = '[[term]]\nlinear = "phq9_first"\n\n[[term]]\nlinear = "age"\n'
MONTH = "2026-08"
#: Without them the scores of depression and GAD-7 alone decide.
NO_ANXIETY = ["anxiety_measure", "anxiety_first", "anxiety_last"]


@dataclass(frozen=True)
class Files:
    """Where the tables of a test are, and where its output goes."""

    folder: Path

    @property
    def episodes(self) -> Path:
        return self.folder / "episodes.csv"

    @property
    def out(self) -> Path:
        return self.folder / "reports"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    def write(self, episodes: pd.DataFrame) -> None:
        episodes.to_csv(self.episodes, index=False)

    def arguments(self, *options: str, month: str = MONTH) -> list[str]:
        """Arguments of ``ter`` for a report on the episodes."""
        places = ("--out", str(self.out), "--models", str(self.models))
        case_mix = ("--case-mix", str(self.folder / "case_mix.toml"))
        return ["report", str(self.episodes), "--month", month, *case_mix, *places, *options]

    def report(self, *options: str, month: str = MONTH) -> Result:
        """Run ``ter report`` on the episodes."""
        return ter_command(*self.arguments(*options, month=month))

    @property
    def written(self) -> list[Path]:
        """All files under the folders of the output."""
        return [path for place in (self.out, self.models) for path in place.rglob("*") if path.is_file()]


def ter_command(*arguments: str) -> Result:
    """Run ``ter`` in this process."""
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)
