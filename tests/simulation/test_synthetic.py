"""The committed synthetic network is what its scenario and its seed make."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from ter.simulation import count_outcomes, read_scenario, simulate, write_simulation
from ter.sources import as_known_at, month_end, read_episodes, read_sessions

FOLDER = Path(__file__).parents[2] / "data" / "synthetic"


@pytest.fixture(scope="module")
def sim():
    scenario, seed = read_scenario(FOLDER / "scenario.json")
    return simulate(scenario, seed, sessions=True)


def test_regenerated_it_is_the_same(sim, tmp_path):
    write_simulation(sim, tmp_path)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {path.name for path in FOLDER.iterdir()} - {"README.md"}
    assert_frame_equal(read_episodes(FOLDER / "episodes.parquet"), sim.episodes)
    assert_frame_equal(read_sessions(FOLDER / "sessions.parquet"), sim.sessions)
    for name in sorted(written - {"SHA256SUMS"}):
        read = (
            pd.read_parquet if name.endswith(".parquet") else pd.read_csv if name.endswith(".csv") else None
        )
        if read is None:
            assert (tmp_path / name).read_text(encoding="utf-8") == (FOLDER / name).read_text(
                encoding="utf-8"
            )
            continue
        # Content, not bytes: Parquet's differ between versions of pyarrow. The truth is computed by libm's
        # logarithm and exponential, whose last bit may differ between machines.
        assert_frame_equal(read(tmp_path / name), read(FOLDER / name), check_exact=False, rtol=1e-12)


def test_checksums():
    lines = (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(sums) == {path.name for path in FOLDER.iterdir()} - {"README.md", "SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name


def test_size():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000


def test_therapists_on_both_sides_of_the_gate(sim):
    known = as_known_at(read_episodes(FOLDER / "episodes.parquet"), month_end("2026-10"))
    completed = known.groupby("therapist_id")["completed"].sum()
    assert known["service_id"].nunique() == 12
    assert len(completed) == 150
    assert abs(len(known) - 6000) < 100
    assert {9, 10, 11} <= set(completed)
    assert 1 <= (completed == 0).sum() <= 2
    assert 10 <= (completed < 10).sum() <= 40
    counts = count_outcomes(sim.scenario, sim.seed).set_index("therapist_id")
    assert np.array_equal(counts["n_completed"], completed.reindex(counts.index))


def test_the_readme_names_the_seed(sim):
    assert f"--seed {sim.seed} " in (FOLDER / "README.md").read_text(encoding="utf-8")
