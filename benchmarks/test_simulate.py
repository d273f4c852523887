"""Simulating. Beside the random numbers that a patient takes at the least, and beside the same in NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import TypeVar

import numba
import numpy as np
import pandas as pd
import pytest
from numba import njit
from pandas.testing import assert_frame_equal

import ter
from benchmarks import reference
from benchmarks.problems import IntArray, Problem, scenario_of
from benchmarks.side_by_side import Allowance, Items, Yardstick
from ter.kernels._jit import BARE, JIT
from ter.kernels.blocks import Block, new_block, seat
from ter.kernels.parallel import map_partitions
from ter.kernels.patients import Caseloads, Record, Tables, Truth
from ter.kernels.rng import bits, stream_key
from ter.kernels.simulate import write_record
from ter.kernels.stages import draw_patients
from ter.simulation import Simulation
from ter.simulation.caseloads import set_up

Result = TypeVar("Result")

COUNTS = ["n_episodes", "n_completed", "n_at_caseness", "n_recovered"]


@njit(**JIT)
def two_draws_a_patient(caseload: IntArray, seed: np.uint64) -> np.uint64:
    """Two 64-bit draws a patient, and the least that keeps them from being optimised away."""
    total = np.uint64(0)
    for j in range(caseload.size):
        start, step = stream_key(seed, np.uint64(0), np.uint64(j))
        for i in range(caseload[j]):
            k = np.uint64(2 * i)
            total ^= bits(start, step, k) ^ bits(start, step, k + np.uint64(1))
    return total


@pytest.fixture(scope="session")
def simulation(problem: Problem) -> Simulation:
    return ter.simulate(scenario_of(problem), seed=problem.seed)


@pytest.fixture
def patients(simulation: Simulation) -> Items:
    return Items(len(simulation.episodes), "patient")


@pytest.fixture
def floor(simulation: Simulation) -> Yardstick:
    caseload = simulation.therapists["n_episodes"].to_numpy(np.int64)
    return Yardstick("two 64-bit draws", lambda: two_draws_a_patient(caseload, np.uint64(1)), repeats=10)


def shares(counts: IntArray) -> np.ndarray:
    """Completed of all, at caseness of those, recovered of those."""
    total = counts.sum(axis=0)
    return total[1:] / total[:-1]


def check_against_reference(simulation: Simulation, counts: IntArray, of_reference: IntArray) -> None:
    """Same therapists, other patients: shares differ by the sampling of two binomial shares.

    Four standard errors, and one point more for what the reference leaves out.
    """
    size = counts.sum(axis=0)[:-1]
    np.testing.assert_array_less(
        np.abs(shares(counts) - shares(of_reference)), 4 * np.sqrt(2 * 0.25 / size) + 0.01
    )


def counted(episodes) -> IntArray:
    """Count in the table what `count_outcomes` counts without it."""
    cases = episodes["completed"] & episodes["at_caseness"]
    columns = [
        np.ones(len(episodes)),
        episodes["completed"],
        cases,
        cases & episodes["recovered"].fillna(False),
    ]
    place = np.unique(episodes["therapist_id"].to_numpy(object), return_inverse=True)[1]
    return np.column_stack([np.bincount(place, np.asarray(c, float)) for c in columns]).astype(np.int64)


@njit(**JIT)
def write(values: np.ndarray) -> None:
    """Write memory and do nothing else."""
    for k in range(values.size):
        values[k] = k


@njit(**BARE)
def _write_patients(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, b: Block, record: Record
) -> None:
    j, i = j0, 0
    row = np.uint64(c.row[j0])
    while j < j1:
        j, i, n = seat(j, i, j1, seed, c, t, truth, b)
        draw_patients(n, row, c, t, truth, b, record)
        row += np.uint64(n)


@njit(**JIT)
def write_patients(
    j0: int, j1: int, seed: np.uint64, c: Caseloads, t: Tables, truth: Truth, record: Record
) -> None:
    """Write of the record what `write_record` draws first: case mix and outcome, not the courses."""
    _write_patients(j0, j1, seed, c, t, truth, new_block(c, t), record)


def time_writing(beside, patients: Items, floor: Yardstick, fields, work, same) -> None:
    """Time work that fills these fields beside the least it could take, and beside the same in NumPy."""
    memory = np.empty(sum(field.nbytes for field in fields) // 8)
    beside(
        work,
        floor,
        Yardstick("writing as many bytes", lambda: write(memory)),
        Yardstick("the same (numpy)", same, repeats=1),
        rounds=7,
        repeats=3,
        items=patients,
        clock=process_time,
    )


def test_case_mix_and_outcome(
    beside, problem: Problem, simulation: Simulation, patients: Items, floor: Yardstick
):
    """Case mix of each patient, and whether they recover, written down in arrays that are there."""
    scenario, team = simulation.scenario, reference.team_of(simulation)
    setup = set_up(scenario, problem.seed)
    record = setup.record()
    written = {k: field for k, field in record._asdict().items() if k not in ("course", "start", "completed")}
    for field in written.values():
        field[:] = 0
    time_writing(
        beside,
        patients,
        floor,
        written.values(),
        lambda: setup.run(write_patients, record),
        lambda: reference.draw_patients(scenario, team, np.random.default_rng(1)),
    )
    for name, field in written.items():
        np.testing.assert_array_equal(field, getattr(simulation.record, name), err_msg=name)


def test_record(beside, problem: Problem, simulation: Simulation, patients: Items, floor: Yardstick):
    """Case mix, outcome and course of each patient, written down in arrays that are there."""
    scenario, team = simulation.scenario, reference.team_of(simulation)
    setup = set_up(scenario, problem.seed)
    record = setup.record()
    time_writing(
        beside,
        patients,
        floor,
        record,
        lambda: setup.run(write_record, record),
        lambda: reference.draw_episodes(scenario, team, np.random.default_rng(1)),
    )
    episodes = simulation.episodes
    np.testing.assert_array_equal(record.completed == 1, episodes["completed"])
    recovered = (record.completed & record.recovered) == 1
    np.testing.assert_array_equal(recovered, episodes["recovered"].to_numpy(bool))
    np.testing.assert_array_equal(record.age, episodes["age"])


def test_count_outcomes(beside, problem: Problem, simulation: Simulation, patients: Items, floor: Yardstick):
    scenario, team = simulation.scenario, reference.team_of(simulation)
    counts = beside(
        lambda: ter.simulation.count_outcomes(scenario, seed=problem.seed),
        floor,
        Yardstick(
            "the same (numpy)",
            lambda: reference.count_outcomes(scenario, team, np.random.default_rng(1)),
            repeats=1,
        ),
        rounds=7,
        repeats=3,
        items=patients,
        clock=process_time,
    )[COUNTS].to_numpy()
    # The same outcomes as those of the rows, which the clinical rules read off the scores.
    np.testing.assert_array_equal(counts[counts[:, 0] > 0], counted(simulation.episodes))
    of_reference = reference.count_outcomes(scenario, team, np.random.default_rng(1))
    check_against_reference(simulation, counts, of_reference)


two_cores = pytest.mark.skipif(
    numba.config.NUMBA_NUM_THREADS < 2, reason="numba was started with one thread only"
)


def on(threads: int, work: Callable[[], Result]) -> Result:
    """Do work on so many threads."""
    numba.set_num_threads(threads)
    try:
        return work()
    finally:
        numba.set_num_threads(1)


@two_cores
def test_two_draws_two_cores(beside, simulation: Simulation, patients: Items):
    """What a second core brings at the best: cores that others use too are not alike."""
    parts = np.array_split(simulation.therapists["n_episodes"].to_numpy(np.int64), 16)

    def draw() -> list[np.uint64]:
        return map_partitions(lambda part: two_draws_a_patient(part, np.uint64(1)), parts)

    drawn = beside(lambda: on(2, draw), Yardstick("one core", draw), rounds=21, items=patients)
    assert drawn == draw()


@two_cores
def test_count_outcomes_two_cores(beside, problem: Problem, simulation: Simulation, patients: Items):
    scenario, team = simulation.scenario, reference.team_of(simulation)

    def count() -> pd.DataFrame:
        return ter.simulation.count_outcomes(scenario, seed=problem.seed)

    counts = beside(
        lambda: on(2, count),
        Yardstick("one core", count),
        Yardstick(
            "the same (numpy), one core",
            lambda: reference.count_outcomes(scenario, team, np.random.default_rng(1)),
            repeats=1,
        ),
        rounds=7,
        repeats=3,
        items=patients,
    )
    assert_frame_equal(counts, count())


@two_cores
def test_simulate_two_cores(beside, problem: Problem, simulation: Simulation, patients: Items):
    def simulate() -> Simulation:
        return ter.simulate(simulation.scenario, seed=problem.seed)

    drawn = beside(lambda: on(2, simulate), Yardstick("one core", simulate), rounds=7, items=patients)
    assert_frame_equal(drawn.episodes, simulation.episodes)


FIRST_CALL = """
import ter
scenario = ter.Scenario.preset("england_2024_25", n_therapists=300, n_services=12, mean_caseload=40)
print(ter.simulation.count_outcomes(scenario, seed=1)["n_recovered"].sum())
"""


def test_first_call(beside, problem: Problem):
    """From the start of a process to the first counts, with kernels compiled before."""

    def call() -> str:
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CALL],
            cwd=Path(__file__).parents[1],
            env=os.environ | {"NUMBA_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def python_and_numba() -> None:
        subprocess.run([sys.executable, "-c", "import numba, pandas"], check=True)

    yardstick = Yardstick("importing numba and pandas", python_and_numba, repeats=1)
    recovered = beside(call, yardstick, Allowance("1.5 seconds", 1.5), rounds=3)
    assert 1_000 < int(recovered) < 6_000


def test_simulate(beside, problem: Problem, simulation: Simulation, patients: Items, floor: Yardstick):
    scenario, team = simulation.scenario, reference.team_of(simulation)
    drawn = beside(
        lambda: ter.simulate(scenario, seed=problem.seed),
        floor,
        Yardstick(
            "the same (numpy, pandas)",
            lambda: reference.simulate(scenario, team, np.random.default_rng(1)),
            repeats=1,
        ),
        rounds=4,
        items=patients,
        clock=process_time,
    )
    of_reference = reference.simulate(scenario, team, np.random.default_rng(1))
    assert set(of_reference) == set(drawn.episodes)
    check_against_reference(simulation, counted(drawn.episodes), counted(of_reference))
