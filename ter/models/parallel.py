"""One pass over all partitions, on as many threads as numba is given."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import numba
import numpy as np

Part = TypeVar("Part")
Result = TypeVar("Result")


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """The threads, kept between passes: a pass may take less time than starting them."""
    return ThreadPoolExecutor(threads, thread_name_prefix="ter")


# A forked child has none of its parent's threads.
os.register_at_fork(after_in_child=_pool.cache_clear)


def map_partitions(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Results of `work` for each part, in the order of the parts.

    `work` is a pure function of its part that returns small sums; the kernels it calls release the
    interpreter's lock. Results come in the order of the parts, so that what is summed from them does not
    depend on the number of threads. Another executor with the same contract (processes, a cluster) can stand
    here.
    """
    threads = min(int(numba.get_num_threads()), len(parts))
    if threads <= 1:
        return [work(part) for part in parts]
    cuts = np.linspace(0, len(parts), threads + 1).round().astype(int)
    shares = [parts[a:b] for a, b in pairwise(cuts)]
    done = _pool(threads).map(lambda share: [work(part) for part in share], shares)
    return [result for share in done for result in share]
