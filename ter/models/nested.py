"""Maximum likelihood where therapists are nested in services: quadrature inside quadrature.

Nothing is approximated but by the number of nodes.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ter.errors import OptionError
from ter.features.design import FloatArray, IntArray
from ter.kernels.nested import service_passes
from ter.kernels.parallel import map_partitions
from ter.models.climb import ascend, climb, covariance_inside, gradient_norm, rough_units, widened
from ter.models.layout import ROWS_A_PARTITION, Layout
from ter.models.maxima import ClimbedMaxima
from ter.models.ml import LOWEST_LOG_SD, MIN_NODES, Estimates, Start, bounds_of, starting_point
from ter.models.newton import Optimum
from ter.models.quadrature import nodes_and_log_weights

#: Nodes of the rough ascent: it starts the one with all nodes.
ROUGH_NODES = 11
#: The nodes that a service's integral is tried with; all of those of the therapists if these do not do.
OUTER_NODES = (11, 25, 50)
#: What fewer nodes for the services may change in the log-likelihood.
OUTER_ERROR = 1e-3


class NestedLikelihood:
    """The marginal log-likelihood in (beta, log sigma_u, log sigma_v); it keeps the modes as next starts.

    Parameters
    ----------
    layout : Layout
        Every inner level with rows lies in one outer level.
    nodes : int
        Quadrature nodes for each therapist.
    outer_nodes : int, optional
        For each service; as many as for a therapist unless given.
    """

    def __init__(self, layout: Layout, nodes: int, outer_nodes: int | None = None) -> None:
        self.layout = layout
        self.rule = nodes_and_log_weights(nodes)
        self.outer_rule = nodes_and_log_weights(outer_nodes or nodes)
        self.members, self.member_ptr = members_of(layout)
        self.parts = partitions(layout, self.members, self.member_ptr)
        self._mode = np.zeros(layout.n_inner)
        self._outer_mode = np.zeros(layout.n_outer)

    def evaluate(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Log-likelihood without binomial constants, and its gradient, shape (P + 2,)."""
        value, gradient, _, _ = self._pass(x)
        return value, gradient

    def moments(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of each u_j and v_s given data and parameters: shapes (J, 2), (S, 2)."""
        _, _, inner, outer = self._pass(x)
        return inner, outer

    def _pass(self, x: FloatArray) -> tuple[float, FloatArray, FloatArray, FloatArray]:
        lay = self.layout
        sigma, sigma_outer = (float(s) for s in np.exp(x[-2:]))
        inner = np.column_stack([np.zeros(lay.n_inner), np.full(lay.n_inner, sigma**2)])
        outer = np.empty((lay.n_outer, 2))

        def work(part: tuple[int, int]) -> tuple[float, FloatArray]:
            gradient = np.zeros(x.size)
            value = service_passes(
                *part, lay.rows, self.members, self.member_ptr, x[:-2], sigma, sigma_outer,
                *self.rule, *self.outer_rule, self._mode, self._outer_mode, gradient, inner, outer,
            )  # fmt: skip
            return float(value), gradient

        sums = map_partitions(work, self.parts)
        return sum(s[0] for s in sums), np.sum([s[1] for s in sums], axis=0), inner, outer


def members_of(layout: Layout) -> tuple[IntArray, IntArray]:
    """Therapists with rows, service by service, and where each service's begin: shapes (M,), (S + 1,)."""
    rows = layout.rows
    present = np.flatnonzero(np.diff(rows.row_ptr))
    service = rows.cell_outer[rows.unit_cells[present]]
    order = np.argsort(service, kind="stable")
    return present[order], np.searchsorted(service[order], np.arange(layout.n_outer + 1))


def partitions(layout: Layout, members: IntArray, member_ptr: IntArray) -> list[tuple[int, int]]:
    """Runs of services with about equally many rows, an eighth of a pass's: each row costs many nodes."""
    sizes = np.diff(layout.rows.row_ptr)[members]
    before = np.concatenate([[0], np.cumsum(sizes)])[member_ptr]
    count = max(1, min(layout.n_outer, 64, 8 * int(before[-1]) // ROWS_A_PARTITION))
    cuts = np.searchsorted(before, np.linspace(0, before[-1], count + 1)[1:-1])
    edges = np.unique(np.concatenate([[0], cuts, [layout.n_outer]]))
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def fit_nested(layout: Layout, nodes: int, start: Start | None = None) -> Estimates:
    """Maximise the likelihood by quadrature inside quadrature.

    Parameters
    ----------
    layout : Layout
        Every inner level with rows lies in one outer level.
    nodes : int
        Quadrature nodes for each therapist. A service's integrand is smoother: it gets fewer where that
        changes nothing.
    start : Start, optional
        Where the ascent begins: an earlier fit's estimates. The maximum is the same wherever it begins.

    Returns
    -------
    Estimates
        ``u``, ``v`` and their SDs are posterior means and SDs, the parameters held at their estimates.

    Raises
    ------
    OptionError
        If there are too few nodes.
    """
    if nodes < MIN_NODES:
        raise OptionError(
            f'engine "ml" takes nodes=1 (Laplace) or at least {MIN_NODES} (quadrature), not {nodes}.'
        )
    rough = NestedLikelihood(layout, min(nodes, ROUGH_NODES))
    lowest = bounds_of(layout.rows.X.shape[1], 2)["lowest"]
    units = rough_units(layout, [layout.n_inner, layout.n_outer])
    if start is not None:
        units = widened(units, start.log_sd_se)
    near, iterations = climb(rough.evaluate, starting_point(layout, 2, start), units, lowest)
    likelihood = NestedLikelihood(layout, nodes, enough_outer_nodes(layout, nodes, near))
    found = ascend(likelihood.evaluate, near, units, lowest)
    return describe(likelihood, replace(found, iterations=iterations + found.iterations))


def nested_maxima(layout: Layout, nodes: int, found: Estimates, names: tuple[str, ...]) -> ClimbedMaxima:
    """The likelihood that `fit_nested` maximised, for maxima with an SD held.

    Parameters
    ----------
    layout : Layout
    nodes : int
    found : Estimates
        Its maximum, in the order of the layout's factors.
    names : tuple of str
        Of the inner and the outer factor.
    """
    P = found.beta.size
    x = np.concatenate([found.beta, np.log(np.maximum(found.sd, np.exp(LOWEST_LOG_SD)))])
    likelihood = NestedLikelihood(layout, nodes, enough_outer_nodes(layout, nodes, x))
    return ClimbedMaxima(
        slope=likelihood.evaluate,
        x=x,
        units=rough_units(layout, [layout.n_inner, layout.n_outer]),
        lowest=bounds_of(P, 2)["lowest"],
        places={name: P + k for k, name in enumerate(names)},
        sd=dict(zip(names, found.sd.tolist(), strict=True)),
    )


def enough_outer_nodes(layout: Layout, nodes: int, x: FloatArray) -> int:
    """The fewest nodes for a service that leave the log-likelihood as it is."""
    value, _ = NestedLikelihood(layout, nodes).evaluate(x)
    for fewer in OUTER_NODES:
        if fewer < nodes and abs(NestedLikelihood(layout, nodes, fewer).evaluate(x)[0] - value) < OUTER_ERROR:
            return fewer
    return nodes


def describe(likelihood: NestedLikelihood, found: Optimum) -> Estimates:
    """Covariance, and means and SDs of the effects, at the maximum."""
    x = found.x
    inside = np.concatenate([np.ones(x.size - 2, np.bool_), x[-2:] > LOWEST_LOG_SD + 1e-6])
    covariance = covariance_inside(found, inside)
    inner, outer = likelihood.moments(x)
    return Estimates(
        beta=x[:-2],
        covariance=covariance,
        sd=np.where(inside[-2:], np.exp(x[-2:]), 0.0),
        u=inner[:, 0],
        u_sd=np.sqrt(inner[:, 1]),
        v=outer[:, 0],
        v_sd=np.sqrt(outer[:, 1]),
        log_likelihood=found.value,
        gradient_norm=gradient_norm(found, covariance),
        iterations=found.iterations,
        converged=found.converged,
    )
