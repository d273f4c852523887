"""Running: kept, resumed, interrupted, shared out, and always the same table."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import joblib
import numpy as np
import pandas as pd
import pytest
from small_study import small_scenario

import ter
from ter.errors import DataError, FitError, OptionError
from ter.simulation import Scenario
from ter.simulation.studies import GateStudy, Replicate, run_study
from ter.simulation.studies.monte_carlo import Statistic, ratio, tabulate
from ter.simulation.studies.run import seed_of
from ter.simulation.studies.store import REPLICATES
from ter.simulation.studies.study import fingerprint_of, identity_of

STUDY = GateStudy(scenario=small_scenario(), gates=(5, 20))


@dataclass(frozen=True)
class CoinStudy:
    """A study that tosses coins: its replicates cost nothing."""

    NAME: ClassVar[str] = "coin"

    scenario: Scenario = field(default_factory=small_scenario)
    engine: str = "ml"
    broken: int = -1

    def replicate(self, seed):
        heads = float(np.random.default_rng(seed).binomial(10, 0.5))
        return Replicate(np.array([[10.0, heads]]), self.broken < 0 or seed % 4 != self.broken)

    def summarise(self, sums):
        return tabulate(pd.DataFrame({"coin": ["fair"]}), sums, [Statistic("heads", ratio(1, 0))])

    def in_words(self, table):
        return [f"{table['estimate'].iloc[0]:.2f} heads."]


def test_the_table_is_the_same_on_any_number_of_workers():
    one = run_study(STUDY, 4, seed=7)
    two = run_study(STUDY, 4, seed=7, jobs=2)
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)
    assert not one.table.equals(run_study(STUDY, 4, seed=8).table)


def test_a_dask_cluster_gives_the_same_table():
    from distributed import Client, LocalCluster

    quiet = {"processes": False, "dashboard_address": None}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        on_cluster = run_study(STUDY, 4, seed=7)
    pd.testing.assert_frame_equal(on_cluster.table, run_study(STUDY, 4, seed=7).table, check_exact=True)


def test_a_backend_that_gives_its_results_all_at_once_serves_too():
    # As Ray's does: it is of this kind.
    with joblib.parallel_config(backend="multiprocessing", n_jobs=2):
        in_rounds = run_study(CoinStudy(), 20, seed=7)
    pd.testing.assert_frame_equal(in_rounds.table, run_study(CoinStudy(), 20, seed=7).table, check_exact=True)


def test_a_study_goes_on_where_it_stopped(tmp_path):
    whole = run_study(CoinStudy(), 12, seed=3)
    run_study(CoinStudy(), 5, seed=3, folder=tmp_path)
    heard = []
    resumed = run_study(CoinStudy(), 12, seed=3, folder=tmp_path, progress=lambda *count: heard.append(count))
    pd.testing.assert_frame_equal(resumed.table, whole.table, check_exact=True)
    assert heard == [(done, 12) for done in range(5, 13)]
    # Everything is there: nothing is run again.
    heard.clear()
    again = run_study(CoinStudy(), 12, seed=3, folder=tmp_path, progress=lambda *count: heard.append(count))
    assert heard == [(12, 12)]
    pd.testing.assert_frame_equal(again.table, whole.table, check_exact=True)


def test_a_crash_in_the_middle_of_a_line_costs_that_line(tmp_path):
    whole = run_study(CoinStudy(), 6, seed=3, folder=tmp_path)
    path = tmp_path / REPLICATES
    lines = path.read_bytes().splitlines(keepends=True)
    for cut in (1, len(lines[-1]) // 2, len(lines[-1]) - 1):
        path.write_bytes(b"".join(lines[:-1]) + lines[-1][:cut])
        assert run_study(CoinStudy(), 6, seed=3, folder=tmp_path).table.equals(whole.table)
        assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(lines)
    # A first line that was cut off leaves an empty file.
    path.write_bytes(lines[0][:20])
    assert run_study(CoinStudy(), 6, seed=3, folder=tmp_path).table.equals(whole.table)


def test_replicates_of_different_runs_are_not_mixed(tmp_path, monkeypatch):
    run_study(CoinStudy(), 2, seed=3, folder=tmp_path)
    with pytest.raises(OptionError, match=r"differ in seed \(there 3, here 4\)\. .*--overwrite"):
        run_study(CoinStudy(), 2, seed=4, folder=tmp_path)
    with pytest.raises(OptionError, match=r"differ in broken \(there -1, here 1\)\."):
        run_study(CoinStudy(broken=1), 2, seed=3, folder=tmp_path)
    with pytest.raises(OptionError, match=r"differ in study \(there coin, here \w+\)\."):
        run_study(STUDY, 2, seed=3, folder=tmp_path)
    monkeypatch.setattr("ter.simulation.studies.study.library_versions", lambda: (("ter", "0.0"),))
    with pytest.raises(OptionError, match=r"differ in versions.ter \(there [\d.]+, here 0.0\), versions"):
        run_study(CoinStudy(), 2, seed=3, folder=tmp_path)


@pytest.mark.parametrize(
    ("line", "of", "to", "reason"),
    [
        (1, '"', "", r"line 1 \(.*\): delete the file, and the study begins anew\.$"),
        (
            2,
            "]}",
            "",
            r"line 2 \(.*delimiter.*\): delete that line, and its replicate is run again; or",
        ),
        (2, '"sums"', '"sum"', r"line 2 \(it has no 'sums'\)"),
        (2, '"sums": [[', '"sums": [[1.0], [', r"line 2 \(its sums are no table of numbers\)"),
        (2, '"sums": [[', '"sums": [[NaN, ', r"line 2 \(a sum is not finite\)"),
        (
            3,
            '"sums": [[',
            '"sums": [[1.0, ',
            r"line 3 \(its sums have shape \(1, 3\), those before \(1, 2\)",
        ),
    ],
)
def test_a_damaged_line_is_named_and_its_replicate_can_be_run_again(tmp_path, line, of, to, reason):
    whole = run_study(CoinStudy(), 3, seed=3, folder=tmp_path)
    path = tmp_path / REPLICATES
    lines = path.read_text().splitlines(keepends=True)
    damaged = lines.copy()
    damaged[line - 1] = damaged[line - 1].replace(of, to, 1)
    assert damaged != lines
    path.write_text("".join(damaged))
    with pytest.raises(DataError, match=r"replicates.jsonl is damaged in " + reason):
        run_study(CoinStudy(), 3, seed=3, folder=tmp_path)
    assert path.read_text() == "".join(damaged)
    path.write_text("".join(damaged[: line - 1] + damaged[line:]) if line > 1 else "")
    assert run_study(CoinStudy(), 3, seed=3, folder=tmp_path).table.equals(whole.table)


def test_a_file_that_is_no_text_is_damaged(tmp_path):
    (tmp_path / REPLICATES).write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"replicates.jsonl is damaged \(.*\): delete it"):
        run_study(CoinStudy(), 2, seed=3, folder=tmp_path)


def test_a_whole_setting_is_the_same_as_a_number():
    same = [fingerprint_of(identity_of(GateStudy(minimum=m), 2**64 - 1)) for m in (45, 45.0)]
    assert same[0] == same[1]
    assert same[0] != fingerprint_of(identity_of(GateStudy(minimum=45.5), 2**64 - 1))
    assert same[0] != fingerprint_of(identity_of(GateStudy(minimum=45), 2**64 - 2))


def test_a_study_goes_on_with_a_whole_setting_as_with_a_number(tmp_path):
    for minimum, replicates in ((45.0, 2), (45, 3)):
        study = GateStudy(small_scenario(), minimum=minimum)
        assert run_study(study, replicates, folder=tmp_path).replicates == replicates
    assert len((tmp_path / REPLICATES).read_text().splitlines()) == 4


def test_networks_without_a_patient_are_left_out_and_told():
    few = GateStudy(small_scenario(n_therapists=2, mean_caseload=1.0))
    result = run_study(few, 6, seed=1)
    assert 0 < result.not_converged < 5


def test_a_seed_of_numpy_is_the_same_seed(tmp_path):
    run_study(CoinStudy(), 2, seed=np.int64(3), folder=tmp_path)
    assert run_study(CoinStudy(), 3, seed=3, folder=tmp_path).seed == 3


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OptionError, match="file is a file, where a folder would be"):
        run_study(CoinStudy(), 2, seed=3, folder=tmp_path / "file")


def test_two_runs_do_not_write_to_one_file(tmp_path):
    from ter.simulation.studies.store import open_store

    with open_store(tmp_path, identity_of(CoinStudy(), 3)), pytest.raises(OptionError, match="Another run"):
        run_study(CoinStudy(), 3, seed=3, folder=tmp_path)


def test_a_replicate_that_did_not_converge_is_counted_and_left_out():
    seeds = [seed_of(3, number) for number in range(12)]
    bad = sum(seed % 4 == 1 for seed in seeds)
    assert 0 < bad < 11
    result = run_study(CoinStudy(broken=1), 12, seed=3)
    assert result.not_converged == bad
    assert result.table["n"].tolist() == [10 * (12 - bad)]
    assert f"{bad} of them left out" in result.summary()


def test_a_fit_that_went_astray_does_not_stop_the_study(tmp_path, monkeypatch):
    whole = run_study(CoinStudy(broken=1), 12, seed=3)
    sound = CoinStudy.replicate

    def astray(self, seed):
        replicate = sound(self, seed)
        return replicate if replicate.converged else Replicate(np.full((1, 2), np.nan), False)

    monkeypatch.setattr(CoinStudy, "replicate", astray)
    kept = run_study(CoinStudy(broken=1), 12, seed=3, folder=tmp_path)
    assert kept.table.equals(whole.table)
    assert run_study(CoinStudy(broken=1), 12, seed=3, folder=tmp_path).table.equals(whole.table)


def test_a_replicate_without_a_fit_is_counted_as_one_that_did_not_converge(tmp_path, monkeypatch):
    whole = run_study(CoinStudy(broken=1), 12, seed=3)
    sound = CoinStudy.replicate

    def without_a_fit(self, seed):
        replicate = sound(self, seed)
        if not replicate.converged:
            raise FitError("The likelihood has no maximum.")
        return replicate

    monkeypatch.setattr(CoinStudy, "replicate", without_a_fit)
    for _ in range(2):  # run, and read again
        kept = run_study(CoinStudy(broken=1), 12, seed=3, folder=tmp_path)
        assert kept.not_converged == whole.not_converged
        assert kept.table.equals(whole.table)


def test_nothing_comes_of_a_study_without_fits(monkeypatch):
    monkeypatch.setattr(CoinStudy, "replicate", lambda self, seed: Replicate(np.ones((1, 2)), False))
    with pytest.raises(FitError, match="0 of 3 replicates converged"):
        run_study(CoinStudy(), 3)


def test_seeds_are_by_replicate_and_differ():
    seeds = {seed_of(seed, number) for seed in (0, 1, 2**64 - 1) for number in range(200)}
    assert len(seeds) == 600
    assert all(0 <= seed < 2**64 for seed in seeds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"replicates": 1}, "must be 2 or more"),
        ({"replicates": 0}, "must be 2 or more"),
        ({"replicates": 2.5}, "replicates"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"jobs": 0}, "jobs"),
        ({"jobs": "two"}, "jobs"),
    ],
)
def test_what_is_out_of_range_is_refused(arguments, message):
    with pytest.raises(OptionError, match=message):
        run_study(CoinStudy(), **arguments)


def cpu_seconds(pid):
    """User and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def workers_of(pid):
    """Processes that joblib's loky started for this one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in children if "popen_loky" in Path(f"/proc/{child}/cmdline").read_text()]


def holds_back(pid, number):
    """Whether a process blocks a signal."""
    blocked = re.search(r"^SigBlk:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(blocked[1], 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the time that a process used is in /proc")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_ends_a_study_soon_and_keeps_what_is_done(tmp_path, jobs):
    scenario = tmp_path / "scenario.json"
    scenario.write_text(small_scenario().to_json())
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ter", "study", "gate", "--scenario", str(scenario), "--jobs", jobs]
    # It would end by itself, were this test killed.
    process = subprocess.Popen(
        [*command, "--replicates", "3000", "--out", str(out)],
        cwd=Path(ter.__file__).parents[1],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        path = out / REPLICATES
        deadline = time.monotonic() + 90
        while not path.exists() or path.read_bytes().count(b"\n") < 4:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        # Workers leave interrupts to the process that started them.
        assert all(holds_back(worker, signal.SIGINT) for worker in workers_of(process.pid))
        assert jobs == "1" or workers_of(process.pid)
        used = used_until = cpu_seconds(process.pid)
        # As a terminal does: to the whole group, workers and all.
        os.killpg(process.pid, signal.SIGINT)
        start = time.monotonic()
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            assert time.monotonic() - start < 20
            time.sleep(0.01)
            used_until = cpu_seconds(process.pid)
        # Two seconds, of the processor: a machine that is busy with other things takes longer by the clock.
        assert used_until - used < 2
        told = process.communicate()[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in told
    assert "the same command goes on from there" in told
    head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert head["study"] == "gate"
    assert len(lines) >= 3
    # What was kept is what an undisturbed run gives.
    study = GateStudy(scenario=small_scenario())
    for line in lines[:3]:
        sums = study.replicate(seed_of(1, line["replicate"])).sums
        np.testing.assert_array_equal(line["sums"], sums)
