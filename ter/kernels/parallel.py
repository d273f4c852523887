"""Work on as many threads as numba is given: one pass over all partitions, or one thing beside others."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numba

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
    interpreter's lock. Threads take the parts one by one; results come in the order of the parts, so that
    what is summed from them does not depend on the number of threads. Another executor with the same contract
    (processes, a cluster) can stand here.
    """
    most = int(numba.get_num_threads())
    threads = min(most, len(parts))
    if threads <= 1:
        return [work(part) for part in parts]
    # The interpreter's lock makes each place go to one thread.
    places = iter(range(len(parts)))
    done: dict[int, Result] = {}

    def serve() -> None:
        for place in places:
            done[place] = work(parts[place])

    # One pool, however many parts there are: few parts leave some of its threads idle.
    others = [_pool(most - 1).submit(serve) for _ in range(threads - 1)]
    try:
        serve()
    finally:
        # What no thread has begun has nothing left to do.
        for other in others:
            if not other.cancel():
                other.result()
    return [done[place] for place in range(len(parts))]


def begin(work: Callable[[], Result]) -> Callable[[], Result]:
    """Begin work on a thread that has nothing to do; what this gives waits for it, or does it.

    `work` uses one thread, and is as pure as that of `map_partitions`.
    """
    most = int(numba.get_num_threads())
    if most == 1:
        return work
    begun = _pool(most - 1).submit(work)
    return lambda: work() if begun.cancel() else begun.result()
