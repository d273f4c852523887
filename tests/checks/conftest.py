from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import ter
from ter.models import Fit


@pytest.fixture(scope="session")
def episodes() -> pd.DataFrame:
    scenario = ter.Scenario.preset(
        "england_2024_25", n_therapists=45, n_services=3, mean_caseload=45, caseload_cv=0.4
    )
    return ter.simulate(scenario, seed=11).episodes


@pytest.fixture(scope="session")
def case_mix() -> ter.CaseMix:
    scores = [ter.spline("phq9_first", df=3), ter.linear("gad7_first"), ter.linear("wsas_first")]
    groups = [ter.factor("employment"), ter.factor("problem"), ter.factor("long_term_condition")]
    return ter.CaseMix([*scores, ter.linear("age"), ter.linear("imd_decile"), *groups])


@pytest.fixture(scope="session")
def fit(episodes: pd.DataFrame, case_mix: ter.CaseMix) -> Fit:
    return ter.fit(episodes, case_mix=case_mix)


@pytest.fixture(scope="session")
def steep(episodes: pd.DataFrame) -> pd.DataFrame:
    """The same network, with severity deciding a third of all outcomes."""
    out = episodes.copy()
    decided = (np.arange(len(out)) % 3 == 0) & out["recovered"].notna().to_numpy()
    out.loc[decided, "recovered"] = (out["phq9_first"] < 15)[decided]
    return out
