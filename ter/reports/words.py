"""The words of the pages: plain labels, dates, numbers and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ter.options import CheckStatus, Status

#: What a reader sees where there is nothing to show.
NOTHING: Final = "–"

#: Not the calendar module's names: those change with the locale.
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip

LABELS: Final[Mapping[str, str]] = {
    "phq9_first": "Depression at the start (PHQ-9)",
    "gad7_first": "Anxiety at the start (GAD-7)",
    "anxiety_first": "Anxiety at the start",
    "anxiety_measure": "Anxiety measure used",
    "wsas_first": "Daily life at the start (WSAS)",
    "age": "Age",
    "gender": "Gender",
    "ethnicity": "Ethnicity",
    "imd_decile": "Deprivation (tenth, 1 = most deprived)",
    "employment": "Work",
    "long_term_condition": "Long-term condition",
    "medication": "Medication",
    "problem": "Main problem",
    "prior_episodes": "Earlier treatments",
    "modality": "How they were seen",
    "step": "Step of care",
    "wait_days": "Days of waiting",
}

GROUP_LABELS: Final[Mapping[str, str]] = {
    "levels": "Number",
    "sd": "Standard deviation",
    "q05": "From",
    "q95": "To",
    "icc": "ICC",
    "median_odds_ratio": "Median odds ratio",
}

_STATUS_WORDS: Final[Mapping[Status, str]] = {
    "provisional": "Not rated yet",
    "rated": "Rated",
    "support": "Support offered",
    "watch": "Keep watch",
}
#: Where there is a minimum: who is on watch or is offered support is rated as well.
_NO_FLAG: Final = "Above minimum"

CHECK_WORDS: Final[Mapping[CheckStatus, str]] = {
    "passed": "In order",
    "caution": "Caution",
    "failed": "Failed",
    "not_run": "Not checked",
}


@dataclass(frozen=True)
class Vocabulary:
    """What the rated units, and the things that are counted of them, are called.

    Attributes
    ----------
    unit, units : str
        One unit, several units.
    counted : str
        What the gate counts.
    rows : str
        What a row of the table stands for, several of them.
    ratings : str
        The title of the ratings.
    patients_only : bool
        Whether the table holds counts of patients, so that nothing is known of episodes and their completion.
    """

    unit: str
    units: str
    counted: str
    rows: str
    ratings: str
    patients_only: bool

    @classmethod
    def of(cls, unit: str) -> Vocabulary:
        """Make the words for units rated from counts, given one unit in the singular.

        Parameters
        ----------
        unit : str
            For example ``"provider"``.
        """
        plural = f"{unit[:-1]}ies" if unit.endswith("y") and unit[-2:-1] not in "aeiou" else f"{unit}s"
        rows, ratings = f"rows of counts of {plural}", f"Ratings of {plural}"
        return cls(unit, plural, "counted patients", rows, ratings, True)


THERAPISTS: Final = Vocabulary(
    unit="therapist",
    units="therapists",
    counted="completed treatments",
    rows="completed treatments of patients who were at caseness at the start",
    ratings="Therapist Effectiveness Ratings (TER)",
    patients_only=False,
)


def status_words(status: Status, *, flagged: bool) -> str:
    """Name a status in plain words. "Rated" means one thing on all pages: to have a rating.

    Parameters
    ----------
    status : {"provisional", "rated", "watch", "support"}
    flagged : bool
        Whether there is a minimum, so that the status "rated" is that of the rated without a flag.
    """
    return _NO_FLAG if status == "rated" and flagged else _STATUS_WORDS[status]


def label(variable: str) -> str:
    """Name a case-mix variable in plain words; an interaction names both of its own."""
    parts = [LABELS.get(part, part.replace("_", " ")) for part in variable.split(":")]
    return " together with ".join(parts)


def level_label(level: str, variable: str = "") -> str:
    """Name a level of a factor in plain words; a mere number with its variable: "step 3"."""
    words = "not recorded" if level == "missing" else level.replace("_", " ")
    return f"{variable.replace('_', ' ')} {words}" if variable and words.isdigit() else words


def number(value: float, digits: int = 0) -> str:
    """Write a number, rounded; a dash where there is none."""
    if not math.isfinite(value):
        return NOTHING
    text = f"{value:,.{digits}f}"
    return (
        text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "\N{MINUS SIGN}")
    )


def percent(rate: float, digits: int = 0) -> str:
    """Write a rate (0 to 1) as a percentage; a dash where there is none."""
    return f"{number(100 * rate, digits)}%" if math.isfinite(rate) else NOTHING


def points(rate: float) -> str:
    """Write a difference of rates in percentage points, with its sign."""
    text = number(100 * rate, 1)
    return f"+{text}" if 100 * rate > 0 and text != "0.0" else text


def points_text(difference: float) -> str:
    """Write a difference in percentage points, with its sign."""
    return points(difference / 100)


def chance(probability: float) -> str:
    """Write a probability as "93 in 100"; never as certainty."""
    hundredths = round(100 * probability)
    if hundredths >= 100:
        return "more than 99 in 100"
    return "less than 1 in 100" if hundredths <= 0 else f"{hundredths} in 100"


def month_name(month: str) -> str:
    """Write ``"2026-10"`` as "October 2026"."""
    return f"{_MONTHS[int(month[5:]) - 1]} {month[:4]}"


def month_brief(month: str) -> str:
    """Write ``"2026-10"`` as "Oct 2026"."""
    return f"{_MONTHS[int(month[5:]) - 1][:3]} {month[:4]}"


def month_short(month: str) -> str:
    """Write ``"2026-10"`` as "Oct ’26", for the axis of a drawing."""
    return f"{_MONTHS[int(month[5:]) - 1][:3]} ’{month[2:4]}"


def day_name(iso: str) -> str:
    """Write ``"2026-10-31"`` as "31 October 2026"."""
    return f"{int(iso[8:])} {month_name(iso[:7])}"
