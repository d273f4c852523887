"""The settings of a study from the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ter.errors import OptionError
from ter.settings.toml import read_toml, refuse_unknown
from ter.simulation import PRESETS, Scenario, read_scenario
from ter.simulation.caseloads import check_seed
from ter.simulation.studies import STUDIES, Study
from ter.simulation.studies.run import check_jobs, check_replicates

#: The table of a settings file with what only this study knows.
OWN: Final = "settings"


@dataclass(frozen=True)
class StudyRequest:
    """All that a study is asked for.

    Attributes
    ----------
    name : str
        One of `ter.simulation.studies.STUDIES`.
    out : Path
        The folder of its results.
    scenario : str or None
        A preset by name, or a JSON file; None for the study's own.
    replicates, seed : int
    engine : str or None
        None for the study's own.
    jobs : int
        Workers; -1 for one on each core.
    overwrite : bool
        Whether a finished study in the folder, or the replicates of another one, are replaced.
    settings : mapping of str to value
        What only this study knows: its other fields.

    Raises
    ------
    OptionError
        A value is of the wrong type or out of its range, or there is no such study, scenario or setting.
    """

    name: str
    out: Path
    scenario: str | None = None
    replicates: int = 100
    seed: int = 1
    engine: str | None = None
    jobs: int = -1
    overwrite: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in STUDIES:
            raise OptionError(f'There is no study "{self.name}"; the studies are {", ".join(STUDIES)}.')
        if isinstance(self.replicates, bool) or not isinstance(self.replicates, int):
            raise OptionError(f"replicates must be a whole number, not {self.replicates!r}.")
        if not isinstance(self.overwrite, bool):
            raise OptionError(f"overwrite must be true or false, not {self.overwrite!r}.")
        # Refuses what is out of range before anything is simulated.
        check_replicates(self.replicates)
        check_seed(self.seed)
        check_jobs(self.jobs)
        if self.scenario is not None and not isinstance(self.scenario, str):
            raise OptionError(f"scenario must be a preset's name or a file, not {self.scenario!r}.")
        self.study()

    @classmethod
    def of(cls, name: str, out: Path, file: Path | None = None, **given: Any) -> StudyRequest:
        """Take settings from a TOML file, and from what is given besides, which comes first.

        Parameters
        ----------
        name : str
        out : Path
        file : Path, optional
            Its keys are ``scenario``, ``replicates``, ``seed``, ``engine``, ``jobs`` and ``overwrite``, and
            its table ``[settings]`` holds what only this study knows. A scenario's file is relative to it.
        **given
            Fields; None for one that is not given.

        Raises
        ------
        OptionError
            As the class, or if the file cannot be read or has a key that is not known.
        """
        content = {} if file is None else read_toml(file)
        known = {f.name for f in dataclasses.fields(cls)} - {"name", "out"}
        kind = STUDIES.get(name)
        own = {f.name for f in dataclasses.fields(kind)} - known if kind else set()
        for key in content:
            if key in own:
                raise OptionError(f"{file}: {key} is of the study {name} alone: put it below [{OWN}].")
        refuse_unknown(content, known, str(file))
        named = content.get("scenario")
        if file is not None and isinstance(named, str) and named not in PRESETS:
            content["scenario"] = str(file.parent / named)
        content |= {key: value for key, value in given.items() if value is not None}
        return cls(name=name, out=out, **content)

    def study(self) -> Study:
        """Make the study."""
        kind = STUDIES[self.name]
        own = {f.name for f in dataclasses.fields(kind)} - {"scenario", "engine"}
        if not isinstance(self.settings, Mapping):
            raise OptionError(f"{OWN} must be a table, not {self.settings!r}.")
        refuse_unknown(self.settings, own, f"{OWN} of the study {self.name}")
        chosen: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in self.settings.items()
        }
        if self.engine is not None:
            chosen["engine"] = self.engine
        if self.scenario is not None:
            chosen["scenario"] = _scenario(self.scenario)
        return kind(**chosen)


def _scenario(name: str) -> Scenario:
    """A preset by its name, or else a file."""
    if name in PRESETS:
        return Scenario.preset(name)
    if not Path(name).exists():
        raise OptionError(
            f'"{name}" is neither a preset ({", ".join(sorted(PRESETS))}) nor a file that exists.'
        )
    return read_scenario(Path(name))[0]
