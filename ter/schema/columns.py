"""The column registry: every column that `ter` knows, what it may hold and when it is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from ter.measures import MEASURES, OUTCOME_COLUMNS

Kind = Literal["id", "date", "integer", "count", "number", "factor", "measure", "outcome"]
When = Literal["id", "start", "after_allocation"]

#: How a treatment or a session was delivered.
MODALITIES: Final = ("typed", "video", "phone", "in_person")

#: What became of an appointment.
SESSION_STATUSES: Final = ("attended", "dna", "late_cancelled", "cancelled")


@dataclass(frozen=True)
class Column:
    """What a table's column holds.

    Attributes
    ----------
    name : str
    kind : Kind
        ``id``: text kept exactly. ``date``: a day from 2000 to 2099. ``integer``: a whole number, small.
        ``count``: a whole number of any size. ``number``. ``factor``: text. ``measure``: an anxiety measure.
        ``outcome``: computed by `ter` from the other columns, never read.
    measured : When
        ``start``: known before the therapist could influence it, so it may adjust a rating.
        ``after_allocation``: partly the therapist's own work, so it may not. ``id``: no measurement at all.
    description : str
    required : bool
        Whether a table without this column is refused.
    nullable : bool
        Whether fields may be empty.
    unique : bool
        Whether no value may occur twice.
    low, high : float or None
        The range of a number, both ends included.
    levels : tuple of str
        The only words that a factor may hold; empty where any word may stand.
    """

    name: str
    kind: Kind
    measured: When
    description: str
    required: bool = False
    nullable: bool = True
    unique: bool = False
    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()


def _registry(columns: Iterable[Column]) -> Mapping[str, Column]:
    return MappingProxyType({column.name: column for column in columns})


def _key(name: str, description: str) -> Column:
    return Column(name, "id", "id", description, required=True, nullable=False, unique=True)


def _reference(name: str, description: str) -> Column:
    return Column(name, "id", "id", description, required=True, nullable=False)


def _score(name: str, measure: str, measured: When, *, required: bool) -> Column:
    m = MEASURES[measure]
    which = {"first": "first", "last": "last"}.get(name.rpartition("_")[2], "this session's")
    return Column(name, "integer", measured, f"{which} {m.name} score", required, low=m.low, high=m.high)


def _whole(name: str, measured: When, low: int, high: int, description: str) -> Column:
    return Column(name, "integer", measured, description, low=low, high=high)


def _factor(name: str, description: str, levels: tuple[str, ...] = ()) -> Column:
    return Column(name, "factor", "start", description, levels=levels)


def _number(name: str, measured: When, description: str, low: float, high: float) -> Column:
    return Column(name, "number", measured, description, low=low, high=high)


# An anxiety score's own range depends on the row's measure; the contract looks at both together.
_ANXIETY_LOW: Final = min(m.low for m in MEASURES.values())
_ANXIETY_HIGH: Final = max(m.high for m in MEASURES.values())

#: Columns of `episodes`, one row per episode.
COLUMNS: Final = _registry(
    [
        _key("episode_id", "one course of treatment of one patient"),
        _reference("patient_id", "the patient"),
        _reference("therapist_id", "the therapist"),
        _reference("service_id", "the commissioning service (contract)"),
        Column("start_date", "date", "start", "first treatment session", required=True, nullable=False),
        Column("end_date", "date", "after_allocation", "discharge; empty while in treatment", required=True),
        Column("n_sessions", "integer", "after_allocation", "attended treatment sessions", required=True,
               low=0, high=1000),
        _score("phq9_first", "phq9", "start", required=True),
        _score("phq9_last", "phq9", "after_allocation", required=True),
        _score("gad7_first", "gad7", "start", required=True),
        _score("gad7_last", "gad7", "after_allocation", required=True),
        Column("anxiety_measure", "measure", "start", "the disorder-specific measure; empty for none"),
        _number("anxiety_first", "start", "first score on it", _ANXIETY_LOW, _ANXIETY_HIGH),
        _number("anxiety_last", "after_allocation", "last score on it", _ANXIETY_LOW, _ANXIETY_HIGH),
        _score("wsas_first", "wsas", "start", required=False),
        _number("age", "start", "age in years at the start", 0, 120),
        _factor("gender", "gender"),
        _factor("ethnicity", "ethnic group"),
        _whole("imd_decile", "start", 1, 10, "index of multiple deprivation, 1 = most deprived"),
        _factor("employment", "employment status"),
        _factor("long_term_condition", "long-term physical condition"),
        _factor("medication", "psychotropic medication"),
        _factor("problem", "presenting problem"),
        _whole("prior_episodes", "start", 0, 1000, "earlier episodes of this patient"),
        _factor("modality", "how the treatment is delivered", MODALITIES),
        _factor("step", "step of care at allocation"),
        _whole("wait_days", "start", 0, 10_000, "days from referral to the first treatment session"),
        Column("end_reason", "factor", "after_allocation", "why the episode ended"),
        _whole("n_dna", "after_allocation", 0, 1000, "appointments not attended, without notice"),
        _whole("n_cancelled", "after_allocation", 0, 1000, "appointments cancelled, late or in time"),
        *(Column(name, "outcome", "after_allocation", "computed by ter") for name in OUTCOME_COLUMNS),
    ]
)  # fmt: skip

#: Columns of `sessions`, one row per appointment.
SESSION_COLUMNS: Final = _registry(
    [
        _key("session_id", "one appointment"),
        _reference("episode_id", "the episode that it belongs to"),
        Column("date", "date", "after_allocation", "day of the appointment", required=True, nullable=False),
        Column("status", "factor", "after_allocation", "what became of it", required=True, nullable=False,
               levels=SESSION_STATUSES),
        _score("phq9", "phq9", "after_allocation", required=True),
        _score("gad7", "gad7", "after_allocation", required=True),
        _number("anxiety", "after_allocation", "score on the episode's measure", _ANXIETY_LOW, _ANXIETY_HIGH),
        _score("wsas", "wsas", "after_allocation", required=False),
        _number("minutes", "after_allocation", "length in minutes", 0, 1440),
        Column("modality", "factor", "after_allocation", "how it was delivered", levels=MODALITIES),
        Column("therapist_id", "id", "id", "who gave it, where not always the episode's therapist"),
    ]
)  # fmt: skip

#: Columns of `therapists`, one row per therapist.
THERAPIST_COLUMNS: Final = _registry(
    [
        _key("therapist_id", "the therapist"),
        Column("joined_date", "date", "start", "first day in the network"),
        _factor("agency", "the agency that employs the therapist"),
        _factor("modalities", "the ways of delivery that the therapist offers"),
        _whole(
            "desired_caseload", "start", 0, 1000, "patients that the therapist would like to have at a time"
        ),
        _whole("guaranteed_caseload", "start", 0, 1000, "patients that the therapist was promised at a time"),
    ]
)
