"""Scenarios that are calibrated to published figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from ter.simulation.parts import Courses, Effects, NetworkPlan
from ter.simulation.population import Band, Factor, Level, Population, Problem, ScoreLine
from ter.simulation.scenario import Scenario

#: Completed treatments on a working day of each month as parts of a usual one (NHS England, April 2021 to
#: March 2024): what is nearest, in the statistics, to starts.
_SEASON = (0.99, 1.01, 1.01, 1.0, 0.99, 1.03, 1.05, 0.99, 1.02, 1.01, 1.04, 0.86)


def england_2024_25() -> Scenario:
    """Give NHS Talking Therapies in England, 2024-25.

    Calibrated to the annual statistics of NHS England (670,419 completed treatments): recovery 50.5%,
    reliable improvement 67.5%, reliable deterioration 5.8%, not at caseness 5.3%; scores at the start as for
    CBT, PHQ-9 14.2 (SD 6.1) and GAD-7 13.3 (SD 5.1), by problem; shares of problems, ages, deciles, genders
    and ethnic groups among completers; crude recovery by decile, age, problem, ethnic group and long-term
    condition. The statistics do not give employment, medication, modality, earlier episodes and their
    effects, completion, sessions, and the spread between therapists and services: these are assumptions of a
    usual size. ICC of therapists 5% (Johns et al. 2019, systematic review).
    """
    return Scenario(
        name="england_2024_25",
        network=NetworkPlan(
            n_therapists=700,
            n_services=20,
            mean_caseload=60,
            caseload_cv=0.6,
            joining=0.25,
            leaving=0.15,
            crossing=0.1,
            season=_SEASON,
            start=date(2024, 11, 1),
            last_start=date(2026, 10, 31),
            end=date(2026, 10, 31),
        ),
        effects=Effects(
            intercept=1.57,
            therapist_sd=0.416,
            service_sd=0.15,
            severity_slope_sd=0.0,
            phq9=-0.075,
            gad7=-0.035,
            wsas=-0.015,
            age=0.0127,
            imd=0.028,
            prior=-0.12,
            wait=-0.002,
            wsas_missing=-0.1,
            imd_missing=-0.1,
        ),
        population=_england_population(),
        courses=Courses(
            completion=0.66,
            completion_by_age=0.08,
            completion_by_imd=0.05,
            completion_by_phq9=-0.02,
            completion_therapist_sd=0.25,
            sessions_mean=8.0,
            sessions_cv=0.5,
            dna_mean=0.7,
            cancelled_mean=0.9,
            fortnightly=0.4,
            recovered=ScoreLine(level=0.33, carry=0.12, sd=0.35),
            not_recovered=ScoreLine(level=0.0, carry=0.84, sd=0.5),
            together=0.4,
            missing_last=0.01,
        ),
    )


def _england_population() -> Population:
    return Population(
        problems=(
            Problem("agoraphobia", 0.0069, -0.79, 13.4, 7.2, 13.2, 6.2),
            Problem("depression", 0.4349, 0.0, 15.0, 6.1, 12.5, 6.1),
            Problem("generalised_anxiety", 0.2598, 0.14, 11.9, 6.5, 13.2, 5.8),
            Problem("health_anxiety", 0.0143, -0.86, 8.8, 6.5, 12.1, 6.3, "hai", 0.5),
            Problem("mixed_anxiety_depression", 0.022, -0.15, 14.3, 6.4, 13.4, 5.9),
            Problem("obsessive_compulsive", 0.0269, -0.5, 11.0, 6.8, 13.0, 5.9, "oci", 0.5),
            Problem("other_anxiety", 0.0321, 0.05, 12.3, 6.6, 12.3, 6.2),
            Problem("panic", 0.0227, -0.16, 11.9, 7.1, 13.0, 6.2, "pdss", 0.4),
            Problem("post_traumatic_stress", 0.0695, -0.36, 15.0, 6.5, 14.0, 5.8, "pcl5", 0.5),
            Problem("social_anxiety", 0.0247, -0.96, 11.4, 6.5, 11.5, 6.1, "spin", 0.5),
            Problem("specific_phobia", 0.0091, 0.28, 8.5, 6.9, 10.3, 6.9),
            Problem("", 0.0771, -0.27, 12.5, 6.8, 12.0, 6.3),
        ),
        ages=(
            Band(16, 17, 0.0092),
            Band(18, 25, 0.1785),
            Band(26, 44, 0.4669),
            Band(45, 64, 0.2798),
            Band(65, 74, 0.0442),
            Band(75, 89, 0.0208),
            Band(90, 95, 0.0006),
        ),
        deciles=(0.1103, 0.1183, 0.1206, 0.1175, 0.1085, 0.1024, 0.0931, 0.0852, 0.0768, 0.0673),
        imd_unrecorded=0.008,
        wsas_unrecorded=0.04,
        factors=(
            Factor(
                "gender",
                (
                    Level("female", 0.682, 0.0),
                    Level("male", 0.3074, 0.08),
                    Level("other", 0.003, -0.45),
                    Level("", 0.0076, -0.37),
                ),
            ),
            Factor(
                "ethnicity",
                (
                    Level("asian", 0.0727, -0.22, by_deprivation=0.1, by_age=-0.1),
                    Level("black", 0.0426, 0.03, by_deprivation=0.15),
                    Level("mixed", 0.0323, -0.1, by_deprivation=0.08, by_age=-0.2),
                    Level("other", 0.0242, -0.35, by_deprivation=0.12),
                    Level("white", 0.7753, 0.0),
                    Level("", 0.0529, -0.2, by_deprivation=0.03),
                ),
            ),
            Factor(
                "employment",
                (
                    Level("carer", 0.03, -0.1, by_deprivation=0.08),
                    Level("employed", 0.62, 0.0),
                    Level("long_term_sick", 0.06, -0.45, by_deprivation=0.2, by_age=0.2, by_severity=0.35),
                    Level("retired", 0.07, 0.0, by_age=1.8),
                    Level("student", 0.07, -0.05, by_age=-1.2),
                    Level("unemployed", 0.11, -0.3, by_deprivation=0.15, by_severity=0.2),
                    Level("", 0.04, -0.1, by_deprivation=0.03),
                ),
            ),
            Factor(
                "long_term_condition",
                (
                    Level("no", 0.55, 0.0),
                    Level("yes", 0.3, -0.24, by_deprivation=0.05, by_age=0.25, by_severity=0.1),
                    Level("", 0.15, -0.05),
                ),
            ),
            Factor(
                "medication",
                (
                    Level("none", 0.47, 0.0),
                    Level("not_taking", 0.05, -0.1, by_severity=0.15),
                    Level("taking", 0.44, -0.12, by_age=0.05, by_severity=0.25),
                    Level("", 0.04, -0.05),
                ),
            ),
            Factor(
                "modality",
                (
                    Level("in_person", 0.25, 0.0, by_age=0.1),
                    Level("phone", 0.35, 0.0, by_age=0.1),
                    Level("typed", 0.10, 0.05, by_age=-0.1),
                    Level("video", 0.30, 0.0, by_age=-0.1),
                ),
            ),
            Factor("step", (Level("2", 0.5, 0.1), Level("3", 0.5, 0.0, by_severity=0.35))),
        ),
        prior_episodes=(0.70, 0.20, 0.07, 0.03),
        waits=(Band(3, 28, 0.814), Band(29, 56, 0.137), Band(57, 90, 0.027), Band(91, 150, 0.022)),
        score_correlation=0.74,
        below_caseness=0.293,
        therapist_shift_sd=0.25,
        service_shift_sd=0.1,
        service_deprivation_sd=0.12,
        severity_by_deprivation=0.05,
        severity_by_age=-0.10,
        wsas_level=2.5,
        wsas_phq9=0.75,
        wsas_gad7=0.35,
        wsas_sd=6.8,
        specific_first=ScoreLine(level=0.6, carry=0.6, sd=0.35),
    )


def gloucestershire_2018_19() -> Scenario:
    """Give the contract for typed therapy in Gloucestershire, April 2018 to March 2019.

    Disclosed: 209 patients, 1,081 sessions (5.2 a patient), recovery 40.2%. The number of therapists and the
    70% completing (of Lincolnshire) are assumptions; the rest is as in England 2024-25.
    """
    return _contract(
        "gloucestershire_2018_19",
        date(2018, 4, 1),
        date(2019, 3, 31),
        n_therapists=19,
        mean_caseload=11,
        intercept=1.03,
        sessions_mean=6.93,
    )


def essex_2017_19() -> Scenario:
    """Give the contract for typed therapy in Essex, April 2017 to March 2019.

    Disclosed: 282 patients, 7 sessions a patient, recovery 52%. The number of therapists and the 70%
    completing (of Lincolnshire) are assumptions; the rest is as in England 2024-25.
    """
    return _contract(
        "essex_2017_19",
        date(2017, 4, 1),
        date(2019, 3, 31),
        n_therapists=24,
        mean_caseload=11.75,
        intercept=1.58,
        sessions_mean=9.52,
    )


def lincolnshire_2016_21() -> Scenario:
    """Give the contract for typed therapy in Lincolnshire, April 2016 to March 2021.

    Disclosed: 528 patients, 70% completing. Recovery, sessions and the number of therapists are assumptions;
    the rest is as in England 2024-25.
    """
    return _contract(
        "lincolnshire_2016_21",
        date(2016, 4, 1),
        date(2021, 3, 31),
        n_therapists=44,
        mean_caseload=12,
        intercept=1.51,
        sessions_mean=8.0,
    )


def typed_therapy_network() -> Scenario:
    """Give a provider of typed therapy: 700 therapists, about 10,000 completed treatments a year.

    30 services. Size as of a national provider; all else is as in England 2024-25.
    """
    return england_2024_25().replace(
        name="typed_therapy_network",
        n_therapists=700,
        n_services=30,
        mean_caseload=48,
        caseload_cv=0.8,
        factors=_typed_factors(),
    )


def _contract(name: str, start: date, last_start: date, **changes: float) -> Scenario:
    """Give one service with typed therapy, known until a year after its last start: most courses end."""
    return england_2024_25().replace(
        name=name,
        n_services=1,
        crossing=0.0,
        caseload_cv=0.5,
        completion=0.707,
        start=start,
        last_start=last_start,
        end=date(last_start.year + 1, last_start.month, last_start.day),
        factors=_typed_factors(),
        **changes,
    )


def _typed_factors() -> tuple[Factor, ...]:
    typed = Factor("modality", (Level("typed", 1.0, 0.05),))
    return tuple(typed if factor.column == "modality" else factor for factor in _england_population().factors)


#: Presets by name; each is made when asked for.
PRESETS: Final[Mapping[str, Callable[[], Scenario]]] = MappingProxyType(
    {
        preset.__name__: preset
        for preset in (
            england_2024_25,
            gloucestershire_2018_19,
            essex_2017_19,
            lincolnshire_2016_21,
            typed_therapy_network,
        )
    }
)
