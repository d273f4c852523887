from itertools import pairwise

import numpy as np

from ter.kernels.text import write_part_ids, write_repeated_ids
from ter.simulation.room import Room


def test_arrays_of_a_room_do_not_overlap():
    room = Room(1_000)
    shapes = [(7, np.uint8), ((3, 5), np.int16), (0, np.int64), (50, np.float64), (1_000, np.int64)]
    arrays = [room.array(shape, dtype) for shape, dtype in shapes]
    for k, array in enumerate(arrays):
        array[...] = k
    for k, (array, (shape, dtype)) in enumerate(zip(arrays, shapes, strict=True)):
        assert array.shape == (shape if isinstance(shape, tuple) else (shape,))
        assert array.dtype == dtype
        assert array.size == 0 or array.ctypes.data % 64 == 0
        assert (array == k).all()


def texts(offsets, data):
    return [bytes(data[a:b]).decode() for a, b in pairwise(offsets)]


def test_ids_count_on_through_every_digit():
    numbers, counts = np.array([0, 8, 9, 998]), np.array([1_234, 0, 3, 11])
    offsets, data = np.empty(counts.sum() + 1, np.int64), np.empty(counts.sum() * 12, np.uint8)
    write_part_ids(ord("E"), numbers, counts, 2, 2, offsets, data)
    expected = [f"E{j + 1:02d}-{k + 1:02d}" for j, n in zip(numbers, counts, strict=True) for k in range(n)]
    assert texts(offsets, data) == expected
    write_repeated_ids(ord("T"), numbers, counts, 2, offsets, data)
    assert texts(offsets, data) == [f"T{j + 1:02d}" for j in np.repeat(numbers, counts)]
