"""What the README says works as it is written there."""

import dataclasses
import re
import shlex
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from ter.cli import app
from ter.schema import COLUMNS, SESSION_COLUMNS
from ter.settings import MonthSettings, read_case_mix

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    return [text for word, text in fenced if word == language]


def test_the_example_runs_and_is_short(tmp_path, monkeypatch, capsys):
    (example,) = blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    month = tmp_path / "reports" / "2026-10"
    assert (month / "index.html").is_file()
    assert (tmp_path / "models" / "2026-10" / "model.ter").is_file()
    assert str(Path("reports/2026-10/index.html")) in capsys.readouterr().out
    assert len(pd.read_parquet(month / "ratings.parquet")) == 150


def test_the_settings_file_and_its_table_are_those_of_the_job(tmp_path):
    settings, case_mix = blocks("toml")
    (tmp_path / "ter.toml").write_text(settings)
    made = MonthSettings.of(tmp_path / "ter.toml", month="2026-10")
    assert made.minimum == 45.0
    (tmp_path / "case_mix.toml").write_text(case_mix)
    assert [term.name for term in read_case_mix(tmp_path / "case_mix.toml").terms] == [
        "phq9_first", "age", "employment", "imd_decile:gender",
    ]  # fmt: skip
    section = README.split("## Settings of the monthly job")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*)\|", section, flags=re.MULTILINE))
    fields = {field.name: field.default for field in dataclasses.fields(MonthSettings)}
    assert set(rows) == set(fields)
    for name, default in rows.items():
        if default.startswith("`"):
            value = tomllib.loads(f"x = {default.strip('` ')}")["x"]
            assert value == (str(fields[name]) if isinstance(value, str) else fields[name]), name


COMMANDS = [line for block in blocks("") for line in block.splitlines() if line.startswith("ter ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_ones_that_ter_takes(line):
    name, *arguments = shlex.split(line)[1:]
    options = {argument for argument in arguments if argument.startswith("--")}
    text = CliRunner().invoke(app, [name, "--help"]).stdout
    assert options <= set(re.findall(r"--[a-z-]+", text))


def test_the_columns_are_those_of_the_schema():
    section = README.split("## Tables")[1].split("\n## ")[0]
    episodes, sessions = section.split("`sessions`, one row")
    must, may = episodes.split("It may have")
    named = set(re.findall(r"`(\w+)`", must)) - {"episodes"}
    assert named == {column.name for column in COLUMNS.values() if column.required}
    optional = {c.name for c in COLUMNS.values() if not c.required and c.kind != "outcome"}
    assert set(re.findall(r"`(\w+)`", may)) == optional
    required = {column.name for column in SESSION_COLUMNS.values() if column.required}
    assert set(re.findall(r"`(\w+)`", sessions)) == required


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
