"""Help texts, and what they load."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from small_network import ter_command

import ter
from ter import cli

COMMANDS = ("demo", "simulate", "validate", "fit", "report", "profile", "score", "study")


def test_the_commands_are_listed():
    text = ter_command("--help").stdout
    assert re.findall(r"^  (\w+) ", text.split("Commands:")[1], flags=re.MULTILINE)[: len(COMMANDS)] == list(
        COMMANDS
    )
    assert "Exit codes: 0 done, 2 usage, 3 bad data" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_its_options_allow(name):
    result = ter_command(name, "--help")
    assert result.exit_code == 0
    text, examples = result.stdout.split("Examples:")
    # A line that ends in a backslash goes on.
    lines = [line.strip() for line in re.sub(r"\\\n", " ", examples).splitlines() if line.strip()]
    assert lines
    options = set(re.findall(r"--[a-z-]+", text))
    for line in lines:
        words = shlex.split(line)
        assert words[:2] == ["ter", name]
        assert {word for word in words if word.startswith("--")} <= options


def test_the_version_is_printed():
    assert ter_command("--version").stdout.strip() == ter.__version__


def test_help_loads_no_heavy_library():
    code = (
        "import sys, runpy\n"
        "sys.argv = ['ter', 'report', '--help']\n"
        "try: runpy.run_module('ter', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'pymc', 'matplotlib', 'statsmodels', 'numba', 'scipy', 'pandas', 'numpy', 'pandera'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    root = Path(cli.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""
    assert "ter report --config" in done.stdout
