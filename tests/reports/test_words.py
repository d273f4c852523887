import math

import pytest

from ter.options import STATUSES
from ter.reports import words


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (12.34, 0, "12"),
        (12.36, 1, "12.4"),
        (1234567, 0, "1,234,567"),
        (-0.04, 1, "0.0"),
        (-1.26, 1, "\u22121.3"),
        (0.0, 0, "0"),
    ],
)
def test_number(value: float, digits: int, text: str) -> None:
    assert words.number(value, digits) == text


def test_what_is_not_there_is_a_dash() -> None:
    assert words.number(math.nan) == words.percent(math.nan, 1) == "–"


@pytest.mark.parametrize(
    ("rate", "text"), [(0.0234, "+2.3"), (-0.0234, "\u22122.3"), (0.0, "0.0"), (0.0004, "0.0")]
)
def test_points(rate: float, text: str) -> None:
    assert words.points(rate) == text


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.93, "93 in 100"),
        (1.0, "more than 99 in 100"),
        (0.996, "more than 99 in 100"),
        (0.0, "less than 1 in 100"),
    ],
)
def test_a_chance_is_never_certain(probability: float, text: str) -> None:
    assert words.chance(probability) == text


def test_dates() -> None:
    assert words.month_name("2026-01") == "January 2026"
    assert words.month_short("2026-12") == "Dec ’26"
    assert words.month_brief("2026-12") == "Dec 2026"
    assert words.day_name("2026-10-09") == "9 October 2026"


def test_labels_are_plain() -> None:
    assert words.label("employment") == "Work"
    assert words.label("age:own_column") == "Age together with own column"
    assert words.level_label("missing") == "not recorded"
    assert words.level_label("3", "step") == "step 3"
    assert words.level_label("long_term", "employment") == "long term"


def test_every_status_has_words_of_its_own() -> None:
    for flagged in (True, False):
        assert len({words.status_words(status, flagged=flagged) for status in STATUSES}) == len(STATUSES)


def test_rated_is_no_status_where_the_flagged_are_rated_too() -> None:
    assert words.status_words("rated", flagged=False) == "Rated"
    assert "Rated" not in {words.status_words(status, flagged=True) for status in STATUSES}


@pytest.mark.parametrize(
    ("unit", "units"), [("provider", "providers"), ("county", "counties"), ("bay", "bays")]
)
def test_units_have_a_plural(unit: str, units: str) -> None:
    assert words.Vocabulary.of(unit).units == units
