"""Who is unusual, and how much therapists differ: the tests and classifications, behind the gate."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from ter.errors import DataError, OptionError
from ter.models.weighted import quantiles
from ter.ratings.classify import flag_by_loss, flag_by_p_value, flag_by_posterior
from ter.ratings.empirical_null import Null, robust_null, sized_null
from ter.ratings.gate import Admitted, admit
from ter.ratings.options import SMALLEST_GROUP, RatingOptions
from ter.ratings.outlier_levels import outlier_levels
from ter.ratings.own_patients import OwnPatients, own_patients
from ter.ratings.poisson_binomial import exact_test
from ter.ratings.reliability import cases_needed, cases_until, information_of, rankability
from ter.ratings.standardise import divide
from ter.ratings.tabulated import cdf_at, quantile
from ter.ratings.variance import icc_latent, icc_probability, median_odds_ratio, recovery_gap
from ter.ratings.worst import marginal_z, p_below_worst, worse_than_worst

if TYPE_CHECKING:
    from ter.models.result import Fit

FloatArray = NDArray[np.float64]

#: Units from which the spread of the empirical null is let grow with their size, in four groups.
_SIZED_FROM = 80


@dataclass(frozen=True)
class OutlierOptions:
    """What counts as unusual, and what mistakes cost.

    Attributes
    ----------
    rating : RatingOptions
        The gate, the minimum and the width of intervals.
    false_alarm, missed : float
        What it costs to flag a therapist whose TER is not below the minimum, and to pass over one whose TER
        is; only their ratio counts.
    fdr : float
        False discovery rate of the flags that are held to one.
    reliability : float
        The reliability that `cases_until` counts patients for.

    Raises
    ------
    OptionError
        If a cost is not above 0, or a probability not between 0 and 1.
    """

    rating: RatingOptions = field(default_factory=RatingOptions)
    false_alarm: float = 1.0
    missed: float = 1.0
    fdr: float = 0.1
    reliability: float = 0.7

    def __post_init__(self) -> None:
        for name, value in (("false_alarm", self.false_alarm), ("missed", self.missed)):
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise OptionError(f"{name}={value!r} must be a cost above 0: only their ratio counts.")
        for name, value in (("fdr", self.fdr), ("reliability", self.reliability)):
            if not (isinstance(value, int | float) and 0 < value < 1):
                raise OptionError(f"{name}={value!r} must lie between 0 and 1.")


@dataclass(frozen=True, eq=False, repr=False)
class Outliers:
    """Tests and classifications of all therapists, gated.

    Attributes
    ----------
    options : OutlierOptions
    table : DataFrame
        What `to_frame` gives a copy of.
    network : DataFrame
        How much therapists differ, by ``figure``: ``value`` (posterior mean), ``low``, ``high`` (NaN of
        figures without an interval). See `find_outliers`.
    null : Null or None
        The empirical null; None without the table, or with fewer than 10 therapists to estimate it from.
    notes : tuple of str
        In plain words, what was not done and why.
    """

    options: OutlierOptions
    table: pd.DataFrame
    network: pd.DataFrame
    null: Null | None
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Give the tests as a table.

        Returns
        -------
        DataFrame
            By ``therapist_id``, every therapist, sorted; after ``n_completed`` everything is empty behind the
            gate. See `find_outliers`.
        """
        return self.table.copy()

    def summary(self) -> str:
        """Say in a few lines how many are unusual, and how much therapists differ.

        Returns
        -------
        str
        """
        t, network = self.table, self.network["value"]
        levels = t["level"].value_counts()
        low, high = (
            sum(levels.get(f"{side} {word}", 0) for word in ("alert", "alarm")) for side in ("low", "high")
        )
        lines = [
            f"{t['marginal_z'].notna().sum()} of {len(t)} therapists compared; low alert or alarm: {low}, "
            f"high: {high}."
        ]
        if self.options.rating.minimum is not None:
            lines.append(
                f"Below the minimum by the stated costs: {t['flag_loss'].sum()}; with at most "
                f"{self.options.fdr:.0%} false flags: {t['flag_fdr'].sum()}."
            )
        if self.null is not None:
            lines.append(f"Unusual against the empirical null: {t['flag_unusual'].sum()}.")
        gap = f", recovery gap {network['recovery_gap']:.0f} points" if "recovery_gap" in network else ""
        lines.append(
            f"Therapists differ: SD {network['sd']:.2f}, median odds ratio "
            f"{network['median_odds_ratio']:.2f}{gap}; rankability {network['rankability']:.2f}."
        )
        return "\n".join([*lines, *self.notes])

    def __repr__(self) -> str:
        return f"<ter.Outliers: {self.summary().splitlines()[0]}>"

    def _repr_html_(self) -> str:
        """Show the summary and both tables in Jupyter."""
        lines = "<br>".join(escape(line) for line in self.summary().splitlines())
        tables = "".join(
            frame.to_html(max_rows=20, float_format="{:.3g}".format) for frame in (self.network, self.table)
        )
        return f"<p>{lines}</p>{tables}"


def find_outliers(
    fit: Fit, table: pd.DataFrame | None = None, options: OutlierOptions | None = None
) -> Outliers:
    """Compare each rated therapist with the network, by every method that is in use for it.

    Parameters
    ----------
    fit : Fit
        With a posterior.
    table : DataFrame, optional
        The table that it was fitted to, of which a fit keeps no rows. With it come the exact test, the
        empirical null, P/E with its interval and the figures in points.
    options : OutlierOptions, optional

    Returns
    -------
    Outliers
        By therapist: ``marginal_z``, how far out the estimate lies among estimates of this network;
        ``level``, the audits' word for it; ``p_worst``, the probability that the worst of so many rated
        therapists lies that low if all belong to one distribution; ``p_below_worst``, that the true effect is
        below the lowest of as many new therapists; ``p_below_minimum``, ``flag_loss`` (the Bayes rule of the
        stated costs) and ``flag_fdr`` (as many as keep the false discovery rate), empty without a minimum;
        ``cases_until``, the patients at caseness that the reliability asked for takes in all.

        With the table: ``exact_p`` (two-sided mid-p of the exact test against the average therapist) and
        ``exact_z``; ``null_z``, ``null_p`` against the empirical null, and ``flag_unusual`` (Benjamini and
        Hochberg on ``null_p``); ``p_e``, ``p_e_low``, ``p_e_high``. These are empty for therapists with fewer
        than 5 modelled patients, whose outcomes are not shown.

        Of the network: ``sd``, ``icc``, ``median_odds_ratio``, ``rankability``, ``reliability`` (median of
        the rated); with the table ``icc_probability`` (at the mean log-odds of the patients),
        ``cases_needed`` (patients of the average kind that the reliability asked for takes) and
        ``recovery_gap`` (percentage points between therapists at the 90th and the 10th percentile, over all
        modelled patients).

    Raises
    ------
    OptionError
        If the fit has no posterior, or the table is another one.

    Notes
    -----
    With a severity slope all effects are those at mean severity. None of these says why a therapist is
    unusual. Case mix that nobody recorded, and data that are wrong, are always among the reasons.
    """
    options = options or OutlierOptions()
    admitted = admit(fit, options.rating)
    own = None if table is None else own_patients(fit, table, admitted.passed)
    notes: list[str] = []
    columns = _from_posterior(admitted, options)
    null = None
    if own is not None:
        slopes = fit.settings.severity_slope is not None
        exact, null = _from_patients(admitted, own, options, slopes, notes)
        columns |= exact
    frame = pd.DataFrame(
        {"n_completed": fit.units.n_completed},
        index=pd.Index(fit.units.ids, name="therapist_id", dtype="object"),
    )
    for name, values in columns.items():
        column = _spread(values, admitted.passed)
        frame[name] = pd.array(column, dtype="boolean") if name.startswith("flag_") else column
    if not fit.record.converged:
        notes.insert(0, "The model did not converge: these results must not be published.")
    return Outliers(options, frame, _network(admitted, own, options), null, tuple(notes))


def _from_posterior(admitted: Admitted, options: OutlierOptions) -> dict[str, NDArray[Any]]:
    """What the posterior alone tells, by column, of the R rated."""
    units, posterior = admitted.units, admitted.posterior
    sd = float(posterior.weights @ posterior.sd[:, 0])
    z = marginal_z(posterior.u_mean, np.where(units.n > 0, posterior.reliability, 0.0), sd)
    compared = int((~np.isnan(z)).sum())
    below_worst = p_below_worst(
        posterior.given_mean, posterior.given_sd, posterior.sd[:, 0], posterior.weights, compared
    )
    if options.rating.minimum is None:
        p_low = np.full(len(z), np.nan)
    else:
        p_low = cdf_at(posterior.ter_grid, posterior.ter_cdf, options.rating.minimum)
    flags = np.isnan(p_low)
    return {
        "marginal_z": z,
        "level": np.array(outlier_levels(z), dtype=object),
        "p_worst": worse_than_worst(z, compared),
        "p_below_worst": np.where(np.isnan(z), np.nan, below_worst),
        "p_below_minimum": p_low,
        "flag_loss": np.where(flags, np.nan, flag_by_loss(p_low, options.false_alarm, options.missed)),
        "flag_fdr": np.where(flags, np.nan, flag_by_posterior(p_low, options.fdr)),
        "cases_until": cases_until(options.reliability, units.n, posterior.reliability),
    }


def _from_patients(
    admitted: Admitted, own: OwnPatients, options: OutlierOptions, slopes: bool, notes: list[str]
) -> tuple[dict[str, NDArray[Any]], Null | None]:
    """What the patients tell, by column, of the R rated, and the empirical null."""
    units, posterior = admitted.units, admitted.posterior
    shown = units.n >= SMALLEST_GROUP
    test = exact_test(*own.patients(), units.observed)
    exact_z = np.where(shown, test.z, np.nan)
    information = own.information(len(units.ids))
    try:
        sized = shown.sum() >= _SIZED_FROM
        null = sized_null(exact_z, information) if sized else robust_null(exact_z)
    except DataError as error:
        null = None
        notes.append(f"No empirical null: {error}")
    nothing = np.full(len(exact_z), np.nan)
    null_p = nothing if null is None else null.p_value(exact_z, information)
    tails = options.rating.quantiles
    ends = [own.expected(quantile(posterior.u_grid, posterior.u_cdf, p)) for p in tails]
    # With a severity slope a therapist's effect is not one number, and its quantiles say too little.
    known = shown & (not slopes)
    if slopes:
        notes.append("P/E has no interval in a model with a severity slope.")
    ratio = [np.where(known, divide(end, posterior.expected_mean), np.nan) for end in ends]
    return {
        "exact_p": np.where(shown, test.two_sided_mid, np.nan),
        "exact_z": exact_z,
        "null_z": nothing if null is None else null.standardise(exact_z, information),
        "null_p": null_p,
        "flag_unusual": np.where(np.isnan(null_p), np.nan, flag_by_p_value(null_p, options.fdr)),
        "p_e": np.where(shown, divide(posterior.predicted_mean, posterior.expected_mean), np.nan),
        "p_e_low": ratio[0],
        "p_e_high": ratio[1],
    }, null


def _network(admitted: Admitted, own: OwnPatients | None, options: OutlierOptions) -> pd.DataFrame:
    """How much therapists differ."""
    posterior = admitted.posterior
    sds, weights = posterior.sd, posterior.weights
    sd, others = sds[:, 0], (sds[:, 1:] ** 2).sum(axis=1)
    draws = {
        "sd": sd,
        "icc": icc_latent(sd**2, others),
        "median_odds_ratio": median_odds_ratio(sd),
    }
    if own is not None:
        middle = float(np.average(own.eta, weights=own.trials))
        draws["icc_probability"] = icc_probability(sd, middle)
        p = expit(own.eta)
        per_patient = float(np.average(p * (1 - p), weights=own.trials))
        # A standard deviation of 0 would take patients without end.
        draws["cases_needed"] = cases_needed(options.reliability, np.maximum(sd, 1e-6), per_patient)
        draws["recovery_gap"] = recovery_gap(own.eta, own.trials, sd)
    rows = {
        name: (float(weights @ x), *quantiles(x[:, None], weights, options.rating.quantiles)[:, 0])
        for name, x in draws.items()
    }
    known = admitted.units.n > 0
    reliability = posterior.reliability[known & (posterior.reliability > 0)]
    mean_sd = float(weights @ sd)
    errors = 1 / np.sqrt(information_of(reliability, mean_sd))
    median = float(np.median(reliability)) if len(reliability) else np.nan
    rows["rankability"] = (rankability(mean_sd, errors), np.nan, np.nan)
    rows["reliability"] = (median, np.nan, np.nan)
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])
    return frame.rename_axis("figure")


def _spread(values: NDArray[Any], passed: NDArray[np.bool_]) -> NDArray[Any]:
    """A column of all therapists from that of the rated; empty behind the gate."""
    empty = None if values.dtype == object else np.nan
    column = np.full(len(passed), empty, dtype=values.dtype)
    column[passed] = values
    return column
