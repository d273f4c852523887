"""The model card: every check of a month's model, and whether its ratings should be trusted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ter.checks import verdicts
from ter.checks.calibration import Calibration, calibrate_cases, comparable, grouped
from ter.checks.cases import Cases, FloatArray, cases_from_sums, cases_of, only, pooled
from ter.checks.cluster import FEWEST_THERAPISTS, total_gap
from ter.checks.cross_validation import CrossValidation, ended_after, over_therapists, over_time
from ter.checks.influence import CANDIDATES, influence, most_pulling
from ter.checks.predictive import REPLICATES, replicate, sd_draws, spread
from ter.checks.residuals import normality, severity_slope
from ter.errors import DataError
from ter.features.columns import numbers
from ter.measures import OUTCOME_COLUMNS
from ter.models.result import Fit
from ter.models.same_table import require_fitted_table
from ter.options import CHECKS, CheckName
from ter.ratings.gate import shown_therapists
from ter.ratings.model_card import Check, ModelCard
from ter.ratings.options import RatingOptions

Progress = Callable[[int, int], None]

#: The column that slopes on severity are looked for on.
SEVERITY: Final = "phq9_first"
#: The latest days that the check of the next months holds out: a quarter of a year.
HELD_OUT_DAYS: Final = 91
#: Fewer held-out patients say nothing.
FEWEST_HELD_OUT: Final = 100
_NO_TABLE: Final = "The card was made without the table of patients."
_NOT_ASKED: Final = "It was not asked for: it fits the model again."
_FEW: Final = f"Fewer than {FEWEST_THERAPISTS} therapists have enough patients."


def model_card(
    fit: Fit,
    episodes: pd.DataFrame | None = None,
    *,
    options: RatingOptions | None = None,
    severity: str = SEVERITY,
    refits: bool = True,
    seed: int = 1,
    progress: Progress | None = None,
) -> ModelCard:
    """Check a model, and say whether its ratings should be trusted.

    Outcomes on the card are those of therapists who passed the gate and have 5 modelled patients or more,
    in sums over ten of them at least; no figure of a single therapist is named on it.

    Parameters
    ----------
    fit : Fit
        With a posterior.
    episodes : DataFrame, optional
        The table that was fitted to. Without it the card is made from the sums that the fit holds, and
        checks that need patients are not run.
    options : RatingOptions, optional
        Its gate; the usual one by default.
    severity : str
        A numeric column: how severe a patient was at the start.
    refits : bool
        Whether to run the checks that fit the model again, some ten times, by maximum likelihood.
    seed : int
    progress : callable, optional
        Called with the groups of checks done, and all.

    Returns
    -------
    ModelCard

    Raises
    ------
    DataError
        If `episodes` lacks a column of the model.
    OptionError
        If `episodes` is not the table that was fitted to.
    """
    if episodes is not None:
        episodes = require_fitted_table(fit, episodes, "episodes")
    subject = _Subject(fit, episodes, options or RatingOptions(), severity, refits, seed)
    groups = (_of_fit, _of_table, _calibration, _new_therapists, _next_months, _by_therapist, _influence)
    checks: list[Check] = []
    # One thread for the linear algebra: its sums would otherwise depend on how many there are.
    with threadpool_limits(limits=1):
        for done, group in enumerate(groups, start=1):
            checks += group(subject)
            if progress is not None:
                progress(done, len(groups))
    checks.sort(key=lambda check: CHECKS.index(check.name))
    return ModelCard(tuple(checks), _facts(subject))


@dataclass(frozen=True, eq=False)
class _Subject:
    """What a card is about. Cases are those of therapists whose outcomes may be shown, and of nobody else."""

    fit: Fit
    table: pd.DataFrame | None
    options: RatingOptions
    severity: str
    refits: bool
    seed: int

    @cached_property
    def shown(self) -> frozenset[str]:
        """Ids of the therapists whose outcomes may be shown."""
        mask = shown_therapists(self.fit, self.options)
        return frozenset(name for name, kept in zip(self.fit.units.ids, mask, strict=True) if kept)

    def restricted(self, cases: Cases) -> Cases:
        """Cases of these therapists."""
        mask = np.array([name in self.shown for name in cases.ids], dtype=np.bool_)
        return only(cases, mask[cases.therapist])

    @cached_property
    def cases(self) -> Cases:
        """Their patients, or without a table what the fit holds of them."""
        if self.table is None:
            return self.restricted(cases_from_sums(self.fit.deciles, self.fit.units))
        return self.restricted(cases_of(self.fit, self.table))

    @cached_property
    def calibration(self) -> Calibration:
        """Calibration over these."""
        groups = (
            {} if self.table is None else grouped(self.table, self.cases, comparable(self.fit, self.table))
        )
        return calibrate_cases(self.cases, groups)

    @property
    def few(self) -> bool:
        """Whether there are too few of them to test anything."""
        return len(self.shown) < FEWEST_THERAPISTS

    def why_no_refit(self) -> str:
        """Why the model is not fitted again; empty if it is."""
        return (
            _NO_TABLE if self.table is None else _NOT_ASKED if not self.refits else _FEW if self.few else ""
        )


def _of_fit(subject: _Subject) -> list[Check]:
    """What the fit says of itself."""
    rated = int((subject.fit.units.n_completed >= subject.options.completed).sum())
    return [verdicts.convergence(subject.fit), verdicts.sample_size(subject.fit, rated)]


def _of_table(subject: _Subject) -> list[Check]:
    """Missing outcomes and completion: of the whole table, as neither is an outcome."""
    names: tuple[CheckName, ...] = ("missing_outcomes", "completion")
    settings = subject.fit.settings
    if subject.table is None:
        return _not_run(names, _NO_TABLE)
    if settings.outcome not in OUTCOME_COLUMNS:
        return _not_run(names, "The table is not one of treatments with scores.")
    return [
        verdicts.missing_outcomes(verdicts.share_missing(subject.table)),
        verdicts.completion(*verdicts.completion_rates(subject.table, settings.therapist)),
    ]


def _calibration(subject: _Subject) -> list[Check]:
    """Calibration on the table that was fitted to."""
    if subject.few:
        return _not_run(
            ("calibration_overall", "calibration_by_decile", "calibration_slope", "calibration_by_group"),
            _FEW,
        )
    found = subject.calibration
    by_group = (
        verdicts.not_run("calibration_by_group", _NO_TABLE)
        if subject.table is None
        else verdicts.calibration_by_group(found)
    )
    return [
        verdicts.calibration_overall(found),
        verdicts.calibration_by_decile(found),
        verdicts.calibration_slope(found),
        by_group,
    ]


def _new_therapists(subject: _Subject) -> list[Check]:
    """Therapists held out."""
    why = subject.why_no_refit()
    if subject.table is None or why:
        return _not_run(("new_therapists",), why)
    try:
        found = over_therapists(subject.fit, subject.table, seed=subject.seed)
    except DataError as error:
        return _not_run(("new_therapists",), f"It could not be run. {error}")
    return [verdicts.new_therapists(_restricted(subject, found))]


def _next_months(subject: _Subject) -> list[Check]:
    """Hold out the latest quarter of a year."""
    names: tuple[CheckName, ...] = ("next_months",)
    why = subject.why_no_refit()
    if subject.table is None or why:
        return _not_run(names, why)
    if "end_date" not in subject.table or not subject.fit.known_until:
        return _not_run(names, "The table has no dates of ending.")
    until = dt.date.fromisoformat(subject.fit.known_until) - dt.timedelta(days=HELD_OUT_DAYS)
    too_few = f"Too few patients ended after {until}."
    if ended_after(subject.table, until).sum() < FEWEST_HELD_OUT:
        return _not_run(names, too_few)
    try:
        found = over_time(subject.fit, subject.table, until)
    except DataError as error:
        return _not_run(names, f"It could not be run. {error}")
    later = subject.restricted(found.cases)
    if later.n_therapists < FEWEST_THERAPISTS or later.n.sum() < FEWEST_HELD_OUT:
        return _not_run(names, too_few)
    p = change_p(later, subject.cases)
    return [verdicts.next_months(_restricted(subject, found), until.isoformat(), p)]


def change_p(later: Cases, every: Cases) -> float:
    """P-value of no change between the months that a model was made from and later ones.

    What was expected is an estimate as well. Its standard error is taken to be that of the observed rate over
    all months, which is a little too small, and added as if independent, which makes it too large: the same
    therapists are in both.

    Parameters
    ----------
    later, every : Cases

    Returns
    -------
    float
        Two-sided, by the t distribution; NaN with fewer than 10 therapists.
    """
    from scipy.stats import t

    gap, before = (total_gap(cases.by_therapist(cases.residual)) for cases in (later, every))
    if np.isnan(gap.p) or np.isnan(before.p):
        return float("nan")
    se = np.hypot(gap.se / later.n.sum(), before.se / every.n.sum())
    return float(2.0 * t.sf(abs(gap.total) / later.n.sum() / se, gap.therapists - 1))


def _by_therapist(subject: _Subject) -> list[Check]:
    """Spread, shape and slopes, each against draws of the model."""
    names: tuple[CheckName, ...] = ("spread", "normality", "severity_slope")
    if subject.few:
        return _not_run(names, _FEW)
    sd = sd_draws(subject.fit, REPLICATES, subject.seed)
    cells = pooled(subject.cases)
    drawn = replicate(cells, sd, subject.seed)
    checks = [verdicts.spread(spread(drawn, cells)), verdicts.normality(normality(drawn))]
    if subject.fit.settings.severity_slope is not None:
        return [*checks, *_not_run(("severity_slope",), "The model has slopes on severity already.")]
    severity = _severity(subject)
    if severity is None:
        why = _NO_TABLE if subject.table is None else f'No patient has a number in "{subject.severity}".'
        return [*checks, *_not_run(("severity_slope",), why)]
    known = ~np.isnan(severity)
    cases, severity = only(subject.cases, known), severity[known]
    found = severity_slope(replicate(cases, sd, subject.seed, severity))
    return [*checks, verdicts.severity_slope(found, float(severity.std()), float(sd.mean()))]


def _severity(subject: _Subject) -> FloatArray | None:
    """Severity of each case, NaN where it is missing; None where there is none that varies."""
    if subject.table is None or subject.severity not in subject.table:
        return None
    values = numbers(subject.table, subject.severity)[subject.cases.row]
    known = values[~np.isnan(values)]
    return values if known.size and np.ptp(known) > 0.0 else None


def _influence(subject: _Subject) -> list[Check]:
    """Leave out the therapists that pull most."""
    why = subject.why_no_refit()
    if subject.table is None or why:
        return _not_run(("influence",), why)
    every = most_pulling(subject.fit, len(subject.fit.units.ids))
    chosen = [name for name in every if name in subject.shown][:CANDIDATES]
    try:
        return [verdicts.influence(influence(subject.fit, subject.table, therapists=chosen))]
    except DataError as error:
        return _not_run(("influence",), f"It could not be run. {error}")


def _restricted(subject: _Subject, found: CrossValidation) -> CrossValidation:
    """What was held out of the therapists whose outcomes may be shown."""
    return replace(found, cases=subject.restricted(found.cases))


def _not_run(names: tuple[CheckName, ...], why: str) -> list[Check]:
    return [verdicts.not_run(name, why) for name in names]


def _facts(subject: _Subject) -> tuple[tuple[str, str], ...]:
    """What stands on the card without a bar."""
    units, record = subject.fit.units, subject.fit.record
    rated = int((units.n_completed >= subject.options.completed).sum())
    facts = [
        ("Therapists", f"{len(units.ids):,}, of whom {rated:,} are rated"),
        ("Completed treatments", f"{int(units.n_completed.sum()):,}"),
        ("Patients in the model", f"{int(units.n.sum()):,} in {record.n_modelled:,} rows"),
    ]
    facts += [("Left out", f"{reason}: {count:,}") for reason, count in record.left_out]
    facts.append(("Service effect", record.service_effect))
    if not subject.few:
        d = subject.calibration.discrimination
        facts += [
            ("AUC", f"{d.auc:.2f}: how often the model gives the higher rate to the one who recovers"),
            ("Brier score", f"{d.brier:.3f}, scaled {d.brier_scaled:.2f}"),
        ]
    return tuple(facts)
