"""A streamed network is the simulated one, whole or not at all, in memory that does not grow."""

import hashlib
import tracemalloc

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from ter.errors import OptionError
from ter.simulation import (
    Scenario,
    simulate,
    stream_episodes,
    stream_simulation,
    streaming,
    write_simulation,
)
from ter.sources import read_episodes

SCENARIO = Scenario.preset("england_2024_25", n_therapists=90, n_services=5, mean_caseload=12)


@pytest.mark.parametrize("rows", [1, 100, 10_000])
def test_what_is_streamed_is_what_is_simulated(tmp_path, rows):
    told = []
    path = tmp_path / "new" / "episodes.parquet"
    n = stream_episodes(SCENARIO, 2**64 - 1, path, rows=rows, progress=lambda *at: told.append(at))
    expected = simulate(SCENARIO, 2**64 - 1).episodes
    assert n == len(expected)
    assert_frame_equal(read_episodes(path), expected)
    assert [file.name for file in path.parent.iterdir()] == ["episodes.parquet"]
    assert told[-1] == (90, 90)
    assert sorted(told) == told


def peak(path, n_therapists, seed=0):
    scenario = SCENARIO.replace(n_therapists=n_therapists, mean_caseload=20, caseload_cv=0.2)
    tracemalloc.start()
    before = pa.default_memory_pool().bytes_allocated()
    stream_episodes(scenario, seed, path, rows=2_000, overwrite=True)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most, pa.default_memory_pool().bytes_allocated() - before


@pytest.fixture
def one_thread():
    """Columns are made, and turned into Arrow's, one by one: what meets in memory is not left to chance."""
    ours, arrow = numba.get_num_threads(), pa.cpu_count()
    numba.set_num_threads(1)
    pa.set_cpu_count(1)
    yield
    numba.set_num_threads(ours)
    pa.set_cpu_count(arrow)


@pytest.mark.usefixtures("one_thread")
def test_memory_does_not_grow_with_the_number_of_therapists(tmp_path):
    path = tmp_path / "episodes.parquet"
    peak(path, 200)  # what is loaded and cached once
    # Ten times the therapists, and the same number of steps in both: what a step needs differs by its
    # caseloads, so that the most of more steps is more. Footers of row groups grow, by some kilobytes each,
    # outside of tracemalloc.
    small = max(peak(path, 400, seed)[0] for seed in range(10))
    large, left = peak(path, 4_000)
    assert large < 1.3 * small
    assert left < 1_000_000


def test_no_file_is_replaced_unless_asked(tmp_path):
    path = tmp_path / "episodes.parquet"
    path.write_text("mine")
    with pytest.raises(OptionError, match=r"episodes\.parquet exists\. Name another file"):
        stream_episodes(SCENARIO, 1, path)
    assert path.read_text() == "mine"
    stream_episodes(SCENARIO, 1, path, overwrite=True)
    assert len(pd.read_parquet(path)) > 0


def test_a_stream_that_breaks_off_leaves_what_was_there(tmp_path):
    path = tmp_path / "episodes.parquet"
    path.write_text("mine")

    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream_episodes(SCENARIO, 1, path, overwrite=True, rows=100, progress=stop)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["e.csv", "e.json", "e", ".parquet"])
def test_names_that_no_reader_takes_for_parquet_are_refused(tmp_path, name):
    with pytest.raises(OptionError, match=r"would hold Parquet; let its name end in \.parquet or \.pq"):
        stream_episodes(SCENARIO, 1, tmp_path / "new" / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["e.pq", "e.PARQUET"])
def test_names_that_readers_take_for_parquet_are_taken(tmp_path, name):
    small = SCENARIO.replace(n_therapists=3)
    assert stream_episodes(small, 1, tmp_path / name) == len(read_episodes(tmp_path / name))


@pytest.mark.parametrize("rows", [0, -1, 1.5, True])
def test_bad_sizes_are_refused(tmp_path, rows):
    with pytest.raises(OptionError, match="rows"):
        stream_episodes(SCENARIO, 1, tmp_path / "episodes.parquet", rows=rows)


def test_what_stands_in_the_way_of_a_stream_is_named_and_kept(tmp_path):
    (tmp_path / "e.parquet").mkdir()
    with pytest.raises(OptionError, match=r"e\.parquet is a folder; name a file"):
        stream_episodes(SCENARIO, 1, tmp_path / "e.parquet", overwrite=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OptionError, match=r"file is a file, where a folder would be"):
        stream_episodes(SCENARIO, 1, tmp_path / "file" / "e.parquet")
    with pytest.raises(OptionError, match=r"file is a file, where a folder would be"):
        stream_simulation(SCENARIO, 1, str(tmp_path / "file"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.parquet", "file"]


@pytest.mark.parametrize("seed", ["a", -1, 2**64, 1.5])
def test_a_bad_seed_leaves_no_folder(tmp_path, seed):
    with pytest.raises(OptionError, match="seed must be a whole number"):
        stream_episodes(SCENARIO, seed, tmp_path / "new" / "below" / "e.parquet")
    with pytest.raises(OptionError, match="seed must be a whole number"):
        stream_simulation(SCENARIO, seed, tmp_path / "new" / "below")
    assert not list(tmp_path.iterdir())


def test_scenario_and_checksums_are_those_of_the_whole_simulation(tmp_path):
    write_simulation(simulate(SCENARIO, 5, sessions=True), tmp_path / "whole")
    stream_simulation(SCENARIO, 5, tmp_path / "streamed")
    folder = tmp_path / "streamed"
    assert sorted(path.name for path in folder.iterdir()) == [
        "SHA256SUMS",
        "episodes.parquet",
        "scenario.json",
    ]
    assert (folder / "scenario.json").read_bytes() == (tmp_path / "whole" / "scenario.json").read_bytes()
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("episodes.parquet", "scenario.json")
    }


@pytest.mark.parametrize("step", ["write_scenario", "stream_episodes"])
def test_a_stream_that_breaks_off_leaves_no_new_folder(tmp_path, monkeypatch, step):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(streaming, step, stop)
        with pytest.raises(KeyboardInterrupt):
            stream_simulation(SCENARIO, 5, tmp_path / "new" / "below")
    assert not list(tmp_path.iterdir())
    stream_simulation(SCENARIO, np.uint64(5), str(tmp_path / "new" / "below"))


def test_a_stream_over_an_earlier_simulation_leaves_nothing_of_it(tmp_path):
    write_simulation(simulate(SCENARIO, 5, sessions=True), tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(OptionError, match="exists already"):
        stream_simulation(SCENARIO, 6, tmp_path)

    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream_simulation(SCENARIO, 6, tmp_path, overwrite=True, progress=stop)
    assert {path.name for path in tmp_path.iterdir()} == before
    stream_simulation(SCENARIO, 6, tmp_path, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"SHA256SUMS", "episodes.parquet", "scenario.json"}
    assert_frame_equal(read_episodes(tmp_path / "episodes.parquet"), simulate(SCENARIO, 6).episodes)
