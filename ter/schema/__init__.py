"""Table contracts: which columns there are, what they may hold, and the one error that lists all faults."""

from ter.schema.columns import COLUMNS, SESSION_COLUMNS, THERAPIST_COLUMNS, Column, Kind, When
from ter.schema.text import text_series
from ter.schema.validate import (
    validate_counts,
    validate_episodes,
    validate_patients,
    validate_sessions,
    validate_therapists,
)

__all__ = [
    "COLUMNS",
    "SESSION_COLUMNS",
    "THERAPIST_COLUMNS",
    "Column",
    "Kind",
    "When",
    "text_series",
    "validate_counts",
    "validate_episodes",
    "validate_patients",
    "validate_sessions",
    "validate_therapists",
]
