"""A network that is simulated, fitted and rated in milliseconds."""

from ter.simulation import Scenario
from ter.simulation.population import Problem

ONE_PROBLEM = (Problem("depression", 1.0, 0.0, 15.0, 6.0, 12.5, 6.0),)


def small_scenario(**overrides) -> Scenario:
    """Twenty therapists of two services; patients without factors."""
    settings = {
        "n_therapists": 20, "n_services": 2, "mean_caseload": 40.0, "factors": (), "problems": ONE_PROBLEM,
    }  # fmt: skip
    return Scenario.preset("england_2024_25", **(settings | overrides))
