"""Whole jobs: from settings to a result, each a few calls of the layers below."""

from ter.jobs.demo import run_demo
from ter.jobs.fit import run_fit
from ter.jobs.month import run_month
from ter.jobs.profile import describe_rows, run_profile
from ter.jobs.progress import SILENT, Progress
from ter.jobs.score import run_score, scored_csv
from ter.jobs.study import run_study_job
from ter.jobs.tables import check_tables

__all__ = [
    "SILENT",
    "Progress",
    "check_tables",
    "describe_rows",
    "run_demo",
    "run_fit",
    "run_month",
    "run_profile",
    "run_score",
    "run_study_job",
    "scored_csv",
]
