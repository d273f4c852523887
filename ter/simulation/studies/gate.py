"""Study ``gate``: what a gate at another number of completed treatments would let through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.ratings.tabulated import cdf_at
from ter.simulation.checks import check_number
from ter.simulation.scenario import Scenario
from ter.simulation.studies.bands import figures, percent, shown
from ter.simulation.studies.monte_carlo import Statistic, ratio, root_ratio, tabulate
from ter.simulation.studies.rated import StudyEngine, rate_network, slopes_in_words
from ter.simulation.studies.study import Replicate, check_counts, check_study, usual_network

FloatArray = NDArray[np.float64]

(_COUNT, _EVERYBODY, _SQUARED, _QUARTILE, _CHANCE, _FLAGGED, _WRONG, _GOOD, _POOR, _MISSED, _RELIABILITY) = (
    range(11)
)


@dataclass(frozen=True)
class GateStudy:
    """What a gate lets through: errors, wrong quartiles, wrong and missed offers of support.

    Attributes
    ----------
    scenario : Scenario
    engine : {"ml", "fast"}
    gates : tuple of int
        Completed treatments that a rating would take.
    minimum : float
        The lowest TER that asks for nothing, percent.
    support : float
        Support is offered where the TER is below the minimum with this probability or more.

    Raises
    ------
    OptionError
        If a setting is out of range.
    """

    NAME: ClassVar[str] = "gate"

    scenario: Scenario = field(default_factory=usual_network)
    engine: StudyEngine = "ml"
    gates: tuple[int, ...] = (5, 10, 20, 50)
    minimum: float = 45.0
    support: float = 0.9

    def __post_init__(self) -> None:
        check_study(self.scenario, self.engine)
        check_counts("gates", self.gates)
        check_number("minimum", self.minimum, 1, 99)
        check_number("support", self.support, 0.5, 0.999)

    def replicate(self, seed: int) -> Replicate:
        """Sum up those whom each gate lets through: all of them, then those below the next gate."""
        rated = rate_network(self.scenario, self.engine, seed)
        posterior, truth, completed = rated.solved.posterior, rated.true_ter, rated.drawn.n_completed
        flagged = cdf_at(posterior.ter_grid, posterior.ter_cdf, self.minimum) >= self.support
        poor = truth < self.minimum
        J = truth.size
        columns = {
            _COUNT: np.ones(J),
            _SQUARED: (rated.ter - truth) ** 2,
            _FLAGGED: flagged,
            _WRONG: flagged & ~poor,
            _GOOD: ~poor,
            _POOR: poor,
            _MISSED: poor & ~flagged,
            _RELIABILITY: posterior.reliability,
        }
        sums = np.zeros((2 * len(self.gates) - 1, 11))
        for k, gate in enumerate(self.gates):
            passed = completed >= gate
            wrong = np.zeros(J, np.bool_)
            wrong[passed] = quartiles(rated.ter[passed]) != quartiles(truth[passed])
            cells = [(k, passed)]
            if k + 1 < len(self.gates):
                cells.append((len(self.gates) + k, passed & (completed < self.gates[k + 1])))
            for cell, chosen in cells:
                for column, values in columns.items():
                    sums[cell, column] = np.asarray(values, np.float64)[chosen].sum()
                sums[cell, _QUARTILE] = wrong[chosen].sum()
                sums[cell, _CHANCE] = wrong_by_chance(int(passed.sum())) * chosen.sum()
                sums[cell, _EVERYBODY] = J
        return Replicate(sums)

    def summarise(self, sums: FloatArray) -> pd.DataFrame:
        """Figures for each gate (``completed_to`` empty), and for those between it and the next gate.

        ``rated``: share of the therapists who had a patient. ``error``: root mean square of TER less truth,
        points. ``wrong_quartile``: share in another quartile, of those rated, than they belong to;
        ``wrong_quartile_by_chance``: what pure chance gives, 0.75 but where few are rated. ``wrong_flag``:
        share of the offers of support that go to therapists truly at or above the minimum;
        ``flagged_good``: share of these therapists who get one. ``missed``: share of those truly below the
        minimum who get none. ``reliability``: mean, as stated.
        """
        first = [*self.gates, *self.gates[:-1]]
        last = [*([None] * len(self.gates)), *(gate - 1 for gate in self.gates[1:])]
        cells = pd.DataFrame(
            {"completed_from": pd.array(first, dtype="Int64"), "completed_to": pd.array(last, dtype="Int64")}
        )
        return tabulate(
            cells,
            sums,
            [
                Statistic("rated", ratio(_COUNT, _EVERYBODY), _EVERYBODY),
                Statistic("error", root_ratio(_SQUARED, _COUNT)),
                Statistic("wrong_quartile", ratio(_QUARTILE, _COUNT)),
                Statistic("wrong_quartile_by_chance", ratio(_CHANCE, _COUNT)),
                Statistic("flagged", ratio(_FLAGGED, _COUNT)),
                Statistic("wrong_flag", ratio(_WRONG, _FLAGGED), _FLAGGED),
                Statistic("flagged_good", ratio(_WRONG, _GOOD), _GOOD),
                Statistic("missed", ratio(_MISSED, _POOR), _POOR),
                Statistic("reliability", ratio(_RELIABILITY, _COUNT)),
            ],
        )

    def in_words(self, table: pd.DataFrame) -> list[str]:
        """A sentence for each gate."""
        lines = []
        for gate in self.gates:
            found = figures(table[(table["completed_from"] == gate) & table["completed_to"].isna()])
            offers = (
                "Nobody is offered support"
                if np.isnan(found["wrong_flag"][0])
                else f"Of the offers of support {percent(found['wrong_flag'])} "
                f"go to therapists who are truly at or above {self.minimum:g}"
            )
            missed = (
                "nobody is truly below"
                if np.isnan(found["missed"][0])
                else f"{percent(found['missed'])} of those truly below get none"
            )
            chance = 100 * found["wrong_quartile_by_chance"][0]
            by_chance = "" if np.isnan(chance) else f" ({chance:.0f}% by chance)"
            lines.append(
                f"A gate at {gate} rates {percent(found['rated'])} of therapists; the TER is off by "
                f"{shown(*found['error'], 1)} points, and {percent(found['wrong_quartile'])} stand in a "
                f"wrong quartile{by_chance}. {offers}; {missed}."
            )
        return [*lines, *slopes_in_words(self.scenario)]


def quartiles(values: FloatArray) -> NDArray[np.int64]:
    """The quarter (0 to 3) in which each value ranks."""
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(4 * rank // max(values.size, 1), np.int64)


def wrong_by_chance(n: int) -> float:
    """The share of n values that a random order puts in a wrong quarter: 0 of one alone, 0.75 of many."""
    sizes = np.bincount(quartiles(np.arange(n, dtype=np.float64)), minlength=4)
    return float(1.0 - ((sizes / max(n, 1)) ** 2).sum())
