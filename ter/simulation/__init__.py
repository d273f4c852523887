"""Simulated networks of therapists whose truth is known."""

from ter.simulation.caseloads import Simulation, count_outcomes, simulate
from ter.simulation.presets import PRESETS
from ter.simulation.scenario import Scenario
from ter.simulation.streaming import stream_episodes, stream_simulation
from ter.simulation.writing import read_scenario, write_simulation

__all__ = [
    "PRESETS",
    "Scenario",
    "Simulation",
    "count_outcomes",
    "read_scenario",
    "simulate",
    "stream_episodes",
    "stream_simulation",
    "write_simulation",
]
