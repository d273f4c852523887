"""Expected rates of patients that the model has not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ter.errors import DataError
from ter.features import CaseMix
from ter.features.columns import numbers, require
from ter.features.design import FloatArray, IntArray
from ter.kernels.parallel import map_partitions
from ter.kernels.tables import expected_rates
from ter.models.posterior import Posterior
from ter.models.slope_views import draws_of_slope, effect_variance, rates_with_slope
from ter.models.weighted import TAILS, mean_and_sd, quantiles

if TYPE_CHECKING:
    from ter.models.result import Fit

CHUNK = 4096

Summary = Callable[[FloatArray, FloatArray | None], FloatArray]


def expected_of_patients(fit: Fit, patients: pd.DataFrame) -> pd.DataFrame:
    """See `Fit.expected`."""
    columns = ["expected", "q05", "q95"]
    return pd.DataFrame(_by_chunk(fit, patients, _mean_and_tails, 3), index=patients.index, columns=columns)


def mean_expected(fit: Fit, patients: pd.DataFrame) -> FloatArray:
    """The first column of `Fit.expected` alone, which takes a third of the time: shape (n,)."""
    return _by_chunk(fit, patients, _mean, 1)[:, 0]


def _by_chunk(fit: Fit, patients: pd.DataFrame, summarise: Summary, columns: int) -> FloatArray:
    """Summaries of each patient's expected rate over the draws: shape (n, columns)."""
    with threadpool_limits(limits=1):
        learned = fit.case_mix if fit.case_mix is not None else CaseMix(()).learn(patients)
        X = learned.encode(patients).X
        service = _services(fit, patients)
        z = _severity(fit, patients)
        further = _further(fit, patients)
        weights = None if fit.posterior is None else fit.posterior.weights
        out = np.empty((len(patients), columns))

        def work(start: int) -> None:
            part = slice(start, start + CHUNK)
            out[part] = summarise(_rates(fit, X[part], service[part], z[part], further[part]), weights)

        map_partitions(work, range(0, len(patients), CHUNK))
        return out


def _mean_and_tails(rates: FloatArray, weights: FloatArray | None) -> FloatArray:
    """Mean and quantiles over the draws, or the one rate and blanks: shape (n, 3)."""
    if weights is None:
        return np.column_stack([rates[0], np.full((rates.shape[1], 2), np.nan)])
    mean, _ = mean_and_sd(rates, weights)
    return np.column_stack([mean, *quantiles(rates, weights, TAILS)])


def _mean(rates: FloatArray, weights: FloatArray | None) -> FloatArray:
    """Mean over the draws, or the one rate: shape (n, 1)."""
    return np.asarray(rates[0] if weights is None else np.tensordot(weights, rates, 1))[:, None]


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
    """Expected rates at each draw, shape (D, n); with engine "ml" a draw is the estimate."""
    if fit.severity is not None or fit.further is not None:
        return _rates_with_more(fit, X, service, z, further)
    if fit.posterior is None:
        e = fit._estimates()
        return _one_draw(X, service, e.beta, e.v, e.sd)[None]
    p: Posterior = fit.posterior
    return np.stack([_one_draw(X, service, *parts) for parts in zip(p.beta, p.v, p.sd, strict=True)])


def _one_draw(
    X: FloatArray, service: IntArray, beta: FloatArray, v: FloatArray, sd: FloatArray
) -> FloatArray:
    """Expected rates given the parameters: a service that is not known is integrated like the therapist."""
    out = np.empty(len(X))
    known = service >= 0
    # The last effect, 0, is that of a service that is not known.
    eta = X @ beta + np.append(v, 0.0)[service]
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
    """Expected rates at each draw with a severity slope or a third factor, shape (D, n)."""
    if fit.posterior is None:
        e = fit._estimates()
        betas, sds = e.beta[None], e.sd[None]
        effects = {"service": e.v[None], "further": None if e.f is None else e.f[None]}
    else:
        p = fit.posterior
        betas, sds = p.beta, p.sd
        effects = {"service": p.v, "further": p.f}
    sd_w, rho = np.zeros(len(betas)), np.zeros(len(betas))
    if fit.severity is not None:
        _, _, sd_w, rho = draws_of_slope(fit)
    draws = np.empty((len(betas), len(X)))
    for d in range(len(betas)):
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
    return draws
