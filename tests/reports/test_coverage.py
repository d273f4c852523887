import pytest

from ter.errors import DataError
from ter.reports.coverage import coverage_note, data_until, refuse_uncovered


@pytest.mark.parametrize(
    ("known_until", "month", "said"),
    [
        ("2026-10-31", "2026-10", "As known on 31 October 2026."),
        (
            "2026-10-30",
            "2026-10",
            "As known on 31 October 2026. The last date in the data is 30 October 2026.",
        ),
        ("2024-03-31", "", "The last date in the data is 31 March 2024."),
        ("", "", "The data have no dates."),
    ],
)
def test_what_is_said_of_the_data_s_end(known_until: str, month: str, said: str) -> None:
    assert data_until(known_until, month) == said


@pytest.mark.parametrize("covered_until", ["2027-02-28", "2026-10-30"])
def test_a_month_without_a_day_of_data_is_refused(covered_until: str) -> None:
    with pytest.raises(DataError, match=rf"before March 2027 began.*report {covered_until[:7]} or earlier"):
        refuse_uncovered(covered_until, "2027-03")


@pytest.mark.parametrize("covered_until", ["2027-03-01", "2027-03-31", "2028-01-01", ""])
def test_a_month_with_a_day_of_data_is_not(covered_until: str) -> None:
    refuse_uncovered(covered_until, "2027-03")


@pytest.mark.parametrize(
    ("known_until", "note"),
    [
        # A week may lack without a word, eight days may not.
        ("2027-03-31", ""),
        ("2027-03-24", ""),
        (
            "2027-03-23",
            "No treatment started or ended after 23 March 2027. If the data end there, the last 8 days",
        ),
        (
            "2027-03-01",
            "No treatment started or ended after 1 March 2027. If the data end there, the last 30 days",
        ),
        ("2027-02-20", "No treatment started or ended in March 2027"),
        ("", ""),
    ],
)
def test_what_lacks_of_a_month_is_said(known_until: str, note: str) -> None:
    said = coverage_note(known_until, "2027-03")
    assert said.startswith(note) if note else not said
