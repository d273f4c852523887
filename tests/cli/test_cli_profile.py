"""Profiles of units from their counts."""

import json

import numpy as np
import pandas as pd
import pytest
from small_network import ter_command

N_UNITS = 24


@pytest.fixture
def counts():
    """Two years of counts; some are blank, as small ones are in published tables."""
    rng = np.random.default_rng(5)
    units = [f"{k:03}" for k in range(N_UNITS)]
    table = pd.DataFrame({"year": np.repeat(["2024-25", "2025-26"], N_UNITS), "org": units * 2})
    table["people"] = rng.integers(40, 900, len(table)).astype(float)
    effect = np.tile(rng.normal(0, 0.4, N_UNITS), 2)
    table["better"] = rng.binomial(table["people"].astype(int), 1 / (1 + np.exp(-effect))).astype(float)
    table.loc[[3, N_UNITS + 5], ["people", "better"]] = np.nan
    return table


def profile(table, folder, *options):
    path = folder / "counts.csv"
    table.to_csv(path, index=False)
    return ter_command("profile", str(path), "--unit", "org", "--trials", "people", "--recovered", "better",
                       "--out", str(folder / "profile"), *options)  # fmt: skip


def test_a_year_is_rated_from_its_counts(counts, tmp_path):
    result = profile(
        counts, tmp_path, "--where", "year=2025-26", "--label", "provider", "--title", "All <of> them"
    )
    assert result.exit_code == 0, result.stderr
    assert "Left out: 1 of 24 rows" in result.stdout
    ratings = pd.read_parquet(tmp_path / "profile" / "ratings.parquet").set_index("therapist_id")
    # Ids of digits keep their zeros.
    assert ratings.index.tolist() == [f"{k:03}" for k in range(N_UNITS)]
    year = counts[counts["year"] == "2025-26"].set_index("org")
    observed = (year["better"] / year["people"]).loc[ratings.index]
    # Observed means observed: the ratio of the two counts, to the last bit but one.
    np.testing.assert_allclose(ratings["observed"], observed, rtol=1e-15)
    assert ratings["status"].eq("provisional").tolist() == year["people"].isna().tolist()
    page = (tmp_path / "profile" / "index.html").read_text()
    assert "All &lt;of&gt; them" in page
    assert "provider" in page
    # The checks that counts can answer, in the words of these units.
    manifest = json.loads((tmp_path / "profile" / "manifest.json").read_text())
    assert set(manifest["card"]["checks"]) == {"convergence", "sample_size", "spread", "normality"}
    card = page[page.index("The model card:") : page.index("</section>", page.index("The model card:"))]
    assert "Do providers differ as the model says?" in card
    assert "herapist" not in card
    (answer,) = [line for line in result.stderr.splitlines() if line.startswith("Should these ratings")]
    assert answer.removeprefix("Should these ratings be trusted? ") in page
    assert json.loads((tmp_path / "profile" / "manifest.json").read_text())["model"]["left_out"]

    assert result.stdout.startswith("24 listed: 23 rated")
    assert "therapist" not in result.stdout

    again = profile(counts, tmp_path, "--where", "year=2025-26")
    assert again.exit_code == 5
    assert "--overwrite" in again.stderr
    assert profile(counts, tmp_path, "--where", "year=2025-26", "--overwrite").exit_code == 0
    page = (tmp_path / "profile" / "index.html").read_text()
    assert "<h1>Recovery by unit: year = 2025-26</h1>" in page
    assert "fewer than 10 counted patients" in page
    assert "Not adjusted for any case mix." in page


def test_units_with_several_rows_are_refused(counts, tmp_path):
    result = profile(counts, tmp_path)
    assert result.exit_code == 3
    assert "48 rows" in result.stderr
    assert '--where "year=2025-26"' in result.stderr
    assert "--case-mix-factor year" in result.stderr
    assert not (tmp_path / "profile").exists()


def test_rows_of_different_patients_are_told_apart_by_a_case_mix(counts, tmp_path):
    result = profile(counts, tmp_path, "--case-mix-factor", "year")
    assert result.exit_code == 0, result.stderr
    assert "Adjusted for year, in 2 groups: 2024-25; 2025-26." in result.stdout
    assert "Left out: 2 of 48 rows" in result.stdout
    assert "Adjusted for year." in (tmp_path / "profile" / "index.html").read_text()
    settings = json.loads((tmp_path / "profile" / "manifest.json").read_text())["settings"]
    assert (settings["where"], settings["case_mix"]) == ("", ["year"])
    ratings = pd.read_parquet(tmp_path / "profile" / "ratings.parquet").set_index("therapist_id")
    sums = counts.dropna().groupby("org")[["people", "better"]].sum()
    np.testing.assert_allclose(ratings["observed"], sums["better"] / sums["people"], rtol=1e-15)


def test_a_column_of_numbers_is_a_case_mix(counts, tmp_path):
    numbered = counts.assign(year=counts["year"].str[:4].astype(int))
    assert profile(numbered, tmp_path, "--case-mix-linear", "year").exit_code == 0
    words = profile(counts, tmp_path, "--case-mix-linear", "year")
    assert words.exit_code == 3
    assert "holds str, not numbers" in words.stderr or "holds object, not numbers" in words.stderr


def test_the_gate_looks_at_completed_treatments(counts, tmp_path):
    few = counts.assign(done=np.where(counts["org"] == "007", 9, 100))
    assert profile(few, tmp_path, "--where", "year=2025-26", "--completed", "done").exit_code == 0
    ratings = pd.read_parquet(tmp_path / "profile" / "ratings.parquet").set_index("therapist_id")
    assert ratings.loc["007", "n_completed"] == 9
    assert np.isnan(ratings.loc["007", "ter"])
    assert ratings.loc["008", "n_completed"] == 100


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--where", "year"], 2, "column=value"),
        (["--where", "=2025-26"], 2, "column=value"),
        (["--where", "years=2025-26"], 3, 'no column "years"'),
        (["--where", "year=1066"], 3, "no row where year is"),
        (["--where", "year=2025-26", "--completed", "done"], 3, "done"),
        (["--where", "year=2025-26", "--unit", "code"], 3, "code"),
        (["--where", "year=2025-26", "--case-mix-factor", "region"], 3, "region"),
        (["--where", "year=2025-26", "--case-mix-factor", "people"], 2, "people"),
        (["--where", "year=2025-26", "--minimum", "0.5"], 2, "percent"),
        (["--where", "year=2025-26", "--label", " "], 2, "label"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_rated_is_refused(options, code, words, counts, tmp_path):
    result = profile(counts, tmp_path, *options)
    assert result.exit_code == code, result.stderr
    assert words in result.stderr
    assert not (tmp_path / "profile").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda df: df.assign(better=df["people"] + 1), "above people"),
        (lambda df: df.assign(better=-1), "outside"),
        (lambda df: df.assign(people=df["people"] + 0.5), "whole number"),
        (lambda df: df.assign(better=np.nan), "no row with both"),
        (lambda df: df.assign(better=df["people"]), "same for all"),
    ],
)
def test_counts_that_cannot_be_are_refused(change, words, counts, tmp_path):
    result = profile(change(counts), tmp_path, "--where", "year=2025-26")
    assert result.exit_code == 3
    assert words in result.stderr
    assert not (tmp_path / "profile").exists()


NHS = ("--unit", "org_code", "--trials", "at_caseness", "--recovered", "recovery", "--label", "provider")


@pytest.mark.reference
def test_the_real_providers_are_rated(reference_data, tmp_path):
    path = reference_data / "nhs_tt" / "provider_year.csv"
    result = ter_command("profile", str(path), *NHS, "--where", "reporting_period=2023-24", "--out",
                         str(tmp_path / "year"))  # fmt: skip
    assert result.exit_code == 0, result.stderr
    ratings = pd.read_parquet(tmp_path / "year" / "ratings.parquet").set_index("therapist_id")
    table = pd.read_csv(path).query("reporting_period == '2023-24'").set_index("org_code")
    assert len(ratings) == len(table) == 154
    assert (ratings["status"] != "provisional").sum() == 152
    known = ratings[ratings["status"] != "provisional"]
    np.testing.assert_allclose(
        known["observed"], (table["recovery"] / table["at_caseness"]).loc[known.index], rtol=1e-15
    )
    # lme4's conditional modes, made with the parameters held fixed, differ from posterior means by far less
    # than a posterior standard deviation.
    modes = pd.read_csv(reference_data / "nhs_tt" / "modes_y2324_m0_glmer_nAGQ25.csv").set_index("group")[
        "mode"
    ]
    away = (known["effect"] - modes.loc[known.index]) / known["effect_sd"]
    assert away.abs().max() < 0.5


@pytest.mark.reference
def test_the_real_providers_are_rated_by_deprivation(reference_data, tmp_path):
    path = reference_data / "nhs_tt" / "provider_imd.csv"
    command = [
        "profile",
        str(path),
        *NHS,
        "--where",
        "reporting_period=2023-24",
        "--out",
        str(tmp_path / "imd"),
    ]
    refused = ter_command(*command)
    assert refused.exit_code == 3
    assert "--case-mix-factor variable_a" in refused.stderr
    result = ter_command(*command, "--case-mix-factor", "variable_a")
    assert result.exit_code == 0, result.stderr
    assert "Left out: 249 of 1,694 rows" in result.stdout
    assert "in 11 groups: 01 Least deprived; " in result.stdout
    assert "Not stated/Not known/Invalid." in result.stdout
    # People in deprived places recover less often: a provider of theirs is expected to reach less.
    table = (
        pd.read_csv(path).query("reporting_period == '2023-24'").dropna(subset=["at_caseness", "recovery"])
    )
    poor = table["variable_a"].str[:2].isin(["08", "09", "10"]) * table["at_caseness"]
    share = poor.groupby(table["org_code"]).sum() / table.groupby("org_code")["at_caseness"].sum()
    ratings = (
        pd.read_parquet(tmp_path / "imd" / "ratings.parquet").set_index("therapist_id").dropna(subset="ter")
    )
    assert np.corrcoef(ratings["expected"], share.loc[ratings.index])[0, 1] < -0.9


def test_heavy_tails_are_said_and_stop_nothing(tmp_path):
    """60 units that are alike, and two that lose or win nearly everybody."""
    rng = np.random.default_rng(3)
    rate = np.full(62, 0.5)
    rate[:2] = 0.02, 0.98
    table = pd.DataFrame({"org": [f"{k:03}" for k in range(62)], "people": 400})
    table["better"] = rng.binomial(400, rate)
    result = profile(table, tmp_path, "--label", "organisation")
    assert result.exit_code == 0, result.stderr
    assert "No. These ratings should not be trusted: a check failed." in result.stderr
    assert "failed: normality: excess kurtosis" in result.stderr
    manifest = json.loads((tmp_path / "profile" / "manifest.json").read_text())
    assert manifest["card"]["checks"]["normality"] == "failed"
    page = (tmp_path / "profile" / "index.html").read_text()
    assert "Some organisations lie far out" in page
    assert "What failed does not keep this page back" in page


def test_groups_of_patients_are_checked_where_a_case_mix_tells_them_apart(counts, tmp_path):
    result = profile(counts, tmp_path, "--case-mix-factor", "year", "--label", "provider")
    assert result.exit_code == 0, result.stderr
    checks = json.loads((tmp_path / "profile" / "manifest.json").read_text())["card"]["checks"]
    assert checks["calibration_by_group"] in ("passed", "caution")
    assert "new_therapists" not in checks
