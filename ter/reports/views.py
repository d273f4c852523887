"""What each page shows, computed from a publication; the templates only lay it out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd

from ter.options import Status
from ter.ratings.options import SMALLEST_GROUP
from ter.ratings.publication import Publication
from ter.reports import words
from ter.reports.scales import Scale

#: Case-mix variables and blocks of months that a therapist's page shows.
_SHIFTS_SHOWN: Final = 6
_BLOCKS_SHOWN: Final = 6

#: Parts of a change of the TER: columns of ``Publication.changes``, and their words.
_CHANGES: Final = {
    "own_patients": "Your own patients",
    "others": "What we learnt from other therapists' patients",
    "reference": "Other patients come to the network",
    "model": "Changes in how we calculate",
}

#: Reliability at which a rating is called fairly sure, and quite sure.
_SOME, _GOOD = 0.5, 0.7


@dataclass(frozen=True)
class Shift:
    """What one case-mix variable does to a therapist's expected recovery.

    Attributes
    ----------
    label, detail : str
        The variable, and how the therapist's patients compare in it.
    shift : float
        Difference of rates.
    share : float
        The same as a share (-1 to 1) of the largest bar.
    """

    label: str
    detail: str
    shift: float
    share: float


@dataclass(frozen=True)
class Block:
    """A block of whole months of a therapist's work; counts, and rates from 0 to 1."""

    first: str
    last: str
    n_completed: int
    n_at_caseness: int
    observed: float
    expected: float


@dataclass(frozen=True)
class Change:
    """What changed a TER since the last report: the parts, in points, sum to the change."""

    previous: float
    parts: tuple[tuple[str, float], ...]

    @property
    def total(self) -> float:
        """The TER less the last one, points."""
        return sum(points for _, points in self.parts)


@dataclass(frozen=True)
class Rating:
    """A therapist's outcome figures. There is none of these behind the gate.

    TER, its bounds, average and minimum are percent; the rest are rates, ranks and counts.
    """

    ter: float
    low: float
    high: float
    average: float | None
    minimum: float | None
    p_below: float
    n_at_caseness: int
    observed: float
    expected: float
    reliability: float
    rank_low: float
    rank_high: float
    scale: Scale
    shifts: tuple[Shift, ...]
    blocks: tuple[Block, ...]
    change: Change | None

    @property
    def face_value(self) -> float | None:
        """The network's average plus what was seen beyond what was expected; None where that is not shown.

        What the TER would be if there were no luck: `at_face_value`, but never outside 0 to 100.
        """
        if self.average is None or not math.isfinite(self.observed):
            return None
        return min(max(float(at_face_value(self.average, self.observed, self.expected)), 0.0), 100.0)

    @property
    def pull_scale(self) -> Scale:
        """The scale on which face value, TER and average are drawn."""
        marks = (self.face_value, self.ter, self.average)
        return Scale.around([mark for mark in marks if mark is not None])

    @property
    def pulled(self) -> bool:
        """Whether the TER, as it is written, is nearer to the average than the face value is."""
        if self.average is None or self.face_value is None:
            return False
        average, ter, face = (round(value) for value in (self.average, self.ter, self.face_value))
        return abs(ter - average) < abs(face - average)

    @property
    def counted(self) -> Literal["none", "few", "enough"]:
        """How many patients count for recovery: of a few, what was seen is not shown."""
        if not math.isfinite(self.expected):
            return "none"
        return "enough" if math.isfinite(self.observed) else "few"

    @property
    def position(self) -> Literal["below", "within", "above", "unknown"]:
        """Where the interval lies with respect to the network's average, if there is one."""
        if self.average is None:
            return "unknown"
        if self.low > self.average:
            return "above"
        return "below" if self.high < self.average else "within"

    @property
    def certainty(self) -> Literal["little", "some", "good"]:
        """The reliability in words."""
        if self.reliability < _SOME:
            return "little"
        return "some" if self.reliability < _GOOD else "good"


@dataclass(frozen=True)
class TherapistPage:
    """What a therapist's page shows; `rating` is None behind the gate."""

    id: str
    service: str
    status: str
    n_completed: int
    needed: int
    rating: Rating | None


@dataclass(frozen=True)
class Row:
    """A line of the network's table; places are percentages of the width of the drawing."""

    id: str
    href: str
    service: str
    status: str
    status_words: str
    rated: bool
    n_completed: int
    observed: float
    expected: float
    ter: float
    low: float
    high: float
    reliability: float
    rank_low: float
    rank_high: float
    at_low: float
    at_high: float
    at_ter: float


def network_average(publication: Publication) -> float | None:
    """Give the recovery (percent) expected of the network's patients with an average therapist, if any."""
    expected = publication.network.expected
    return 100 * expected if math.isfinite(expected) else None


def at_face_value(average: float, observed: Any, expected: Any) -> Any:
    """Give rates adjusted for case mix, percent: the network's average, and what O lies beyond E.

    Parameters
    ----------
    average : float
        Percent.
    observed, expected : float or Series
        From 0 to 1.
    """
    return average + 100 * (observed - expected)


def common_scale(publication: Publication) -> Scale:
    """Make the one scale on which every TER of the report is drawn, so that pages can be compared."""
    bounds = publication.ratings[_interval(publication, "ter")].to_numpy(float)
    minimum = publication.options.minimum
    marks = [mark for mark in (network_average(publication), minimum) if mark is not None]
    return Scale.around([*bounds.ravel().tolist(), *marks])


def status_words(publication: Publication, status: Status) -> str:
    """Name a status as this report does: see `ter.reports.words.status_words`."""
    return words.status_words(status, flagged=publication.options.minimum is not None)


def is_rated(record: Any) -> bool:
    """Say whether a row of the gated table has a rating to show."""
    return str(record.status) != "provisional"


def table_rows(publication: Publication, hrefs: dict[str, str]) -> Iterator[Row]:
    """Make the lines of the network's table, in the order of the publication.

    Parameters
    ----------
    publication : Publication
    hrefs : dict of str to str
        Where the page of an id is; empty where there are none.
    """
    scale = common_scale(publication)
    for record in _records(publication):
        low, high = scale.at(record.low), scale.at(record.high)
        yield Row(
            id=record.therapist_id,
            href=hrefs.get(record.therapist_id, ""),
            service=_text(record.service_id),
            status=record.status,
            status_words=status_words(publication, record.status),
            rated=is_rated(record),
            n_completed=record.n_completed,
            observed=record.observed,
            expected=record.expected,
            ter=record.ter,
            low=record.low,
            high=record.high,
            reliability=record.reliability,
            rank_low=record.rank_low,
            rank_high=record.rank_high,
            at_low=low,
            at_high=high,
            at_ter=scale.at(record.ter),
        )


def therapist_pages(publication: Publication) -> Iterator[TherapistPage]:
    """Make what every therapist's page shows, in the order of the publication.

    Parameters
    ----------
    publication : Publication
    """
    scale, average = common_scale(publication), network_average(publication)
    blocks = _blocks(publication.trend)
    shifts = _by_id(publication.shift)
    case_mix = _by_id(publication.case_mix)
    changes = {} if publication.changes is None else _by_id(publication.changes)
    for record in _records(publication):
        name = record.therapist_id
        rating = None
        if is_rated(record):
            rating = Rating(
                ter=record.ter,
                low=record.low,
                high=record.high,
                average=average,
                minimum=publication.options.minimum,
                p_below=record.p_below_minimum,
                n_at_caseness=record.n_at_caseness,
                observed=record.observed,
                expected=record.expected,
                reliability=record.reliability,
                rank_low=record.rank_low,
                rank_high=record.rank_high,
                scale=scale,
                shifts=_shifts(shifts.get(name, []), case_mix.get(name, []), record.n_at_caseness),
                blocks=tuple(blocks.get(name, [])[-_BLOCKS_SHOWN:]),
                change=_change(changes.get(name, [])),
            )
        yield TherapistPage(
            id=name,
            service=_text(record.service_id),
            status=record.status,
            n_completed=record.n_completed,
            needed=publication.options.completed,
            rating=rating,
        )


def therapist_shifts(publication: Publication, therapist_id: str) -> tuple[Shift, ...]:
    """Give what the case mix does to one therapist's expected recovery; empty where nothing is shown.

    Parameters
    ----------
    publication : Publication
    therapist_id : str
    """
    own = publication.ratings[publication.ratings["therapist_id"] == therapist_id]
    tables = (publication.shift, publication.case_mix)
    shifts, case_mix = (_by_id(table[table["therapist_id"] == therapist_id]) for table in tables)
    return _shifts(
        shifts.get(therapist_id, []), case_mix.get(therapist_id, []), int(own["n_at_caseness"].sum())
    )


def typical_reliability(publication: Publication) -> float:
    """Give the median reliability of the rated; NaN where nobody is rated."""
    rated = publication.ratings["reliability"].dropna()
    return float(rated.median()) if len(rated) else math.nan


def _records(publication: Publication) -> Iterator[Any]:
    columns = [*_interval(publication, "ter"), *_interval(publication, "rank")]
    names = dict(zip(columns, ("low", "high", "rank_low", "rank_high"), strict=True))
    return publication.ratings.rename(columns=names).itertuples(index=False)


def _interval(publication: Publication, figure: str) -> list[str]:
    """Name the two columns of an interval."""
    return [f"{figure}_{quantile}" for quantile in publication.options.quantile_names]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _by_id(frame: pd.DataFrame) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, record in zip(frame["therapist_id"], frame.itertuples(index=False), strict=True):
        found.setdefault(name, []).append(record)
    return found


def _blocks(trend: pd.DataFrame) -> dict[str, list[Block]]:
    return {
        name: [
            Block(r.first_month, r.last_month, r.n_completed, r.n_at_caseness, r.observed, r.expected)
            for r in records
            if math.isfinite(r.observed)  # nobody of the block could recover
        ]
        for name, records in _by_id(trend).items()
    }


def _change(changes: list[Any]) -> Change | None:
    if not changes:
        return None
    (row,) = changes
    return Change(row.previous, tuple((title, getattr(row, name)) for name, title in _CHANGES.items()))


def _shifts(shifts: list[Any], case_mix: list[Any], n: int) -> tuple[Shift, ...]:
    """Choose the variables that move the expectation most, and say how the patients differ in each."""
    finite = [record for record in shifts if math.isfinite(record.shift)]
    shown = sorted(finite, key=lambda record: (-abs(record.shift), record.variable))[:_SHIFTS_SHOWN]
    # A bar fills its half at the largest shift, or at one point where all are smaller: small stays small.
    largest = max([0.01, *(abs(record.shift) for record in shown)])
    return tuple(
        Shift(
            words.label(record.variable),
            _detail([level for level in case_mix if level.variable == record.variable], n, record.shift),
            record.shift,
            record.shift / largest,
        )
        for record in shown
    )


def _detail(levels: list[Any], n: int, shift: float) -> str:
    """Compare the patients in one variable: by its mean, or by the share that explains most of the shift.

    A share is shown where it stands for five patients or more and leaves out as many: nobody is known by it.
    Where no such share explains half of the shift, none is given as its reason.
    """
    if not levels:
        return words.NOTHING  # an interaction has no mean of its own
    means = [level for level in levels if not level.level]
    if means:
        return f"mean {words.number(means[0].therapist, 1)}, network {words.number(means[0].network, 1)}"
    counts = [(round(level.therapist * n), level) for level in levels]
    shares = [level for count, level in counts if SMALLEST_GROUP <= count <= n - SMALLEST_GROUP]
    if not shares:
        return "too few patients to show"
    most = max(shares, key=lambda level: (level.shift * math.copysign(1.0, shift), level.level))
    if most.shift * math.copysign(1.0, shift) < 0.5 * abs(shift):
        return "a different mix"
    return (
        f"{words.level_label(most.level, most.variable)}: {words.percent(most.therapist)}, "
        f"network {words.percent(most.network)}"
    )
