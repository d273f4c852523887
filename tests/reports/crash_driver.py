"""Kills runs of `write_report`, and checks what each of them leaves. See test_crashes.py."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from made_fit import MadeFit
from made_publication import make_publication

from ter.reports import monthly, publishing
from ter.reports.pages import Edition, index_page
from ter.reports.publishing import verify
from ter.reports.words import THERAPISTS

EDITIONS = [make_publication(60, seed=seed) for seed in (1, 2)]
EDITIONS = [replace(edition, fingerprint=str(i) * 64) for i, edition in enumerate(EDITIONS)]


#: The mode "renames" is that of systems that cannot exchange two directories in one step.
CAN_EXCHANGE = sys.argv[1] != "renames"
if not CAN_EXCHANGE:
    publishing.exchange = lambda a, b: False

PAGE = index_page(EDITIONS[0], Edition("October 2026", "2026-10", "", THERAPISTS), {})


def write(out: Path, edition: int) -> None:
    monthly.publish = lambda fit, ratings, *given: EDITIONS[edition]
    # Drawing takes most of the time and touches no file: the runs share one drawn page.
    monthly.index_page = lambda *_: PAGE
    monthly.write_report(MadeFit(), None, "2026-10", out / "reports", models=out / "models", overwrite=True)


def run_and_die(work: Callable[[], None], kill_after: float | None) -> bool:
    """Run in a fork; kill it after so many seconds, unless it kills itself. Return whether it was killed."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or os.waitstatus_to_exitcode(status) == 0
    return killed


def die_at_rename(out: Path, edition: int, nth: int, *, after: bool) -> None:
    """Write a report, and die right before or right after the nth rename."""
    rename, count = Path.rename, 0

    def counted(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == nth and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        moved = rename(self, target)
        if count == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return moved

    Path.rename = counted
    write(out, edition)


def die_at_exchange(out: Path, edition: int, nth: int, *, after: bool) -> None:
    """Write a report, and die right before or right after the nth exchange of directories."""
    exchange, count = publishing.exchange, 0

    def counted(a: Path, b: Path) -> bool:
        nonlocal count
        count += 1
        if count == nth and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = exchange(a, b)
        if count == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    publishing.exchange = counted
    write(out, edition)


def check(out: Path, old: str, new: str) -> str:
    """Check that one whole month is there: in its place, or put back there by the next run. Return which."""
    month = out / "reports" / "2026-10"
    if not CAN_EXCHANGE and not month.exists():
        aside = out / "reports" / ".2026-10.aside"
        verify(aside)
        month = aside
    verify(month)
    found = (month / "manifest.json").read_text()
    (edition,) = [digit for digit in (old, new) if digit * 64 in found]
    return edition


def main(mode: str, out: Path) -> None:
    write(out, 0)
    start = time.perf_counter()
    write(out, 0)
    duration = time.perf_counter() - start
    current, killed = "0", 0
    plan: list[tuple[int, bool] | float]
    if mode == "random":
        chance = random.Random(1)
        plan = [chance.uniform(0, 1.2 * duration) for _ in range(20)]
    else:
        # The model has as many as the month: three renames (aside, in place, to the trash) or one exchange.
        plan = [(nth, after) for nth in range(1, 3 if CAN_EXCHANGE else 7) for after in (False, True)]
    die = die_at_exchange if CAN_EXCHANGE else die_at_rename
    for i, step in enumerate(plan):
        other = "1" if current == "0" else "0"
        if isinstance(step, tuple):
            killed += run_and_die(lambda: die(out, int(other), step[0], after=step[1]), None)  # noqa: B023
        else:
            killed += run_and_die(lambda: write(out, int(other)), step)  # noqa: B023
        current = check(out, current, other)
        if mode == "random" and i % 5 != 4:
            continue  # the next run, which dies as well, has to cope with what is left
        # A run that lives mends whatever was left, and leaves nothing but what it published.
        write(out, int(current))
        verify(out / "reports" / "2026-10")
        assert [path.name for path in (out / "reports").iterdir()] == ["2026-10"]
        assert [path.name for path in (out / "models").iterdir()] == ["2026-10"]
        assert (out / "models" / "2026-10" / "model.ter").read_text() == "model"
    print("killed", killed)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
