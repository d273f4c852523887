import pandas as pd
import pytest


@pytest.fixture
def episodes():
    """Three good episodes, the last one in treatment."""
    return pd.DataFrame(
        {
            "episode_id": ["E1", "E2", "E3"],
            "patient_id": ["P1", "P2", "P3"],
            "therapist_id": ["T1", "T1", "T2"],
            "service_id": ["S1", "S1", "S1"],
            "start_date": ["2026-01-01", "2026-01-02", "2026-01-03"],
            "end_date": ["2026-02-01", "2026-02-02", None],
            "n_sessions": [5, 6, None],
            "phq9_first": [20, 10, 27],
            "phq9_last": [5, 0, None],
            "gad7_first": [15, 8, 21],
            "gad7_last": [5, 0, None],
        }
    )
