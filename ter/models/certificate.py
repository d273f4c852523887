"""Whether a posterior of engine "fast" may be believed: what each approximation in it may have done.

Importance weights correct the Laplace approximation over (beta, v) and the grid's spline over the SDs. They
tell by themselves whether they could: the shape k of their tail (Vehtari et al. 2024, "Pareto smoothed
importance sampling") and their effective number. They cannot see what lies beyond the grid or what too few
quadrature nodes miss: that is checked apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ter.features.design import FloatArray

#: Above this shape of their tail, importance weights have no variance that can be relied on.
PARETO_K_MAX = 0.7
#: Fewer effective draws leave a Monte Carlo error of more than a posterior SD / 14.
EFFECTIVE_MIN = 200.0
#: With fewer than this the posterior is not published.
EFFECTIVE_FAIL = 50.0
#: Mass that the last twelfth of the grid over an SD may hold.
EDGE_MASS_MAX = 1e-3
#: With more than this cut off the posterior is not published.
EDGE_MASS_FAIL = 0.05
#: What doubling the nodes may change in the log-likelihood: a hundredth of what one draw differs from
#: another.
NODES_ERROR_MAX = 0.01
#: The error of too few nodes grows with the SD: it is looked at where the SD is larger than this share of its
#: posterior, too.
HIGH_SD = 0.95
#: The most nodes that the check looks at: rules with 400 underflow.
MOST_NODES = 300
#: Monte Carlo errors in points, root mean square over the therapists: what the posterior may differ from the
#: exact one.
TER_ERROR_MAX = 0.06
EXPECTED_ERROR_MAX = 0.04
#: A mode of (beta, v) on the grid may be off by this many posterior SDs: the weights make good for it.
GRADIENT_MAX = 0.5


@dataclass(frozen=True)
class Certificate:
    """What was checked of a posterior.

    Attributes
    ----------
    pareto_k : float
        Shape of the tail of the importance weights.
    effective_draws : float
    edge_mass : float
        Largest share of an SD's posterior in the last twelfth of its grid.
    nodes_error : float
        What doubling the quadrature nodes changes in the log-likelihood at the posterior mean, or at the draw
        at the 95% point of the therapists' SD if that is more.
    gradient_norm : float
        Furthest that a mode of (beta, v) on the grid may be off, in posterior SDs.
    modes_found : bool
        Whether the Hessian was positive definite and Newton's method ended at every grid point.
    ter_error, expected_error : float
        Monte Carlo error of the therapists' TERs and expected rates, points, root mean square.
    nodes : int
        Quadrature nodes for each therapist that were used; 0 of a fit that was saved before this was known.
    """

    pareto_k: float
    effective_draws: float
    edge_mass: float
    nodes_error: float
    gradient_norm: float
    modes_found: bool
    ter_error: float = 0.0
    expected_error: float = 0.0
    nodes: int = 0

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, with the remedy, in plain words; empty if nothing is."""
        drawn = f"{self.effective_draws:.0f} effective, tail shape k = {self.pareto_k:.2f}"
        checks = [
            (
                self.pareto_k <= PARETO_K_MAX and self.effective_draws >= EFFECTIVE_MIN,
                f"The draws are uneven ({drawn}): group rare levels of the case mix, or use fewer terms",
            ),
            (
                self.ter_error <= TER_ERROR_MAX and self.expected_error <= EXPECTED_ERROR_MAX,
                f"Other draws would move TERs by {self.ter_error:.2f} points and expected rates by "
                f"{self.expected_error:.2f}: add data, or use fewer terms",
            ),
            (
                self.edge_mass <= EDGE_MASS_MAX,
                f"The grid cuts off {self.edge_mass:.1%} of the posterior of a standard deviation, which "
                "the data hardly bound: add data, or leave the service effect out",
            ),
            (
                self.nodes_error <= NODES_ERROR_MAX,
                f"Twice the nodes change the log-likelihood by {self.nodes_error:.3f}: use more nodes",
            ),
            (
                self.modes_found and self.gradient_norm <= GRADIENT_MAX,
                "A mode was not found on the grid: a covariate may split the outcomes exactly",
            ),
        ]
        return tuple(f'{text}; or sample with engine="nuts".' for passed, text in checks if not passed)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def usable(self) -> bool:
        """Whether the posterior may be published at all; a fault that leaves it usable is a warning."""
        return (
            self.modes_found and self.effective_draws >= EFFECTIVE_FAIL and self.edge_mass <= EDGE_MASS_FAIL
        )

    def __str__(self) -> str:
        verdict = "Certified" if self.passed else "NOT CERTIFIED"
        figures = (
            f"{verdict}: {self.effective_draws:.0f} effective draws, tail shape k = {self.pareto_k:.2f}, "
            f"mass at the grid's edge {self.edge_mass:.1e}, nodes doubled {self.nodes_error:.1e}, "
            f"Monte Carlo error of TERs {self.ter_error:.3f} points."
        )
        return " ".join([figures, *self.faults])


def more_nodes(nodes: int) -> int:
    """How many nodes stand for the exact integral."""
    return min(2 * nodes, MOST_NODES)


def draw_at(values: FloatArray, weights: FloatArray, share: float = HIGH_SD) -> int:
    """Which draw has a figure with this share of the posterior at or below it.

    Parameters
    ----------
    values : ndarray, shape (D,)
        One figure of each draw.
    weights : ndarray, shape (D,)
        They sum to 1.
    share : float
    """
    order = np.argsort(values, kind="stable")
    reached = int(np.searchsorted(np.cumsum(weights[order]), share))
    return int(order[min(reached, order.size - 1)])


def pareto_k(weights: FloatArray) -> float:
    """Shape of the generalised Pareto distribution fitted to the largest importance weights.

    Parameters
    ----------
    weights : ndarray, shape (D,)

    Returns
    -------
    float
        By the estimator of Zhang and Stephens (2009, Technometrics 51:316-325) on the largest min(D / 5, 3
        sqrt(D)) weights, drawn towards 0.5 by ten observations' worth as in Vehtari et al. (2024); minus
        infinity where these are all equal.
    """
    tail = min(weights.size // 5, int(np.ceil(3.0 * np.sqrt(weights.size))))
    ordered = np.sort(weights)
    excess = ordered[-tail:] - ordered[-tail - 1]
    if excess[-1] <= 0.0:
        return float("-inf")
    n = excess.size
    grid = 30 + int(np.sqrt(n))
    quartile = max(excess[int(n / 4 + 0.5) - 1], excess[-1] * 1e-12)
    j = np.arange(1, grid + 1)
    theta = 1.0 / excess[-1] + (1.0 - np.sqrt(grid / (j - 0.5))) / (3.0 * quartile)
    k = np.log1p(-theta[:, None] * excess).mean(axis=1)
    log_profile = n * (np.log(-theta / k) - k - 1.0)
    w = np.exp(log_profile - log_profile.max())
    best = float((theta * w).sum() / w.sum())
    shape = float(np.log1p(-best * excess).mean())
    return float((n * shape + 10.0 * 0.5) / (n + 10.0))
