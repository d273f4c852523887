"""The public face: small, documented, quick to import."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import ter

ROOT = Path(ter.__file__).parents[1]


def test_the_public_face_is_this_and_no_more():
    functions = {
        "add_outcomes", "as_known_at", "episodes_from_sessions", "factor", "fit", "interaction", "linear",
        "load_fit", "month_end", "rate", "read_episodes", "read_sessions", "sessions_known_at", "simulate",
        "spline", "write_report",
    }  # fmt: skip
    classes = {"CaseMix", "Priors", "Scenario"}
    errors = {"AlreadyPublishedError", "DataError", "FitError", "ModelFileError", "OptionError", "TerError"}
    packages = {"checks", "monitoring", "ratings", "simulation"}
    assert set(ter.__all__) == functions | classes | errors | packages | {"__version__"}
    for name in functions | classes:
        thing = getattr(ter, name)
        assert callable(thing)
        assert thing.__doc__, name
        assert thing is getattr(import_module(thing.__module__), name)
    assert set(ter.__all__) <= set(dir(ter))
    assert callable(ter.simulation.count_outcomes)


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'rating'"):
        _ = ter.rating


@pytest.mark.parametrize(
    "error", ["OptionError", "DataError", "FitError", "AlreadyPublishedError", "ModelFileError"]
)
def test_one_base_catches_every_error(error):
    assert issubclass(getattr(ter, error), ter.TerError)
    assert getattr(ter, error).exit_code in {2, 3, 4, 5}


def loaded_by(code):
    """Which of the heavy libraries are loaded after `code`, in a process of its own."""
    heavy = "{'pymc', 'arviz', 'matplotlib', 'statsmodels', 'numba', 'scipy', 'pandas', 'numpy', 'pandera'}"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sorted({heavy} & set(sys.modules)))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_loads_nothing_until_a_name_is_used():
    assert loaded_by("import ter; ter.__version__; dir(ter)") == set()
    assert loaded_by("import ter; ter.read_episodes, ter.fit, ter.rate") <= {
        "numba",
        "scipy",
        "pandas",
        "numpy",
    }
    # The pages are drawn without a plotting library as well.
    assert "pymc" not in loaded_by("import ter; ter.write_report")
