"""What the jobs are asked for: frozen, validated when made, from Python or from TOML files."""

from ter.settings.case_mix import read_case_mix
from ter.settings.fit import FitRequest
from ter.settings.monthly import MonthSettings
from ter.settings.profile import ProfileSettings, parse_where, profile_case_mix
from ter.settings.study import StudyRequest

__all__ = [
    "FitRequest",
    "MonthSettings",
    "ProfileSettings",
    "StudyRequest",
    "parse_where",
    "profile_case_mix",
    "read_case_mix",
]
