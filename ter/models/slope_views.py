"""What a fit shows of its severity slope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ter.errors import OptionError
from ter.features.design import FloatArray
from ter.models.weighted import TAILS, mean_and_sd, quantiles

if TYPE_CHECKING:
    from ter.models.result import Fit
    from ter.models.slope_result import SeverityScale

LOGISTIC_VARIANCE = np.pi**2 / 3.0
#: Severities that `variance_by_severity` shows unless asked for others.
POINTS = 9
NODES = 31


def require_severity(fit: Fit) -> SeverityScale:
    """The scale of severity, or an error where the fit has no slope."""
    if fit.severity is None:
        raise OptionError('This fit has no severity slope: fit with severity_slope="phq9_first".')
    return fit.severity


def draws_of_slope(fit: Fit) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Weights and draws of the SD of u, the SD of w and the correlation; the estimates are one draw."""
    if fit.posterior is not None and fit.posterior.slope is not None:
        slope = fit.posterior.slope
        return fit.posterior.weights, fit.posterior.sd[:, 0], slope.sd, slope.correlation
    estimates = fit._estimates()
    assert estimates.slope is not None  # noqa: S101 - a fit with a severity has slopes
    rho = np.nan_to_num(estimates.slope.correlation)
    return np.ones(1), estimates.sd[:1], np.array([estimates.slope.sd]), np.array([rho])


def slope_table(fit: Fit) -> pd.DataFrame:
    """See `Fit.slope`."""
    require_severity(fit)
    index = pd.Index(["sd_intercept", "sd_slope", "correlation"], name="parameter")
    weights, sd_u, sd_w, rho = draws_of_slope(fit)
    draws = np.column_stack([sd_u, sd_w, rho])
    if fit.posterior is not None:
        mean, _ = mean_and_sd(draws, weights)
        low, high = quantiles(draws, weights, TAILS)
        return pd.DataFrame({"mean": mean, "q05": low, "q95": high}, index=index)
    estimates = fit._estimates()
    slope, P = estimates.slope, estimates.beta.size
    assert slope is not None  # noqa: S101 - as above
    reach = ndtri(TAILS[1])
    spread = reach * np.array([np.sqrt(estimates.covariance[P, P]), slope.log_sd_se])
    sds = draws[0, :2]
    z = np.arctanh(np.clip(slope.correlation, -1.0 + 1e-12, 1.0 - 1e-12))
    ends = np.tanh(z + reach * slope.z_se * np.array([-1.0, 1.0]))
    if abs(slope.correlation) == 1.0:
        ends = np.full(2, slope.correlation)
    return pd.DataFrame(
        {
            "estimate": [*sds, slope.correlation],
            "q05": [*(sds * np.exp(-spread)), ends[0]],
            "q95": [*(sds * np.exp(spread)), ends[1]],
        },
        index=index,
    )


def variance_by_severity(fit: Fit, severity: list[float] | None) -> pd.DataFrame:
    """See `Fit.variance_by_severity`."""
    scale = require_severity(fit)
    values = (
        np.linspace(scale.low, scale.high, POINTS) if severity is None else np.asarray(severity, np.float64)
    )
    if values.ndim != 1 or not np.isfinite(values).all():
        raise OptionError(f"severity must be a list of numbers, not {severity!r}.")
    weights, sd_u, sd_w, rho = draws_of_slope(fit)
    z = scale.standardise(values)
    variance = effect_variance(sd_u[:, None], sd_w[:, None], rho[:, None], z)
    sds = fit.posterior.sd if fit.posterior is not None else fit._estimates().sd[None, :]
    others = (sds[:, 1:] ** 2).sum(axis=1, keepdims=True)
    icc = variance / (variance + others + LOGISTIC_VARIANCE)
    sd = np.sqrt(variance)
    table = {"sd": weights @ sd, "icc": weights @ icc}
    if fit.posterior is not None:
        (table["sd_q05"], table["sd_q95"]) = quantiles(sd, weights, TAILS)
        (table["icc_q05"], table["icc_q95"]) = quantiles(icc, weights, TAILS)
    table["extrapolated"] = (values < scale.low) | (values > scale.high)
    order = ["sd", "sd_q05", "sd_q95", "icc", "icc_q05", "icc_q95", "extrapolated"]
    return pd.DataFrame({k: table[k] for k in order if k in table}, index=pd.Index(values, name=scale.column))


def effect_variance(sd_u: FloatArray, sd_w: FloatArray, rho: FloatArray, z: FloatArray) -> FloatArray:
    """Variance of u + w z."""
    return np.asarray(np.maximum(sd_u**2 + 2.0 * rho * sd_u * sd_w * z + (sd_w * z) ** 2, 0.0))


def rates_with_slope(eta: FloatArray, variance: FloatArray) -> FloatArray:
    """E[expit(eta_i + x)], x ~ N(0, variance_i), by Gauss-Hermite quadrature: shape (n,)."""
    z, w = np.polynomial.hermite_e.hermegauss(NODES)
    x = eta[:, None] + np.sqrt(variance)[:, None] * z
    return np.asarray((1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0)))) @ (w / w.sum()))
