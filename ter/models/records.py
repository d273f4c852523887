"""What every fit says of itself: its settings, its optimisation record, and the versions it was made with."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from ter._version import __version__
from ter.models.certificate import Certificate
from ter.options import Engine

LIBRARIES = ("numpy", "scipy", "pandas", "numba")


@dataclass(frozen=True)
class FitSettings:
    """What was asked for.

    Attributes
    ----------
    engine : {"fast", "ml"}
    outcome : str
    trials : str or None
    therapist : str
    service : str or None
    nodes : int
        Quadrature nodes for each therapist; 1 is the Laplace approximation.
    seed : int
    """

    engine: Engine
    outcome: str
    trials: str | None
    therapist: str
    service: str | None
    nodes: int
    seed: int


@dataclass(frozen=True)
class Record:
    """How the fit went.

    Attributes
    ----------
    converged : bool
    iterations : int
        Newton iterations (engine "ml"), or grid points (engine "fast").
    gradient_norm : float
        Largest gradient at the optimum, in units of one over the standard error.
    log_likelihood : float
        Marginal, at the optimum, constants included.
    certificate : Certificate or None
        What was checked of the posterior of engine "fast".
    draws : int
        Draws of the posterior; 0 for engine "ml".
    singular : bool
        Whether a standard deviation is on its boundary, zero.
    n_rows, n_modelled : int
        Rows of the table; of these, modelled.
    left_out : tuple of (str, int)
    service_effect : str
        "included", or why it was left out.
    notes : tuple of str
        Warnings in plain words.
    versions : tuple of (str, str)
    """

    converged: bool
    iterations: int
    gradient_norm: float
    log_likelihood: float
    certificate: Certificate | None
    draws: int
    singular: bool
    n_rows: int
    n_modelled: int
    left_out: tuple[tuple[str, int], ...]
    service_effect: str
    notes: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]


def library_versions() -> tuple[tuple[str, str], ...]:
    """Versions of this package and of the libraries that the numbers come from."""
    return (("ter", __version__), *((name, version(name)) for name in LIBRARIES))
