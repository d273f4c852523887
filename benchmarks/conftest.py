from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TypeVar

import numba
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from threadpoolctl import threadpool_limits

from benchmarks.problems import PROBLEMS, SMALL, Network, Problem, draw_network
from benchmarks.side_by_side import Allowance, Items, Row, Yardstick, measure, table_of_ratios

Result = TypeVar("Result")

ROWS = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--problem",
        action="append",
        choices=sorted(PROBLEMS),
        help=f"which problems of the registry to run; may be repeated (default: {SMALL.name})",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "problem_name" in metafunc.fixturenames:
        names = metafunc.config.getoption("problem") or [SMALL.name]
        metafunc.parametrize("problem_name", names, scope="session")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    if config.stash[ROWS]:
        terminalreporter.section("ratios, one thread (below 1: faster than the yardstick)")
        for line in table_of_ratios(config.stash[ROWS]):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread for the kernels and for the yardsticks' linear algebra: else ratios depend on the cores."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    with threadpool_limits(limits=1):
        yield
    numba.set_num_threads(threads)


@pytest.fixture(scope="session")
def problem(problem_name: str) -> Problem:
    return PROBLEMS[problem_name]


@pytest.fixture(scope="session")
def network(problem: Problem) -> Network:
    return draw_network(problem)


@pytest.fixture
def beside(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Callable[..., object]:
    """`measure`, with its rows kept for the table at the end."""

    def run(
        work: Callable[[], Result],
        *yardsticks: Yardstick | Allowance,
        rounds: int,
        repeats: int = 1,
        items: Items | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> Result:
        result, rows = measure(
            benchmark, work, yardsticks, rounds=rounds, repeats=repeats, items=items, clock=clock
        )
        request.config.stash[ROWS].extend(rows)
        return result

    return run
