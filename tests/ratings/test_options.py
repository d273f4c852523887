import pytest

from ter.errors import OptionError
from ter.ratings import RatingOptions


@pytest.mark.parametrize(
    "options",
    [
        {"completed": 9},
        {"completed": 0},
        {"completed": 12.0},
        {"completed": True},
        {"minimum": 0.45},
        {"minimum": 100},
        {"minimum": float("nan")},
        {"minimum": "45"},
        {"interval": 0.0},
        {"interval": 1.0},
        {"interval": 90},
        {"support": 1.5},
        {"support": None},
    ],
)
def test_refuses(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        RatingOptions(**options)


def test_the_gate_can_be_raised():
    assert RatingOptions(completed=25).completed == 25
    assert RatingOptions().completed == 10


@pytest.mark.parametrize(
    ("interval", "names"),
    [
        (0.9, ("q05", "q95")),
        (0.95, ("q025", "q975")),
        (0.8, ("q10", "q90")),
        (0.5, ("q25", "q75")),
        (0.99, ("q005", "q995")),
        (0.998, ("q001", "q999")),
    ],
)
def test_intervals_name_their_quantiles(interval, names):
    options = RatingOptions(interval=interval)
    assert options.quantile_names == names
    assert sum(options.quantiles) == pytest.approx(1.0)
