"""Bad input gets one clear message, exit code 3, and nothing written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_network import NO_ANXIETY


def all_recovered(df):
    return df.assign(phq9_last=0, gad7_last=0)


def none_recovered(df):
    return df.assign(phq9_last=20, gad7_last=20)


def nobody_at_caseness(df):
    return df.assign(phq9_first=2, gad7_first=2)


def cell(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Put one bad value into the second row."""

    def change(df):
        df = df.astype({column: object})
        df.iloc[1, df.columns.get_loc(column)] = value
        return df

    return change


def end_before_start(df):
    end = df["end_date"].copy()
    row = np.flatnonzero(end.notna())[0]
    end.iloc[row] = df["start_date"].iloc[row] - pd.Timedelta(days=1)
    return df.assign(end_date=end)


def mixed_dates(df):
    dates = df["start_date"].dt.strftime("%Y-%m-%d").copy()
    dates.iloc[1] = "31/12/2025"
    return df.assign(start_date=dates)


TABLES = {
    "header only": (lambda df: df.iloc[:0], "no rows"),
    "duplicate ids": (lambda df: df.assign(episode_id=["E1", "E1", *df["episode_id"][2:]]), "episode_id"),
    "score out of range": (cell("phq9_first", 30), "outside 0 to 27"),
    "score not whole": (cell("gad7_last", 3.5), "whole number"),
    "score is text": (cell("phq9_last", "ten"), "phq9_last"),
    "end before start": (end_before_start, "before start_date"),
    "mixed dates": (mixed_dates, "start_date"),
    "date before 2000": (cell("start_date", "1999-12-31"), "2000"),
    "no therapists": (lambda df: df.drop(columns="therapist_id"), "therapist_id"),
    "empty therapist": (cell("therapist_id", None), "therapist_id"),
    "all recovered": (all_recovered, "recovered"),
    "none recovered": (none_recovered, "recovered"),
    "nobody at caseness": (nobody_at_caseness, "caseness"),
    "single therapist": (lambda df: df.assign(therapist_id="T1"), "therapist"),
}

FILES = {
    "empty": (b"", "empty"),
    "not a table": (b"\x89PNG\r\n\x1a\n\x00\x00", "UTF-8"),
    "wrong encoding": ("episode_id,patient_id\nÄ,Ö\n".encode("latin-1"), "UTF-8"),
    "UTF-16": ("episode_id,patient_id\n1,2\n".encode("utf-16"), "UTF-8"),
    "prose": (b"Dear all,\n\nplease find attached\n", "fields than its header"),
    "one column of 50 MB": (b"notes\n" + b"the same words again and again\n" * 1_700_000, "is missing"),
}


def check_refused(result, files, words):
    assert result.exit_code == 3, result.stderr
    message = result.stderr[result.stderr.index("ter: ") :]
    assert words in message
    assert len(message) < 3000
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert not files.out.exists()
    assert not files.models.exists()


@pytest.mark.parametrize(("change", "words"), TABLES.values(), ids=TABLES)
def test_bad_tables_are_refused(change, words, files, episodes):
    files.write(change(episodes.drop(columns=NO_ANXIETY)))
    check_refused(files.report(), files, words)


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_bad_files_are_refused(content, words, files):
    files.episodes.write_bytes(content)
    check_refused(files.report(), files, words)


def test_nothing_known_at_the_end_of_the_month(files, episodes):
    files.write(episodes)
    check_refused(files.report(month="2019-01"), files, "nothing is known at 2019-01-31")


def test_the_faults_of_all_tables_are_told_at_once(files, episodes, sessions):
    files.write(cell("phq9_first", 30)(episodes))
    path = files.folder / "sessions.csv"
    cell("gad7", 22)(sessions).to_csv(path, index=False)
    result = files.report("--sessions", str(path))
    check_refused(result, files, "outside 0 to 27")
    assert "outside 0 to 21" in result.stderr


def test_sessions_of_no_episode_are_refused(files, episodes, sessions):
    files.write(episodes[episodes["episode_id"] != sessions["episode_id"].iloc[0]])
    path = files.folder / "sessions.csv"
    sessions.to_csv(path, index=False)
    check_refused(files.report("--sessions", str(path)), files, "names an episode that is not there")


def test_a_single_service_is_good_input(files, episodes):
    files.write(episodes.assign(service_id="S1"))
    result = files.report()
    assert result.exit_code == 0, result.stderr
    assert "single service" in Path(files.out / "2026-08" / "index.html").read_text()
