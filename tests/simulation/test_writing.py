"""A simulation as files: the same bytes, nothing lost or overwritten, no truth in the input."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from ter.errors import OptionError
from ter.measures import OUTCOME_COLUMNS
from ter.simulation import Scenario, read_scenario, simulate, write_simulation, writing
from ter.sources import read_episodes, read_sessions

SCENARIO = Scenario.preset("england_2024_25", n_therapists=20, n_services=3, mean_caseload=20)


@pytest.fixture(scope="module")
def sim():
    return simulate(SCENARIO, 2**64 - 1, sessions=True)


def test_what_is_written_reads_as_it_was(sim, tmp_path):
    written = write_simulation(sim, tmp_path / "new" / "folder")
    assert sorted(path.name for path in written) == sorted(
        p.name for p in (tmp_path / "new" / "folder").iterdir()
    )
    folder = tmp_path / "new" / "folder"
    assert_frame_equal(read_episodes(folder / "episodes.parquet"), sim.episodes)
    assert_frame_equal(read_sessions(folder / "sessions.parquet"), sim.sessions)
    assert read_scenario(folder / "scenario.json") == (SCENARIO, 2**64 - 1)
    for name, table in (("truth_therapists.csv", sim.therapists), ("truth_services.csv", sim.services)):
        # As text first: what pandas makes of a number may differ from it in the last bit.
        effects = pd.read_csv(folder / name, dtype=str)["effect"].map(float)
        assert np.array_equal(effects, table["effect"])
    patients = pd.read_parquet(folder / "truth_episodes.parquet")
    assert patients["episode_id"].tolist() == sim.episodes["episode_id"].tolist()
    assert np.array_equal(patients["probability"], sim.probability)


def test_the_input_tells_nothing_of_the_truth(sim, tmp_path):
    write_simulation(sim, tmp_path)
    for name in ("episodes", "sessions", "therapists"):
        columns = set(pd.read_parquet(tmp_path / f"{name}.parquet").columns)
        assert not columns & {*OUTCOME_COLUMNS, "effect", "probability", "severity_shift", "severity_slope"}


def test_checksums_are_those_of_the_files(sim, tmp_path):
    write_simulation(sim, tmp_path)
    lines = (tmp_path / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(sums) == {path.name for path in tmp_path.iterdir()} - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_the_same_simulation_gives_the_same_bytes(sim, tmp_path):
    write_simulation(sim, tmp_path / "one")
    write_simulation(simulate(SCENARIO, 2**64 - 1, sessions=True), tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_nothing_is_overwritten_unless_asked(sim, tmp_path):
    write_simulation(sim, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = simulate(SCENARIO, 5)
    with pytest.raises(OptionError, match="exists already"):
        write_simulation(other, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    write_simulation(other, tmp_path, overwrite=True)
    # Sessions of the earlier simulation do not stay behind; what is not ours does.
    assert not (tmp_path / "sessions.parquet").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert_frame_equal(read_episodes(tmp_path / "episodes.parquet"), other.episodes)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def fail_at(monkeypatch, write, error):
    """Let one step of writing fail after the others before it are done."""

    def fail(*args, **kwargs):
        raise error

    if isinstance(write, int):
        rename, moves = Path.rename, []

        def renamed(path, target):
            moves.append(path)
            if len(moves) == write:
                raise error
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", renamed)
    elif write == "parquet":
        monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    else:
        monkeypatch.setattr(writing, write, fail)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
# A number is that of a move: the third of the 8 earlier files out of the folder, the third new one into it.
@pytest.mark.parametrize("write", ["parquet", "_write_csv", "_sha256", 3, 11])
def test_writing_that_breaks_off_leaves_what_was_there(sim, tmp_path, monkeypatch, write, error):
    write_simulation(sim, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    other = simulate(SCENARIO, 5)
    with monkeypatch.context() as patch:
        fail_at(patch, write, error)
        with pytest.raises(type(error)):
            write_simulation(other, tmp_path, overwrite=True)
    assert contents(tmp_path) == before
    write_simulation(other, tmp_path, overwrite=True)
    assert contents(tmp_path) != before


@pytest.mark.parametrize("write", ["parquet", "_write_csv", "_sha256", 3])
def test_writing_that_breaks_off_leaves_no_new_folder(sim, tmp_path, monkeypatch, write):
    with monkeypatch.context() as patch:
        fail_at(patch, write, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write_simulation(sim, tmp_path / "new" / "below")
    assert not list(tmp_path.iterdir())
    assert len(write_simulation(sim, tmp_path / "new" / "below")) == len(contents(tmp_path / "new" / "below"))


def test_a_folder_may_be_text(sim, tmp_path):
    write_simulation(sim, str(tmp_path / "out"))
    assert (tmp_path / "out" / "episodes.parquet").exists()


def test_what_stands_in_the_way_is_named_and_kept(sim, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OptionError, match=r"file is a file, where a folder would be"):
            write_simulation(sim, folder, overwrite=True)
    mine = tmp_path / "out" / "episodes.parquet" / "part.parquet"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(OptionError, match=r"episodes\.parquet is a folder, where a file would be"):
        write_simulation(sim, tmp_path / "out", overwrite=True)
    assert [path.read_text() for path in (tmp_path / "file", mine)] == ["mine", "mine"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_a_plain_scenario_has_no_seed(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(SCENARIO.to_json(), encoding="utf-8")
    assert read_scenario(path) == (SCENARIO, None)


@pytest.mark.parametrize(
    "text", ["", "{", '{"seed": 1}', '{"seed": "1", "scenario": {}}', '{"seed": 1, "scenario": 2}']
)
def test_files_that_hold_no_scenario_are_refused(tmp_path, text):
    path = tmp_path / "scenario.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError):
        read_scenario(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OptionError, match="cannot be read as a scenario"):
        read_scenario(tmp_path / "scenario.json")


def test_the_scenario_file_names_the_seed_first(sim, tmp_path):
    write_simulation(sim, tmp_path)
    assert list(json.loads((tmp_path / "scenario.json").read_text(encoding="utf-8"))) == ["seed", "scenario"]
