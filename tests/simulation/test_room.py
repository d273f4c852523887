from itertools import pairwise

import numpy as np
import pyarrow as pa

from ter.kernels.text import SLACK, write_part_ids, write_repeated_ids
from ter.simulation import room
from ter.simulation.room import Room


def test_arrays_of_a_room_do_not_overlap():
    place = Room(1_000)
    shapes = [(7, np.uint8), ((3, 5), np.int16), (0, np.int64), (50, np.float64), (1_000, np.int64)]
    arrays = [place.array(shape, dtype) for shape, dtype in shapes]
    for k, array in enumerate(arrays):
        array[...] = k
    for k, (array, (shape, dtype)) in enumerate(zip(arrays, shapes, strict=True)):
        assert array.shape == (shape if isinstance(shape, tuple) else (shape,))
        assert array.dtype == dtype
        assert array.size == 0 or array.ctypes.data % 64 == 0
        assert (array == k).all()


def test_memory_is_lent_again_only_when_nothing_refers_to_it():
    room._kept.clear()
    size = 4 * room.LEAST_KEPT
    one = Room(size).array(size // 8, np.int64)[5:].view("datetime64[s]").reshape(-1, 1)[:, 0]
    one[:] = np.datetime64("2025-01-01", "s")
    text = pa.py_buffer(Room(size).array(size, np.uint8)[: size // 2])
    first = Room(size).array(size, np.uint8)
    place = first.ctypes.data
    for held in (one, np.frombuffer(text, np.uint8)):  # a view of a view, and what is not NumPy's
        assert not np.shares_memory(first, held)
    del first
    again = Room(size - 1000).array(10, np.uint8)
    assert again.ctypes.data == place
    another = Room(size).array(size, np.uint8)
    for held in (one, np.frombuffer(text, np.uint8), again):
        assert not np.shares_memory(another, held)


def test_little_and_very_much_memory_is_not_kept():
    for size in (1000, room.MOST_KEPT + 1):
        room._kept.clear()
        Room(size).array(10, np.uint8)
        assert room._kept == []


def texts(offsets, data):
    return [bytes(data[a:b]).decode() for a, b in pairwise(offsets)]


def test_ids_count_on_through_every_digit():
    numbers, counts = np.array([0, 8, 9, 98, 7]), np.array([1_234, 0, 3, 11, 10_100])
    n = counts.sum()
    for width in (2, 5, 6, 7, 8, 14):  # ids of less than eight bytes, of up to sixteen, and beyond
        offsets = np.empty(n + 1, np.int64)
        one, other = (np.full(n * 24 + SLACK, 33, np.uint8) for _ in range(2))
        write_part_ids((ord("E"), ord("P")), numbers, counts, width, offsets, one, other)
        parts = [(j + 1, k + 1) for j, m in zip(numbers, counts, strict=True) for k in range(m)]
        assert texts(offsets, one) == [f"E{j:0{width}d}-{k:04d}" for j, k in parts]
        assert texts(offsets, other) == [f"P{j:0{width}d}-{k:04d}" for j, k in parts]
        assert (one[offsets[-1] + SLACK :] == 33).all()
        write_repeated_ids(ord("T"), numbers, counts, width, offsets, one)
        assert texts(offsets, one) == [f"T{j:0{width}d}" for j, _ in parts]
