"""`ter`: fair ratings for therapists, adjusted for case mix, with honest uncertainty.

Each name of the public face is loaded when it is first used, so that ``import ter`` and ``ter --help`` are
quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ter._version import __version__
from ter.errors import (
    AlreadyPublishedError,
    DataError,
    FitError,
    ModelFileError,
    OptionError,
    TerError,
)

if TYPE_CHECKING:
    from ter import checks, monitoring, ratings, simulation
    from ter.features import CaseMix, factor, interaction, linear, spline
    from ter.measures import add_outcomes
    from ter.models import fit, load_fit
    from ter.models.priors import Priors
    from ter.ratings import rate
    from ter.reports.monthly import write_report
    from ter.simulation import Scenario, simulate
    from ter.sources import (
        as_known_at,
        episodes_from_sessions,
        month_end,
        read_episodes,
        read_sessions,
        sessions_known_at,
    )

#: Where each name lives that is loaded when it is first used.
_HOMES: Final = {
    "CaseMix": "ter.features",
    "Priors": "ter.models.priors",
    "Scenario": "ter.simulation",
    "add_outcomes": "ter.measures",
    "as_known_at": "ter.sources",
    "checks": "ter.checks",
    "episodes_from_sessions": "ter.sources",
    "factor": "ter.features",
    "fit": "ter.models",
    "interaction": "ter.features",
    "linear": "ter.features",
    "load_fit": "ter.models",
    "month_end": "ter.sources",
    "monitoring": "ter.monitoring",
    "rate": "ter.ratings",
    "ratings": "ter.ratings",
    "read_episodes": "ter.sources",
    "read_sessions": "ter.sources",
    "sessions_known_at": "ter.sources",
    "simulate": "ter.simulation",
    "simulation": "ter.simulation",
    "spline": "ter.features",
    "write_report": "ter.reports.monthly",
}

__all__ = [
    "AlreadyPublishedError",
    "CaseMix",
    "DataError",
    "FitError",
    "ModelFileError",
    "OptionError",
    "Priors",
    "Scenario",
    "TerError",
    "__version__",
    "add_outcomes",
    "as_known_at",
    "checks",
    "episodes_from_sessions",
    "factor",
    "fit",
    "interaction",
    "linear",
    "load_fit",
    "monitoring",
    "month_end",
    "rate",
    "ratings",
    "read_episodes",
    "read_sessions",
    "sessions_known_at",
    "simulate",
    "simulation",
    "spline",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ter' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if _HOMES[name] == f"ter.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
