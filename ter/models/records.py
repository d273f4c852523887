"""What every fit says of itself: its settings, its optimisation record, and the versions it was made with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from ter._version import __version__
from ter.errors import OptionError
from ter.models.certificate import Certificate
from ter.models.diagnostics import Diagnostics
from ter.models.priors import Priors
from ter.options import Engine

LIBRARIES = ("numpy", "scipy", "pandas", "numba")


@dataclass(frozen=True)
class NutsOptions:
    """How long engine "nuts" samples.

    Attributes
    ----------
    draws, tune : int
        Of each chain: draws that count, and draws before them that tune the sampler.
    chains : int
        From 2 to 64: R-hat compares chains, and four are usual.

    Raises
    ------
    OptionError
        If one is not a whole number in its range.
    """

    draws: int = 2000
    tune: int = 1000
    chains: int = 4

    def __post_init__(self) -> None:
        for name, low, high in (("draws", 4, 10**6), ("tune", 1, 10**6), ("chains", 2, 64)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise OptionError(f"{name} must be a whole number from {low} to {high:,}, not {value!r}.")


@dataclass(frozen=True)
class FitSettings:
    """What was asked for.

    Attributes
    ----------
    engine : {"fast", "ml", "nuts"}
    outcome : str
    trials : str or None
    therapist : str
    service : str or None
    nodes : int
        Quadrature nodes for each therapist; 1 is the Laplace approximation.
    seed : int
    nuts : NutsOptions or None
        None for the other engines.
    priors : Priors
        Of engines "fast" and "nuts".
    severity_slope : str or None
        The column that therapist effects grow with.
    further : str or None
        The column of a third factor.
    """

    engine: Engine
    outcome: str
    trials: str | None
    therapist: str
    service: str | None
    nodes: int
    seed: int
    nuts: NutsOptions | None = None
    priors: Priors = Priors()  # noqa: RUF009 - frozen
    severity_slope: str | None = None
    further: str | None = None


@dataclass(frozen=True)
class Record:
    """How the fit went.

    Attributes
    ----------
    converged : bool
    iterations : int
        Steps of the ascent (engine "ml"), evaluations of derivatives (engine "fast"), or draws of all chains
        with those that tune (engine "nuts").
    gradient_norm : float
        Largest gradient at the optimum, in units of one over the standard error; NaN for engine "nuts".
    log_likelihood : float
        Marginal, at the optimum or at posterior means, constants included.
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
    diagnostics : Diagnostics or None
        What was checked of the chains of engine "nuts".
    structure : str
        How therapists and services stand to each other: one factor, nested, crossed; empty of a fit that was
        saved before this was recorded.
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
    diagnostics: Diagnostics | None = None
    structure: str = ""


@cache
def library_versions(sampler: str | None = None) -> tuple[tuple[str, str], ...]:
    """Versions of this package and of the libraries that the numbers come from.

    Parameters
    ----------
    sampler : str, optional
        Which library sampled.
    """
    sampling = () if sampler is None else dict.fromkeys(("pymc", "pytensor", "arviz", sampler))
    return (("ter", __version__), *((name, version(name)) for name in (*LIBRARIES, *sampling)))
