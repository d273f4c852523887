"""A replicate of a study: simulate, fit and rate. Beside simulating alone, and beside the way by tables."""

from __future__ import annotations

import pytest

import ter
from benchmarks.problems import Problem, scenario_of
from benchmarks.side_by_side import Items, Yardstick
from ter.models import Fit
from ter.simulation.modelled import draw_modelled
from ter.simulation.scenario import Scenario
from ter.simulation.studies.designs import encoder_of
from ter.simulation.studies.rated import Rated, rate_network


@pytest.fixture(scope="session")
def scenario(problem: Problem) -> Scenario:
    return scenario_of(problem)


def fitted_from_a_table(scenario: Scenario, seed: int) -> Fit:
    """The same simulation and the same fit, not rated, as a user of the public face does it."""
    episodes = ter.simulate(scenario, seed=seed).episodes
    return ter.fit(episodes, case_mix=encoder_of(scenario).learned, engine="ml")


def test_replicate(beside, problem: Problem, scenario: Scenario):
    rated: Rated = beside(
        lambda: rate_network(scenario, "ml", problem.seed),
        Yardstick("simulating alone", lambda: draw_modelled(scenario, problem.seed)),
        Yardstick(
            "simulate and fit by tables", lambda: fitted_from_a_table(scenario, problem.seed), repeats=1
        ),
        rounds=10,
        items=Items(int(draw_modelled(scenario, problem.seed).n_episodes.sum()), "episode"),
    )
    fit = fitted_from_a_table(scenario, problem.seed)
    # The same rows, the same model: the same optimum, however often it is sought.
    assert rated.solved.estimates.log_likelihood == pytest.approx(fit.estimates.log_likelihood, abs=1e-8)
