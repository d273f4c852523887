"""Engine "ml" on the same rows, timed beside a yardstick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time

import numba
import numpy as np
from threadpoolctl import threadpool_limits

import ter
from benchmarks.problems import FloatArray, Network
from ter.features import build_design
from ter.models.layout import arrange
from ter.models.ml import Estimates, fit_ml


@dataclass(frozen=True)
class Times:
    """Smallest wall and processor times over the rounds, seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True, eq=False)
class OurFit:
    """What engine "ml" found, and how long it took.

    Attributes
    ----------
    beta, se : ndarray, shape (P,)
        On the scale of the columns.
    sd : ndarray, shape (2,)
        Therapists, services; NaN where there is no such effect.
    log_likelihood : float
    engine, fit : Times
        From the design to estimates and standard errors; and all of `ter.fit`, from the table.
    yardstick : float
        One X'WX in NumPy on one thread, in the same rounds: smallest wall time, seconds.
    """

    beta: FloatArray
    se: FloatArray
    sd: FloatArray
    log_likelihood: float
    engine: Times
    fit: Times
    yardstick: float


def smallest(rounds: int, *work: Callable[[], object]) -> list[Times]:
    """Time pieces of work in turn, round by round."""
    walls: list[list[float]] = [[] for _ in work]
    cpus: list[list[float]] = [[] for _ in work]
    for _ in range(rounds):
        for k, run in enumerate(work):
            wall, cpu = perf_counter(), process_time()
            run()
            walls[k].append(perf_counter() - wall)
            cpus[k].append(process_time() - cpu)
    return [Times(min(wall), min(cpu)) for wall, cpu in zip(walls, cpus, strict=True)]


def run(network: Network, nodes: int, *, service: bool, threads: int, rounds: int) -> OurFit:
    """Fit with engine "ml", warm."""
    effect = "service_id" if service else None
    learned = network.case_mix.learn(network.table)
    # As `ter.fit` hands it to the engine: rows in their order.
    design = build_design(
        network.table, case_mix=learned, outcome="y", trials=None, therapist="therapist_id", service=effect,
        by_content=True,
    )  # fmt: skip
    w = np.random.default_rng(0).random(network.y.size)

    def engine() -> Estimates:
        with threadpool_limits(limits=1):
            return fit_ml(arrange(design, design.therapist, design.service), nodes)

    def whole() -> ter.Fit:
        return ter.fit(
            network.table, case_mix=network.case_mix, outcome="y", service=effect, engine="ml", nodes=nodes
        )

    def normal_matrix() -> FloatArray:
        with threadpool_limits(limits=1):
            return network.X.T @ (w[:, None] * network.X)

    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        engine()
        fit = whole()
        ours, all_of_it, yardstick = smallest(rounds, engine, whole, normal_matrix)
    finally:
        numba.set_num_threads(before)
    sd = fit.groups["sd"]
    return OurFit(
        beta=fit.fixed["estimate"].to_numpy(),
        se=fit.fixed["se"].to_numpy(),
        sd=np.array([sd["therapist"], sd["service"] if service else np.nan]),
        log_likelihood=fit.log_likelihood,
        engine=ours,
        fit=all_of_it,
        yardstick=yardstick.wall,
    )
