"""Who comes for treatment: the part of a scenario that describes patients. Frozen, and checked when made."""

from __future__ import annotations

from dataclasses import dataclass

from ter.errors import OptionError
from ter.measures import MEASURES
from ter.simulation.checks import (
    check_count,
    check_distinct,
    check_kind,
    check_number,
    check_shares,
    check_text,
    check_tuple,
)

# The kernels' records hold a problem, with and without its measure, and a level in 8 bits.
_MOST_PROBLEMS, _MOST_PRIOR, _MOST_LEVELS = 120, 60, 120
_NOT_SPECIFIC = ("phq9", "gad7", "wsas")


@dataclass(frozen=True)
class Problem:
    """A presenting problem.

    Attributes
    ----------
    name : str
    share : float
        Of all patients who start treatment.
    effect : float
        Log-odds of recovery, beside the scores.
    phq9_mean, phq9_sd, gad7_mean, gad7_sd : float
        Points, at the start: of the normal distribution whose values, rounded, count as the end of the
        measure's range where beyond it (up to 40 points beyond).
    measure : str
        Key of the disorder-specific anxiety measure, empty where there is none.
    measure_share : float
        How often that measure is used.
    """

    name: str
    share: float
    effect: float
    phq9_mean: float
    phq9_sd: float
    gad7_mean: float
    gad7_sd: float
    measure: str = ""
    measure_share: float = 0.0

    def __post_init__(self) -> None:
        check_text("name of a problem", self.name)
        check_number(f"{self.name}: effect", self.effect, -20, 20)
        for name in ("phq9_mean", "gad7_mean"):
            check_number(f"{self.name}: {name}", getattr(self, name), -30, 60)
        for name in ("phq9_sd", "gad7_sd"):
            check_number(f"{self.name}: {name}", getattr(self, name), 0.5, 30)
        check_number(f"{self.name}: measure_share", self.measure_share, 0, 1)
        check_text(f"{self.name}: measure", self.measure)
        if self.measure and (
            self.measure not in MEASURES
            or not MEASURES[self.measure].integer
            or self.measure in _NOT_SPECIFIC
        ):
            raise OptionError(
                f"{self.name}: {self.measure!r} is not a disorder-specific measure of whole points."
            )
        if self.measure_share and not self.measure:
            raise OptionError(f"{self.name}: measure_share is {self.measure_share}, but no measure is named.")


@dataclass(frozen=True)
class Level:
    """A level of a factor.

    Attributes
    ----------
    name : str
        As it stands in the table. Empty: not recorded.
    share : float
        Of the population.
    effect : float
        Log-odds of recovery.
    by_deprivation, by_age, by_severity : float
        How the log of its weight changes with a decile less affluent, with ten years of age, and with five
        points of PHQ-9.
    """

    name: str
    share: float
    effect: float = 0.0
    by_deprivation: float = 0.0
    by_age: float = 0.0
    by_severity: float = 0.0

    def __post_init__(self) -> None:
        check_text("name of a level", self.name)
        check_number(f"level {self.name!r}: effect", self.effect, -20, 20)
        for name in ("by_deprivation", "by_age", "by_severity"):
            check_number(f"level {self.name!r}: {name}", getattr(self, name), -10, 10)


@dataclass(frozen=True)
class Factor:
    """A column of the case mix that takes one of a few levels.

    Attributes
    ----------
    column : str
    levels : tuple of Level
        Their shares sum to 1, and are met in the population, whatever the dependence on deprivation, age and
        severity: to half a percentage point where services or therapists differ very much.
    """

    column: str
    levels: tuple[Level, ...]

    def __post_init__(self) -> None:
        check_text("column of a factor", self.column)
        check_tuple(f"levels of factor {self.column}", self.levels, Level)
        if len(self.levels) > _MOST_LEVELS:
            raise OptionError(
                f"factor {self.column} has {len(self.levels)} levels; it takes up to {_MOST_LEVELS}."
            )
        check_shares(f"factor {self.column}", tuple(level.share for level in self.levels))
        check_distinct(f"factor {self.column}", tuple(level.name for level in self.levels))


@dataclass(frozen=True)
class Band:
    """Whole numbers from `low` to `high`, all alike, with a share of the population."""

    low: int
    high: int
    share: float

    def __post_init__(self) -> None:
        check_count("low of a band", self.low, 0, 1000)
        check_count("high of a band", self.high, self.low, 1000)


#: Columns that a scenario may describe by levels.
FACTOR_COLUMNS = (
    "gender",
    "ethnicity",
    "employment",
    "long_term_condition",
    "medication",
    "modality",
    "step",
)


@dataclass(frozen=True)
class ScoreLine:
    """How one score depends on another.

    It is normal about `level + carry · other`, rounded to whole points and cut to the measure's range.
    The unit is the measure's threshold above its lowest point (0: the lowest point, 1: the threshold), so
    that one line serves all measures.
    """

    level: float
    carry: float
    sd: float

    def __post_init__(self) -> None:
        check_number("level of a score line", self.level, -5, 5)
        check_number("carry of a score line", self.carry, -5, 5)
        check_number("sd of a score line", self.sd, 0.05, 10)


@dataclass(frozen=True)
class Population:
    """Who comes for treatment.

    Severity is a shift of both scores at the start, in their standard deviations: each patient's is the sum
    of their therapist's, their service's, and what deprivation and age add. So therapists and services see
    harder or easier patients, and there is something to adjust.

    Attributes
    ----------
    problems : tuple of Problem
    ages : tuple of Band
        Years.
    deciles : tuple of float, length 10
        Shares of the deprivation deciles, the most deprived first, in a service without a slope on them. The
        slopes of services (`service_deprivation_sd`) move shares to both ends: in England 2024-25, on average
        over services, the share of decile 1 is 0.117 for 0.1103 here, that of decile 10 is 0.075 for 0.0673.
    imd_unrecorded, wsas_unrecorded : float
        Shares not recorded; that of deciles, and their own, are met to 2**-15, of 16 random bits.
    factors : tuple of Factor
    prior_episodes : tuple of float
        Shares with 0, 1, 2, ... earlier episodes.
    waits : tuple of Band
        Days from referral to the first treatment.
    score_correlation : float
        Of PHQ-9 and GAD-7 at the start, given problem and severity.
    below_caseness : float
        Of those who would not be at caseness, the share that is taken on (services screen them out).
    therapist_shift_sd, service_shift_sd : float
        Standard deviations of the therapists' and the services' shift of severity.
    service_deprivation_sd : float
        Standard deviation, over services, of the slope of the log share on the decile.
    severity_by_deprivation : float
        Severity a decile less affluent.
    severity_by_age : float
        Severity ten years of age.
    wsas_level, wsas_phq9, wsas_gad7, wsas_sd : float
        WSAS at the start, in points: level + phq9 · PHQ-9 + gad7 · GAD-7, and the standard deviation about
        it.
    specific_first : ScoreLine
        The disorder-specific measure at the start, on GAD-7 at the start.
    """

    problems: tuple[Problem, ...]
    ages: tuple[Band, ...]
    deciles: tuple[float, ...]
    imd_unrecorded: float
    wsas_unrecorded: float
    factors: tuple[Factor, ...]
    prior_episodes: tuple[float, ...]
    waits: tuple[Band, ...]
    score_correlation: float
    below_caseness: float
    therapist_shift_sd: float
    service_shift_sd: float
    service_deprivation_sd: float
    severity_by_deprivation: float
    severity_by_age: float
    wsas_level: float
    wsas_phq9: float
    wsas_gad7: float
    wsas_sd: float
    specific_first: ScoreLine

    def __post_init__(self) -> None:
        for name, kind in (("problems", Problem), ("ages", Band), ("factors", Factor), ("waits", Band)):
            check_tuple(name, getattr(self, name), kind)
        check_tuple("deciles", self.deciles)
        check_tuple("prior_episodes", self.prior_episodes)
        for name, most in (("problems", _MOST_PROBLEMS), ("prior_episodes", _MOST_PRIOR)):
            if len(getattr(self, name)) > most:
                raise OptionError(f"{name} has {len(getattr(self, name))} entries; it takes up to {most}.")
        check_shares("problems", tuple(problem.share for problem in self.problems))
        check_distinct("problems", tuple(problem.name for problem in self.problems))
        check_shares("ages", tuple(band.share for band in self.ages))
        check_shares("waits", tuple(band.share for band in self.waits))
        check_shares("prior_episodes", self.prior_episodes)
        check_shares("deciles", self.deciles)
        if len(self.deciles) != 10:
            raise OptionError(f"deciles has {len(self.deciles)} shares; there are 10 deciles.")
        if any(band.low < 16 or band.high > 110 for band in self.ages):
            raise OptionError("ages must lie between 16 and 110 years.")
        check_distinct("factors", tuple(factor.column for factor in self.factors))
        unknown = [factor.column for factor in self.factors if factor.column not in FACTOR_COLUMNS]
        if unknown:
            raise OptionError(
                f"Unknown factors {', '.join(unknown)}; the known ones are {', '.join(FACTOR_COLUMNS)}."
            )
        for name in ("imd_unrecorded", "wsas_unrecorded"):
            check_number(name, getattr(self, name), 0, 0.99)
        check_number("score_correlation", self.score_correlation, -1, 1)
        if abs(self.score_correlation) == 1:
            raise OptionError(
                f"score_correlation is {self.score_correlation}; it must lie strictly between -1 and 1."
            )
        check_number("below_caseness", self.below_caseness, 0, 1)
        for name in ("therapist_shift_sd", "service_shift_sd", "service_deprivation_sd"):
            check_number(name, getattr(self, name), 0, 2)
        for name in ("severity_by_deprivation", "severity_by_age"):
            check_number(name, getattr(self, name), -1, 1)
        check_number("wsas_level", self.wsas_level, -40, 40)
        check_number("wsas_phq9", self.wsas_phq9, -5, 5)
        check_number("wsas_gad7", self.wsas_gad7, -5, 5)
        check_number("wsas_sd", self.wsas_sd, 0.5, 40)
        check_kind("specific_first", self.specific_first, ScoreLine)
