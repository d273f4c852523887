"""Study ``coverage``: whether intervals hold the truth as often as they say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from ter.models.result import Columns
from ter.models.weighted import quantiles
from ter.ratings.tabulated import cdf_at
from ter.simulation.scenario import Scenario
from ter.simulation.studies.bands import band_frame, band_of, figures, shown
from ter.simulation.studies.designs import coded_as_in_truth
from ter.simulation.studies.monte_carlo import Statistic, ratio, sums_by_cell, tabulate
from ter.simulation.studies.rated import Rated, StudyEngine, rate_network, slopes_in_words
from ter.simulation.studies.study import (
    Replicate,
    check_counts,
    check_increasing,
    check_study,
    usual_network,
)

FloatArray = NDArray[np.float64]

_COUNT, _COVERED, _ERROR = range(3)

#: An SD that is estimated below this, log-odds, counts as zero.
ZERO_SD: Final = 0.01


@dataclass(frozen=True)
class CoverageStudy:
    """How often intervals of TERs, standard deviations and coefficients hold the truth.

    Attributes
    ----------
    scenario : Scenario
    engine : {"ml", "fast"}
        With "ml" the intervals of TERs hold the parameters at their estimates, and are so too narrow.
    levels : tuple of float
        Probabilities of the (central) intervals.
    completed : tuple of int
        The first number of each band of completed treatments; the last band has no upper end.

    Raises
    ------
    OptionError
        If a setting is out of range.
    """

    NAME: ClassVar[str] = "coverage"

    scenario: Scenario = field(default_factory=usual_network)
    engine: StudyEngine = "ml"
    levels: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95)
    completed: tuple[int, ...] = (1, 10, 20, 50)

    def __post_init__(self) -> None:
        check_study(self.scenario, self.engine)
        check_increasing("levels", self.levels, 0.01, 0.999)
        check_counts("completed", self.completed)

    def replicate(self, seed: int) -> Replicate:
        """Count, for each level, the intervals that hold the truth: TERs by band, SDs, coefficients."""
        rated = rate_network(self.scenario, self.engine, seed)
        posterior = rated.solved.posterior
        position = cdf_at(posterior.ter_grid, posterior.ter_cdf, rated.true_ter)
        band = band_of(rated.drawn.n_completed, self.completed)
        error = rated.ter - rated.true_ter
        sums = []
        for level in self.levels:
            inside = np.abs(position - 0.5) <= level / 2
            sums.append(sums_by_cell(band, len(self.completed), (np.ones(band.size), inside, error)))
            sums.append(self._parameters(rated, level))
        return Replicate(np.concatenate(sums))

    def _parameters(self, rated: Rated, level: float) -> FloatArray:
        """Sums for the SDs and the coefficients, shape (3, 3): none of what has no truth beside it."""
        effects = self.scenario.effects
        sums = np.zeros((3, 3))
        estimate, low, high = sd_intervals(rated, level)
        for k, sd in enumerate((effects.therapist_sd, effects.service_sd)[: estimate.size]):
            if sd > 0:  # an interval of an SD that is truly 0 has an end there
                sums[k] = [1.0, low[k] <= sd <= high[k], estimate[k] - sd]
        names = rated.design.columns
        if not coded_as_in_truth(self.scenario, names, rated.drawn):
            return sums
        known = self.scenario.coefficients()
        there = np.array([name in known for name in names])
        truth = np.array([known.get(name, np.nan) for name in names])
        _, low, high = coefficient_intervals(rated, level)
        sums[2, :2] = there.sum(), ((low <= truth) & (truth <= high))[there].sum()
        return sums

    def summarise(self, sums: FloatArray) -> pd.DataFrame:
        """``coverage`` by quantity and level; ``mean_error`` of TERs (points) and SDs (log-odds)."""
        bands = band_frame(self.completed).assign(quantity="ter")
        parameters = pd.DataFrame({"quantity": ["therapist_sd", "service_sd", "coefficients"]})
        block = pd.concat([bands, parameters], ignore_index=True)[
            ["quantity", "completed_from", "completed_to"]
        ]
        cells = pd.concat([block.assign(level=level) for level in self.levels], ignore_index=True)
        covered = tabulate(cells, sums, [Statistic("coverage", ratio(_COVERED, _COUNT))])
        one = slice(0, len(block) - 1)
        error = tabulate(
            block[one].assign(level=np.nan), sums[:, one], [Statistic("mean_error", ratio(_ERROR, _COUNT))]
        )
        table = pd.concat([covered, error], ignore_index=True)
        # A scenario with one service has no SD of services.
        return table[table["n"] > 0].reset_index(drop=True)

    def in_words(self, table: pd.DataFrame) -> list[str]:
        """Coverage of each quantity at each level."""
        words = {
            "ter": "the TER",
            "therapist_sd": "the therapists' SD",
            "service_sd": "the services' SD",
            "coefficients": "the coefficients",
        }
        rows = table[table["statistic"] == "coverage"]
        lines = []
        for level in self.levels:
            parts = []
            for quantity, name in words.items():
                of = rows[(rows["level"] == level) & (rows["quantity"] == quantity)]
                if len(of):
                    share = float((of["estimate"] * of["n"]).sum() / of["n"].sum())
                    error = "" if len(of) > 1 else f" ± {100 * of['mcse'].iloc[0]:.1f}"
                    parts.append(f"{100 * share:.1f}{error}% of those of {name}")
            lines.append(f"{100 * level:g}% intervals hold the truth in {', '.join(parts)}.")
        errors = figures(table[table["quantity"] == "therapist_sd"].tail(1))
        if errors:
            lines.append(f"The therapists' SD is off by {shown(*errors['mean_error'], 3)} on average.")
        return [*lines, *slopes_in_words(self.scenario)]


def sd_intervals(rated: Rated, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimates of the standard deviations, and the ends of their intervals, shapes (F,).

    Of engine "ml" the interval is normal in the logarithm. That of an SD estimated as zero holds zero alone.
    """
    posterior, found = rated.solved.posterior, rated.solved.estimates
    tails = ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
    if found is None:
        low, high = quantiles(posterior.sd, posterior.weights, tails)
        return posterior.weights @ posterior.sd, low, high
    F = found.sd.size
    # The ascent ends near the lowest SD as often as at it; an interval from there would reach to infinity.
    zero = found.sd < ZERO_SD
    half = np.where(zero, 0.0, ndtri(tails[1]) * np.sqrt(np.diag(found.covariance)[-F:]))
    sd = np.where(zero, 0.0, found.sd)
    return found.sd, sd * np.exp(-half), sd * np.exp(half)


def coefficient_intervals(rated: Rated, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimates of the coefficients on the scale of their columns, and their intervals, shapes (P,)."""
    design, posterior, found = rated.design, rated.solved.posterior, rated.solved.estimates
    to_raw = Columns(design.columns, design.centre, design.scale).to_raw
    tails = ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
    if found is None:
        beta = posterior.beta @ to_raw.T
        low, high = quantiles(beta, posterior.weights, tails)
        return posterior.weights @ beta, low, high
    P = len(design.columns)
    se = np.sqrt(np.diag(to_raw @ found.covariance[:P, :P] @ to_raw.T))
    estimate = to_raw @ found.beta
    return estimate, estimate - ndtri(tails[1]) * se, estimate + ndtri(tails[1]) * se
