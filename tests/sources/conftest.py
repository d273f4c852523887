import pandas as pd
import pytest

HEADER = (
    "episode_id,patient_id,therapist_id,service_id,start_date,end_date,n_sessions,"
    "phq9_first,phq9_last,gad7_first,gad7_last,age"
)


@pytest.fixture
def csv(tmp_path):
    """Write a CSV file of episodes from its lines below the header."""

    def write(*lines, header=HEADER, name="episodes.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
        return path

    return write


@pytest.fixture
def episodes():
    """Four raw episodes: two ended in January and March, one in treatment, one that starts in April."""
    return pd.DataFrame(
        {
            "episode_id": ["E1", "E2", "E3", "E4"],
            "patient_id": ["P1", "P2", "P3", "P4"],
            "therapist_id": ["T1", "T1", "T2", "T2"],
            "service_id": ["S1", "S1", "S1", "S2"],
            "start_date": pd.to_datetime(["2026-01-01", "2026-01-31", "2026-01-20", "2026-04-01"]),
            "end_date": pd.to_datetime(["2026-01-31", "2026-03-01", None, "2026-04-30"]),
            "n_sessions": [5, 6, 3, 2],
            "phq9_first": [20, 15, 12, 11],
            "phq9_last": [5, 12, 11, 2],
            "gad7_first": [15, 10, 9, 12],
            "gad7_last": [5, 3, 8, 1],
            "end_reason": ["completed", "dropped out", None, "completed"],
            "n_dna": [0, 1, 2, 0],
            "age": [30, 40, 50, 60],
        }
    )
