"""What every study is: settings that are frozen and checked, a replicate, and what is made of many."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import OptionError
from ter.models.records import library_versions
from ter.simulation.checks import check_count, check_number
from ter.simulation.scenario import Scenario
from ter.simulation.studies.rated import STUDY_ENGINES, StudyEngine

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Replicate:
    """What a study keeps of a replicate.

    Attributes
    ----------
    sums : ndarray of float64, shape (C, K)
        By cell; finite. Of no matter where a fit did not converge, or there was none.
    converged : bool
        Whether every fit in it did.
    """

    sums: FloatArray
    converged: bool = True


class Study(Protocol):
    """The settings of a study, and what it does with them."""

    #: The word for it on the command line.
    NAME: ClassVar[str]

    @property
    def scenario(self) -> Scenario:
        """The truth that is simulated."""

    @property
    def engine(self) -> StudyEngine:
        """How it is fitted."""

    def replicate(self, seed: int) -> Replicate:
        """Simulate, fit and rate once: a pure function of the settings and the seed."""

    def summarise(self, sums: FloatArray) -> pd.DataFrame:
        """Make a tidy table of the sums of all replicates, shape (R, C, K)."""

    def in_words(self, table: pd.DataFrame) -> list[str]:
        """Say in plain sentences what the table says."""


def usual_network(**overrides: Any) -> Scenario:
    """Give England in 2024-25 at the size of a study: 200 therapists, 10 services, about 10,000 episodes."""
    sized: dict[str, Any] = {"n_therapists": 200, "n_services": 10, "mean_caseload": 50.0, "caseload_cv": 0.8}
    return Scenario.preset("england_2024_25", **(sized | overrides))


def check_study(scenario: Scenario, engine: str) -> None:
    """Refuse what is no scenario or no engine of studies.

    Raises
    ------
    OptionError
    """
    if not isinstance(scenario, Scenario):
        raise OptionError(f"scenario must be a ter.Scenario, not {scenario!r}.")
    if engine not in STUDY_ENGINES:
        raise OptionError(f'The engine of a study must be {" or ".join(STUDY_ENGINES)}, not "{engine}".')
    if scenario.network.n_therapists < 2:
        raise OptionError("A study compares therapists, and the scenario has one: give it two or more.")


def check_increasing(name: str, values: tuple[float, ...], low: float, high: float) -> None:
    """Refuse values that are none, out of range or not increasing.

    Raises
    ------
    OptionError
    """
    if not isinstance(values, tuple) or not values:
        raise OptionError(f"{name} must be a tuple of one value or more, not {values!r}.")
    for k, value in enumerate(values):
        check_number(f"{name}[{k}]", value, low, high)
    if any(b <= a for a, b in pairwise(values)):
        raise OptionError(f"{name} must increase: {values!r}.")


def check_counts(name: str, values: tuple[int, ...]) -> None:
    """Refuse counts that are none, not whole, below 1 or not increasing.

    Raises
    ------
    OptionError
    """
    check_increasing(name, values, 1, 1_000_000)
    for k, value in enumerate(values):
        check_count(f"{name}[{k}]", value, 1, 1_000_000)


def settings_of(study: Study) -> dict[str, Any]:
    """The settings of a study as plain JSON values."""
    content = dataclasses.asdict(study)  # type: ignore[call-overload]
    plain: dict[str, Any] = json.loads(json.dumps(content, default=date.isoformat))
    return plain


def identity_of(study: Study, seed: int) -> dict[str, Any]:
    """All that a replicate depends on: study, settings, seed and versions, as plain JSON values."""
    return {
        "study": study.NAME,
        "settings": settings_of(study),
        "seed": seed,
        "versions": dict(library_versions()),
    }


def fingerprint_of(identity: Mapping[str, Any]) -> str:
    """Sha256 of an identity, in which a setting of 45 is one of 45.0."""
    settings = json.loads(json.dumps(identity["settings"]), parse_int=float)
    return hashlib.sha256(json.dumps({**identity, "settings": settings}, sort_keys=True).encode()).hexdigest()


def is_same(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether what was stored beside a study's results is the identity of this one.

    Raises
    ------
    KeyError
        If what was stored lacks a part of an identity.
    """
    return fingerprint_of({key: there[key] for key in here}) == fingerprint_of(here)
