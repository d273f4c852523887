"""Work that is shared out over threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba


def together(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do tasks that do not depend on each other, on as many threads as numba has; give what they return."""
    threads = numba.get_num_threads()
    if threads == 1:
        return [task() for task in tasks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda task: task(), tasks))
