"""Tables come out of files validated and with outcomes; errors name the file and its rows."""

import os
from pathlib import Path

import pandas as pd
import pytest

from ter.errors import DataError
from ter.measures import OUTCOME_COLUMNS, add_outcomes
from ter.schema import validate_episodes
from ter.sources import read_counts, read_episodes, read_sessions

LINES = [
    "007,NaN,None,NA,2026-01-01,2026-02-01,5,20,5,15,5,30.5",
    "8,p,../../etc/passwd,😀,2026-01-01,2026-02-01,5,20,,15,5,",
]


def test_read_episodes_from_csv(csv):
    table = read_episodes(csv(*LINES))
    assert table.index.tolist() == [0, 1]
    assert table["episode_id"].tolist() == ["007", "8"]
    assert table["patient_id"].tolist() == ["NaN", "p"]
    assert table["therapist_id"].tolist() == ["None", "../../etc/passwd"]
    assert table["service_id"].tolist() == ["NA", "😀"]
    assert table["recovered"].tolist() == [True, False]


def test_the_outcomes_of_missing_scores_may_be_left_out(csv):
    table = read_episodes(csv(*LINES), missing_outcome="exclude")
    assert table["recovered"].tolist() == [True, pd.NA]


def test_csv_and_parquet_give_the_same_table(csv, tmp_path, episodes):
    episodes = episodes.assign(step=["2", "3", None, "2"], extra=[1.5, None, 2.0, 3.0])
    episodes.to_csv(tmp_path / "e.csv", index=False)
    episodes.to_parquet(tmp_path / "e.parquet")
    expected = add_outcomes(validate_episodes(episodes))
    pd.testing.assert_frame_equal(read_episodes(tmp_path / "e.csv"), expected)
    pd.testing.assert_frame_equal(read_episodes(tmp_path / "e.parquet"), expected)


def test_what_was_written_is_read_back(tmp_path, episodes):
    table = add_outcomes(validate_episodes(episodes))
    table.to_parquet(tmp_path / "e.parquet")
    pd.testing.assert_frame_equal(read_episodes(tmp_path / "e.parquet"), table)


def test_outcomes_in_the_file_are_computed_anew(tmp_path, episodes):
    episodes.assign(recovered=False).to_parquet(tmp_path / "e.parquet")
    table = read_episodes(tmp_path / "e.parquet")
    assert table["recovered"].tolist() == [True, False, False, True]
    assert set(OUTCOME_COLUMNS) <= set(table)


def test_faults_name_the_file_and_the_row_of_the_spreadsheet(csv):
    path = csv(LINES[0], LINES[1].replace(",20,", ",30,"))
    with pytest.raises(DataError) as caught:
        read_episodes(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: 1 kind of fault")
    assert "'phq9_first' is outside 0 to 27 in 1 row: row 3 (episode_id '8'): 30" in message


def test_dates_of_mixed_formats_are_one_fault(csv):
    lines = [LINES[0].replace("007", str(i)).replace("2026-01-01", day)
             for i, day in enumerate(["2026-01-01", "01/02/2026", "3 Jan 2026", "1.1.26"])]  # fmt: skip
    with pytest.raises(
        DataError, match="'start_date' is not a date of the form yyyy-mm-dd in 3 rows: row 3 "
    ):
        read_episodes(csv(*lines))


def test_read_sessions(csv):
    header = "session_id,episode_id,date,status,phq9,gad7"
    table = read_sessions(csv("1,NaN,2026-01-01,attended,20,15", "2,NaN,2026-01-08,dna,,", header=header))
    assert table["episode_id"].tolist() == ["NaN", "NaN"]
    assert table["phq9"].tolist() == [20, pd.NA]
    with pytest.raises(DataError, match="'session_id' is not unique in 2 rows: row 2: '1'; row 3: '1'"):
        read_sessions(csv(*["1,NaN,2026-01-01,attended,20,15"] * 2, header=header))


def test_read_counts(csv):
    path = csv("007,A,10.0,5.0", "8E1,B,,", header="org,area,n,y")
    table = read_counts(path, unit="org", trials="n", recovered="y", text=["area"])
    assert table["org"].tolist() == ["007", "8E1"]
    assert table["n"].tolist() == [10, pd.NA]


@pytest.mark.reference
def test_the_real_providers_are_read_as_published():
    folder = Path(os.environ.get("TER_REFERENCE_DATA", "../shared/data"))
    path = folder / "nhs_tt" / "provider_year.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    table = read_counts(path, unit="org_code", trials="at_caseness", recovered="recovery")
    year = table[table["reporting_period"] == "2023-24"].dropna(subset=["at_caseness", "recovery"])
    # As the providers' counts are described: 152 of them in that year.
    assert year["org_code"].nunique() == len(year) == 152
    # The file's own lines, counted without pandas.
    assert len(table) == len(path.read_text(encoding="utf-8").splitlines()) - 1
