"""``ter simulate --stream`` writes the episodes that ``ter simulate`` writes."""

from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from ter.cli import app
from ter.sources import read_episodes

NETWORK = ["--preset", "england_2024_25", "--therapists", "12", "--caseload", "10", "--seed", "4"]


def simulate(folder, *options):
    return CliRunner().invoke(app, ["simulate", *NETWORK, "--out", str(folder), *options])


def test_the_same_episodes(tmp_path):
    streamed = simulate(tmp_path / "streamed", "--stream")
    assert streamed.exit_code == 0, streamed.output
    assert "12 of 12 therapists" in streamed.stderr
    assert simulate(tmp_path / "plain").exit_code == 0
    one, other = (read_episodes(tmp_path / name / "episodes.parquet") for name in ("streamed", "plain"))
    assert_frame_equal(one, other)


def test_sessions_are_refused(tmp_path):
    result = simulate(tmp_path, "--stream", "--sessions")
    assert result.exit_code != 0
    assert not list(tmp_path.iterdir())
