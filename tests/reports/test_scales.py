import math

import pytest

from ter.reports.scales import Scale, anchor


def test_a_scale_holds_its_values_with_room_for_labels() -> None:
    assert Scale.around([41.0, 58.9, math.nan]) == Scale(30, 70)
    assert Scale.around([42.0, 58.0]) == Scale(40, 60)
    assert Scale.around([1.0, 99.5]) == Scale(0, 100)
    assert Scale.around([math.nan]) == Scale(0, 100)
    assert Scale.around([100.0]) == Scale(90, 100)
    assert Scale.around([0.0]) == Scale(0, 10)


def test_ticks() -> None:
    assert Scale(30, 70).ticks == [30, 40, 50, 60, 70]
    assert Scale(0, 100).ticks == [0, 20, 40, 60, 80, 100]


@pytest.mark.parametrize(
    ("value", "place"), [(30, 0), (50, 50), (70, 100), (20, 0), (80, 100), (43.333, 33.33)]
)
def test_places_are_percentages_of_the_width(value: float, place: float) -> None:
    assert Scale(30, 70).at(value) == place


def test_labels_at_the_ends_lean_inwards() -> None:
    assert [anchor(place) for place in (0, 50, 100)] == ["start", "middle", "end"]
