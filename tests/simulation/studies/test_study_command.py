"""``ter study``: from its arguments to its files."""

import json

import pandas as pd
import pytest
from small_study import small_scenario
from typer.testing import CliRunner

from ter.cli import app
from ter.settings.study import StudyRequest
from ter.simulation.studies import GateStudy, run_study
from ter.simulation.studies.store import open_store
from ter.simulation.studies.study import identity_of


def ter_command(*arguments):
    return CliRunner().invoke(app, ["study", *map(str, arguments)], catch_exceptions=False)


def told(done):
    """What was said on stderr, on one line."""
    return " ".join(done.stderr.split())


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(small_scenario().to_json())
    return path


def test_a_study_becomes_tables_a_figure_and_a_summary(tmp_path, scenario):
    out = tmp_path / "gate"
    options = ("gate", "--scenario", scenario, "--jobs", 1, "--seed", 7, "--out", out)
    done = ter_command(*options, "--replicates", 3)
    assert done.exit_code == 0, done.stderr
    result = run_study(GateStudy(small_scenario()), 3, seed=7)
    assert result.summary() in done.stdout
    assert result.summary() + "\n" == (out / "summary.txt").read_text()
    table = pd.read_parquet(out / "results.parquet")
    pd.testing.assert_frame_equal(table, result.table)
    csv = pd.read_csv(out / "results.csv")
    assert csv["estimate"].tolist() == pytest.approx(table["estimate"].tolist(), nan_ok=True, rel=1e-15)
    assert (out / "figure.svg").read_text().startswith("<?xml")
    assert (out / "figure.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((out / "study.json").read_text())["replicates"] == 3
    assert "  3 of 3 replicates\n" in done.stderr

    # Finished: it is not touched unasked, and goes on where more is asked for.
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    again = ter_command(*options, "--replicates", 3)
    assert again.exit_code == 2
    assert "holds a finished study of 3 replicates: this one. Ask for more" in told(again)
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}
    more = ter_command(*options, "--replicates", 5)
    assert more.exit_code == 0, more.stderr
    kept = (out / "replicates.jsonl").read_bytes()
    assert kept.startswith(before["replicates.jsonl"])
    assert run_study(GateStudy(small_scenario()), 5, seed=7).summary() in more.stdout

    # Another study needs leave to take its place.
    other = ("reliability", *options[1:], "--replicates", 3)
    refused = ter_command(*other)
    assert refused.exit_code == 2
    assert "differs from this one in study (there gate, here reliability)." in told(refused)
    assert "--overwrite" in told(refused)
    reseeded = ter_command(*options[:5], "--seed", 8, "--out", out)
    assert reseeded.exit_code == 2
    assert "differs from this one in seed (there 7, here 8)." in told(reseeded)
    assert ter_command(*other, "--overwrite").exit_code == 0
    assert json.loads((out / "study.json").read_text())["study"] == "reliability"


def test_overwriting_takes_nothing_from_who_asks_for_the_impossible_or_from_another_run(tmp_path, scenario):
    out = tmp_path / "gate"
    options = ("gate", "--scenario", scenario, "--replicates", 2, "--out", out)
    assert ter_command(*options, "--jobs", 1).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for wrong in (("--seed", -1), ("--jobs", 0)):
        assert ter_command(*options, "--overwrite", *wrong).exit_code == 2
    study = GateStudy(small_scenario())
    with open_store(out, identity_of(study, 1)):
        busy = ter_command(*options, "--jobs", 1, "--overwrite")
    assert busy.exit_code == 2 and "Another run is writing" in told(busy)
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}
    assert ter_command(*options, "--jobs", 1, "--overwrite", "--seed", 2).exit_code == 0


def test_an_unfinished_study_of_another_kind_is_not_mixed(tmp_path, scenario):
    run_study(GateStudy(small_scenario()), 2, seed=1, folder=tmp_path / "out")
    done = ter_command("gate", "--scenario", scenario, "--seed", 2, "--jobs", 1, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "differ in seed (there 1, here 2)" in told(done)


def test_settings_come_from_a_file_and_the_command_line_comes_first(tmp_path, scenario):
    file = tmp_path / "gate.toml"
    file.write_text(
        f'scenario = "{scenario.name}"\nreplicates = 4\nseed = 9\n[settings]\ngates = [6, 12]\nminimum = 40\n'
    )
    request = StudyRequest.of("gate", tmp_path / "out", file, seed=3, engine=None)
    assert (request.replicates, request.seed) == (4, 3)
    assert request.study() == GateStudy(small_scenario(), gates=(6, 12), minimum=40)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gates",), 'no study "gates"; the studies are reliability, gate'),
        (("gate", "--scenario", "england"), '"england" is neither a preset'),
        (("gate", "--engine", "nuts"), "must be ml or fast"),
        (("gate", "--replicates", 0), "replicates is 0, and must be 2 or more"),
        (("gate", "--jobs", 0), "jobs"),
        (("gate", "--config", "no.toml"), "no.toml cannot be read"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = ter_command(*arguments, "--out", "out")
    assert done.exit_code == 2
    assert done.stderr.startswith("ter: ") or "ter: " in done.stderr
    assert message in done.stderr
    assert not (tmp_path / "out" / "results.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("replicats = 3", 'did you mean "replicates"'),
        ("[settings]\ngate = [5]", 'did you mean "gates"'),
        ("gates = [5]", r"gates is of the study gate alone: put it below \[settings\]"),
        ('replicates = "many"', "replicates must be a whole number"),
        ("settings = 5", "settings must be a table"),
        ('scenario = ["a"]', "scenario must be a preset's name or a file"),
        ("[settings]\ngates = 5", "gates must be a tuple"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, message):
    from ter.errors import OptionError

    file = tmp_path / "study.toml"
    file.write_text(content)
    with pytest.raises(OptionError, match=message):
        StudyRequest.of("gate", tmp_path / "out", file)
