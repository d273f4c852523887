"""From what was drawn to the tables of episodes and appointments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ter.kernels import episodes as kernel
from ter.kernels.parallel import map_partitions
from ter.kernels.patients import Record
from ter.simulation.caseloads import Setup
from ter.simulation.frames import (
    episodes_frame,
    new_columns,
    sessions_frame,
    text_columns,
)
from ter.simulation.room import Room


def episodes_of(setup: Setup, record: Record, room: Room) -> pd.DataFrame:
    """Give the table of episodes, with the outcome columns."""
    return episodes_beside(setup, record, room, [])[0]


def episodes_beside(
    setup: Setup, record: Record, room: Room, others: Sequence[Callable[[], Any]]
) -> tuple[pd.DataFrame, list[Any]]:
    """Give the table of episodes, and what other tasks return that are done meanwhile."""
    columns = new_columns(record.service.size, room)
    setup.run(kernel.write_columns, record, columns)
    texts = text_columns(setup.scenario, setup.caseloads, setup.codes, record, columns, room)
    done = map_partitions(lambda task: task(), [*texts.values(), *others])
    made = dict(zip(texts, done, strict=False))
    return episodes_frame(setup.scenario, columns, made), done[len(texts) :]


def sessions_of(setup: Setup, record: Record, episodes: pd.DataFrame) -> pd.DataFrame:
    """Give the table of appointments."""
    counts = np.empty(len(episodes), np.int64)
    setup.run(kernel.count_appointments, record, counts)
    first_row = np.cumsum(counts) - counts
    rows = np.empty((len(kernel.APPOINTMENT_FIELDS), int(counts.sum())), np.int32)
    setup.run(kernel.write_appointments, record, first_row, rows)
    return sessions_frame(episodes, rows)
