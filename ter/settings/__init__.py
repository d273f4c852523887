"""What the jobs are asked for: frozen, validated when made, from Python or from TOML files."""

from ter.settings.case_mix import read_case_mix
from ter.settings.monthly import MonthSettings
from ter.settings.profile import ProfileSettings

__all__ = ["MonthSettings", "ProfileSettings", "read_case_mix"]
