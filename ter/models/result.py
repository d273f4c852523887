"""The result of a fit: one contract for all engines."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ter.errors import OptionError
from ter.features import LearnedCaseMix
from ter.features.design import FloatArray, IntArray
from ter.models.ml import Estimates
from ter.models.posterior import Posterior
from ter.models.predict import expected_of_patients
from ter.models.records import FitSettings, Record
from ter.models.sensitivity import PriorSensitivity, prior_sensitivity
from ter.models.slope_result import SeverityScale
from ter.models.slope_views import slope_table, variance_by_severity
from ter.models.units import CaseMixMeans, Deciles, Months, Units
from ter.models.variance_test import VarianceTest
from ter.models.weighted import TAILS, mean_and_sd, quantiles

LOGISTIC_VARIANCE = np.pi**2 / 3.0
CONVERGED = "Converged."
NOT_CONVERGED = "NOT CONVERGED: these results must not be published."
MEDIAN_ODDS = float(np.sqrt(2.0) * ndtri(0.75))


@dataclass(frozen=True, eq=False)
class Columns:
    """The model's columns and how they were standardised, all of length P."""

    names: tuple[str, ...]
    centre: FloatArray
    scale: FloatArray

    @property
    def to_raw(self) -> FloatArray:
        """Matrix that takes coefficients to the scale of the columns: shape (P, P)."""
        out = np.diag(1.0 / self.scale)
        out[0] -= self.centre / self.scale
        out[0, 0] = 1.0
        return out


@dataclass(frozen=True, eq=False)
class Services:
    """Services of the table, sorted; empty without a service effect."""

    ids: tuple[str, ...]
    n: IntArray


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A fitted model. It holds sums by therapist, never rows of the table.

    Attributes
    ----------
    settings : FitSettings
    record : Record
    columns : Columns
    case_mix : LearnedCaseMix or None
    posterior : Posterior or None
        None for engine "ml".
    estimates : Estimates or None
        Of engine "ml".
    units : Units
    services : Services
    months : Months or None
    deciles : Deciles
    case_mix_means : CaseMixMeans
    fingerprint : str
        sha256 of the table.
    known_until : str
        Last date in the table, ISO; empty where it has none.
    severity : SeverityScale or None
        With a severity slope. Therapist effects are then those at mean severity.
    further : Services or None
        Levels of a third factor.
    """

    settings: FitSettings
    record: Record
    columns: Columns
    case_mix: LearnedCaseMix | None
    posterior: Posterior | None
    estimates: Estimates | None
    units: Units
    services: Services
    months: Months | None
    deciles: Deciles
    case_mix_means: CaseMixMeans
    fingerprint: str
    known_until: str
    severity: SeverityScale | None = None
    further: Services | None = None

    @property
    def fixed(self) -> pd.DataFrame:
        """Fixed effects by term, log-odds on the scale of the columns.

        Returns
        -------
        DataFrame
            ``mean``, ``sd``, ``q05``, ``q95``; with engine "ml" ``estimate`` and ``se``.
        """
        index = pd.Index(self.columns.names, name="term")
        to_raw = self.columns.to_raw
        if self.posterior is not None:
            beta = self.posterior.beta @ to_raw.T
            mean, sd = mean_and_sd(beta, self.posterior.weights)
            q05, q95 = quantiles(beta, self.posterior.weights, TAILS)
            return pd.DataFrame({"mean": mean, "sd": sd, "q05": q05, "q95": q95}, index=index)
        estimates = self._estimates()
        P = len(index)
        covariance = to_raw @ estimates.covariance[:P, :P] @ to_raw.T
        return pd.DataFrame(
            {"estimate": to_raw @ estimates.beta, "se": np.sqrt(np.diag(covariance))}, index=index
        )

    @property
    def factors(self) -> tuple[str, ...]:
        """Random factors of the model, in the order of their SDs: therapist, service, further."""
        present = {"therapist": True, "service": bool(self.services.ids), "further": self.further is not None}
        return tuple(name for name, here in present.items() if here)

    @property
    def groups(self) -> pd.DataFrame:
        """Standard deviations by factor.

        Returns
        -------
        DataFrame
            By factor ("therapist", "service"): ``levels``; ``sd`` with ``q05`` and ``q95`` (posterior mean;
            engine "ml": the estimate and an interval on the log scale); ``icc``, the share of the variance on
            the log-odds scale (the residual's is pi^2 / 3); ``median_odds_ratio`` (Larsen and Merlo 2005).
        """
        counts = {"therapist": len(self.units.ids), "service": len(self.services.ids)}
        if self.further is not None:
            counts["further"] = len(self.further.ids)
        factors = self.factors
        levels = [counts[name] for name in factors]
        if self.posterior is not None:
            weights, sds = self.posterior.weights, self.posterior.sd
            sd, _ = mean_and_sd(sds, weights)
            low, high = quantiles(sds, weights, TAILS)
        else:
            estimates = self._estimates()
            weights, sds = np.ones(1), estimates.sd[None, :]
            spread = ndtri(TAILS[1]) * np.sqrt(np.diag(estimates.covariance)[-len(factors) :])
            sd = estimates.sd
            low, high = sd * np.exp(-spread), sd * np.exp(spread)
        variance = sds**2
        icc, _ = mean_and_sd(variance / (variance.sum(axis=1, keepdims=True) + LOGISTIC_VARIANCE), weights)
        with np.errstate(over="ignore"):  # where an SD ran off: there is no finite ratio
            odds = np.tensordot(weights, np.exp(MEDIAN_ODDS * sds), 1)
        table = pd.DataFrame(
            {"levels": levels, "sd": sd, "q05": low, "q95": high, "icc": icc, "median_odds_ratio": odds},
            index=pd.Index(factors, name="factor"),
        )
        if self.severity is not None:
            slope = self.slope.loc["sd_slope"].to_numpy()
            table.loc["therapist slope"] = [len(self.units.ids), *slope, np.nan, np.nan]
            table["levels"] = table["levels"].astype(np.int64)
        return table

    @property
    def slope(self) -> pd.DataFrame:
        """The severity slope's parameters, for an SD of severity.

        Returns
        -------
        DataFrame
            ``sd_intercept`` (of therapist effects at mean severity), ``sd_slope`` and ``correlation``:
            posterior ``mean``, ``q05``, ``q95``; with engine "ml" ``estimate`` and an interval on the log
            scale, of the correlation on that of Fisher's z.

        Raises
        ------
        OptionError
            If the fit has no severity slope.
        """
        return slope_table(self)

    def variance_by_severity(self, severity: list[float] | None = None) -> pd.DataFrame:
        """How the therapist variance depends on severity (Saxon and Barkham 2012).

        Parameters
        ----------
        severity : list of float, optional
            Values of the severity column; by default nine from its 1% to its 99% point.

        Returns
        -------
        DataFrame
            By severity: ``sd`` of therapist effects u + w z, log-odds, and ``icc``, its share of the variance
            on the log-odds scale (the residual's is pi^2 / 3); with a posterior also ``sd_q05``, ``sd_q95``,
            ``icc_q05``, ``icc_q95``. ``extrapolated`` where severity lies beyond the 1% and 99% points of the
            patients (``fit.severity.low`` and ``.high``): there the straight line alone speaks, not the data.

        Raises
        ------
        OptionError
            If the fit has no severity slope, or these are not numbers.
        """
        return variance_by_severity(self, severity)

    @property
    def certificate(self) -> str:
        """In words, whether the posterior may be believed; empty for engine "ml", which has none."""
        return str(self.record.certificate or self.record.diagnostics or "")

    @property
    def log_likelihood(self) -> float:
        """Marginal log-likelihood at the optimum, binomial constants included, as `logLik` of lme4."""
        return self.record.log_likelihood

    def effects(self, factor: str) -> pd.DataFrame:
        """Effects of every level of a factor, log-odds, ungated: the analyst's view.

        Parameters
        ----------
        factor : {"therapist", "service", "further"}

        Returns
        -------
        DataFrame
            By id: ``n`` (modelled patients), ``mean``, ``sd``, ``q05``, ``q50``, ``q95``. With engine "ml"
            the mean is the conditional mode, and the interval is normal and holds the parameters at their
            estimates, as in lme4. With a severity slope these are the effects at mean severity, and
            therapists have ``slope_mean``, ``slope_sd``, ``slope_q05``, ``slope_q50`` and ``slope_q95``
            beside them: what an SD of severity adds to the effect.

        Raises
        ------
        OptionError
            If the model has no such factor.
        """
        if factor == "therapist":
            index = pd.Index(self.units.ids, name=self.settings.therapist)
            n = self.units.n
        elif factor == "service" and self.services.ids:
            index = pd.Index(self.services.ids, name=self.settings.service)
            n = self.services.n.astype(np.float64)
        elif factor == "further" and self.further is not None:
            index = pd.Index(self.further.ids, name=self.settings.further)
            n = self.further.n.astype(np.float64)
        else:
            raise OptionError(f'The model has no factor "{factor}": it has {", ".join(self.factors)}.')
        table = self._therapist_effects() if factor == "therapist" else self._outer_effects(factor)
        names = ["mean", "sd", "q05", "q50", "q95"]
        frame = pd.DataFrame(np.column_stack([n, *table]), index=index, columns=["n", *names])
        if factor == "therapist" and self.severity is not None:
            frame[[f"slope_{name}" for name in names]] = np.column_stack(self._slope_effects())
        return frame.astype({"n": np.int64})

    def _therapist_effects(self) -> list[FloatArray]:
        if self.posterior is None:
            return _normal(self._estimates().u, self._estimates().u_sd)
        p = self.posterior
        q = np.array(
            [
                np.interp((TAILS[0], 0.5, TAILS[1]), cdf, grid)
                for cdf, grid in zip(p.u_cdf, p.u_grid, strict=True)
            ]
        )
        return [p.u_mean, p.u_sd, *q.T]

    def _outer_effects(self, factor: str) -> list[FloatArray]:
        name = "v" if factor == "service" else "f"
        if self.posterior is None:
            estimates = self._estimates()
            return _normal(getattr(estimates, name), getattr(estimates, f"{name}_sd"))
        draws = getattr(self.posterior, name)
        mean, sd = mean_and_sd(draws, self.posterior.weights)
        return [mean, sd, *quantiles(draws, self.posterior.weights, (TAILS[0], 0.5, TAILS[1]))]

    def _slope_effects(self) -> list[FloatArray]:
        if self.posterior is not None and self.posterior.slope is not None:
            slope = self.posterior.slope
            return [slope.w_mean, slope.w_sd, *slope.w_quantiles.T]
        estimated = self._estimates().slope
        return [] if estimated is None else _normal(estimated.w, estimated.w_sd)

    def _estimates(self) -> Estimates:
        if self.estimates is None:
            raise AssertionError("a fit has a posterior or estimates")
        return self.estimates

    def expected(self, patients: pd.DataFrame) -> pd.DataFrame:
        """Expected probability of recovery of new patients with a therapist drawn at random.

        Parameters
        ----------
        patients : DataFrame
            With the columns of the case mix, and the service's, where the model has them. A service that the
            model does not know is drawn at random too.

        Returns
        -------
        DataFrame
            ``expected``, ``q05``, ``q95`` (0 to 1), with the index of `patients`. With engine "ml" the
            interval is empty: the parameters are held at their estimates.

        Raises
        ------
        DataError
            If a column is absent or is not what the model needs.
        """
        return expected_of_patients(self, patients)

    def profile_intervals(self, table: pd.DataFrame, level: float = 0.9) -> pd.DataFrame:
        """Confidence intervals of the SDs by profile likelihood, for engine "ml" and every structure.

        Parameters
        ----------
        table : DataFrame
            The table that was fitted; a fit holds no rows.
        level : float
            Confidence, between 0 and 1.

        Returns
        -------
        DataFrame
            By factor, and of ``"therapist slope"`` where there are slopes: sd, lower, upper, in log-odds. The
            lower end is 0 where no SD, however small, is ruled out.

        Raises
        ------
        OptionError
            If the fit is not by engine "ml".
        DataError
            If the table is another one.
        """
        from ter.models.ml_inference import profile_intervals

        return profile_intervals(self, table, level)

    def variance_test(self, table: pd.DataFrame, factor: str = "therapist") -> VarianceTest:
        """Likelihood-ratio test of whether a factor's variance is zero, for engine "ml".

        Zero is on the boundary (Self and Liang 1987). The reference distribution of a variance alone is an
        even mixture of 0 and chi-squared on one degree of freedom; of the slopes' variance, with their
        correlation with the effects, an even mixture of chi-squared on one and two (Stram and Lee 1994). With
        slopes the therapists' variance is that of effects and slopes together: a mixture of chi-squared on 0
        to 3 degrees of freedom, with weights from the information of these data.

        Parameters
        ----------
        table : DataFrame
            The table that was fitted; a fit holds no rows.
        factor : str
            ``"therapist"``, ``"service"``, ``"further"`` or ``"therapist slope"``.

        Raises
        ------
        OptionError
            If the fit is not by engine "ml", or the model has no such factor.
        DataError
            If the table is another one.
        """
        from ter.models.ml_inference import test_of_variance

        return test_of_variance(self, table, factor)

    def prior_sensitivity(self) -> PriorSensitivity:
        """How far ratings and effects move if priors had half or twice their SDs, by reweighting the draws.

        Returns
        -------
        PriorSensitivity

        Raises
        ------
        OptionError
            If the fit has no posterior.
        """
        if self.posterior is None:
            raise OptionError('This fit has no priors: fit with engine="fast" or "nuts".')
        return prior_sensitivity(
            self.posterior,
            self.settings.priors,
            self.factors,
            self.units.ids,
            self.columns.names,
            self.columns.to_raw,
        )

    def summary(self) -> str:
        """The fit in words and figures."""
        r = self.record
        lines = [
            f'Engine "{self.settings.engine}", outcome "{self.settings.outcome}".',
            f"{r.n_modelled:,} of {r.n_rows:,} rows, {len(self.units.ids):,} therapists.",
            f"Log-likelihood {r.log_likelihood:.4f}. {CONVERGED if r.converged else NOT_CONVERGED}",
        ]
        if self.certificate:
            lines.append(self.certificate)
        lines += [f"Left out: {reason} ({count:,})." for reason, count in r.left_out]
        lines.append(f"Service effect: {r.service_effect}.")
        if r.structure:
            lines.append(f"Structure: {r.structure}.")
        lines += list(r.notes)
        return "\n".join([*lines, "", self.groups.round(4).to_string(), "", self.fixed.round(4).to_string()])

    def __repr__(self) -> str:
        r = self.record
        return (
            f'<ter.Fit: engine "{self.settings.engine}", {r.n_modelled:,} rows, '
            f"{len(self.units.ids):,} therapists. {CONVERGED if r.converged else NOT_CONVERGED}>"
        )

    def _repr_html_(self) -> str:
        head = self.summary().split("\n\n")[0]
        paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in head.split("\n"))
        return paragraphs + self.groups.round(4).to_html() + self.fixed.round(4).to_html()

    def to_inference_data(self, table: pd.DataFrame | None = None, *, draws: int | None = None) -> Any:
        """The posterior for ArviZ: equally weighted joint draws, ungated, for analysts alone.

        Parameters
        ----------
        table : DataFrame, optional
            The table that was fitted to, of which a fit keeps no rows. With it come the groups that need
            them.
        draws : int, optional
            At most so many draws, evenly spaced: groups with rows hold a number for each draw and row.

        Returns
        -------
        arviz.InferenceData
            From ArviZ 1 on, `xarray.DataTree`. Group ``posterior``: ``beta`` (by term, on the scale of the
            columns), ``sd`` (by factor), ``u`` (by therapist), ``v`` (by service), log-odds. With `table`
            also ``log_likelihood``, ``posterior_predictive``, ``observed_data`` and ``constant_data``, with
            ``obs``, the position in the table.

            Engine "nuts": its chains. Engine "fast": one chain, resampled by weight; a draw of (beta, sd, v)
            that comes several times stands next to itself, each time with other effects u.

        Raises
        ------
        OptionError
            If the fit has no posterior, the table is another one, or ArviZ is not installed.
        """
        from ter.models.inference_data import inference_data

        return inference_data(self, table, draws)

    def save(self, path: str | Path) -> None:
        """Write the fit to a file, for analysts alone: it holds ungated effects. `ter.load_fit` reads it.

        Parameters
        ----------
        path : str or Path
        """
        from ter.models.store import save_fit

        save_fit(self, path)


def _normal(mean: FloatArray, sd: FloatArray) -> list[FloatArray]:
    """Mean, SD and quantiles of normal distributions."""
    return [mean, sd, *(mean + ndtri(p) * sd for p in (TAILS[0], 0.5, TAILS[1]))]
