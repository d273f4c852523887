"""The commands, from their arguments to their files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from small_network import MONTH, ter_command

import ter
from ter.reports.monthly import verify


@pytest.fixture(scope="module")
def model(tmp_path_factory, simulation):
    """A saved model of the network, in which service S01 is one of three."""
    path = tmp_path_factory.mktemp("model") / "model.ter"
    case_mix = ter.CaseMix([ter.linear("phq9_first"), ter.factor("gender")])
    ter.fit(simulation.episodes, case_mix=case_mix).save(path)
    return path


# validate


def test_validate_says_what_the_tables_hold(files, episodes, sessions, simulation):
    files.write(episodes)
    path = files.folder / "sessions.parquet"
    sessions.to_parquet(path)
    result = ter_command("validate", str(files.episodes), "--sessions", str(path))
    assert result.exit_code == 0, result.stderr
    truth = simulation.episodes
    assert f"{len(truth):,} episodes" in result.stdout
    assert f"{truth['completed'].sum():,} completed" in result.stdout
    at_gate = (truth.groupby("therapist_id")["completed"].sum() >= 10).sum()
    assert f"14 therapists, {at_gate} with 10 or more" in result.stdout
    assert f"{len(sessions):,} sessions" in result.stdout


def test_validate_lists_every_fault(files, episodes):
    bad = episodes.assign(phq9_first=episodes["phq9_first"].where(episodes.index != 4, 99)).drop(
        columns="gad7_last"
    )
    files.write(bad)
    result = ter_command("validate", str(files.episodes))
    assert result.exit_code == 3
    assert "2 kinds of fault" in result.stderr
    # The header is row 1 of the file, so the fifth episode is in row 6.
    assert "row 6" in result.stderr
    assert result.stdout == ""


# simulate


def test_simulate_writes_the_same_bytes_for_the_same_seed(tmp_path):
    def run(folder, *options):
        command = ["simulate", "--preset", "england_2024_25", "--therapists", "5", "--services", "1"]
        result = ter_command(*command, "--caseload", "9", "--out", str(tmp_path / folder), *options)
        assert result.exit_code == 0, result.stderr
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    first = run("a", "--seed", "7", "--sessions")
    assert first == run("b", "--seed", "7", "--sessions")
    assert first["episodes.parquet"] != run("c", "--seed", "8")["episodes.parquet"]
    # The scenario's file holds the seed too.
    again = ter_command("simulate", "--scenario", str(tmp_path / "a" / "scenario.json"), "--sessions",
                        "--out", str(tmp_path / "d"))  # fmt: skip
    assert again.exit_code == 0, again.stderr
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}


def test_simulate_replaces_nothing_unasked_and_says_so_before_it_simulates(tmp_path, monkeypatch):
    command = ["simulate", "--preset", "essex_2017_19", "--therapists", "3", "--out", str(tmp_path)]
    assert ter_command(*command).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr("ter.simulation.simulate", None)
        assert ter_command(*command).exit_code == 2
    assert ter_command(*command, "--force").exit_code == 0


@pytest.mark.parametrize(
    "options", [[], ["--preset", "essex_2017_19", "--scenario", "x.json"], ["--preset", "essex"]]
)
def test_simulate_takes_one_scenario(options, tmp_path):
    result = ter_command("simulate", "--out", str(tmp_path / "out"), *options)
    assert result.exit_code == 2
    assert result.stderr.startswith("ter: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [b"", b"[" * 100_000, b'{"seed": 1, "scenario": {"name": 5}}', b"network", b"PAR1\xff", None],
    ids=["empty", "deep", "faulty", "no JSON", "binary", "not there"],
)
def test_simulate_refuses_what_is_no_scenario(text, tmp_path):
    path = tmp_path / "scenario.json"
    if text is not None:
        path.write_bytes(text)
    result = ter_command("simulate", "--scenario", str(path), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert result.stderr.startswith("ter: ") and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--sessions"], ["--stream"]])
def test_simulate_that_is_stopped_leaves_nothing(options, tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    command = ["simulate", "--preset", "essex_2017_19", "--out", str(tmp_path / "out"), *options]
    with monkeypatch.context() as patch:
        patch.setattr("ter.simulation.writing._sha256", stop)
        result = ter_command(*command)
    assert result.exit_code == 130
    assert "Nothing half done was left" in result.stderr
    assert not list(tmp_path.iterdir())
    assert ter_command(*command).exit_code == 0


def test_simulate_says_what_memory_a_network_needs(tmp_path, monkeypatch):
    def refuse(size):
        raise MemoryError

    monkeypatch.setattr("ter.simulation.room.lend", refuse)
    result = ter_command("simulate", "--preset", "essex_2017_19", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "not enough memory" in result.stderr and "--stream" in result.stderr
    assert not list(tmp_path.iterdir())


# fit


def test_fit_prints_and_saves_the_model_that_python_fits(files, episodes, simulation):
    files.write(episodes)
    path = files.folder / "deep" / "model.ter"
    command = ["fit", str(files.episodes), "--engine", "ml", "--nodes", "1", "--out", str(path)]
    result = ter_command(*command, "--case-mix", str(files.folder / "case_mix.toml"))
    assert result.exit_code == 0, result.stderr
    case_mix = ter.CaseMix([ter.linear("phq9_first"), ter.linear("age")])
    direct = ter.fit(simulation.episodes, case_mix=case_mix, engine="ml", nodes=1)
    assert direct.summary() in result.stdout
    # A file of CSV and a table in memory are the same input: the same bits.
    assert ter.load_fit(path).log_likelihood == direct.log_likelihood
    assert [entry.name for entry in path.parent.iterdir()] == ["model.ter"]

    again = ter_command(*command)
    assert again.exit_code == 2
    assert "exists" in again.stderr


@pytest.mark.parametrize(("option", "value"), [("--engine", "slow"), ("--nodes", "0"), ("--seed", "-1")])
def test_fit_refuses_options_that_it_does_not_take(option, value, files, episodes):
    files.write(episodes)
    result = ter_command("fit", str(files.episodes), option, value, "--out", str(files.folder / "model.ter"))
    assert result.exit_code == 2
    assert not (files.folder / "model.ter").exists()


def test_fit_refuses_a_case_mix_that_hides_the_therapists_work(files, episodes):
    files.write(episodes)
    (files.folder / "late.toml").write_text('[[term]]\nlinear = "n_sessions"\n')
    result = ter_command("fit", str(files.episodes), "--case-mix", str(files.folder / "late.toml"))
    assert result.exit_code == 2
    assert "after the patient was allocated" in result.stderr


# report


def test_options_come_before_the_file_and_the_file_before_the_defaults(files, episodes):
    files.write(episodes)
    config = files.folder / "ter.toml"
    config.write_text(
        'episodes = "episodes.csv"\ncase_mix = "case_mix.toml"\nout = "reports"\nmodels = "models"\n'
        "minimum = 45\ninterval = 0.8\n"
    )
    result = ter_command("report", "--config", str(config), "--month", MONTH, "--interval", "0.5")
    assert result.exit_code == 0, result.stderr
    manifest = json.loads((files.out / MONTH / "manifest.json").read_text())
    assert manifest["options"] == {"completed": 10, "interval": 0.5, "minimum": 45.0, "support": 0.9}
    assert manifest["settings"]["seed"] == 1
    assert (files.models / MONTH / "model.ter").is_file()


def test_an_unknown_key_is_refused_with_the_nearest_known_one(files, episodes):
    files.write(episodes)
    config = files.folder / "ter.toml"
    config.write_text('episodes = "episodes.csv"\nminimun = 45\n')
    result = ter_command("report", "--config", str(config), "--month", MONTH)
    assert result.exit_code == 2
    assert 'there is no key "minimun"; did you mean "minimum"?' in result.stderr
    assert not files.written


# score


def patients(**columns):
    known = {"episode_id": ["=1+1", "b"], "service_id": ["S01", "another"], "phq9_first": [12, 20]}
    return pd.DataFrame(known | {"gender": ["female", "male"]} | columns)


def test_score_gives_what_the_model_expects(model, tmp_path):
    table = patients()
    table.to_csv(tmp_path / "patients.csv", index=False)
    result = ter_command(
        "score", str(model), str(tmp_path / "patients.csv"), "--out", str(tmp_path / "scored.csv")
    )
    assert result.exit_code == 0, result.stderr
    scored = pd.read_csv(tmp_path / "scored.csv")
    direct = ter.load_fit(model).expected(table)
    # CSV holds the shortest decimal that gives a float back; not every pandas reads its last bit.
    pd.testing.assert_frame_equal(scored[["expected", "q05", "q95"]], direct, rtol=1e-15)
    assert scored["episode_id"].tolist() == ["'=1+1", "b"]

    ter_command(
        "score", str(model), str(tmp_path / "patients.csv"), "--out", str(tmp_path / "scored.parquet")
    )
    assert pd.read_parquet(tmp_path / "scored.parquet")["episode_id"].tolist() == ["=1+1", "b"]
    printed = ter_command("score", str(model), str(tmp_path / "patients.csv")).stdout
    assert printed == (tmp_path / "scored.csv").read_text()


def test_score_counts_what_the_model_does_not_know(model, tmp_path):
    patients(gender=["a word of its own", "male"]).to_csv(tmp_path / "patients.csv", index=False)
    result = ter_command("score", str(model), str(tmp_path / "patients.csv"))
    assert result.exit_code == 0
    assert "gender: 1 patients have a value" in result.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda df: df.assign(phq9_first=[30, 3]), "outside 0 to 27"),
        (lambda df: df.assign(phq9_first=["ten", 3]), "phq9_first"),
        (lambda df: df.drop(columns="gender"), "gender"),
        (lambda df: df.drop(columns="service_id"), "service_id"),
        (lambda df: df.iloc[:0], "no rows"),
    ],
)
def test_score_refuses_faulty_patients(change, words, model, tmp_path):
    change(patients()).to_csv(tmp_path / "patients.csv", index=False)
    result = ter_command(
        "score", str(model), str(tmp_path / "patients.csv"), "--out", str(tmp_path / "scored.csv")
    )
    assert result.exit_code == 3
    assert words in result.stderr
    assert not (tmp_path / "scored.csv").exists()


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[: len(b) // 2], lambda b: b[:900] + b"\x00" + b[901:], lambda b: b"", lambda b: b"{}"],
)
def test_score_refuses_a_damaged_model(damage, model, tmp_path):
    (tmp_path / "bad.ter").write_bytes(damage(model.read_bytes()))
    patients().to_csv(tmp_path / "patients.csv", index=False)
    result = ter_command("score", str(tmp_path / "bad.ter"), str(tmp_path / "patients.csv"))
    assert result.exit_code == 3
    assert result.stdout == ""


@pytest.mark.parametrize("out", ["scored.xlsx", "patients.csv", "."])
def test_score_writes_tables_to_new_files_only(out, model, tmp_path):
    patients().to_csv(tmp_path / "patients.csv", index=False)
    result = ter_command("score", str(model), str(tmp_path / "patients.csv"), "--out", str(tmp_path / out))
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["patients.csv"]


# demo


def test_demo_needs_nothing_but_a_place(tmp_path, monkeypatch):
    # As where ter is installed without its repository: the network is simulated.
    monkeypatch.setattr(ter, "__file__", str(tmp_path / "lib" / "ter" / "__init__.py"))
    result = ter_command("demo", "--out", str(tmp_path / "demo"))
    assert result.exit_code == 0, result.stderr
    (month,) = (tmp_path / "demo" / "reports").iterdir()
    verify(month)
    assert str(month / "index.html") in result.stdout
    assert len(list((month / "therapists").glob("*.html"))) == 60


def test_python_m_ter_is_the_command_line(tmp_path):
    missing = tmp_path / "nothing.csv"
    done = subprocess.run(
        [sys.executable, "-m", "ter", "validate", str(missing)],
        env={**os.environ, "PYTHONPATH": str(Path(ter.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == f"ter: {missing} does not exist; name a .csv or .parquet file\n"
