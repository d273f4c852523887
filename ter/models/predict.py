"""Expected rates of patients that the model has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ter.errors import DataError
from ter.features import CaseMix
from ter.features.columns import numbers, require
from ter.features.design import FloatArray, IntArray
from ter.kernels.tables import expected_rates
from ter.models.posterior import Posterior
from ter.models.slope_views import draws_of_slope, effect_variance, rates_with_slope
from ter.models.weighted import TAILS, mean_and_sd, quantiles

if TYPE_CHECKING:
    from ter.models.result import Fit

CHUNK = 4096


def expected_of_patients(fit: Fit, patients: pd.DataFrame) -> pd.DataFrame:
    """See `Fit.expected`."""
    with threadpool_limits(limits=1):
        return _expected_of_patients(fit, patients)


def _expected_of_patients(fit: Fit, patients: pd.DataFrame) -> pd.DataFrame:
    learned = fit.case_mix if fit.case_mix is not None else CaseMix(()).learn(patients)
    X = learned.encode(patients).X
    service = _services(fit, patients)
    z = _severity(fit, patients)
    further = _further(fit, patients)
    out = np.empty((len(patients), 3))
    for start in range(0, len(patients), CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = _rates(fit, X[part], service[part], z[part], further[part])
    return pd.DataFrame(out, index=patients.index, columns=["expected", "q05", "q95"])


def _services(fit: Fit, patients: pd.DataFrame) -> IntArray:
    """Level of each patient's service; -1 for one that the model does not know."""
    if not fit.services.ids:
        return np.full(len(patients), -1, np.int64)
    column = str(fit.settings.service)
    if column not in patients:
        raise DataError(f'The patients have no column "{column}", which the model has an effect for.')
    return np.asarray(
        pd.Index(fit.services.ids).get_indexer(pd.Index(patients[column].astype(str))), np.int64
    )


def _rates(fit: Fit, X: FloatArray, service: IntArray, z: FloatArray, further: IntArray) -> FloatArray:
    """Mean and quantiles of the expected rate over the draws, shape (n, 3)."""
    if fit.severity is not None or fit.further is not None:
        return _rates_with_more(fit, X, service, z, further)
    if fit.posterior is None:
        e = fit._estimates()
        mean = _one_draw(X, service, e.beta, e.v, e.sd)
        return np.column_stack([mean, np.full((len(X), 2), np.nan)])
    p: Posterior = fit.posterior
    draws = np.stack([_one_draw(X, service, *parts) for parts in zip(p.beta, p.v, p.sd, strict=True)])
    mean, _ = mean_and_sd(draws, p.weights)
    return np.column_stack([mean, *quantiles(draws, p.weights, TAILS)])


def _one_draw(
    X: FloatArray, service: IntArray, beta: FloatArray, v: FloatArray, sd: FloatArray
) -> FloatArray:
    """Expected rates given the parameters: a service that is not known is integrated like the therapist."""
    out = np.empty(len(X))
    known = service >= 0
    eta = X @ beta
    if known.any():
        eta[known] += v[service[known]]
    for rows, sigma in ((known, float(sd[0])), (~known, float(np.sqrt((sd**2).sum())))):
        rates = np.empty(int(rows.sum()))
        expected_rates(eta[rows], sigma, rates)
        out[rows] = rates
    return out


def _severity(fit: Fit, patients: pd.DataFrame) -> FloatArray:
    """Standardised severity of each patient; zeros without a slope."""
    if fit.severity is None:
        return np.zeros(len(patients))
    require(patients, (fit.severity.column,), "severity_slope")
    return fit.severity.standardise(numbers(patients, fit.severity.column))


def _further(fit: Fit, patients: pd.DataFrame) -> IntArray:
    """Level of the third factor of each patient; -1 for one that the model does not know."""
    if fit.further is None:
        return np.full(len(patients), -1, np.int64)
    column = str(fit.settings.further)
    require(patients, (column,), "the third factor")
    index = pd.Index(fit.further.ids).get_indexer(pd.Index(patients[column].astype(str)))
    return np.asarray(index, np.int64)


def _rates_with_more(
    fit: Fit, X: FloatArray, service: IntArray, z: FloatArray, further: IntArray
) -> FloatArray:
    """Mean and quantiles of the expected rate with a severity slope or a third factor, shape (n, 3)."""
    if fit.posterior is None:
        e = fit._estimates()
        weights, betas, sds = np.ones(1), e.beta[None], e.sd[None]
        effects = {"service": e.v[None], "further": None if e.f is None else e.f[None]}
    else:
        p = fit.posterior
        weights, betas, sds = p.weights, p.beta, p.sd
        effects = {"service": p.v, "further": p.f}
    sd_w, rho = np.zeros(len(weights)), np.zeros(len(weights))
    if fit.severity is not None:
        _, _, sd_w, rho = draws_of_slope(fit)
    draws = np.empty((len(weights), len(X)))
    for d in range(len(weights)):
        eta = X @ betas[d]
        variance = effect_variance(sds[d, 0], sd_w[d], rho[d], z)
        for k, name in enumerate(fit.factors[1:], start=1):
            index, values = {"service": service, "further": further}[name], effects[name]
            known = index >= 0
            if values is not None:
                eta[known] += values[d][index[known]]
            # A level that the model does not know is drawn at random, like the therapist.
            variance = variance + np.where(known, 0.0, sds[d, k] ** 2)
        draws[d] = rates_with_slope(eta, variance)
    if fit.posterior is None:
        return np.column_stack([draws[0], np.full((len(X), 2), np.nan)])
    mean, _ = mean_and_sd(draws, weights)
    return np.column_stack([mean, *quantiles(draws, weights, TAILS)])
