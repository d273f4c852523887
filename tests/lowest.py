"""Print the lower bounds of pyproject.toml as exact versions: a constraints file for pip."""

import re
import tomllib
from pathlib import Path


def lowest(requirements: list[str]) -> list[str]:
    found = (re.match(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", requirement) for requirement in requirements)
    return [f"{match[1]}=={match[2]}" for match in found if match]


if __name__ == "__main__":
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    print("\n".join(lowest(project["dependencies"])))
