"""Compare the benchmarks' ratios with the saved ones: has anything become slower?

    .venv/bin/python -m benchmarks.compare                   # runs what is saved, and compares
    .venv/bin/python -m benchmarks.compare --results FILE    # compares what --benchmark-json wrote
    .venv/bin/python -m benchmarks.compare --save            # saves the ratios as the new baseline

Only ratios are compared, never times: each is of work and a yardstick that took turns. It fails if a ratio
has worsened by more than a quarter, or if a benchmark or one of its yardsticks has disappeared. A new one
is told of, and passes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BASELINE = Path(__file__).with_name("baseline.json")
#: A ratio may be so many times the saved one.
ALLOWED = 1.25
#: What is run when no results are given: the benchmarks of the simulation, at the size of their figures.
RUN = ("benchmarks/test_simulate.py", "--benchmark-only", "--problem", "caseloads", "-q")

Ratios = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Finding:
    """What came of one ratio.

    Attributes
    ----------
    benchmark, yardstick : str
    saved, now : float or None
        None: it is not there.
    """

    benchmark: str
    yardstick: str
    saved: float | None
    now: float | None

    @property
    def fails(self) -> bool:
        """Whether it has disappeared or worsened too much."""
        if self.saved is None:
            return False
        return self.now is None or not self.now <= ALLOWED * self.saved

    def __str__(self) -> str:
        what = f"{self.benchmark} beside {self.yardstick}"
        if self.saved is None:
            return f"new   {what}: {self.now:.3g}"
        if self.now is None:
            return f"GONE  {what}: was {self.saved:.3g}"
        change = f"{what}: {self.saved:.3g} -> {self.now:.3g} ({self.now / self.saved - 1:+.0%})"
        return f"{'SLOW' if self.fails else 'ok':6}{change}"


def ratios_of(results: Mapping[str, object]) -> dict[str, dict[str, float]]:
    """Read the ratios of each benchmark from what ``--benchmark-json`` wrote."""
    benchmarks = results["benchmarks"]
    assert isinstance(benchmarks, list)
    return {b["name"]: dict(b["extra_info"]["ratios"]) for b in benchmarks if "ratios" in b["extra_info"]}


def compare(saved: Ratios, now: Ratios) -> list[Finding]:
    """Compare ratio by ratio, the saved ones first."""
    pairs = [(name, yardstick) for name, row in saved.items() for yardstick in row]
    pairs += [(n, y) for n, row in now.items() for y in row if y not in saved.get(n, {})]
    return [Finding(n, y, saved.get(n, {}).get(y), now.get(n, {}).get(y)) for n, y in pairs]


def run_benchmarks() -> dict[str, dict[str, float]]:
    """Run the benchmarks and give their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", *RUN, f"--benchmark-json={path}"]
        done = subprocess.run(command, cwd=BASELINE.parents[1], check=False)
        if done.returncode:
            raise SystemExit("The benchmarks failed: there is nothing to compare.")
        return ratios_of(json.loads(path.read_text(encoding="utf-8")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Give 0 if all is as fast as it was, 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, help="a file that --benchmark-json wrote")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--save", action="store_true", help="save the ratios instead of comparing")
    asked = parser.parse_args(arguments)
    if asked.results:
        now = ratios_of(json.loads(asked.results.read_text(encoding="utf-8")))
    else:
        now = run_benchmarks()
    if asked.save:
        rounded = {n: {y: float(f"{r:.3g}") for y, r in row.items()} for n, row in now.items()}
        asked.baseline.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
        print(f"Saved {sum(map(len, now.values()))} ratios in {asked.baseline}.")
        return 0
    findings = compare(json.loads(asked.baseline.read_text(encoding="utf-8")), now)
    print("\n".join(map(str, findings)))
    bad = sum(finding.fails for finding in findings)
    print(f"{len(findings)} ratios, {bad} worse than {ALLOWED:.2f} times the saved one or gone.")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
