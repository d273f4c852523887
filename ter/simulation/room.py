"""Memory for the columns of a table, taken at once and used again when the table is gone."""

from __future__ import annotations

import math
import os
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LINE = 64  # bytes: arrays begin on a cache line of their own
#: Bytes that are kept for the next table, at the most; and the least that is worth it.
MOST_KEPT, LEAST_KEPT = 256 * 2**20, 2**20

_kept: list[NDArray[np.uint8]] = []


def memory_of_machine() -> float:
    """Give the bytes of memory that the machine has, infinity where it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return math.inf


class _Lease:
    """Memory on loan: when the last array in it is gone, it is kept for the next who asks.

    Every array in it, and every array made of such a one, refers to the lease: it is their base.
    """

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self._memory = memory
        self.__array_interface__ = memory.__array_interface__

    def __del__(self, kept: list[NDArray[np.uint8]] = _kept) -> None:
        if not kept and LEAST_KEPT <= self._memory.size <= MOST_KEPT:
            kept.append(self._memory)


def lend(size: int) -> NDArray[np.uint8]:
    """Give `size` bytes or some more, of any content: those that were kept, if they are about as many."""
    step = 1 << max(size.bit_length() - 4, 0)
    size = -(-size // step) * step  # so that tables of about the same size can follow each other
    try:
        memory = _kept.pop()
    except IndexError:
        memory = None
    if memory is None or not size <= memory.size <= 4 * size:
        del memory  # before there is more
        memory = np.empty(size, np.uint8)
    return np.asarray(_Lease(memory))


class Room:
    """Memory for many arrays, which live and die together.

    What is fresh from the system costs more to touch for the first time than to fill, page by page. In one
    large piece, NumPy asks the system for large pages, and one piece serves table after table.

    Parameters
    ----------
    size : int
        Bytes that will be needed, about; what is needed beyond is taken when it is.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._piece: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._used = 0
        self._lock = Lock()

    def array(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Give an array of any content; threads may ask at the same time."""
        dtype = np.dtype(dtype)
        size = math.prod(shape if isinstance(shape, tuple) else (shape,)) * dtype.itemsize
        with self._lock:
            if self._used + size > self._piece.size:
                self._piece = lend(max(self._size, size) + _LINE)
                self._used = -self._piece.ctypes.data % _LINE
            part = self._piece[self._used : self._used + size]
            self._used += -(-size // _LINE) * _LINE
        return part.view(dtype).reshape(shape)
