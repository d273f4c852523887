"""Work and yardsticks, timed in turn: on a noisy machine only their ratio means something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypeVar

from pytest_benchmark.fixture import BenchmarkFixture

Result = TypeVar("Result")


@dataclass(frozen=True)
class Yardstick:
    """Other work, timed before each round of the work that is measured.

    Attributes
    ----------
    name : str
    run : callable
    repeats : int
        Times a round.
    """

    name: str
    run: Callable[[], object]
    repeats: int = 3


@dataclass(frozen=True)
class Allowance:
    """A time that is allowed for the work, seconds."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Items:
    """What the work is done for: 10,000 patients."""

    count: int
    name: str


@dataclass(frozen=True)
class Row:
    """A line of the table of ratios; medians in seconds."""

    work: str
    median: float
    items: Items | None
    yardstick: str
    yardstick_median: float

    @property
    def ratio(self) -> float:
        """Time of the work in yardsticks: below 1 it is faster."""
        return self.median / self.yardstick_median


def measure(
    benchmark: BenchmarkFixture,
    work: Callable[[], Result],
    yardsticks: Sequence[Yardstick | Allowance],
    *,
    rounds: int,
    repeats: int = 1,
    items: Items | None = None,
    clock: Callable[[], float] = perf_counter,
) -> tuple[Result, list[Row]]:
    """Time work beside its yardsticks, all of them warm.

    Parameters
    ----------
    repeats : int
        Times a round, as of a yardstick. Where a yardstick empties the caches the first time is slow, and the
        median of three is not.
    clock : callable
        `time.process_time` for work on one thread: what others do on the machine then counts less.

    Returns
    -------
    result
        Of the work, to be checked.
    rows : list of Row
        One a yardstick; none if benchmarks are disabled. The ratios are also in ``benchmark.extra_info``.
    """
    timed = [yardstick for yardstick in yardsticks if isinstance(yardstick, Yardstick)]
    for yardstick in timed:
        yardstick.run()
    result = work()
    seconds: dict[str, list[float]] = {yardstick.name: [] for yardstick in timed}
    of_work: list[float] = []

    def timed_work() -> None:
        start = clock()
        work()
        of_work.append(clock() - start)

    def time_rest_of_round() -> None:
        for yardstick in timed:
            for _ in range(yardstick.repeats):
                start = clock()
                yardstick.run()
                seconds[yardstick.name].append(clock() - start)
        for _ in range(repeats - 1):
            timed_work()

    benchmark.pedantic(timed_work, setup=time_rest_of_round, rounds=rounds)
    if not benchmark.enabled:
        return result, []
    medians = {name: median(times) for name, times in seconds.items()}
    medians |= {allowed.name: allowed.seconds for allowed in yardsticks if isinstance(allowed, Allowance)}
    at_work = median(of_work)
    rows = [Row(benchmark.name, at_work, items, name, seconds) for name, seconds in medians.items()]
    benchmark.extra_info["ratios"] = {row.yardstick: row.ratio for row in rows}
    if items is not None:
        benchmark.extra_info[f"seconds a {items.name}"] = at_work / items.count
    return result, rows


def duration(seconds: float) -> str:
    """Write a time with three figures: ``"12.3 ms"``."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def table_of_ratios(rows: Sequence[Row]) -> list[str]:
    """Write the lines of the table, the header first."""
    cells: list[tuple[str, ...]] = [("work", "median", "each", "yardstick", "median", "ratio")]
    for row in rows:
        each = f"{duration(row.median / row.items.count)} a {row.items.name}" if row.items else ""
        cells.append(
            (
                row.work.removeprefix("test_"),
                duration(row.median),
                each,
                row.yardstick,
                duration(row.yardstick_median),
                f"{row.ratio:.3g}",
            )
        )
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
