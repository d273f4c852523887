"""Study ``reliability``: how much of a rating is true difference, by completed treatments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import OptionError
from ter.simulation.scenario import Scenario
from ter.simulation.studies.bands import band_frame, band_name, band_of, shown
from ter.simulation.studies.draws import weights_of
from ter.simulation.studies.monte_carlo import Figure, Statistic, jackknife, ratio, sums_by_cell, tabulate
from ter.simulation.studies.rated import StudyEngine, rate_network, slopes_in_words
from ter.simulation.studies.study import (
    Replicate,
    check_counts,
    check_increasing,
    check_study,
    usual_network,
)

FloatArray = NDArray[np.float64]

_COUNT, _COMPLETED, _MODELLED, _STATED, _ERROR, _HALF, _OWN = range(7)
_LN_LEAST: Final = 1e-12


def closed_form(n: FloatArray | float, sd: float, rate: float = 0.5) -> FloatArray:
    """Reliability of a therapist with `n` patients in the model who all recover at one rate.

    To second order in the effect, n p (1 - p) sd^2 / (1 + n p (1 - p) sd^2): the share of true variance where
    a logit of n patients has the sampling variance 1 / (n p (1 - p)).

    Parameters
    ----------
    n : float or ndarray
        Patients in the model.
    sd : float
        Of the therapists' effects, log-odds.
    rate : float
        0 to 1. At 1/2 a patient tells most.
    """
    information = np.asarray(n) * rate * (1.0 - rate) * sd**2
    return np.asarray(information / (1.0 + information))


def patients_needed(reliability: float, sd: float, rate: float = 0.5) -> float:
    """Patients in the model for a reliability: the inverse of `closed_form`."""
    return reliability / (1.0 - reliability) / (rate * (1.0 - rate) * sd**2)


@dataclass(frozen=True)
class ReliabilityStudy:
    """How reliable ratings are, by completed treatments, and how many treatments a reliability takes.

    Attributes
    ----------
    scenario : Scenario
        Its therapists must differ. By default England 2024-25 with caseloads from a few to some hundreds.
    engine : {"ml", "fast"}
    completed : tuple of int
        The first number of each band of completed treatments; the last band has no upper end.
    levels : tuple of float
        Reliabilities whose number of treatments is sought, between 0 and 1.

    Raises
    ------
    OptionError
        If a setting is out of range.
    """

    NAME: ClassVar[str] = "reliability"

    scenario: Scenario = field(
        default_factory=lambda: usual_network(n_therapists=125, mean_caseload=80.0, caseload_cv=1.2)
    )
    engine: StudyEngine = "ml"
    completed: tuple[int, ...] = (1, 5, 10, 15, 20, 30, 45, 70, 100, 150, 250, 400)
    levels: tuple[float, ...] = (0.5, 0.7, 0.9)

    def __post_init__(self) -> None:
        check_study(self.scenario, self.engine)
        check_counts("completed", self.completed)
        check_increasing("levels", self.levels, 0.01, 0.99)
        if not self.scenario.effects.therapist_sd:
            raise OptionError("The therapists of this scenario are all alike: nothing could be reliable.")

    def replicate(self, seed: int) -> Replicate:
        """Sum up each band of a network."""
        rated = rate_network(self.scenario, self.engine, seed)
        drawn, posterior = rated.drawn, rated.solved.posterior
        sd = self.scenario.effects.therapist_sd
        own = weights_of(drawn) * sd**2
        columns = (
            np.ones(rated.n.size),
            drawn.n_completed.astype(np.float64),
            rated.n,
            posterior.reliability,
            (posterior.u_mean - drawn.effect) ** 2,
            closed_form(rated.n, sd),
            own / (1.0 + own),
        )
        bands = band_of(drawn.n_completed, self.completed)
        return Replicate(sums_by_cell(bands, len(self.completed), columns))

    def summarise(self, sums: FloatArray) -> pd.DataFrame:
        """Mean reliability of each band, stated and true, and the treatments that each level takes.

        ``stated`` is what ratings show; ``true`` is 1 less the mean squared error of the effects over their
        true variance; ``formula`` the closed form at a recovery of one half; ``formula_own`` the same with
        the recovery of each patient. ``needed_stated`` and ``needed_true`` have a ``level`` and no band.
        """
        variance = self.scenario.effects.therapist_sd**2
        true: Figure = lambda s: 1.0 - s[..., _ERROR] / s[..., _COUNT] / variance  # noqa: E731
        stated = ratio(_STATED, _COUNT)
        bands = tabulate(
            band_frame(self.completed).assign(level=np.nan),
            sums,
            [
                Statistic("stated", stated),
                Statistic("true", true),
                Statistic("formula", ratio(_HALF, _COUNT)),
                Statistic("formula_own", ratio(_OWN, _COUNT)),
                Statistic("mean_completed", ratio(_COMPLETED, _COUNT)),
                Statistic("mean_modelled", ratio(_MODELLED, _COUNT)),
            ],
        )
        n = int(sums[..., _COUNT].sum())
        needed = [
            self._needed(sums, name, figure, n)
            for name, figure in (("needed_stated", stated), ("needed_true", true))
        ]
        return pd.concat([bands, *needed], ignore_index=True)

    def _needed(self, sums: FloatArray, name: str, figure: Figure, n: int) -> pd.DataFrame:
        estimate, mcse = jackknife(sums, treatments_needed(figure, self.levels))
        levels = len(self.levels)
        return pd.DataFrame(
            {
                "completed_from": pd.array([None] * levels, dtype="Int64"),
                "completed_to": pd.array([None] * levels, dtype="Int64"),
                "level": self.levels,
                "statistic": name,
                "estimate": estimate,
                "mcse": mcse,
                "n": n,
            }
        )

    def in_words(self, table: pd.DataFrame) -> list[str]:
        """Reliability around ten treatments, and the numbers needed."""
        stated = table[table["statistic"] == "stated"].reset_index(drop=True)
        lines = [
            f"With {band_name(row)} completed treatments the reliability of a rating is "
            f"{shown(row['estimate'], row['mcse'])}."
            for _, row in stated.iterrows()
            if row["completed_from"] in (10, self.completed[-1])
        ]
        for _, row in table[table["statistic"] == "needed_stated"].iterrows():
            formula = patients_needed(row["level"], self.scenario.effects.therapist_sd)
            needed = (
                "is reached between no two of these bands"
                if np.isnan(row["estimate"])
                else f"takes {shown(row['estimate'], row['mcse'], 0)} completed treatments"
            )
            lines.append(
                f"A reliability of {row['level']:g} {needed} (closed form: {formula:.0f} patients in the "
                "model, if each recovered with probability one half)."
            )
        return [*lines, *slopes_in_words(self.scenario)]


def treatments_needed(figure: Figure, levels: tuple[float, ...]) -> Callable[[FloatArray], FloatArray]:
    """The mean number of completed treatments at which a reliability by band reaches each level.

    By a line between bands in the logarithm of the number and the log-odds of the reliability, in which the
    closed form is a straight line. NaN where no two bands lie about the level.
    """

    def needed(sums: FloatArray) -> FloatArray:
        rows = sums.reshape(-1, *sums.shape[-2:])
        reliability = np.clip(figure(rows), _LN_LEAST, 1.0 - _LN_LEAST)
        number = rows[..., _COMPLETED] / rows[..., _COUNT]
        out = np.array([_crossings(r, x, levels) for r, x in zip(reliability, number, strict=True)])
        return out.reshape(*sums.shape[:-2], len(levels))

    return needed


def _crossings(reliability: FloatArray, number: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    known = np.isfinite(reliability) & np.isfinite(number)
    if not known.any():
        return np.full(len(levels), np.nan)
    logit = np.maximum.accumulate(np.log(reliability[known]) - np.log1p(-reliability[known]))
    wanted = np.log(levels) - np.log1p(-np.array(levels))
    return np.asarray(np.exp(np.interp(wanted, logit, np.log(number[known]), left=np.nan, right=np.nan)))
