"""Progress on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from ter.jobs import Progress

#: A plain line is written each time that another such share of a step is done.
_SHARE = 0.25


@contextlib.contextmanager
def shown() -> Iterator[Progress]:
    """Give a progress that is shown while the block runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    # Imported here because `ter --help` should not wait for it.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counted]}", markup=False),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as bars:
        progress = _Bars(bars)
        yield progress
        progress.finish()


class _Lines:
    """One line a step, and one for every quarter of a step that counts."""

    def __init__(self) -> None:
        self._told = 0.0
        self._counted = ""

    def step(self, text: str, counted: str = "") -> None:
        self._told, self._counted = 0.0, counted
        typer.echo(f"{text} …", err=True)

    def count(self, done: int, of: int) -> None:
        if done / of >= self._told + _SHARE:
            self._told = done / of // _SHARE * _SHARE
            typer.echo(f"  {done:,} of {of:,} {self._counted}".rstrip(), err=True)

    def note(self, text: str) -> None:
        typer.echo(text, err=True)


class _Bars:
    """One bar a step; it moves where the step counts, and swings where it does not."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def step(self, text: str, counted: str = "") -> None:
        self.finish()
        self._task = self._bars.add_task(text, total=None, counted=counted)

    def count(self, done: int, of: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=of)

    def note(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def finish(self) -> None:
        """Fill the bar of the step that has ended."""
        if self._task is not None:
            task = next(task for task in self._bars.tasks if task.id == self._task)
            total = task.total or 1
            self._bars.update(self._task, completed=total, total=total)
