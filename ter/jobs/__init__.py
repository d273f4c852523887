"""Whole jobs: from settings to a report, each a few calls of the layers below."""

from ter.jobs.demo import run_demo
from ter.jobs.month import run_month
from ter.jobs.profile import run_profile
from ter.jobs.progress import SILENT, Progress
from ter.jobs.score import score

__all__ = ["SILENT", "Progress", "run_demo", "run_month", "run_profile", "score"]
