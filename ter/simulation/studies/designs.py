"""The true model of a scenario as a case mix, and designs from arrays, the same as from the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import FitError
from ter.features import CaseMix, Design, Grouping, LearnedCaseMix, Linear, factor, linear, modelled_rows
from ter.features.collinear import redundant
from ter.features.terms import Term
from ter.simulation.caseloads import simulate
from ter.simulation.ids import service_ids, therapist_ids
from ter.simulation.scenario import Scenario
from ter.simulation.studies.draws import Drawn, IntArray

FloatArray = NDArray[np.float64]

#: Columns of whole numbers in which recovery is a line.
NUMBERS: Final = (
    "phq9_first",
    "gad7_first",
    "wsas_first",
    "age",
    "imd_decile",
    "prior_episodes",
    "wait_days",
)
#: Episodes of the network that means, scales and levels are learned on, and its seed.
PILOT_EPISODES: Final = 20_000
PILOT_SEED: Final = 2**63
#: The largest number that a scenario may draw: days of waiting.
LARGEST_NUMBER: Final = 1000


@dataclass(frozen=True, eq=False)
class Encoder:
    """A learned case mix whose terms read columns of few values: each term's columns by value.

    Attributes
    ----------
    learned : LearnedCaseMix
    tables : sequence of (str, ndarray)
        A column of the patient, and what each of its codes becomes in the model, shape (codes + 1, columns);
        the last row is that of -1, not recorded.
    """

    learned: LearnedCaseMix
    tables: Sequence[tuple[str, FloatArray]]

    def encode(self, codes: Mapping[str, IntArray]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Columns of the model, the intercept first, that are not constant in these rows.

        Returns
        -------
        X : ndarray, shape (N, columns that vary and the intercept)
        varies : ndarray of bool, shape (P,)
            Which of all columns these are.
        """
        n = len(next(iter(codes.values())))
        columns, varies = [np.ones((n, 1))], [np.ones(1, np.bool_)]
        for column, table in self.tables:
            code = codes[column]
            # What occurs, by its place in the table; -1 is the last.
            present = table[np.flatnonzero(np.bincount(code + 1, minlength=len(table))) - 1]
            moves = np.ptp(present, axis=0) > 0
            columns.append(np.take(table[:, moves], code, axis=0, mode="wrap"))
            varies.append(moves)
        return np.hstack(columns), np.concatenate(varies)


def true_case_mix(scenario: Scenario, columns: Sequence[str] | None = None) -> CaseMix:
    """The terms that recovery follows in a scenario, so that the fitted model is the true one.

    Parameters
    ----------
    scenario : Scenario
    columns : sequence of str, optional
        Of these columns only: a model that knows less than the truth.
    """
    factors = {
        f.column: [level.name for level in f.levels if level.share] for f in scenario.population.factors
    }
    factors["problem"] = [problem.name for problem in scenario.population.problems if problem.share]
    terms: list[Term] = [linear(name) for name in NUMBERS]
    for column, names in factors.items():
        if len(names) > 1:
            terms.append(factor(column, levels=sorted(name for name in names if name)))
    return CaseMix([term for term in terms if columns is None or term.name in columns])


# Kept, because a study encodes many replicates of one scenario.
@lru_cache(maxsize=8)
def encoder_of(scenario: Scenario, columns: tuple[str, ...] | None = None) -> Encoder:
    """Learn the case mix of a scenario on a network of its own, large enough for rare levels.

    Parameters
    ----------
    scenario : Scenario
    columns : tuple of str, optional
        As of `true_case_mix`.
    """
    caseload = max(scenario.network.mean_caseload, 1.0)
    pilot = scenario.replace(n_therapists=int(PILOT_EPISODES / caseload) + 2, joining=0.0)
    table = simulate(pilot, PILOT_SEED).episodes
    rows = modelled_rows(table, outcome="recovered").rows
    learned = true_case_mix(scenario, columns).learn(table.iloc[rows])
    return Encoder(learned, _tables(scenario, learned))


def _tables(scenario: Scenario, learned: LearnedCaseMix) -> list[tuple[str, FloatArray]]:
    names = {f.column: [level.name for level in f.levels] for f in scenario.population.factors}
    names["problem"] = [problem.name for problem in scenario.population.problems]
    kept = set(learned.columns)
    out = []
    for term in learned.terms:
        column = term.term.name
        if isinstance(term.term, Linear):
            values = pd.Series([*map(float, range(LARGEST_NUMBER + 1)), np.nan])
        else:
            values = pd.Series([*(name or None for name in names[column]), None], dtype=object)
        encoded = (term.encode(pd.DataFrame({column: values})) - term.shift) / term.divisor
        out.append((column, encoded[:, [name in kept for name in term.names]]))
    return out


def design_of(scenario: Scenario, drawn: Drawn, encoder: Encoder, *, service: bool = True) -> Design:
    """The design of a drawn network: what `ter.features.build_design` makes of its table.

    Columns that are constant in this network, such as a rare level that nobody has, are left out, and so is
    one of the levels of a factor whose first level nobody has.

    Parameters
    ----------
    scenario : Scenario
    drawn : Drawn
    encoder : Encoder
    service : bool
        Whether services have effects; never where there is one.

    Raises
    ------
    FitError
        If nobody is modelled.
    """
    if not drawn.recovered.size:
        raise FitError("Nobody completed treatment who was at caseness.")
    X, used = encoder.encode(drawn.codes)
    learned, n = encoder.learned, drawn.recovered.size
    names = tuple(compress(learned.columns, used))
    combined = [name for name, _ in redundant(X, names)]
    X = X[:, [name not in combined for name in names]]
    used &= ~np.isin(learned.columns, combined)
    services = None
    present = np.unique(drawn.service)
    if service and present.size > 1:
        ids = service_ids(scenario)[present]
        services = Grouping(
            "service", "service_id", tuple(ids.tolist()), np.searchsorted(present, drawn.service)
        )
    return Design(
        X=X,
        columns=tuple(compress(learned.columns, used)),
        centre=learned.centre[used],
        scale=learned.scale[used],
        successes=drawn.recovered,
        trials=np.ones(n),
        therapist=Grouping(
            "therapist",
            "therapist_id",
            tuple(therapist_ids(scenario, drawn.number).tolist()),
            drawn.therapist,
        ),
        service=services,
        rows=np.arange(n),
        n_rows=n,
        left_out=(),
    )


def coded_as_in_truth(scenario: Scenario, columns: Sequence[str], drawn: Drawn) -> bool:
    """Whether a design's coefficients are from the levels that `Scenario.coefficients` takes them from.

    They are not in a network in which nobody has the first level of a factor.
    """
    encoder = encoder_of(scenario)
    _, used = encoder.encode(drawn.codes)
    return tuple(compress(encoder.learned.columns, used)) == tuple(columns)
