"""A replicate: a drawn network, fitted and rated, beside its truth."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ter.errors import FitError
from ter.features import Design
from ter.models.layout import arrange
from ter.models.marginal import conditionals, marginalise
from ter.models.ml import LOWEST_LOG_SD, Estimates, fit_ml
from ter.models.posterior import Posterior
from ter.models.proposal import Draws
from ter.models.quadrature import QuadratureLikelihood
from ter.models.solve import solve_fast
from ter.simulation.scenario import Scenario
from ter.simulation.studies.designs import design_of, encoder_of
from ter.simulation.studies.draws import Drawn, draw_network, standardised_truth

FloatArray = NDArray[np.float64]

#: Engines that a study can take. "ml" rates at the maximum likelihood estimates, as if they were known.
StudyEngine = Literal["ml", "fast"]
STUDY_ENGINES: Final = get_args(StudyEngine)

#: Quadrature nodes for each therapist.
NODES: Final = 11


@dataclass(frozen=True, eq=False)
class Solved:
    """What an engine found of a design.

    Attributes
    ----------
    posterior : Posterior
        Of engine "ml": a single draw, the estimates, with the effects of therapists integrated out given
        them (empirical Bayes).
    estimates : Estimates or None
        Of engine "ml".
    """

    posterior: Posterior
    estimates: Estimates | None


@dataclass(frozen=True, eq=False)
class Rated:
    """A replicate.

    Attributes
    ----------
    drawn : Drawn
        The network with its truth.
    design : Design
    solved : Solved
    n : ndarray of float64, shape (J,)
        Modelled patients of each therapist.
    true_ter : ndarray of float64, shape (J,)
        Percent.
    """

    drawn: Drawn
    design: Design
    solved: Solved
    n: FloatArray
    true_ter: FloatArray

    @property
    def ter(self) -> FloatArray:
        """Rated TER, percent, shape (J,): of all therapists, whatever their completed treatments."""
        return self.solved.posterior.ter_mean


def rate_network(scenario: Scenario, engine: StudyEngine, seed: int) -> Rated:
    """Simulate a network, fit the true model to it (slopes on severity apart) and rate everybody in it.

    A pure function of its arguments. Ratings are those of simulated therapists, so that the gate, which is
    itself in question, is left to the study.

    Parameters
    ----------
    scenario : Scenario
    engine : {"ml", "fast"}
    seed : int
        Of the simulation, and of the draws of engine "fast".
    """
    with one_thread():
        drawn = draw_network(scenario, seed)
        design = design_of(scenario, drawn, encoder_of(scenario))
        return Rated(
            drawn=drawn,
            design=design,
            solved=solve_design(design, engine, seed),
            n=np.bincount(drawn.therapist, minlength=drawn.effect.size).astype(np.float64),
            true_ter=standardised_truth(drawn),
        )


def slopes_in_words(scenario: Scenario) -> list[str]:
    """Say where `rate_network` fits less than the truth, in one sentence or none."""
    if not scenario.effects.severity_slope_sd:
        return []
    return ["Therapists' slopes on severity are in the truth of this scenario, not in the fitted model."]


def one_thread() -> contextlib.AbstractContextManager[object]:
    """Linear algebra on one thread: its sums would otherwise depend on how many there are."""
    return _libraries().limit(limits=1)  # type: ignore[no-any-return]


# Kept, because to look for the libraries takes a while in every replicate.
@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def solve_design(design: Design, engine: StudyEngine, seed: int, *, precise: bool = True) -> Solved:
    """Fit a design with one of the studies' engines.

    Parameters
    ----------
    design : Design
    engine : {"ml", "fast"}
    seed : int
        Of the draws of engine "fast".
    precise : bool
        Whether engine "fast" draws until the Monte Carlo errors of single ratings are small.

    Raises
    ------
    FitError
        If there is no fit to use: no maximum, a bad certificate, or ratings that cannot be worked out.
    """
    if engine == "fast":
        solution = solve_fast(design, NODES, seed, precise=precise)
        if solution.posterior is None:
            raise AssertionError('engine "fast" gives a posterior')
        if not solution.converged:
            raise FitError("The posterior's certificate is bad.")
        return Solved(solution.posterior, None)
    layout = arrange(design, design.therapist, design.service)
    found = fit_ml(layout, 1)
    if not found.usable:
        raise FitError("The likelihood has no maximum that was found.")
    likelihood = QuadratureLikelihood(layout, NODES)
    # An SD of zero has no density: the smallest that the likelihood tells from it stands for it.
    sd = np.maximum(found.sd, np.exp(LOWEST_LOG_SD))
    draw = Draws(sd=sd[None, :], b=np.concatenate([found.beta, found.v])[None, :])
    given = conditionals(likelihood, draw)
    posterior, _ = marginalise(likelihood, draw, given, np.ones(1), 0)
    return Solved(posterior, found)
