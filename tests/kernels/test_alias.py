"""Alias tables hold exactly the distribution that they were built from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ter.kernels.alias import Alias, build, draw


def table_of(p):
    p = np.atleast_2d(np.asarray(p, float))
    table = Alias(np.empty(p.shape, np.uint64), np.empty(p.shape, np.int64))
    build(p / p.sum(axis=1, keepdims=True), table.threshold, table.other)
    return table


def probabilities(table, row=0):
    """The distribution that the table draws from, by going through all words."""
    width = table.other.shape[1]
    out = np.zeros(width)
    for column in range(width):
        keeps = int(table.threshold[row, column]) / 2**32
        out[column] += keeps / width
        out[table.other[row, column]] += (1 - keeps) / width
    return out


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60).filter(lambda p: sum(p) > 1e-3))
def test_probabilities_are_exact(p):
    p = np.array(p) / sum(p)
    drawn = probabilities(table_of(p))
    # Each column's threshold is rounded to 2**-32 of 1/W; a value can be the other of all columns.
    assert np.abs(drawn - p).max() <= 2.0**-32 + 1e-12
    assert (drawn[p == 0] == 0).all()


def test_impossible_values_stay_impossible_after_rounding():
    p = np.zeros((1, 1000))
    p[0, ::7] = 1 / 3
    table = table_of(p)
    assert (probabilities(table)[p[0] == 0] == 0).all()


def test_rows_are_their_own():
    table = table_of([[1, 0, 0], [0, 0, 1], [1, 1, 2]])
    assert np.allclose(probabilities(table, 0), [1, 0, 0])
    assert np.allclose(probabilities(table, 1), [0, 0, 1])
    assert np.allclose(probabilities(table, 2), [0.25, 0.25, 0.5], atol=1e-9)


@pytest.mark.parametrize("p", [[0.2, 0.5, 0.3], [0.01, 0.0, 0.99]])
def test_draw_uses_the_whole_word(p):
    table = table_of(p)
    # High half: the column; low half: against the threshold. A grid over both reproduces the distribution.
    grid = (np.arange(300, dtype=np.uint64) * np.uint64(2**32 // 300)).tolist()
    counts = np.zeros(3)
    for high in grid:
        for low in grid:
            counts[draw(table, 0, np.uint64((high << 32) | low))] += 1
    # The grid has steps of 1/300.
    assert np.abs(counts / counts.sum() - p).max() < 1 / 150
