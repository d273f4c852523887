"""Posterior predictive checks: whether the model, if it were right, would give data that look like these.

The model draws the outcomes of the same patients again: a standard deviation from its posterior, each
therapist's effect from a normal distribution with it, each patient's outcome from the probability that goes
with both. What the data look like is then compared with what the draws look like (Gelman, Meng and Stern
1996, Statistica Sinica 6:733-807). The expected rates are held at their posterior means.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.checks.cases import Cases
from ter.kernels.parallel import map_partitions
from ter.kernels.replicates import draw_residuals
from ter.kernels.tables import expected_rates
from ter.models.result import Fit

FloatArray = NDArray[np.float64]

#: Draws of the data. The smallest two-sided p-value is 2 / (REPLICATES + 1), below what fails a card.
REPLICATES = 2500
#: Log-odds at which expected rates are tabulated, to be inverted.
_ETA = np.linspace(-12.0, 12.0, 961)


@dataclass(frozen=True, eq=False)
class Replicates:
    """Residuals by therapist, of the data and of draws of it; M draws, J therapists.

    Attributes
    ----------
    n : ndarray, shape (J,)
        Patients.
    sd : ndarray, shape (J,)
        Standard deviation of the residual under the model, over the draws.
    residual : ndarray, shape (J,)
        Recoveries above those expected.
    drawn : ndarray, shape (M, J)
    slope : ndarray, shape (J,)
        Residuals times the severity's distance from its mean with the therapist, summed; 0 without severity.
    slope_drawn : ndarray, shape (M, J)
    slope_information : ndarray, shape (J,)
        How much a slope of 1 would add to the slope sums, to first order.
    """

    n: FloatArray
    sd: FloatArray
    residual: FloatArray
    drawn: FloatArray
    slope: FloatArray
    slope_drawn: FloatArray
    slope_information: FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveCheck:
    """The spread of therapists' rates, beside what the model would draw.

    Attributes
    ----------
    table : DataFrame
        By statistic: ``observed``, ``low``, ``median``, ``high`` (2.5%, 50% and 97.5% of the draws) and ``p``
        (two-sided: twice the smaller tail), ``p_upper`` (one-sided: of as much or more).
    replicates : int
    """

    table: pd.DataFrame
    replicates: int

    def to_frame(self) -> pd.DataFrame:
        """Give the statistics as a table."""
        return self.table.copy()

    def summary(self) -> str:
        """Say it in lines."""
        return "\n".join(
            f"{name}: {row['observed']:.3g}, drawn {row['low']:.3g} to {row['high']:.3g} "
            f"(p = {row['p']:.2g})."
            for name, row in self.table.iterrows()
        )

    def __repr__(self) -> str:
        return f"<ter.PredictiveCheck: {len(self.table)} statistics, {self.replicates} draws>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.table.to_html(float_format='{:.3g}'.format)}"


def sd_draws(fit: Fit, count: int, seed: int) -> FloatArray:
    """Draw SDs of the therapists' effects from the posterior; with engine "ml" the estimate each time."""
    if fit.posterior is None:
        sd = 0.0 if fit.estimates is None else float(fit.estimates.sd[0])
        return np.full(count, sd)
    rng = np.random.default_rng([seed, 0])
    chosen = rng.choice(fit.posterior.weights.size, count, p=fit.posterior.weights)
    return np.asarray(fit.posterior.sd[chosen, 0])


def replicate(cases: Cases, sd: FloatArray, seed: int, severity: FloatArray | None = None) -> Replicates:
    """Draw the outcomes of the same patients again.

    Parameters
    ----------
    cases : Cases
    sd : ndarray, shape (M,)
        The standard deviation of the therapists' effects in each draw, log-odds.
    seed : int
    severity : ndarray, shape (C,), optional
        For the slopes.

    Returns
    -------
    Replicates
    """
    J, M = cases.n_therapists, len(sd)
    n = cases.by_therapist(cases.n)
    lever = np.zeros(len(cases.n))
    if severity is not None:
        mean = cases.by_therapist(cases.n * severity) / n
        lever = severity - mean[cases.therapist]
    p = np.clip(cases.expected, 1e-6, 1.0 - 1e-6)
    centre = cases.n * p
    counts = cases.n.astype(np.int64)
    drawn, slope_drawn = np.zeros((M, J)), np.zeros((M, J))
    single = bool((counts == 1).all())
    # In order of the rates, that each is found where the one before it was.
    order = np.argsort(p)
    place, ordered = np.argsort(order), p[order]

    def odds_at(value: float) -> FloatArray:
        return np.exp(linear_predictor(ordered, value))[place]

    def draw(rng: np.random.Generator, m: int, odds: FloatArray) -> None:
        factor = np.exp(sd[m] * rng.standard_normal(J))
        draw_residuals(
            rng, single, counts, odds, centre, lever, cases.therapist, factor, drawn[m], slope_drawn[m]
        )

    bits = np.random.PCG64([seed, 1])
    rng = np.random.Generator(bits)
    if single:
        # A patient takes one random number, so that it is known where each draw begins: those of like SD
        # share their odds, and threads share the draws.
        begins = []
        for _ in range(M):
            begins.append(bits.state)
            rng.standard_normal(J)
            bits.advance(len(p))

        def work(value: float) -> None:
            own, odds = np.random.Generator(np.random.PCG64(0)), odds_at(value)
            for m in np.flatnonzero(sd == value).tolist():
                own.bit_generator.state = begins[m]
                draw(own, m, odds)

        map_partitions(work, np.unique(sd).tolist())
    else:
        for m in range(M):
            draw(rng, m, odds_at(float(sd[m])))
    return Replicates(
        n=n,
        sd=np.sqrt((drawn**2).mean(axis=0)),
        residual=cases.by_therapist(cases.residual),
        drawn=drawn,
        slope=cases.by_therapist(lever * cases.residual),
        slope_drawn=slope_drawn,
        slope_information=cases.by_therapist(cases.n * lever**2 * p * (1.0 - p)),
    )


def linear_predictor(expected: FloatArray, sd: float) -> FloatArray:
    """Find the log-odds at which a rate, averaged over effects N(0, sd^2), is as expected: shape (C,)."""
    table = np.empty(_ETA.size)
    expected_rates(_ETA, sd, table)
    return np.interp(expected, table, _ETA)


def spread(found: Replicates, cases: Cases) -> PredictiveCheck:
    """Check how far therapists' rates lie apart.

    The standard deviation is fitted to these data, so that ``sd`` and ``chi_square`` stand out only where a
    normal distribution of effects cannot reach their spread at all; ``lowest``, ``highest`` and ``furthest``
    look at the ends, which no parameter is fitted to.

    Parameters
    ----------
    found : Replicates
    cases : Cases
        That they were drawn for.

    Returns
    -------
    PredictiveCheck
        ``sd`` and ``range`` of observed - expected rates; ``lowest``, ``highest`` of these in units of their
        standard deviation under the model, and ``furthest``, the larger of the two; ``chi_square``: the sum
        of (O - E)^2 over the variance that chance alone gives, divided by the number of therapists.
    """
    chance = cases.by_therapist(cases.n * cases.expected * (1.0 - cases.expected))

    def statistics(residual: FloatArray) -> FloatArray:
        z = residual / found.sd
        return np.stack(
            [
                (residual / found.n).std(axis=-1),
                np.ptp(residual / found.n, axis=-1),
                z.min(axis=-1),
                z.max(axis=-1),
                np.abs(z).max(axis=-1),
                (residual**2 / chance).mean(axis=-1),
            ],
            axis=-1,
        )

    return _compared(
        ["sd", "range", "lowest", "highest", "furthest", "chi_square"],
        statistics(found.residual),
        statistics(found.drawn),
    )


def _compared(names: list[str], observed: FloatArray, drawn: FloatArray) -> PredictiveCheck:
    low, median, high = np.quantile(drawn, (0.025, 0.5, 0.975), axis=0)
    table = pd.DataFrame(
        {
            "observed": observed,
            "low": low,
            "median": median,
            "high": high,
            "p": two_sided(observed, drawn),
            "p_upper": upper_p(observed, drawn),
        },
        index=pd.Index(names, name="statistic"),
    )
    return PredictiveCheck(table, len(drawn))


def upper_p(observed: FloatArray, drawn: FloatArray) -> FloatArray:
    """Share of draws (M, ...) at least as large as observed (...), the data counted as a draw."""
    return np.asarray(((drawn >= observed).sum(axis=0) + 1.0) / (len(drawn) + 1.0))


def two_sided(observed: FloatArray, drawn: FloatArray) -> FloatArray:
    """Twice the smaller tail, at most 1."""
    return np.minimum(2.0 * np.minimum(upper_p(observed, drawn), upper_p(-observed, -drawn)), 1.0)
