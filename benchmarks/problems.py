"""The one registry of problems that benchmarks and tests share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.features import CaseMix, linear
from ter.simulation import Scenario

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Spread of therapists and of services, log-odds: what is usual in talking therapies.
THERAPIST_SD, SERVICE_SD = 0.35, 0.2
#: Coefficient of variation of the caseloads, and the share of patients from another than the home service.
CASELOAD_CV, CROSSING = 0.6, 0.2


@dataclass(frozen=True)
class Problem:
    """The size of a network.

    Attributes
    ----------
    name : str
    rows : int
        Patients.
    therapists, services : int
    columns : int
        Of the case mix, beside the intercept.
    seed : int
    """

    name: str
    rows: int
    therapists: int
    services: int
    columns: int
    seed: int

    @property
    def size(self) -> str:
        """``"10,000 x 300 x 50"``."""
        return f"{self.rows:,} x {self.therapists:,} x {self.services:,}"


@dataclass(frozen=True, eq=False)
class Network:
    """Patients drawn from the fitted model itself, and the truth.

    Attributes
    ----------
    table : DataFrame
        A row a patient, in random order: ``therapist_id``, ``service_id``, ``x00`` and on, and the outcome
        ``y``.
    X : ndarray, shape (N, P)
        The intercept, then the columns.
    y : ndarray, shape (N,)
    therapist, service : ndarray of int64, shape (N,)
        Places of the ids in sorted order.
    beta, u, v : ndarray, shapes (P,), (J,), (S,)
    """

    table: pd.DataFrame
    X: FloatArray
    y: FloatArray
    therapist: IntArray
    service: IntArray
    beta: FloatArray
    u: FloatArray
    v: FloatArray

    @property
    def case_mix(self) -> CaseMix:
        """A line for each column."""
        return CaseMix([linear(name) for name in self.table if name.startswith("x")])


def draw_network(problem: Problem) -> Network:
    """Draw the network of a problem: half of the columns continuous, half of them 0 or 1."""
    rng = np.random.default_rng(problem.seed)
    n, J, S, K = problem.rows, problem.therapists, problem.services, problem.columns
    weight = rng.lognormal(0.0, np.sqrt(np.log1p(CASELOAD_CV**2)), J)
    # Everybody has a patient, so that sizes are what they are called.
    therapist = np.concatenate([np.arange(J), rng.choice(J, n - J, p=weight / weight.sum())])
    home = rng.permutation(np.arange(J) % S)
    service = np.where(rng.random(n) < CROSSING, rng.integers(0, S, n), home[therapist])
    order = rng.permutation(n)
    therapist, service = therapist[order], service[order]
    columns = rng.standard_normal((n, K))
    columns[:, K // 2 :] = columns[:, K // 2 :] > 0.5
    beta = np.concatenate([[-0.1], np.linspace(-0.4, 0.4, K)])
    u, v = THERAPIST_SD * rng.standard_normal(J), SERVICE_SD * rng.standard_normal(S)
    X = np.column_stack([np.ones(n), columns])
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-(X @ beta + u[therapist] + v[service])))).astype(np.float64)
    ids = {"therapist_id": (therapist, "T", J), "service_id": (service, "S", S)}
    table = pd.DataFrame(
        {
            column: np.array([f"{letter}{k:0{len(str(count))}d}" for k in range(count)], dtype=object)[place]
            for column, (place, letter, count) in ids.items()
        }
        | {f"x{k:02d}": columns[:, k] for k in range(K)}
        | {"y": y.astype(np.int64)}
    )
    return Network(table, X, y, therapist.astype(np.int64), service.astype(np.int64), beta, u, v)


def scenario_of(problem: Problem) -> Scenario:
    """Give the scenario of a problem's size, with about as many patients; the case mix is its preset's."""
    return Scenario.preset(
        "england_2024_25",
        n_therapists=problem.therapists,
        n_services=problem.services,
        mean_caseload=problem.rows / problem.therapists,
    )


TINY: Final = Problem("tiny", rows=400, therapists=12, services=4, columns=2, seed=1)
SMALL: Final = Problem("small", rows=10_000, therapists=300, services=50, columns=20, seed=1)
MEDIUM: Final = Problem("medium", rows=100_000, therapists=2_000, services=50, columns=20, seed=1)
#: What the figures of the simulation are measured on: enough patients that setting up does not count.
CASELOADS: Final = Problem("caseloads", rows=2_000_000, therapists=20_000, services=50, columns=2, seed=1)
#: For what is counted and not written down; the table of NumPy and pandas would take ten gigabytes.
MANY: Final = Problem("many", rows=5_000_000, therapists=50_000, services=50, columns=2, seed=1)

PROBLEMS: Final = {problem.name: problem for problem in (TINY, SMALL, MEDIUM, CASELOADS, MANY)}
