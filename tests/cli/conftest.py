from pathlib import Path

import pandas as pd
import pytest
from small_network import CASE_MIX, Files

import ter
from ter.measures import OUTCOME_COLUMNS


@pytest.fixture(scope="session")
def simulation() -> ter.simulation.Simulation:
    scenario = ter.Scenario.preset(
        "england_2024_25", n_therapists=14, n_services=3, mean_caseload=36, joining=0.0, caseload_cv=0.3
    )
    return ter.simulate(scenario, seed=3, sessions=True)


@pytest.fixture
def episodes(simulation: ter.simulation.Simulation) -> pd.DataFrame:
    """The network's episodes as a file has them: without outcomes."""
    return simulation.episodes.drop(columns=list(OUTCOME_COLUMNS))


@pytest.fixture
def sessions(simulation: ter.simulation.Simulation) -> pd.DataFrame:
    assert simulation.sessions is not None
    return simulation.sessions.copy()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "case_mix.toml").write_text(CASE_MIX)
    return Files(tmp_path)
