"""From a design to what an engine finds: one contract for all engines, in the order of the design's rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ter.errors import DataError
from ter.features.design import Design, FloatArray
from ter.models.bayes import fit_nuts
from ter.models.certificate import NODES_ERROR_MAX, Certificate
from ter.models.diagnostics import Diagnostics
from ter.models.effects_fast import fit_effects_fast
from ter.models.effects_ml import factors_of, fit_effects
from ter.models.fast import FastResult, fit_fast
from ter.models.layout import Layout, arrange
from ter.models.ml import Estimates, fit_ml
from ter.models.nested import fit_nested
from ter.models.posterior import Posterior
from ter.models.priors import Priors
from ter.models.rates import marginal_rates, predictors
from ter.models.records import NutsOptions
from ter.models.slope_views import effect_variance, rates_with_slope
from ter.models.start import EarlierFit
from ter.models.structure import Structure, has_more_effects, structure_of
from ter.options import Engine

#: A standard error of log SD beyond which a 90% interval spans a factor of 25: nothing is known.
HARDLY_KNOWN: Final = 1.0
#: Nodes that engine "fast" doubles to, where those that were asked for are too few.
MOST_DOUBLED: Final = 100


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


def solve(
    design: Design,
    engine: Engine,
    nodes: int,
    seed: int,
    nuts: NutsOptions | None,
    priors: Priors = Priors(),  # noqa: B008 - frozen
    earlier: EarlierFit | None = None,
) -> Solution:
    """Fit the model of a design with one of the engines."""
    if nuts is not None:
        return solve_nuts(design, nodes, seed, nuts, priors)
    if engine == "fast":
        return solve_fast(design, nodes, seed, priors, earlier)
    return solve_ml(design, nodes, earlier)


def solve_fast(
    design: Design,
    nodes: int,
    seed: int,
    priors: Priors = Priors(),  # noqa: B008 - frozen
    earlier: EarlierFit | None = None,
    *,
    precise: bool = True,
) -> Solution:
    """Find the posterior, with more nodes than asked for if the certificate says that these are too few."""
    if has_more_effects(design):
        layout = arrange(design, design.therapist, None)

        def fit(nodes: int) -> FastResult:
            return fit_effects_fast(design, layout, nodes, seed, priors=priors, earlier=earlier)

    else:
        layout = arrange(design, design.therapist, design.service)
        start = None if earlier is None else earlier.start(design.therapist, design.service)

        def fit(nodes: int) -> FastResult:
            return fit_fast(layout, nodes, seed, priors=priors, start=start, precise=precise)

    found, used = fit(nodes), nodes
    while found.certificate.nodes_error > NODES_ERROR_MAX and 2 * used <= MOST_DOUBLED:
        used *= 2
        found = fit(used)
    certificate = found.certificate
    doubled = (f"{nodes} quadrature nodes were too few for these data: {used} were used.",)
    return Solution(
        posterior=found.posterior,
        estimates=None,
        beta=found.posterior.weights @ found.posterior.beta,
        row_expected=_unsorted(found.row_expected, layout),
        log_likelihood=found.log_likelihood,
        converged=certificate.usable,
        singular=False,
        iterations=found.iterations,
        gradient_norm=certificate.gradient_norm,
        certificate=certificate,
        notes=(*(doubled if used > nodes else ()), *certificate.faults),
    )


def solve_nuts(design: Design, nodes: int, seed: int, options: NutsOptions, priors: Priors) -> Solution:
    """Sample the posterior."""
    layout = arrange(design, design.therapist, None if has_more_effects(design) else design.service)
    found = fit_nuts(design, layout, nodes, options, seed, priors)
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


def solve_ml(design: Design, nodes: int, earlier: EarlierFit | None = None) -> Solution:
    """Maximise the likelihood."""
    structure = structure_of(design)
    if structure is Structure.SAME:
        raise DataError(
            "Every service has one therapist, and every therapist one service: the data cannot tell their "
            "effects apart. Use service=None."
        )
    if has_more_effects(design):
        return _estimated(design, fit_effects(design, nodes, earlier), _effects_note(nodes, design))
    inner, outer, swapped = design.therapist, design.service, False
    by_recursion = nodes != 1 and structure.nested
    if outer is not None and (
        structure is Structure.NESTED_REVERSED if by_recursion else len(outer.levels) > len(inner.levels)
    ):
        # The Laplace approximation is the same whichever factor is eliminated; the larger leaves less.
        inner, outer, swapped = outer, inner, True
    layout = arrange(design, inner, outer)
    start = None if earlier is None else earlier.start(inner, outer)
    found = fit_nested(layout, nodes, start) if by_recursion else fit_ml(layout, nodes, start)
    if swapped:
        found = _swap(found, len(design.columns))
    return _estimated(design, found, _quadrature_note(nodes, design, by_recursion, swapped))


def _estimated(design: Design, found: Estimates, notes: tuple[str, ...]) -> Solution:
    """What estimates say of the rows, and of themselves."""
    crossed = ((design.service, found.v), (design.further, found.f))
    eta = predictors(design.X, found.beta, [(g, e) for g, e in crossed if g is not None and e is not None])
    singular = bool((found.sd == 0.0).any())
    if design.severity is None or found.slope is None:
        rates = marginal_rates(eta, float(found.sd[0]))
    else:
        rho = np.nan_to_num(np.array(found.slope.correlation))
        variance = effect_variance(found.sd[0], np.array(found.slope.sd), rho, design.severity.values)
        rates = rates_with_slope(eta, variance)
        singular |= found.slope.sd == 0.0
        if abs(found.slope.correlation) == 1.0:
            notes = (*notes, "Singular fit: the correlation of effect and slope is estimated as 1 or -1.")
        if found.slope.sd > 0.0 and found.slope.log_sd_se > HARDLY_KNOWN:
            notes = (
                *notes,
                "The data hardly tell how much the slopes of therapists differ: the interval of their SD "
                "spans a factor of 25 or more. Take it for no evidence of slopes.",
            )
    if found.converged and not found.usable:
        notes = (
            *notes,
            "Case mix and effects together split the outcomes exactly (separation): the likelihood has no "
            f"maximum, and an SD ran off to {found.largest_sd:,.0f}. Use fewer terms or more months, or "
            'engine "fast", whose priors hold it.',
        )
    return Solution(
        posterior=None,
        estimates=found,
        beta=found.beta,
        row_expected=rates,
        log_likelihood=found.log_likelihood,
        converged=found.usable,
        singular=singular or (found.slope is not None and abs(found.slope.correlation) == 1.0),
        iterations=found.iterations,
        gradient_norm=found.gradient_norm,
        certificate=None,
        notes=(*notes, *(("Singular fit: a standard deviation is estimated as zero.",) if singular else ())),
    )


def _quadrature_note(nodes: int, design: Design, by_recursion: bool, swapped: bool) -> tuple[str, ...]:
    """Say which of two crossed factors is under the quadrature."""
    if nodes == 1 or design.service is None or by_recursion:
        return ()
    inner, outer = ("services", "therapists") if swapped else ("therapists", "services")
    return (f"Quadrature with {nodes} nodes over the {inner}, Laplace's method over the {outer}.",)


def _effects_note(nodes: int, design: Design) -> tuple[str, ...]:
    """Say which factor is under the quadrature, with slopes or a third factor."""
    if nodes == 1 or (design.service is None and design.further is None):
        return ()
    inner = factors_of(design)[0]
    words = {"therapist": "therapists", "service": "services", "further": "third factor"}
    return (f"Quadrature with {nodes} nodes over the {words[inner.name]}, Laplace's method over the others.",)


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
