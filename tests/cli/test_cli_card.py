"""The model card in ``ter report``: what it stops, what goes on by name, and what moved since last month."""

import json

import numpy as np
import pandas as pd
import pytest
from small_network import MONTH

from ter.errors import OptionError
from ter.settings import MonthSettings


def without_scores(episodes: pd.DataFrame) -> pd.DataFrame:
    return episodes.assign(phq9_last=episodes["phq9_last"].where(np.arange(len(episodes)) % 3 > 0))


def test_a_failing_check_stops_the_report_until_it_is_accepted_by_name(files, episodes):
    files.write(without_scores(episodes))
    stopped = files.report("--no-refits")
    assert stopped.exit_code == 4, stopped.stderr
    assert "--accept-failed missing_outcomes" in stopped.stderr
    assert files.written == []
    assert files.report("--no-refits", "--accept-failed", "spread").exit_code == 4

    accepted = files.report("--no-refits", "--accept-failed", "missing_outcomes", "--accept-failed", "spread")
    assert accepted.exit_code == 0, accepted.stderr
    assert "should not be trusted" in accepted.stderr
    manifest = json.loads((files.out / MONTH / "manifest.json").read_text())
    assert manifest["card"]["verdict"] == "do_not_trust"
    assert manifest["card"]["checks"]["missing_outcomes"] == "failed"
    assert manifest["card"]["checks"]["new_therapists"] == "not_run"
    assert manifest["card"]["accepted"] == ["missing_outcomes", "spread"]
    assert manifest["card"]["overridden"] == ["missing_outcomes"]


def test_accepted_checks_may_stand_in_the_settings_file(tmp_path):
    file = tmp_path / "ter.toml"
    file.write_text('episodes = "e.csv"\nmonth = "2026-10"\naccept_failed = ["normality"]\nrefits = false\n')
    settings = MonthSettings.of(file)
    assert settings.accept_failed == ("normality",)
    assert settings.refits is False
    with pytest.raises(OptionError, match="accept_failed"):
        MonthSettings.of(file, accept_failed=["normal"])
    file.write_text('episodes = "e.csv"\nmonth = "2026-10"\naccept_failed = "normality"\n')
    with pytest.raises(OptionError, match="list of texts"):
        MonthSettings.of(file)


def test_the_second_month_tells_what_moved_each_rating(files, episodes, monkeypatch):
    from ter.reports import monthly

    seen = []
    publish = monthly.publish
    monkeypatch.setattr(monthly, "publish", lambda *given: seen.append(publish(*given)) or seen[-1])
    files.write(episodes)
    assert files.report("--no-refits", month="2026-07").exit_code == 0
    assert files.report("--no-refits", month="2026-08").exit_code == 0
    assert seen[0].changes is None
    changes = seen[1].changes
    rated = set(seen[1].ratings.query("status != 'provisional'")["therapist_id"])
    assert set(changes["therapist_id"]) <= rated
    parts = changes[["own_patients", "others", "reference", "model"]].sum(axis=1)
    np.testing.assert_allclose(parts, changes["change"], atol=1e-9)

    # Where last month's data were corrected the model of last month saw other patients: nothing is told.
    files.write(episodes.assign(age=episodes["age"] + 1))
    again = files.report("--no-refits", "--overwrite", month="2026-08")
    assert again.exit_code == 0, again.stderr
    assert "have changed since" in again.stderr
    assert seen[2].changes is None
