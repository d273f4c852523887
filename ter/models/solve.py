"""From a design to what an engine finds: one contract for all engines, in the order of the design's rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ter.features.design import Design, FloatArray
from ter.kernels.tables import expected_rates
from ter.models.bayes import fit_nuts
from ter.models.certificate import Certificate
from ter.models.diagnostics import Diagnostics
from ter.models.fast import fit_fast
from ter.models.layout import Layout, arrange
from ter.models.ml import Estimates, fit_ml
from ter.models.posterior import Posterior
from ter.models.records import NutsOptions
from ter.options import Engine


@dataclass(frozen=True, eq=False)
class Solution:
    """What an engine found.

    Attributes
    ----------
    posterior : Posterior or None
    estimates : Estimates or None
    beta : ndarray, shape (P,)
        Posterior means or estimates, on the model's scale.
    row_expected : ndarray, shape (N,)
        Expected rate of each modelled row.
    log_likelihood : float
        Without binomial constants.
    converged, singular : bool
    iterations : int
    gradient_norm : float
    certificate : Certificate or None
        Of engine "fast".
    notes : tuple of str
    diagnostics : Diagnostics or None
        Of engine "nuts".
    """

    posterior: Posterior | None
    estimates: Estimates | None
    beta: FloatArray
    row_expected: FloatArray
    log_likelihood: float
    converged: bool
    singular: bool
    iterations: int
    gradient_norm: float
    certificate: Certificate | None
    notes: tuple[str, ...]
    diagnostics: Diagnostics | None = None


def solve(design: Design, engine: Engine, nodes: int, seed: int, nuts: NutsOptions | None) -> Solution:
    """Fit the model of a design with one of the engines."""
    if nuts is not None:
        return solve_nuts(design, nodes, seed, nuts)
    return solve_fast(design, nodes, seed) if engine == "fast" else solve_ml(design, nodes)


def solve_fast(design: Design, nodes: int, seed: int) -> Solution:
    """Find the posterior."""
    layout = arrange(design, design.therapist, design.service)
    found = fit_fast(layout, nodes, seed)
    certificate = found.certificate
    return Solution(
        posterior=found.posterior,
        estimates=None,
        beta=found.posterior.weights @ found.posterior.beta,
        row_expected=_unsorted(found.row_expected, layout),
        log_likelihood=found.log_likelihood,
        converged=certificate.usable,
        singular=False,
        iterations=found.grid_points,
        gradient_norm=certificate.gradient_norm,
        certificate=certificate,
        notes=certificate.faults,
    )


def solve_nuts(design: Design, nodes: int, seed: int, options: NutsOptions) -> Solution:
    """Sample the posterior."""
    layout = arrange(design, design.therapist, design.service)
    found = fit_nuts(design, layout, nodes, options, seed)
    return Solution(
        posterior=found.posterior,
        estimates=None,
        beta=found.posterior.weights @ found.posterior.beta,
        row_expected=_unsorted(found.row_expected, layout),
        log_likelihood=found.log_likelihood,
        converged=found.diagnostics.passed,
        singular=False,
        iterations=options.chains * (options.tune + options.draws),
        gradient_norm=float("nan"),
        certificate=None,
        notes=found.diagnostics.faults,
        diagnostics=found.diagnostics,
    )


def _unsorted(values: FloatArray, layout: Layout) -> FloatArray:
    """Values of sorted rows in the order of the design."""
    out = np.empty_like(values)
    out[layout.order] = values
    return out


def solve_ml(design: Design, nodes: int) -> Solution:
    """Maximise the likelihood."""
    inner, outer, swapped = design.therapist, design.service, False
    if outer is not None and len(outer.levels) > len(inner.levels):
        # The Laplace approximation is the same whichever factor is eliminated; the larger leaves less.
        inner, outer, swapped = outer, inner, True
    found = fit_ml(arrange(design, inner, outer), nodes)
    if swapped:
        found = _swap(found, len(design.columns))
    eta = design.X @ found.beta
    if design.service is not None:
        eta += found.v[design.service.index]
    rates = np.empty(eta.size)
    expected_rates(eta, float(found.sd[0]), rates)
    singular = bool((found.sd == 0.0).any())
    return Solution(
        posterior=None,
        estimates=found,
        beta=found.beta,
        row_expected=rates,
        log_likelihood=found.log_likelihood,
        converged=found.converged,
        singular=singular,
        iterations=found.iterations,
        gradient_norm=found.gradient_norm,
        certificate=None,
        notes=("Singular fit: a standard deviation is estimated as zero.",) if singular else (),
    )


def _swap(found: Estimates, n_beta: int) -> Estimates:
    """Estimates with inner and outer factor exchanged."""
    order = np.concatenate([np.arange(n_beta), [n_beta + 1, n_beta]])
    return replace(
        found,
        covariance=found.covariance[np.ix_(order, order)],
        sd=found.sd[::-1].copy(),
        u=found.v,
        u_sd=found.v_sd,
        v=found.u,
        v_sd=found.u_sd,
    )
