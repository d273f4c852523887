"""Memory for the columns of a table, taken from the system at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LINE = 64  # bytes: arrays begin on a cache line of their own


class Room:
    """Memory for many arrays, which live and die together.

    What is fresh from the system costs more to touch for the first time than to fill, page by page. In one
    large piece, NumPy asks the system for large pages.

    Parameters
    ----------
    size : int
        Bytes that will be needed, about; what is needed beyond is taken when it is.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._piece: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._used = 0

    def array(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Give an array of any content."""
        dtype = np.dtype(dtype)
        size = math.prod(shape if isinstance(shape, tuple) else (shape,)) * dtype.itemsize
        if self._used + size > self._piece.size:
            self._piece = np.empty(max(self._size, size) + _LINE, np.uint8)
            self._used = -self._piece.ctypes.data % _LINE
        part = self._piece[self._used : self._used + size]
        self._used += -(-size // _LINE) * _LINE
        return part.view(dtype).reshape(shape)
