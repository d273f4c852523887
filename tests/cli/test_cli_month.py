"""The month's job, from tables to bytes: what it knows, and what it keeps to itself."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_network import CASE_MIX, MONTH, Files

import ter
from ter.settings import read_case_mix


def month_bytes(files):
    month = files.out / MONTH
    found = {path.relative_to(month): path.read_bytes() for path in month.rglob("*") if path.is_file()}
    return found | {"model": (files.models / MONTH / "model.ter").read_bytes()}


def in_folder(folder: Path) -> Files:
    folder.mkdir()
    (folder / "case_mix.toml").write_text(CASE_MIX)
    return Files(folder)


@pytest.mark.parametrize("with_sessions", [False, True])
def test_what_happens_later_changes_no_byte(with_sessions, tmp_path, episodes, sessions):
    end = ter.month_end(MONTH)
    assert (episodes["start_date"] > pd.Timestamp(end)).any()
    assert (episodes["end_date"] > pd.Timestamp(end)).any()
    # What an extract on the month's last day holds; in the later one, whoever was still in treatment then has
    # ended, and every score, count and reason that may have come since is there.
    in_treatment = episodes["end_date"].isna()
    extracts = {
        "then": (ter.as_known_at(episodes, end), ter.sessions_known_at(sessions, end), "2026-08-31"),
        "later": (
            episodes.assign(
                end_date=episodes["end_date"].mask(in_treatment, pd.Timestamp("2026-11-20")),
                n_sessions=episodes["n_sessions"].mask(in_treatment, 9),
                phq9_last=episodes["phq9_last"].mask(in_treatment, 3),
                gad7_last=episodes["gad7_last"].mask(in_treatment, 3),
                end_reason=episodes["end_reason"].mask(in_treatment, "completed"),
            ).sample(frac=1, random_state=1),
            sessions.sample(frac=1, random_state=2),
            "2026-11-20",
        ),
    }
    assert len(extracts["then"][0]) < len(episodes)
    months = {}
    for name, (table, appointments, day) in extracts.items():
        files = in_folder(tmp_path / name)
        files.write(table.assign(exported_on=day))
        path = files.folder / "sessions.parquet"
        appointments.to_parquet(path)
        # Once with the checks that fit the model again, too.
        result = files.report(*(("--sessions", str(path), "--no-refits") if with_sessions else ()))
        assert result.exit_code == 0, result.stderr
        months[name] = month_bytes(files)
    assert months["then"] == months["later"]


def test_csv_and_parquet_give_the_same_bytes(tmp_path, episodes):
    csv, parquet = in_folder(tmp_path / "csv"), in_folder(tmp_path / "parquet")
    csv.write(episodes)
    episodes.to_parquet(parquet.folder / "episodes.parquet")
    assert csv.report("--no-refits").exit_code == 0
    settings = ter_settings(parquet)
    ter_run(settings)
    assert month_bytes(csv) == month_bytes(parquet)


def ter_settings(files):
    from ter.settings import MonthSettings

    return MonthSettings(
        episodes=files.folder / "episodes.parquet",
        month=MONTH,
        out=files.out,
        models=files.models,
        case_mix=files.folder / "case_mix.toml",
        refits=False,
    )


def ter_run(settings):
    from ter.jobs import run_month

    return run_month(settings)


def leave_completed(episodes: pd.DataFrame, counts: dict[str, int]) -> pd.DataFrame:
    """Drop completed treatments of therapists until each has as many as `counts` says."""
    known = ter.add_outcomes(ter.as_known_at(episodes, ter.month_end(MONTH)))
    done = known[known["completed"]].groupby("therapist_id")["episode_id"]
    dropped = [name for therapist, n in counts.items() for name in done.get_group(therapist).iloc[n:]]
    return episodes[~episodes["episode_id"].isin(dropped)]


def words_of(page: str) -> str:
    """The text of a page as a reader sees it, attributes that are read aloud included."""
    spoken = " ".join(re.findall(r'(?:alt|title|aria-label|content)="([^"]*)"', page))
    return html.unescape(re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL) + spoken)


def test_nothing_of_those_behind_the_gate_leaves(files, episodes):
    known = ter.add_outcomes(ter.as_known_at(episodes, ter.month_end(MONTH)))
    sizes = known.groupby("therapist_id")["completed"].sum()
    nine, ten, eleven = sizes[sizes > 11].index[:3]
    table = leave_completed(episodes, {nine: 9, ten: 10, eleven: 11})
    # Of the others, those who happen to have few would stand behind the gate as well.
    few = sizes[sizes < 10].index
    table = table[~table["therapist_id"].isin(few)]
    files.write(table)
    result = files.report("--minimum", "45")
    assert result.exit_code == 0, result.stderr
    month = files.out / MONTH

    ratings = pd.read_parquet(month / "ratings.parquet").set_index("therapist_id")
    assert ratings.loc[[nine, ten, eleven], "n_completed"].tolist() == [9, 10, 11]
    assert ratings.loc[nine, "status"] == "provisional"
    assert (ratings["status"] == "provisional").sum() == 1
    assert ratings.loc[nine].drop(["status", "service_id", "n_completed", "n_at_caseness"]).isna().all()
    assert ratings.loc[[ten, eleven], "ter"].notna().all()

    # The analyst's fit knows the figures that must not be found.
    then = ter.as_known_at(table, ter.month_end(MONTH))
    fitted = ter.fit(ter.add_outcomes(then), case_mix=read_case_mix(files.folder / "case_mix.toml"))
    j = fitted.units.ids.index(nine)
    p = fitted.posterior
    secret = [
        p.u_mean[j],
        p.u_sd[j],
        p.ter_mean[j],
        p.reliability[j],
        p.expected_mean[j],
        p.predicted_mean[j],
    ]
    secret += [fitted.units.observed[j] / fitted.units.n[j] / p.expected_mean[j]]
    secret += [100 * p.expected_mean[j], 100 * p.predicted_mean[j]]
    # Eight digits, cut and not rounded: long enough that no other figure has them by chance.
    digits = {f"{abs(value):.15f}".lstrip("0.")[:8] for value in secret}
    rated = fitted.units.ids.index(ten)
    for path in [*month.rglob("*.html"), *month.rglob("*.json"), *month.rglob("*.csv")]:
        text = path.read_text(encoding="utf-8")
        assert not [found for found in digits if found in re.sub(r"[0-9a-f]{64}", "", text)], path
    assert not [found for found in digits if found in result.output]
    # The search finds what is there: the same figure of a therapist with ten.
    assert f"{p.ter_mean[rated]:.15f}"[:8] in (month / "ratings.csv").read_text()

    # The page of the one with nine says how many, and holds no other figure than dates and the version.
    (page,) = [
        path for path in (month / "therapists").glob("*.html") if path.name.startswith(f"{nine.lower()}-")
    ]
    names = re.compile("|".join(map(re.escape, (nine, ter.__version__, ratings.loc[nine, "service_id"]))))
    words = names.sub("", words_of(page.read_text(encoding="utf-8")))
    assert re.search(r"9 of 10 completed treatments", words)
    numbers = set(re.findall(r"\d+(?:\.\d+)?", words))
    assert numbers <= {"9", "10", "31", "30", "2026", "1", "1.0"}

    # So do the rows of the network's page that name them.
    index = (month / "index.html").read_text(encoding="utf-8")
    rows = [row for row in re.findall(r"<tr\b.*?</tr>", index, flags=re.DOTALL) if nine in row]
    assert rows
    shown = set(re.findall(r"\d+(?:\.\d+)?", names.sub("", words_of(" ".join(rows)))))
    assert shown <= {"9", "10", str(ratings.loc[nine, "n_at_caseness"])}

    # One alone is gated, so the network's figures are of the others alone: nothing comes out by subtraction.
    counts = json.loads((month / "manifest.json").read_text())["counts"]
    others = [k for k, name in enumerate(fitted.units.ids) if name != nine]
    assert counts["n_at_caseness_rated"] == fitted.units.n[others].sum()
    network = 100 * fitted.units.observed[others].sum() / fitted.units.n[others].sum()
    everybody = 100 * fitted.units.observed.sum() / fitted.units.n.sum()
    figures = [float(found) for found in re.findall(r"(\d+(?:\.\d+)?)\s*%", words_of(index))]
    assert f"{everybody:.1f}" != f"{network:.1f}"
    # The network's recovery is the first figure of the page, to one decimal.
    assert np.isclose(figures[0], network, atol=0.05)


def test_a_raised_gate_holds(files, episodes):
    files.write(episodes)
    assert files.report("--completed", "20").exit_code == 0
    ratings = pd.read_parquet(files.out / MONTH / "ratings.parquet")
    assert ((ratings["n_completed"] < 20) == ratings["ter"].isna()).all()
    assert ratings["ter"].isna().any()
    assert ratings["ter"].notna().any()


def test_therapists_with_nobody_completed_are_listed(files, episodes):
    someone = episodes["therapist_id"].iloc[0]
    nobody = episodes["therapist_id"] == someone
    files.write(
        episodes.assign(
            end_date=episodes["end_date"].mask(nobody),
            n_sessions=episodes["n_sessions"].mask(nobody),
        )
    )
    result = files.report()
    assert result.exit_code == 0, result.stderr
    ratings = pd.read_parquet(files.out / MONTH / "ratings.parquet").set_index("therapist_id")
    assert ratings.loc[someone, "n_completed"] == 0
    assert ratings.loc[someone, "status"] == "provisional"


def test_no_patient_is_in_any_output(files, episodes):
    named = episodes.assign(
        patient_id=[f"patient-{k}-{k * k}" for k in range(len(episodes))],
        episode_id=[f"course-{k}-{k * k}" for k in range(len(episodes))],
    )
    files.write(named)
    result = files.report()
    assert result.exit_code == 0
    for path in files.written:
        content = path.read_bytes()
        assert b"patient-" not in content
        assert b"course-" not in content
    ratings = pd.read_parquet(files.out / MONTH / "ratings.parquet")
    assert len(ratings) == named["therapist_id"].nunique()


def test_a_month_after_the_data_is_refused_before_anything_is_written(files, episodes):
    files.write(episodes)
    late = files.report(month="2031-03")
    assert late.exit_code == 3
    assert re.search(r"The data end on \d+ \w+ 20\d\d, before March 2031 began", late.stderr)
    assert "Fitting" not in late.stderr
    assert not files.out.exists()


def test_a_month_that_is_not_whole_is_said_on_every_page_and_is_no_error(files, episodes):
    first = pd.Timestamp(f"{MONTH}-01")
    early = episodes[episodes["start_date"] < first + pd.Timedelta(days=9)]
    ended = early["end_date"] < first + pd.Timedelta(days=9)
    files.write(early.assign(end_date=early["end_date"].where(ended)))
    result = files.report("--no-refits")
    assert result.exit_code == 0, result.stderr
    (note,) = [line for line in result.stderr.splitlines() if "If the data end there" in line]
    (said,) = [line for line in result.stderr.splitlines() if line.startswith("As known on")]
    last = pd.Timestamp(json.loads((files.out / MONTH / "manifest.json").read_text())["known_until"])
    lacking = (first + pd.offsets.MonthEnd() - last).days
    assert f"the last {lacking} days of" in note
    index = (files.out / MONTH / "index.html").read_text(encoding="utf-8")
    page = next((files.out / MONTH / "therapists").glob("*.html")).read_text(encoding="utf-8")
    assert note in index
    # One truth: what the command line says of the data's end, the pages say word for word.
    assert said in index
    assert said in page
    usual = files.report("--no-refits", month=f"{first - pd.Timedelta(days=1):%Y-%m}")
    assert usual.exit_code == 0, usual.stderr
    assert "If the data end there" not in usual.stderr
    # A count says what it counts.
    counts = re.findall(r"^ +[\d,]+ of [\d,]+(.*)$", usual.stderr, flags=re.MULTILINE)
    assert {" pages", " groups of checks"} <= set(counts)
    assert all(counts)


def test_models_among_the_reports_are_refused_before_any_work(files, episodes):
    files.write(episodes)
    result = files.report("--models", str(files.out / "models"))
    assert result.exit_code == 2
    assert "among the reports" in result.stderr
    assert "Reading" not in result.stderr
    assert not files.out.exists()
