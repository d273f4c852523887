"""Study ``raw_versus_ter``: how often raw recovery rates mislead where ratings do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import OptionError
from ter.simulation.checks import check_count, check_number
from ter.simulation.scenario import Scenario
from ter.simulation.studies.bands import figures, percent, shown
from ter.simulation.studies.draws import true_rates
from ter.simulation.studies.monte_carlo import Statistic, ratio, sums_by_cell, tabulate
from ter.simulation.studies.rated import StudyEngine, rate_network, slopes_in_words
from ter.simulation.studies.study import Replicate, check_increasing, check_study, usual_network

FloatArray = NDArray[np.float64]

(_PAIRS, _RAW_WRONG, _RAW_TIE, _TER_WRONG, _RAW_MISLEADS, _TER_MISLEADS) = range(6)
# Of the pairs with raw rates as in the example.
(_GAP, _TER_GAP, _ALIKE, _REVERSED, _PATIENTS, _CHANCE, _RAW_GAP) = range(6, 13)
#: True ratings that differ by less than this are as good as equal, points.
ALIKE: Final = 5.0


@dataclass(frozen=True)
class RawVersusTerStudy:
    """How often the raw recovery rate misorders two therapists whom the TER orders rightly.

    Attributes
    ----------
    scenario : Scenario
    engine : {"ml", "fast"}
    completed : int
        Completed treatments that both of a pair must have.
    gaps : tuple of float
        The lower ends of bands of the true difference of a pair, points; the last has no upper end.
    example : (float, float)
        Raw recovery rates, percent, of the example: the higher, then the lower.
    within : float
        How far a raw rate may be from the example's, points.

    Raises
    ------
    OptionError
        If a setting is out of range.
    """

    NAME: ClassVar[str] = "raw_versus_ter"

    scenario: Scenario = field(default_factory=usual_network)
    engine: StudyEngine = "ml"
    completed: int = 10
    gaps: tuple[float, ...] = (0.0, 2.5, 5.0, 10.0, 15.0, 20.0)
    example: tuple[float, float] = (75.0, 40.0)
    within: float = 2.5

    def __post_init__(self) -> None:
        check_study(self.scenario, self.engine)
        check_count("completed", self.completed, 1, 1_000_000)
        check_increasing("gaps", self.gaps, 0, 100)
        if self.gaps[0] != 0:
            raise OptionError(f"gaps must begin with 0, so that every pair has a place: {self.gaps!r}.")
        if not isinstance(self.example, tuple) or len(self.example) != 2:
            raise OptionError(f"example must be a tuple of two rates, not {self.example!r}.")
        for name, value in (("example[0]", self.example[0]), ("example[1]", self.example[1])):
            check_number(name, value, 0, 100)
        check_number("within", self.within, 0, 100)
        if self.example[0] <= self.example[1]:
            raise OptionError(f"example must be two rates, the higher first, not {self.example!r}.")
        if self.example[0] - self.example[1] <= 2 * self.within:
            raise OptionError(
                f"The rates of example, {self.example!r}, must lie more than twice within ({self.within:g}) "
                "apart: a pair could else be like it the wrong way round."
            )

    def replicate(self, seed: int) -> Replicate:
        """Sum up all pairs of a network, by true difference, and those that are like the example."""
        rated = rate_network(self.scenario, self.engine, seed)
        chosen = (rated.drawn.n_completed >= self.completed) & (rated.n > 0)
        recovered = np.bincount(rated.drawn.therapist, rated.drawn.recovered, rated.n.size)
        raw = 100.0 * recovered[chosen] / rated.n[chosen]
        average, own = (100.0 * rates[chosen] for rates in true_rates(rated.drawn))
        truth, ter = rated.true_ter[chosen], rated.ter[chosen]

        first, second = np.triu_indices(raw.size, 1)
        # The truly better one of each pair comes first.
        better = truth[first] >= truth[second]
        first, second = np.where(better, first, second), np.where(better, second, first)
        gap = truth[first] - truth[second]
        raw_gap, ter_gap = raw[first] - raw[second], ter[first] - ter[second]
        sums = np.zeros((len(self.gaps) + 1, 13))
        band = np.searchsorted(np.array(self.gaps), gap, side="right") - 1
        raw_wrong, ter_wrong = raw_gap < 0, ter_gap < 0
        sums[:-1, : _TER_MISLEADS + 1] = sums_by_cell(
            band,
            len(self.gaps),
            (
                np.ones(gap.size),
                raw_wrong,
                raw_gap == 0,
                ter_wrong,
                raw_wrong & (ter_gap > 0),
                ter_wrong & (raw_gap > 0),
            ),
        )
        # Pairs like the example, the one with the higher raw rate first.
        high = np.flatnonzero(np.abs(raw - self.example[0]) <= self.within)
        low = np.flatnonzero(np.abs(raw - self.example[1]) <= self.within)
        a, b = (side.ravel() for side in np.meshgrid(high, low))
        true_gap = truth[a] - truth[b]
        sums[-1, _PAIRS] = a.size
        sums[-1, _GAP:] = [
            true_gap.sum(),
            (ter[a] - ter[b]).sum(),
            (np.abs(true_gap) < ALIKE).sum(),
            (true_gap < 0).sum(),
            (average[a] - average[b]).sum(),
            (raw[a] - own[a] - raw[b] + own[b]).sum(),
            (raw[a] - raw[b]).sum(),
        ]
        return Replicate(sums)

    def summarise(self, sums: FloatArray) -> pd.DataFrame:
        """Shares of pairs by their true difference, over all pairs, and means of pairs like the example.

        ``raw_wrong``, ``raw_tie``, ``ter_wrong``: share that the raw rate, or the TER, puts in the wrong
        order (a tie is counted apart); ``raw_misleads``: the raw rate is wrong and the TER right;
        ``ter_misleads`` the reverse. Of the example, points: ``raw_gap``, ``true_gap`` and ``ter_gap``, and
        what the raw gap is made of: ``patients`` (their case mix), ``chance``, and the rest, ``therapists``;
        ``alike``, the share whose true ratings are less than 5 points apart, and ``reversed``, the share in
        which the one with the lower raw rate is truly better.
        """
        by_gap = [
            Statistic("raw_wrong", ratio(_RAW_WRONG, _PAIRS)),
            Statistic("raw_tie", ratio(_RAW_TIE, _PAIRS)),
            Statistic("ter_wrong", ratio(_TER_WRONG, _PAIRS)),
            Statistic("raw_misleads", ratio(_RAW_MISLEADS, _PAIRS)),
            Statistic("ter_misleads", ratio(_TER_MISLEADS, _PAIRS)),
        ]
        ends = [*self.gaps[1:], np.nan]
        bands = pd.DataFrame({"pairs": "by_gap", "gap_from": self.gaps, "gap_to": ends})
        every = pd.DataFrame({"pairs": ["all"], "gap_from": [np.nan], "gap_to": [np.nan]})
        example = every.assign(pairs="example")
        pairs = sums[:, :-1]
        return pd.concat(
            [
                tabulate(bands, pairs, by_gap),
                tabulate(every, pairs.sum(axis=1, keepdims=True), by_gap),
                tabulate(
                    example,
                    sums[:, -1:],
                    [
                        Statistic("raw_gap", ratio(_RAW_GAP, _PAIRS)),
                        Statistic("true_gap", ratio(_GAP, _PAIRS)),
                        Statistic("ter_gap", ratio(_TER_GAP, _PAIRS)),
                        Statistic("patients", ratio(_PATIENTS, _PAIRS)),
                        Statistic("chance", ratio(_CHANCE, _PAIRS)),
                        Statistic(
                            "therapists",
                            lambda s: (
                                (s[..., _RAW_GAP] - s[..., _PATIENTS] - s[..., _CHANCE]) / s[..., _PAIRS]
                            ),
                        ),
                        Statistic("alike", ratio(_ALIKE, _PAIRS)),
                        Statistic("reversed", ratio(_REVERSED, _PAIRS)),
                    ],
                ),
            ],
            ignore_index=True,
        )

    def in_words(self, table: pd.DataFrame) -> list[str]:
        """The founding example, and all pairs."""
        example = figures(table[table["pairs"] == "example"])
        every = figures(table[table["pairs"] == "all"])
        points = {name: shown(*figure, 1) for name, figure in example.items()}
        high, low = self.example
        return [
            f"Two therapists whose raw recovery rates are about {high:g}% and {low:g}% truly differ by "
            f"{points['true_gap']} points on average; their TERs differ by {points['ter_gap']}.",
            f"Of the raw difference of {points['raw_gap']} points, {points['chance']} are chance, "
            f"{points['patients']} the patients, {points['therapists']} the therapists.",
            f"{percent(example['alike'])} of such pairs are truly within {ALIKE:g} points of each other, "
            f"and in {percent(example['reversed'])} the one with the lower raw rate is the better.",
            f"Over all pairs the raw rate is wrong in {percent(every['raw_wrong'])} (and tied in "
            f"{percent(every['raw_tie'])}), the TER in {percent(every['ter_wrong'])}; the raw rate misleads "
            f"where the TER is right in {percent(every['raw_misleads'])}, and the other way round in "
            f"{percent(every['ter_misleads'])}.",
            *slopes_in_words(self.scenario),
        ]
