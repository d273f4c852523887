"""Simulate a network: its tables with the truth beside them, or its counts alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import OptionError
from ter.kernels import simulate as kernel
from ter.kernels.parallel import map_partitions
from ter.kernels.patients import Caseloads, Record, Tables, Truth
from ter.simulation.build import Codes, build_tables, build_truth
from ter.simulation.calendar import Calendar, day_number, make_calendar
from ter.simulation.checks import shown
from ter.simulation.ids import therapist_ids
from ter.simulation.network import Roster, draw_roster
from ter.simulation.parts import Courses
from ter.simulation.room import Room, memory_of_machine
from ter.simulation.scenario import Scenario, check_scenario

IntArray = NDArray[np.int64]

LARGEST_SEED = 2**64 - 1
#: About: of what is drawn of an episode, of its row in the table, and of an appointment's while it is made.
BYTES_A_RECORD, BYTES_AN_EPISODE, BYTES_AN_APPOINTMENT = 40, 320, 200
# Parts a thread: more would take longer to begin than they save.
_PARTS = 4


@dataclass(frozen=True, eq=False, repr=False)
class Simulation:
    """A simulated network with its truth.

    Attributes
    ----------
    episodes : DataFrame
        One row per episode, therapist by therapist, with the outcome columns added; nothing in it tells the
        truth.
    sessions : DataFrame or None
        One row per appointment, if asked for.
    therapists, services : DataFrame
        One row each, with the truth: ``effect`` is the true effect in log-odds.
    setup : Setup
        The scenario and the seed among it.
    record : Record
        What was drawn, of which the episodes are a view.
    """

    episodes: pd.DataFrame
    sessions: pd.DataFrame | None
    therapists: pd.DataFrame
    services: pd.DataFrame
    setup: Setup
    record: Record

    @property
    def scenario(self) -> Scenario:
        """What was simulated."""
        return self.setup.scenario

    @property
    def seed(self) -> int:
        """The seed it was drawn with."""
        return int(self.setup.seed)

    @cached_property
    def probability(self) -> NDArray[np.float64]:
        """True probability of recovery of each episode (N,) if completed, for a patient at caseness."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.setup.log_odds(self.record))))

    def __repr__(self) -> str:
        counts = f"{len(self.episodes):,} episodes, {len(self.therapists):,} therapists"
        named = f'"{self.scenario.name}", seed {self.seed}'
        return f"<ter.Simulation: {counts}, {len(self.services):,} services; {named}>"


@dataclass(frozen=True, eq=False)
class Setup:
    """A scenario and a seed, ready for the kernels.

    Attributes
    ----------
    scenario : Scenario
    calendar : Calendar
    roster : Roster
    tables : Tables
    truth : Truth
    codes : Codes
    seed : uint64
    """

    scenario: Scenario
    calendar: Calendar
    roster: Roster
    tables: Tables
    truth: Truth
    codes: Codes
    seed: np.uint64

    @property
    def caseloads(self) -> Caseloads:
        """The therapists, as the kernels take them."""
        return self.roster.caseloads

    def run(self, work: Callable[..., None], *out: Any) -> None:
        """Let a kernel fill its arrays, a range of therapists at a time, on as many threads as numba has."""
        threads = numba.get_num_threads()
        c = self.caseloads

        def fill(part: tuple[int, int]) -> None:
            work(*part, self.seed, c, self.tables, self.truth, *out)

        if threads == 1:
            fill((0, c.n.size))
            return
        # Ranges of ever fewer episodes: one core may be slower than another, and no thread waits long for
        # the last range. A therapist counts for one more, so that empty caseloads spread too.
        work_before = np.concatenate([[0], np.cumsum(c.n + 1)])
        left = np.linspace(1, 0, threads * _PARTS + 1) ** 2
        cuts = np.unique(np.searchsorted(work_before, work_before[-1] * (1 - left))).tolist()
        map_partitions(fill, list(pairwise(cuts)))

    def room(self) -> Room:
        """Give room for what is drawn, and for the table that is made of it."""
        return Room(int(self.caseloads.n.sum()) * (BYTES_A_RECORD + BYTES_AN_EPISODE))

    def record(self, room: Room | None = None) -> Record:
        """Draw all patients, into a room that has place for them or one of their own."""
        n = int(self.caseloads.n.sum())
        room = room or Room(n * BYTES_A_RECORD)
        record = Record(
            service=room.array(n, np.int32),
            decile=room.array(n, np.uint8),
            age=room.array(n, np.uint8),
            problem=room.array(n, np.uint8),
            scores=room.array(n, np.uint16),
            wsas=room.array(n, np.uint8),
            history=room.array(n, np.uint16),
            cells=room.array(self.codes.n_groups * n, np.uint8),
            anxiety=room.array(n, np.int16),
            course=room.array(n, np.uint16),
            start=room.array(n, np.uint16),
            completed=room.array(n, np.uint8),
            case=room.array(n, np.uint8),
            recovered=room.array(n, np.uint8),
        )
        self.run(kernel.write_record, record)
        return record

    def log_odds(self, record: Record) -> NDArray[np.float64]:
        """Give the true log-odds of recovery of each patient of a record."""
        out = np.empty(record.service.size)
        self.run(kernel.write_log_odds, record, out)
        return out


def check_seed(seed: int) -> None:
    """Refuse what is no seed.

    Raises
    ------
    OptionError
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed <= LARGEST_SEED:
        raise OptionError(f"The seed must be a whole number from 0 to {LARGEST_SEED}, not {shown(seed)}.")


def set_up(scenario: Scenario, seed: int, therapists: Iterable[int] | None = None) -> Setup:
    """Make a scenario ready for the kernels.

    Parameters are as for `simulate`, and so are errors.
    """
    check_scenario(scenario)
    check_seed(seed)
    n = scenario.network.n_therapists
    numbers = np.arange(n) if therapists is None else _checked_numbers(therapists, n)
    calendar = make_calendar(scenario.network)
    roster = draw_roster(scenario, calendar, np.uint64(seed), numbers)
    tables, codes = build_tables(scenario, roster.deprivation_tilt, calendar)
    truth = build_truth(scenario, calendar, day_number(scenario.network.end))
    return Setup(scenario, calendar, roster, tables, truth, codes, np.uint64(seed))


def _checked_numbers(therapists: Iterable[int], n: int) -> IntArray:
    """Give numbers of therapists as an array; refuse what are not different ones of `n`."""
    try:
        numbers = np.asarray(list(therapists))
    except (TypeError, ValueError):  # one number, or lists in a list
        numbers = np.array(["no numbers"])
    if numbers.size == 0:
        return np.empty(0, np.int64)
    if (
        numbers.dtype.kind not in "iu"
        or numbers.ndim != 1
        or numbers.min() < 0
        or numbers.max() >= n
        or np.unique(numbers).size < numbers.size
    ):
        raise OptionError(
            f"therapists must be different numbers from 0 to {n - 1}, such as range({min(n, 10)}), "
            f"not {shown(therapists)}."
        )
    return numbers.astype(np.int64)


def _bytes_an_episode(courses: Courses, sessions: bool) -> float:
    """Give the bytes that an episode takes, about, with its appointments if there are to be any."""
    size = float(BYTES_A_RECORD + BYTES_AN_EPISODE)
    if sessions:
        attended = courses.completion * courses.sessions_mean + 1 - courses.completion
        size += (attended + courses.dna_mean + courses.cancelled_mean) * BYTES_AN_APPOINTMENT
    return size


@contextlib.contextmanager
def _memory_for(setup: Setup, sessions: bool) -> Iterator[None]:
    """Say how much memory the tables of a network take, where there is not as much."""
    episodes = int(setup.caseloads.n.sum())
    size = episodes * _bytes_an_episode(setup.scenario.courses, sessions)
    try:
        # The system grants more than it has, and ends the process that uses it.
        if size > memory_of_machine():
            raise MemoryError
        yield
    except MemoryError as error:
        beside, way = (
            (" with their appointments", "Leave the sessions out, or simulate some therapists at a time.")
            if sessions
            else ("", "Stream them: ter.simulation.stream_simulation, or --stream on the command line.")
        )
        raise OptionError(
            f"There is not enough memory for {episodes:,} episodes{beside} at once, which take about "
            f"{size / 1e9:,.1f} GB. {way}"
        ) from error


def simulate(
    scenario: Scenario, seed: int, *, sessions: bool = False, therapists: Iterable[int] | None = None
) -> Simulation:
    """Simulate a network.

    Outcomes are drawn from the model of recovery; last scores are then drawn given the outcome, so that the
    clinical rules recover it from the scores.

    Parameters
    ----------
    scenario : Scenario
    seed : int
        From 0 to 2**64 - 1. The same seed gives the same network, on any number of threads.
    sessions : bool
        Whether to give the table of appointments as well.
    therapists : iterable of int, optional
        Numbers of the therapists to simulate, from 0; by default all. Each gets the very rows that it has in
        the whole network.

    Returns
    -------
    Simulation

    Raises
    ------
    OptionError
        For a seed or therapists out of range, or a network that does not fit in memory.
    """
    # Its kernels take time to load, and counts need none of them.
    from ter.simulation.assembly import episodes_beside, sessions_of
    from ter.simulation.frames import services_frame, therapists_frame

    setup = set_up(scenario, seed, therapists)
    with _memory_for(setup, sessions):
        room = setup.room()
        record = setup.record(room)
        episodes, (therapist_table, service_table) = episodes_beside(
            setup,
            record,
            room,
            [
                partial(therapists_frame, scenario, setup.roster),
                partial(services_frame, scenario, setup.roster),
            ],
        )
        appointments = sessions_of(setup, record, episodes) if sessions else None
    return Simulation(
        episodes=episodes,
        sessions=appointments,
        therapists=therapist_table,
        services=service_table,
        setup=setup,
        record=record,
    )


def count_outcomes(scenario: Scenario, seed: int, *, therapists: Iterable[int] | None = None) -> pd.DataFrame:
    """Count the outcomes of a simulated network without making its tables.

    Parameters
    ----------
    scenario, seed, therapists
        As for `simulate`, whose outcomes these are.

    Returns
    -------
    DataFrame
        A row per therapist: ``therapist_id``, ``n_episodes``, ``n_completed``, ``n_at_caseness`` (completed
        and at caseness at the start), ``n_recovered`` (of those).

    Raises
    ------
    OptionError
        For a seed or therapists out of range.
    """
    setup = set_up(scenario, seed, therapists)
    ids = therapist_ids(scenario, setup.caseloads.number)
    columns = ("n_episodes", "n_completed", "n_at_caseness", "n_recovered")
    counts = np.empty((len(columns), setup.caseloads.n.size), np.int64)
    setup.run(kernel.count_outcomes, counts.T)
    return pd.DataFrame({"therapist_id": ids} | dict(zip(columns, counts, strict=True)), copy=False)
