"""The episodes that a model of recovery is fitted to, as arrays: a simulation without its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ter.kernels.patients import N_GAD7, N_WSAS, Caseloads, Record
from ter.simulation.build import cells_of
from ter.simulation.caseloads import Setup, set_up
from ter.simulation.scenario import Scenario

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Modelled:
    """The completed episodes at caseness of a simulated network, N of them, in the order of the table.

    Attributes
    ----------
    therapist : ndarray of int64, shape (N,)
        Place in `caseloads`.
    service : ndarray of int64, shape (N,)
        Number of the service, from 0.
    recovered : ndarray of bool, shape (N,)
    log_odds : ndarray of float64, shape (N,)
        The truth.
    codes : mapping of str to ndarray of int64, shape (N,)
        Columns of the case mix: whole numbers as they are, ``problem`` and factors by their place in the
        scenario; -1 where nothing is recorded.
    n_episodes, n_completed : ndarray of int64, shape (J,)
        Of each therapist.
    caseloads : Caseloads
        The therapists and services with their true effects.
    """

    therapist: IntArray
    service: IntArray
    recovered: NDArray[np.bool_]
    log_odds: NDArray[np.float64]
    codes: Mapping[str, IntArray]
    n_episodes: IntArray
    n_completed: IntArray
    caseloads: Caseloads


def draw_modelled(scenario: Scenario, seed: int) -> Modelled:
    """Simulate the episodes that a model is fitted to: the very ones that `simulate` puts into its table.

    Parameters and errors are as for `simulate`.
    """
    setup = set_up(scenario, seed)
    record = setup.record()
    c = setup.caseloads
    rows = np.flatnonzero(record.completed & record.case)
    therapist = np.repeat(np.arange(c.n.size), c.n)
    return Modelled(
        therapist=therapist[rows],
        service=record.service[rows].astype(np.int64),
        recovered=record.recovered[rows] == 1,
        log_odds=setup.log_odds(record)[rows],
        codes=case_mix_codes(setup, record, rows),
        n_episodes=c.n,
        n_completed=np.bincount(therapist[record.completed == 1], minlength=c.n.size).astype(np.int64),
        caseloads=c,
    )


def case_mix_codes(setup: Setup, record: Record, rows: IntArray) -> dict[str, IntArray]:
    """Give the columns of the case mix in some rows of a record, as whole numbers; -1: not recorded."""
    codes = setup.codes
    factors = setup.scenario.population.factors
    scores, history = record.scores[rows].astype(np.int64), record.history[rows]
    decile, wsas = record.decile[rows].astype(np.int64), record.wsas[rows].astype(np.int64)
    return {
        "phq9_first": scores // N_GAD7,
        "gad7_first": scores % N_GAD7,
        "wsas_first": np.where(wsas < N_WSAS - 1, wsas, -1),
        "age": record.age[rows].astype(np.int64),
        "imd_decile": np.where(decile < 10, decile + 1, -1),
        "prior_episodes": codes.prior[history],
        "wait_days": codes.wait[history],
        "problem": codes.problem[record.problem[rows]],
        **{
            factor.column: codes.levels[f][cells_of(record, codes.group_of[f])[rows]]
            for f, factor in enumerate(factors)
        },
    }
