"""Between months: charts of a therapist's patients in order, and what changed a rating."""

from ter.monitoring.chart import Chart, ChartOptions, chart, limit_for_run_length
from ter.monitoring.history import Changes, explain_change
from ter.monitoring.watch import Watch, watch

__all__ = [
    "Changes",
    "Chart",
    "ChartOptions",
    "Watch",
    "chart",
    "explain_change",
    "limit_for_run_length",
    "watch",
]
