"""The network, the model of recovery and the courses of a scenario. Frozen, and checked when made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ter.errors import OptionError
from ter.simulation.checks import check_count, check_date, check_kind, check_number, check_tuple
from ter.simulation.population import ScoreLine


@dataclass(frozen=True)
class NetworkPlan:
    """Therapists, services and dates.

    Attributes
    ----------
    n_therapists, n_services : int
        At least 1 of each.
    mean_caseload : float
        Episodes a therapist, over the whole period.
    caseload_cv : float
        Coefficient of variation of the caseloads, which are log-normal and rounded up or down at random, so
        that the mean is kept. 0: every therapist has the same number of episodes for the time they were
        there.
    joining, leaving : float
        Shares of therapists who join and who leave during the period, at any working day of it alike; their
        caseload is smaller in proportion. Who leaves starts no treatment after that day, and ends the
        treatments that are under way.
    crossing : float
        Share of a therapist's episodes that belong to another service than the therapist's own. No meaning
        where there is one service.
    season : tuple of float, length 12
        Starts on a working day of January, February, ..., as parts of those of a usual day.
    start, last_start : date
        First and last day on which a treatment may start. Treatments start on working days, Monday to Friday;
        where there is none from `start` to `last_start`, on the days of that weekend.
    end : date
        The last day that is known: what has not ended by then is in treatment.
    """

    n_therapists: int
    n_services: int
    mean_caseload: float
    caseload_cv: float
    joining: float
    leaving: float
    crossing: float
    season: tuple[float, ...]
    start: date
    last_start: date
    end: date

    def __post_init__(self) -> None:
        check_count("n_therapists", self.n_therapists, 1, 100_000_000)
        check_count("n_services", self.n_services, 1, 100_000)
        check_number("mean_caseload", self.mean_caseload, 0, 10_000_000)
        check_number("caseload_cv", self.caseload_cv, 0, 10)
        check_number("joining", self.joining, 0, 1)
        check_number("leaving", self.leaving, 0, 1)
        check_tuple("season", self.season)
        if len(self.season) != 12:
            raise OptionError(f"season has {len(self.season)} numbers; there are 12 months.")
        for month, part in enumerate(self.season, start=1):
            check_number(f"season of month {month}", part, 0.1, 10)
        check_number("crossing", self.crossing, 0, 1)
        for name in ("start", "last_start", "end"):
            check_date(name, getattr(self, name))
        if not date(2000, 1, 1) <= self.start <= self.last_start <= self.end <= date(2099, 12, 31):
            raise OptionError(
                f"start {self.start}, last_start {self.last_start}, end {self.end}: "
                "they must follow each other in this order, from 2000 to 2099."
            )


@dataclass(frozen=True)
class Effects:
    """The model of recovery, in log-odds: the truth that a fit should find.

    The levels of factors carry their own effects.

    Attributes
    ----------
    intercept : float
        Log-odds at zero of everything below, at levels of effect 0.
    therapist_sd, service_sd : float
        Standard deviations of the therapists' and the services' effects. An ICC of 5% is a therapist SD of
        0.416: ICC = s² / (s² + π²/3).
    severity_slope_sd : float
        Standard deviation of the therapists' slopes on severity, which is (PHQ-9 at the start − 14) / 6.
        Therapist variance then grows with severity, as Saxon and Barkham (2012) found. Slopes are independent
        of the effects.
    phq9, gad7, wsas : float
        A point of the score at the start.
    age : float
        A year.
    imd : float
        A decile of deprivation (1 = most deprived).
    prior : float
        An earlier episode.
    wait : float
        A day of waiting.
    wsas_missing, imd_missing : float
        Where the value is not recorded: the value counts as 18 points, or as decile 5, and this is added.
    """

    intercept: float
    therapist_sd: float
    service_sd: float
    severity_slope_sd: float
    phq9: float
    gad7: float
    wsas: float
    age: float
    imd: float
    prior: float
    wait: float
    wsas_missing: float
    imd_missing: float

    def __post_init__(self) -> None:
        for name in ("therapist_sd", "service_sd", "severity_slope_sd"):
            check_number(name, getattr(self, name), 0, 5)
        for name in ("phq9", "gad7", "wsas", "age", "imd", "prior", "wait"):
            check_number(f"effects.{name}", getattr(self, name), -5, 5)
        for name in ("intercept", "wsas_missing", "imd_missing"):
            check_number(f"effects.{name}", getattr(self, name), -20, 20)


@dataclass(frozen=True)
class Courses:
    """How a course of treatment runs.

    Attributes
    ----------
    completion : float
        Probability of completing (at least 2 attended sessions), at 40 years, decile 5, PHQ-9 of 14 and an
        average therapist. Who does not complete attends one session.
    completion_by_age, completion_by_imd, completion_by_phq9 : float
        Log-odds of completing: ten years, a decile (1 = most deprived), a point.
    completion_therapist_sd : float
        Standard deviation between therapists, log-odds.
    sessions_mean, sessions_cv : float
        Attended sessions of a completed course: a gamma distribution on the whole numbers from 2 to 40. The
        mean is met after the cut, a large `sessions_cv` is not.
    dna_mean, cancelled_mean : float
        Appointments not attended, and cancelled, a course: Poisson, cut at 10 (so that a mean of 5 is 4.9).
    fortnightly : float
        Share of courses with an appointment every second week; the others are weekly.
    recovered, not_recovered : ScoreLine
        Last scores on first scores; the outcome then says on which side of the threshold they lie.
    together : float
        How far a patient's last scores go together: the share of their variance, given first scores and
        outcome, that the measures have in common. Up to 0.7: what they have in common takes one of three
        values, which would stand apart in the scores beyond that.
    missing_last : float
        Share whose PHQ-9 and GAD-7 are never taken again after the first session, of those who are not
        recovered and have no disorder-specific measure. With such a measure last scores are always taken: so
        with 1.0, in England 2024-25, 91% of those who complete and do not recover have no last scores.
    """

    completion: float
    completion_by_age: float
    completion_by_imd: float
    completion_by_phq9: float
    completion_therapist_sd: float
    sessions_mean: float
    sessions_cv: float
    dna_mean: float
    cancelled_mean: float
    fortnightly: float
    recovered: ScoreLine
    not_recovered: ScoreLine
    together: float
    missing_last: float

    def __post_init__(self) -> None:
        for name in ("completion", "fortnightly", "missing_last"):
            check_number(name, getattr(self, name), 0, 1)
        check_number("together", self.together, 0, 0.7)
        for name in ("completion_by_age", "completion_by_imd", "completion_by_phq9"):
            check_number(name, getattr(self, name), -5, 5)
        check_number("completion_therapist_sd", self.completion_therapist_sd, 0, 5)
        check_number("sessions_mean", self.sessions_mean, 2, 35)
        check_number("sessions_cv", self.sessions_cv, 0.05, 2)
        check_number("dna_mean", self.dna_mean, 0, 5)
        check_number("cancelled_mean", self.cancelled_mean, 0, 5)
        for name in ("recovered", "not_recovered"):
            check_kind(name, getattr(self, name), ScoreLine)
