"""A run of the report dies by ``kill -9``, at random instants and at every rename: the month stays whole.

The runs are forked from one process that has everything imported, so that each takes no start-up.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ter
from ter.reports.exchange import exchange

DRIVER = Path(__file__).with_name("crash_driver.py")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges directories")
def test_directories_are_exchanged(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists()
    assert (tmp_path / "b" / "a").exists()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "nowhere")


@pytest.mark.parametrize("mode", ["random", "exchange", "renames"])
def test_a_crash_leaves_the_month_whole(tmp_path: Path, mode: str) -> None:
    done = subprocess.run(
        [sys.executable, str(DRIVER), mode, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(ter.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # The driver says how many runs it killed, so that a driver which kills none is no success.
    killed = int(done.stdout.split()[-1])
    assert killed >= {"random": 5, "exchange": 4, "renames": 8}[mode]
