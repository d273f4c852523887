"""Study ``power``: what it takes to see that a therapist is below, and that therapists differ at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from itertools import product
from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.features import Design
from ter.models.layout import arrange
from ter.models.ml import fit_ml
from ter.models.newton import maximise
from ter.ratings.tabulated import cdf_at
from ter.simulation.checks import check_number
from ter.simulation.scenario import Scenario
from ter.simulation.studies.bands import band_frame, band_name, band_of, percent
from ter.simulation.studies.designs import design_of, encoder_of
from ter.simulation.studies.draws import draw_network
from ter.simulation.studies.monte_carlo import Statistic, ratio, sums_by_cell, tabulate
from ter.simulation.studies.rated import (
    NODES,
    Rated,
    StudyEngine,
    one_thread,
    rate_network,
    slopes_in_words,
)
from ter.simulation.studies.study import (
    Replicate,
    check_counts,
    check_increasing,
    check_study,
    usual_network,
)

FloatArray = NDArray[np.float64]

#: Twice the log-likelihood ratio above which therapists differ, at the 5% level: the 90% point of a
#: chi-square with one degree of freedom, since half of the time an SD of zero is estimated as zero (Self and
#: Liang 1987).
CRITICAL: Final = 2.705543454095404
#: Of fewer therapists a sentence gives no share.
FEWEST_TOLD: Final = 10
#: What small networks are adjusted for: more would take more patients than they have.
ADJUSTED_FOR: Final = ("phq9_first", "gad7_first")
_RESIDUAL: Final = np.pi**2 / 3.0
_CASES, _SEEN = range(2)


def sd_of(icc: float) -> float:
    """SD of therapists' effects, log-odds, of an intraclass correlation on that scale."""
    return float(np.sqrt(icc / (1.0 - icc) * _RESIDUAL))


@dataclass(frozen=True)
class PowerStudy:
    """The chance of seeing that a therapist is truly below, and that therapists differ at all.

    Attributes
    ----------
    scenario : Scenario
    engine : {"ml", "fast"}
        Of the ratings. That therapists differ is tested by the likelihood ratio.
    minimum : float
        The lowest TER that asks for nothing, percent.
    support : float
        A therapist is seen to be below where the TER is below the minimum with this probability or more.
    points : tuple of float
        How far below the minimum a therapist truly is; 0 stands on it.
    within : float
        A therapist counts who is this close to that, points.
    completed : tuple of int
        The first number of each band of completed treatments; the last band has no upper end.
    iccs : tuple of float
        Share of therapists in the variance of recovery on the log-odds scale, in the small networks; 0 shows
        false alarms.
    therapists, patients : tuple of int
        Sizes of the small networks: therapists, and completed treatments of each.

    Raises
    ------
    OptionError
        If a setting is out of range.
    """

    NAME: ClassVar[str] = "power"

    scenario: Scenario = field(default_factory=usual_network)
    engine: StudyEngine = "ml"
    minimum: float = 50.0
    support: float = 0.9
    points: tuple[float, ...] = (0.0, 5.0, 10.0, 15.0)
    within: float = 1.5
    completed: tuple[int, ...] = (10, 20, 40, 80)
    iccs: tuple[float, ...] = (0.0, 0.05)
    therapists: tuple[int, ...] = (10, 30, 100, 300)
    patients: tuple[int, ...] = (4, 10, 20, 40)

    def __post_init__(self) -> None:
        check_study(self.scenario, self.engine)
        check_number("minimum", self.minimum, 1, 99)
        check_number("support", self.support, 0.5, 0.999)
        check_increasing("points", self.points, 0, 50)
        check_number("within", self.within, 0.1, 10)
        check_counts("completed", self.completed)
        check_increasing("iccs", self.iccs, 0, 0.5)
        check_counts("therapists", self.therapists)
        check_counts("patients", self.patients)

    @property
    def small_networks(self) -> list[tuple[float, int, int]]:
        """ICC, therapists and patients of each small network."""
        return list(product(self.iccs, self.therapists, self.patients))

    def replicate(self, seed: int) -> Replicate:
        """Count those seen to be below in one network, and test each small network."""
        rated = rate_network(self.scenario, self.engine, seed)
        below = [self._seen_below(rated, points) for points in self.points]
        with one_thread():
            tested = [
                self._seen_to_differ(network, np.random.SeedSequence(seed, spawn_key=(k,)))
                for k, network in enumerate(self.small_networks)
            ]
        sums = np.array([[1.0, seen] for seen, _ in tested])
        return Replicate(
            np.concatenate([*below, sums]),
            all(converged for _, converged in tested),
        )

    def _seen_below(self, rated: Rated, points: float) -> FloatArray:
        posterior = rated.solved.posterior
        flagged = cdf_at(posterior.ter_grid, posterior.ter_cdf, self.minimum) >= self.support
        there = np.abs(self.minimum - points - rated.true_ter) <= self.within
        band = np.where(there, band_of(rated.drawn.n_completed, self.completed), -1)
        return sums_by_cell(band, len(self.completed), (np.ones(band.size), flagged))

    def _seen_to_differ(
        self, network: tuple[float, int, int], seed: np.random.SeedSequence
    ) -> tuple[bool, bool]:
        icc, therapists, patients = network
        scenario = small_network(self.scenario, icc, therapists, patients)
        drawn = draw_network(scenario, int(seed.generate_state(1, np.uint64)[0]))
        encoder = encoder_of(self.scenario, ADJUSTED_FOR)
        ratio, converged = likelihood_ratio(design_of(scenario, drawn, encoder, service=False))
        return ratio > CRITICAL, converged

    def summarise(self, sums: FloatArray) -> pd.DataFrame:
        """``seen_below`` by points and band; ``seen_to_differ`` by ICC, therapists and patients."""
        n_bands = len(self.completed)
        bands = band_frame(self.completed)
        small = pd.DataFrame(self.small_networks, columns=["icc", "therapists", "patients"])
        cells = pd.concat(
            [*(bands.assign(points_below=points) for points in self.points), small], ignore_index=True
        )
        cells = cells.astype({"therapists": "Int64", "patients": "Int64"})
        cut = n_bands * len(self.points)
        seen = ratio(_SEEN, _CASES)
        return pd.concat(
            [
                tabulate(cells[:cut], sums[:, :cut], [Statistic("seen_below", seen)]),
                tabulate(
                    cells[cut:].reset_index(drop=True), sums[:, cut:], [Statistic("seen_to_differ", seen)]
                ),
            ],
            ignore_index=True,
        )

    def in_words(self, table: pd.DataFrame) -> list[str]:
        """The chance for each distance below, and the smallest networks in which differences are seen."""
        lines = []
        below = table[table["statistic"] == "seen_below"]
        for points in self.points:
            parts = [
                f"{percent((row['estimate'], row['mcse']))} with {band_name(row)}"
                if row["n"] >= FEWEST_TOLD
                else f"too few to say with {band_name(row)}"
                for _, row in below[below["points_below"] == points].iterrows()
            ]
            lines.append(
                f"Of therapists truly {points:g} points below {self.minimum:g}, support is offered to "
                f"{'; '.join(parts)} completed treatments."
            )
        differ = table[table["statistic"] == "seen_to_differ"]
        for icc in self.iccs:
            rows = differ[differ["icc"] == icc]
            if icc == 0:
                lines.append(
                    "Where therapists are all alike, the test says that they differ in "
                    f"{percent(_mean_of(rows))} of networks (5% are meant to)."
                )
                continue
            enough = rows[rows["estimate"] >= 0.8]
            sizes = [f"{r['therapists']} × {r['patients']}" for _, r in enough.iterrows()]
            lines.append(
                f"At an ICC of {icc:g}, that therapists differ is seen in 80% or more of networks of "
                f"(therapists × completed treatments) {', '.join(sizes) or 'none of these sizes'}."
            )
        return [*lines, *slopes_in_words(self.scenario)]


def _mean_of(rows: pd.DataFrame) -> tuple[float, float]:
    """The mean of shares of networks that were drawn apart, and its Monte Carlo standard error."""
    return float(rows["estimate"].mean()), float(np.sqrt((rows["mcse"] ** 2).sum(skipna=False)) / len(rows))


def small_network(scenario: Scenario, icc: float, therapists: int, patients: int) -> Scenario:
    """One service in which each therapist has `patients` treatments that are all completed.

    Therapists differ by their effects alone, whatever slopes on severity the scenario gives them: an `icc` of
    0 means that they are alike.
    """
    n = scenario.network
    return scenario.replace(
        n_therapists=therapists,
        n_services=1,
        mean_caseload=float(patients),
        caseload_cv=0.0,
        joining=0.0,
        leaving=0.0,
        crossing=0.0,
        completion=1.0,
        completion_by_age=0.0,
        completion_by_imd=0.0,
        completion_by_phq9=0.0,
        completion_therapist_sd=0.0,
        end=date(min(n.end.year + 3, 2099), 12, 31),
        therapist_sd=sd_of(icc),
        severity_slope_sd=0.0,
    )


def likelihood_ratio(design: Design) -> tuple[float, bool]:
    """Twice the gain in log-likelihood from therapists' effects, and whether both fits converged.

    Parameters
    ----------
    design : Design
        Without a service effect.
    """
    layout = arrange(design, design.therapist, None)
    found = fit_ml(layout, NODES)

    def value(beta: FloatArray) -> float:
        eta = design.X @ beta
        return float(design.successes @ eta - np.logaddexp(0.0, eta).sum())

    def evaluate(beta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        p = 1.0 / (1.0 + np.exp(-(design.X @ beta)))
        return value(beta), design.X.T @ (design.successes - p), (design.X.T * (p * (1.0 - p))) @ design.X

    pooled = maximise(evaluate, value, np.zeros(design.X.shape[1]))
    return max(0.0, 2.0 * (found.log_likelihood - pooled.value)), found.converged and pooled.converged
