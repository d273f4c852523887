from pathlib import Path

import pytest

from ter.errors import OptionError
from ter.settings import MonthSettings

GIVEN = {"episodes": "episodes.csv", "month": "2026-10"}


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "ter.toml"
        path.write_text(text)
        return path

    return write


def test_every_key_of_a_file_is_taken(config, tmp_path):
    path = config(
        'episodes = "in/episodes.parquet"\nsessions = "/data/sessions.parquet"\nmonth = "2026-10"\n'
        'out = "../reports"\nmodels = "models"\ncase_mix = "case_mix.toml"\nmissing_outcome = "exclude"\n'
        "completed = 20\nminimum = 45\ninterval = 0.8\nsupport = 0.95\nseed = 7\noverwrite = true\n"
    )
    # Paths are relative to the file's folder, not to where the command runs.
    assert MonthSettings.of(path) == MonthSettings(
        episodes=tmp_path / "in" / "episodes.parquet",
        sessions=Path("/data/sessions.parquet"),
        month="2026-10",
        out=tmp_path / ".." / "reports",
        models=tmp_path / "models",
        case_mix=tmp_path / "case_mix.toml",
        missing_outcome="exclude",
        completed=20,
        minimum=45.0,
        interval=0.8,
        support=0.95,
        seed=7,
        overwrite=True,
    )


def test_what_is_given_comes_before_the_file_and_the_file_before_the_default(config):
    path = config(
        'episodes = "episodes.csv"\nmonth = "2026-09"\nminimum = 45\ninterval = 0.8\noverwrite = true\n'
    )
    settings = MonthSettings.of(path, month="2026-10", interval=0.5, overwrite=False, minimum=None, seed=None)
    assert settings.month == "2026-10"
    assert settings.interval == 0.5
    assert settings.overwrite is False
    assert settings.minimum == 45.0
    assert settings.seed == 1


@pytest.mark.parametrize(
    ("key", "nearest"), [("minimun", "minimum"), ("Episodes", "episodes"), ("report", "support"), ("zzz", "")]
)
def test_unknown_keys_are_refused_with_the_nearest_known_one(key, nearest, config):
    with pytest.raises(OptionError, match=f'no key "{key}"; did you mean "{nearest}') as refused:
        MonthSettings.of(config(f'{key} = "x"\n'))
    assert "ter.toml" in str(refused.value)
    assert "missing_outcome" in str(refused.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('minimum = "45"', "minimum must be a number"),
        ("minimum = true", "minimum must be a number"),
        ("completed = 10.5", "completed must be a whole number"),
        ("completed = true", "completed must be a whole number"),
        ("overwrite = 1", "overwrite must be true or false"),
        ("out = 3", "out must be a path"),
        ('out = ""', "out must be a path"),
        ('sessions = ["a.csv", "b.csv"]', "sessions must be a path"),
        ("month = 2026-10-01", "month must be a text"),
        ("seed = 1.0", "seed must be a whole number"),
        ("missing_outcome = false", "missing_outcome must be a text"),
        ("[minimum]\nvalue = 45", "minimum must be a number"),
    ],
)
def test_values_of_the_wrong_type_are_refused(line, words, config):
    with pytest.raises(OptionError, match=f"ter.toml: {words}"):
        MonthSettings.of(config(line + "\n"), **GIVEN)


@pytest.mark.parametrize(
    "given",
    [
        {"month": "2026-13"},
        {"month": "October"},
        {"completed": 9},
        {"minimum": 0.45},
        {"minimum": float("nan")},
        {"interval": 90.0},
        {"support": 1.0},
        {"missing_outcome": "recovered"},
        {"episodes": 3},
        {"models": True},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused_when_the_settings_are_made(given):
    with pytest.raises(OptionError):
        MonthSettings.of(**(GIVEN | given))


@pytest.mark.parametrize("missing", GIVEN)
def test_episodes_and_month_must_be_named(missing):
    with pytest.raises(OptionError, match=f"names the {missing}"):
        MonthSettings.of(**{key: value for key, value in GIVEN.items() if key != missing})


@pytest.mark.parametrize("content", [b"minimum = ", b"minimum = 45\nminimum = 50\n", b'out = "\xff"\n'])
def test_what_is_no_toml_is_refused(content, tmp_path):
    (tmp_path / "ter.toml").write_bytes(content)
    with pytest.raises(OptionError, match="is not a TOML file"):
        MonthSettings.of(tmp_path / "ter.toml", **GIVEN)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OptionError, match="cannot be read"):
        MonthSettings.of(tmp_path / "ter.toml", **GIVEN)
