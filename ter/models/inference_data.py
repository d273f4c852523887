"""A fit's posterior for ArviZ, with named coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit, gammaln

from ter.errors import OptionError
from ter.features import Design
from ter.features.design import FloatArray, IntArray
from ter.models.posterior import resample

if TYPE_CHECKING:
    from ter.models.result import Fit


@dataclass(frozen=True, eq=False)
class JointDraws:
    """Equally weighted joint draws, in C chains of n.

    Attributes
    ----------
    beta : ndarray, shape (C, n, P)
        On the model's scale.
    sd : ndarray, shape (C, n, F)
    u : ndarray, shape (C, n, J)
    v : ndarray, shape (C, n, S)
    """

    beta: FloatArray
    sd: FloatArray
    u: FloatArray
    v: FloatArray


def inference_data(fit: Fit, table: pd.DataFrame | None, draws: int | None) -> Any:
    """The groups of `Fit.to_inference_data`, in whatever the installed ArviZ calls them."""
    if draws is not None and (not isinstance(draws, int) or isinstance(draws, bool) or draws < 1):
        raise OptionError(f"draws must be a whole number from 1, not {draws!r}.")
    if table is not None and (fit.severity is not None or fit.further is not None):
        raise OptionError(
            "Groups by row are not offered with a severity slope or a third factor: leave out table."
        )
    joint = joint_draws_of(fit, draws)
    try:
        import arviz as az
        import xarray as xr
    except ModuleNotFoundError as error:
        raise OptionError(
            f"to_inference_data needs ArviZ, and this environment has no {error.name}: "
            'pip install "ter[bayes]".'
        ) from error
    sample = ("chain", "draw")
    coords = {
        "chain": np.arange(joint.sd.shape[0]),
        "draw": np.arange(joint.sd.shape[1]),
        "term": list(fit.columns.names),
        "factor": list(fit.factors),
        "therapist": list(fit.units.ids),
    }
    posterior = {
        "beta": ((*sample, "term"), joint.beta @ fit.columns.to_raw.T),
        "sd": ((*sample, "factor"), joint.sd),
        "u": ((*sample, "therapist"), joint.u),
    }
    if fit.services.ids:
        coords["service"] = list(fit.services.ids)
        posterior["v"] = ((*sample, "service"), joint.v)
    groups = {"posterior": xr.Dataset(posterior, coords)}
    if table is not None:
        from ter.models.same_table import design_of

        design = design_of(fit, table)
        log_likelihood, replicated = by_row(design, joint, fit.settings.seed)
        rows = {"obs": design.rows}
        by_draw = {"chain": coords["chain"], "draw": coords["draw"], **rows}
        groups["log_likelihood"] = xr.Dataset({"y": ((*sample, "obs"), log_likelihood)}, by_draw)
        groups["posterior_predictive"] = xr.Dataset({"y": ((*sample, "obs"), replicated)}, by_draw)
        groups["observed_data"] = xr.Dataset({"y": ("obs", design.successes.astype(np.int64))}, rows)
        groups["constant_data"] = xr.Dataset({"trials": ("obs", design.trials.astype(np.int64))}, rows)
    # Since version 1 ArviZ works on xarray's own tree.
    return az.InferenceData(**groups) if hasattr(az, "InferenceData") else xr.DataTree.from_dict(groups)


def joint_draws_of(fit: Fit, draws: int | None) -> JointDraws:
    """Draws of all parameters and effects that belong together, at most `draws`.

    Raises
    ------
    OptionError
        If the fit has no posterior.
    """
    p = fit.posterior
    if p is None:
        raise OptionError('This fit has estimates but no posterior: fit with engine="fast" or "nuts".')
    starts = resample(p.weights, p.u_draws.shape[1])
    if fit.settings.nuts is None:
        chains = 1
        effects = np.arange(p.u_draws.shape[1])
        parameters = np.repeat(np.arange(p.weights.size), np.diff(starts))
    else:
        # Each draw of the sampler once, so that its chains stay as they are.
        chains = fit.settings.nuts.chains
        effects, parameters = starts[:-1], np.arange(p.weights.size)
    n = effects.size // chains
    step = 1 if draws is None else max(1, -(-n // max(draws // chains, 1)))

    def by_chain(x: FloatArray) -> FloatArray:
        return x.reshape(chains, n, x.shape[1])[:, ::step]

    return JointDraws(
        beta=by_chain(p.beta[parameters]),
        sd=by_chain(p.sd[parameters]),
        u=by_chain(p.u_draws[:, effects].T.astype(np.float64)),
        v=by_chain(p.v[parameters]),
    )


def by_row(design: Design, joint: JointDraws, seed: int) -> tuple[FloatArray, IntArray]:
    """Log-likelihood of each row at each draw, and outcomes drawn anew: shapes (C, n, N).

    Given the effects, binomial constants included.
    """
    y, trials = design.successes, design.trials
    eta = joint.beta @ design.X.T + joint.u[..., design.therapist.index]
    if design.service is not None:
        eta += joint.v[..., design.service.index]
    constants = gammaln(trials + 1.0) - gammaln(y + 1.0) - gammaln(trials - y + 1.0)
    log_likelihood = y * eta - trials * np.logaddexp(0.0, eta) + constants
    rng = np.random.default_rng(seed)
    return log_likelihood, rng.binomial(trials.astype(np.int64), expit(eta))
