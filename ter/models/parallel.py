"""One pass over all partitions, on as many threads as numba is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numba

Part = TypeVar("Part")
Result = TypeVar("Result")


def map_partitions(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Results of `work` for each part, in the order of the parts.

    `work` is a pure function of its part that returns small sums. The kernels it calls release the
    interpreter's lock. Results are returned in order, so that what is summed from them does not depend on the
    number of threads. Another executor with the same contract (processes, a cluster) can stand here.
    """
    threads = min(int(numba.get_num_threads()), len(parts))
    if threads <= 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))
