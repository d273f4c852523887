"""Exit codes, messages, and what is left when a run is stopped."""

import dataclasses
import errno
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_network import MONTH, ter_command

import ter
from ter.reports.monthly import verify


def start(files, *options, **environment):
    """Start ``ter report`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ter", *files.arguments(*options)],
        env={**os.environ, "PYTHONPATH": str(Path(ter.__file__).parents[1]), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process, words):
    """Read stderr up to the line that begins with `words`."""
    for line in process.stderr:
        if line.startswith(words):
            return
    raise AssertionError(f"the run ended before {words}")


def bytes_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_ends_with_0_and_a_second_one_with_5(files, episodes):
    files.write(episodes)
    first = files.report()
    assert first.exit_code == 0, first.stderr
    assert str(files.out / MONTH / "index.html") in first.stdout
    assert (files.models / MONTH / "model.ter").is_file()
    before = bytes_of(files.folder)

    second = files.report()
    assert second.exit_code == 5
    assert "published already" in second.stderr
    assert second.stdout == ""
    assert bytes_of(files.folder) == before

    third = files.report("--overwrite")
    assert third.exit_code == 0
    assert bytes_of(files.folder) == before


def test_a_model_that_did_not_converge_is_not_published(files, episodes, monkeypatch):
    def unfinished(*arguments, **options):
        fitted = ter.fit(*arguments, **options)
        return dataclasses.replace(fitted, record=dataclasses.replace(fitted.record, converged=False))

    monkeypatch.setattr("ter.jobs.month.fit", unfinished)
    files.write(episodes)
    result = files.report()
    assert result.exit_code == 4
    assert "did not converge" in result.stderr
    assert not files.written


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--month", "2026-13"], "2026-13"),
        (["--completed", "9"], "the gate can be raised, not lowered"),
        (["--minimum", "0.45"], "percent"),
        (["--interval", "90"], "interval"),
        (["--sessions", "nowhere.csv"], "nowhere.csv does not exist"),
        (["--config", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--case-mix", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--unknown"], "--unknown"),
        (["--missing-outcome", "zero"], "zero"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_ends_with_2(options, words, files, episodes, monkeypatch):
    monkeypatch.chdir(files.folder)
    files.write(episodes)
    result = files.report(*options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not files.written


def test_models_may_not_lie_among_the_reports(files, episodes):
    files.write(episodes)
    result = files.report("--models", str(files.out / "models"))
    assert result.exit_code == 2
    assert "behind the gate" in result.stderr
    assert not files.written


def test_a_place_that_cannot_be_written_is_named(files, episodes):
    files.write(episodes)
    (files.folder / "file").write_text("in the way")
    result = files.report("--out", str(files.folder / "file" / "reports"))
    assert result.exit_code == 2
    assert str(files.folder / "file") in result.stderr
    assert "Traceback" not in result.stderr


def test_episodes_and_month_must_be_named(files, episodes):
    assert "names the episodes" in ter_command("report", "--month", MONTH).stderr
    files.write(episodes)
    result = ter_command("report", str(files.episodes))
    assert result.exit_code == 2
    assert "names the month" in result.stderr


def test_an_interrupted_run_ends_with_130_and_writes_nothing(files, episodes):
    files.write(episodes)
    with start(files) as process:
        wait_for(process, "Fitting")
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in rest
    assert "Traceback" not in rest
    assert not files.written


def test_threads_do_not_change_a_byte_and_a_killed_run_leaves_the_month_whole(files, episodes):
    files.write(episodes)
    months = []
    for threads in ("1", "2"):
        with start(files, "--overwrite", NUMBA_NUM_THREADS=threads) as process:
            _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        months.append(bytes_of(files.out) | bytes_of(files.models))
    assert months[0] == months[1]

    other = ("--overwrite", "--minimum", "45", "--no-refits")
    with start(files, *other) as process:
        wait_for(process, "Writing")
        process.kill()
    verify(files.out / MONTH)
    after = files.report(*other)
    assert after.exit_code == 0, after.stderr
    verify(files.out / MONTH)
    assert {path.name for path in files.out.iterdir()} == {MONTH}


def test_a_reader_that_leaves_is_no_error(files, episodes):
    files.write(episodes)
    model = files.folder / "model.ter"
    assert ter_command("fit", str(files.episodes), "--engine", "ml", "--nodes", "1", "--out", str(model),
                       "--case-mix", str(files.folder / "case_mix.toml")).exit_code == 0  # fmt: skip
    command = [sys.executable, "-m", "ter", "score", str(model), str(files.episodes)]
    done = subprocess.run(
        f"{shlex.join(command)} | head -1",
        shell=True,
        env={**os.environ, "PYTHONPATH": str(Path(ter.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("episode_id,")
    assert "rror" not in done.stderr


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "No space left on device. Make room there, or name another place."),
        (errno.EACCES, "Permission denied. Name another place."),
    ],
)
def test_a_place_that_cannot_be_written_is_named_with_what_helps(tmp_path, monkeypatch, number, message):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number), "data/truth.csv")

    monkeypatch.setattr("ter.simulation.writing._write_csv", fail)
    network = ["--preset", "essex_2017_19", "--therapists", "3"]
    result = ter_command("simulate", *network, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"ter: data/truth.csv: {message}"
    assert not list(tmp_path.iterdir())
