"""A scenario: the whole truth of a simulated network, as one frozen object."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ter.errors import OptionError
from ter.simulation.checks import check_kind, check_text, shown
from ter.simulation.parts import Courses, Effects, NetworkPlan
from ter.simulation.population import Population

T = TypeVar("T")


@dataclass(frozen=True)
class Scenario:
    """The truth of a simulated network.

    Attributes
    ----------
    name : str
        Of the preset it began as, or the user's own.
    network : NetworkPlan
        How many therapists and services, how many episodes each, and when.
    effects : Effects
        The model of recovery.
    population : Population
        Who comes for treatment.
    courses : Courses
        How a course of treatment runs and where its scores end.

    Raises
    ------
    OptionError
        If the scenario is impossible; the message gives the reason.

    Examples
    --------
    >>> scenario = Scenario.preset("england_2024_25", n_therapists=300, n_services=12, mean_caseload=40)
    >>> scenario.replace(therapist_sd=0.0).effects.therapist_sd
    0.0
    """

    name: str
    network: NetworkPlan
    effects: Effects
    population: Population
    courses: Courses

    def __post_init__(self) -> None:
        check_text("name", self.name)
        for name, kind in _PARTS.items():
            check_kind(name, getattr(self, name), kind)

    @classmethod
    def preset(cls, name: str, /, **overrides: Any) -> Scenario:
        """Give a preset by name, with single parameters replaced.

        Parameters
        ----------
        name : str
            One of `ter.simulation.PRESETS`.
        **overrides
            As for `replace`.
        """
        from ter.simulation.presets import PRESETS  # the presets are scenarios: they need this class

        if not isinstance(name, str) or name not in PRESETS:
            raise OptionError(f"There is no preset {name!r}; the presets are {', '.join(sorted(PRESETS))}.")
        return PRESETS[name]().replace(**overrides)

    def replace(self, **overrides: Any) -> Scenario:
        """Give the scenario with some parameters replaced.

        Parameters
        ----------
        **overrides
            Each by the name it has in its part (``mean_caseload=40``), or ``name``. NumPy's numbers, as loops
            over an array give them, become Python's, which JSON can hold.
        """
        parts = [part.name for part in dataclasses.fields(self) if part.name != "name"]
        owner = {field.name: part for part in parts for field in dataclasses.fields(getattr(self, part))}
        unknown = sorted(set(overrides) - set(owner) - {"name"})
        if unknown:
            raise OptionError(
                f"Unknown parameters {', '.join(unknown)}; the parameters are {', '.join(sorted(owner))}."
            )
        changed: dict[str, Any] = {"name": overrides.pop("name", self.name)}
        for part in parts:
            values = {key: _plain(value) for key, value in overrides.items() if owner[key] == part}
            changed[part] = dataclasses.replace(getattr(self, part), **values)
        return Scenario(**changed)

    def coefficients(self) -> dict[str, float]:
        """Give the true coefficients in the coding of a fit.

        Factors are treatment-coded against their first level in sorted order, so the intercept takes the
        effects of those levels. Levels with a share of 0, which nobody has, are left out.

        Returns
        -------
        dict of str to float
            By term, as in ``fit.fixed``: ``"intercept"``, ``"phq9_first"``, ``"employment[unemployed]"``; a
            value that is not recorded is the level ``missing``.
        """
        e = self.effects
        out = {
            "intercept": e.intercept,
            "phq9_first": e.phq9,
            "gad7_first": e.gad7,
            "wsas_first": e.wsas,
            "age": e.age,
            "imd_decile": e.imd,
            "prior_episodes": e.prior,
            "wait_days": e.wait,
        }
        factors = {
            f.column: {level.name: level.effect for level in f.levels if level.share}
            for f in self.population.factors
        }
        factors["problem"] = {
            problem.name: problem.effect for problem in self.population.problems if problem.share
        }
        for column, effects in factors.items():
            # What is not recorded comes last: it is the first level where it is the only one.
            reference, *others = sorted(effects, key=lambda level: (not level, level))
            out["intercept"] += effects[reference]
            for name in others:
                out[f"{column}[{name or 'missing'}]"] = effects[name] - effects[reference]
        return out

    def to_json(self) -> str:
        """Write the scenario as JSON, dates as ``2024-11-01``."""
        return (
            json.dumps(dataclasses.asdict(self), indent=2, default=date.isoformat, ensure_ascii=False) + "\n"
        )

    @classmethod
    def from_json(cls, source: str | Path) -> Scenario:
        """Read a scenario from JSON text, or from a file if given a path.

        Raises
        ------
        OptionError
            If the file cannot be read, it is not JSON, a key is unknown or missing, a value is of the wrong
            kind, or the scenario is impossible.
        """
        content = read_json(source)
        if holds_seed(content):
            raise OptionError(
                "This is the file of a simulation, with its seed beside the scenario: "
                "ter.simulation.read_scenario(path) gives both."
            )
        return scenario_of(content)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


#: The parts of a scenario beside its name.
_PARTS = {"network": NetworkPlan, "effects": Effects, "population": Population, "courses": Courses}


def check_scenario(scenario: Scenario) -> None:
    """Refuse what is no scenario, such as the name of a preset."""
    if not isinstance(scenario, Scenario):
        raise OptionError(
            f"scenario must be a ter.Scenario, not {shown(scenario)}. "
            "ter.Scenario.preset(name) gives a preset, ter.Scenario.from_json(path) one from a file."
        )


def holds_seed(content: Any) -> bool:
    """Say whether the content of a JSON text is a scenario beside the seed of a simulation."""
    return isinstance(content, dict) and set(content) == {"seed", "scenario"}


def scenario_of(content: Any) -> Scenario:
    """Give the scenario that the content of a JSON text describes."""
    return _decode(Scenario, content, "scenario")


def read_json(source: str | Path) -> Any:
    """Give the content of JSON text, or of a file if given a path.

    Raises
    ------
    OptionError
        If the file cannot be read, or it is not JSON.
    """
    if not isinstance(source, str | Path):
        raise OptionError(f"A scenario is read from JSON text or from a pathlib.Path, not {shown(source)}.")
    text = _text_of(source) if isinstance(source, Path) else source
    where = str(source) if isinstance(source, Path) else "The text of a scenario"
    if not text.strip():
        raise OptionError(f"{where} is empty; it must be JSON, as Scenario.to_json writes it.")
    try:
        return json.loads(text, object_pairs_hook=_once)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from error
    except json.JSONDecodeError as error:
        # No object begins in it: it may well be the name of a file.
        path = isinstance(source, str) and "{" not in text
        hint = f" A str is taken as JSON text; give a file as pathlib.Path({shown(source)})." if path else ""
        raise OptionError(f"{where} is not JSON: {error}.{hint}") from error
    except (ValueError, RecursionError) as error:
        raise OptionError(
            f"{where} holds no scenario: it has a number of thousands of digits, or nests lists too deep."
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Give a JSON object, whose keys must differ."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise OptionError(f"the key {shown(twice)} is given twice in one object; leave one of them.")
    return content


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} cannot be read as a scenario: it is not text in UTF-8.") from error
    except (OSError, ValueError) as error:  # a path with a null character is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{path} cannot be read as a scenario: {reason}.") from error


def _decode(kind: type[T], content: Any, where: str) -> T:
    """Build a dataclass from the JSON object that `dataclasses.asdict` made of it."""
    if not isinstance(content, Mapping):
        raise OptionError(f"{where} must be an object, not {shown(content)}.")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(content) - set(fields))
    if unknown:
        raise OptionError(f"{where} has unknown keys {', '.join(unknown)}; it takes {', '.join(fields)}.")
    missing = sorted(
        name for name, field in fields.items() if name not in content and field.default is dataclasses.MISSING
    )
    if missing:
        raise OptionError(f"{where} lacks {', '.join(missing)}.")
    values = {
        name: _value(hints[name], content[name], f"{where}.{name}") for name in fields if name in content
    }
    try:
        return kind(**values)
    except OptionError as error:  # a part does not know where it stands
        raise OptionError(f"{where}: {error}") from error


def _value(kind: Any, content: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _decode(typing.cast(type[Any], kind), content, where)
    if typing.get_origin(kind) is tuple:
        if not isinstance(content, list):
            raise OptionError(f"{where} must be a list, not {shown(content)}.")
        item = typing.get_args(kind)[0]
        return tuple(_value(item, part, f"{where}[{k}]") for k, part in enumerate(content))
    if kind is date:
        try:
            return date.fromisoformat(content)
        except (TypeError, ValueError) as error:
            raise OptionError(f"{where} must be a date such as 2024-11-01, not {shown(content)}.") from error
    if kind is str and not isinstance(content, str):
        raise OptionError(f"{where} must be text, not {shown(content)}.")
    return content  # numbers are checked by the part itself
