"""Whether the data reach the month that is reported, and what a report says of their end."""

from __future__ import annotations

import datetime as dt
from typing import Final

from ter.errors import DataError
from ter.reports.words import day_name, month_name
from ter.sources import month_end

#: So many days may lack at a month's end without a word: a holiday week, when nothing starts or ends.
QUIET_DAYS: Final = 7


def data_until(known_until: str, month: str) -> str:
    """Say up to when the data are known: the one sentence for pages, workbook and command line.

    Parameters
    ----------
    known_until : str
        ISO date of the last date in the table; empty if it has none.
    month : str
        ``"2026-10"``; empty where the report is of no month.
    """
    if not known_until:
        return "The data have no dates."
    last = f"The last date in the data is {day_name(known_until)}."
    if not month:
        return last
    end = month_end(month).isoformat()
    as_known = f"As known on {day_name(end)}."
    return as_known if known_until == end else f"{as_known} {last}"


def refuse_uncovered(covered_until: str, month: str) -> None:
    """Refuse a month of which the data cover no day: its report would be last month's under a new name.

    Parameters
    ----------
    covered_until : str
        ISO date of the last day that the data go to; empty where they have no dates, which is not refused.
    month : str
        ``"2026-10"``.

    Raises
    ------
    DataError
        Naming the last day, and the last month that can be reported.
    """
    if covered_until and covered_until < f"{month}-01":
        raise DataError(
            f"The data end on {day_name(covered_until)}, before {month_name(month)} began: no day of this "
            f"month is in them. Give a newer table, or report {covered_until[:7]} or earlier."
        )


def coverage_note(known_until: str, month: str) -> str:
    """Warn of a month in which nothing happened, or nothing in its last days; empty for a whole one.

    It rests on what was known at the month's end alone, so that nothing that comes later changes a report.

    Parameters
    ----------
    known_until : str
        ISO date of the last date known at the month's end; empty if there is none.
    month : str
        ``"2026-10"``.
    """
    if not known_until:
        return ""
    if known_until < f"{month}-01":
        return f"No treatment started or ended in {month_name(month)}: this month adds nothing."
    lacking = (month_end(month) - dt.date.fromisoformat(known_until)).days
    if lacking <= QUIET_DAYS:
        return ""
    return (
        f"No treatment started or ended after {day_name(known_until)}. If the data end there, the last "
        f"{lacking} days of {month_name(month)} are missing, and these ratings will change once they are in."
    )
