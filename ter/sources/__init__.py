"""Where tables come from: files, sessions, and what was known at a month's end."""

from ter.sources.files import read_table
from ter.sources.fingerprint import fingerprint, is_comparable
from ter.sources.known import as_known_at, last_date, month_end, sessions_known_at
from ter.sources.sessions import episodes_from_sessions
from ter.sources.tables import read_counts, read_episodes, read_sessions

__all__ = [
    "as_known_at",
    "episodes_from_sessions",
    "fingerprint",
    "is_comparable",
    "last_date",
    "month_end",
    "read_counts",
    "read_episodes",
    "read_sessions",
    "read_table",
    "sessions_known_at",
]
