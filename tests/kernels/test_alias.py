"""Alias tables hold exactly the distribution that they were built from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from ter.kernels.alias import Alias, build, draw, threshold_bits
from ter.kernels.memory import high_product, low_product, low_sum, lowest_bit, shifted


def table_of(p):
    p = np.atleast_2d(np.asarray(p, float))
    high = threshold_bits(p.shape[1])
    words = np.empty(p.shape, np.uint32)
    build(p / p.sum(axis=1, keepdims=True), high, words)
    return Alias(words.ravel(), np.uint64(p.shape[1]), high)


def probabilities(table, row=0):
    """The distribution that the table draws from, by going through all words."""
    width, high = int(table.width), int(table.high)
    out = np.zeros(width)
    for column, word in enumerate(table.words[row * width : (row + 1) * width].tolist()):
        keeps = (word & high) / 2**32
        out[column] += keeps / width
        out[word & (0xFFFFFFFF ^ high)] += (1 - keeps) / width
    return out


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60).filter(lambda p: sum(p) > 1e-3))
def test_probabilities_are_exact(p):
    p = np.array(p) / sum(p)
    drawn = probabilities(table_of(p))
    # Each column's threshold is rounded to a step of 2**-26 or less (60 values take 6 of 32 bits), and a
    # value can be the other of all columns, whose rounding it then takes.
    assert np.abs(drawn - p).max() <= 2.0**-26
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
def test_draws_are_spread_over_the_32_bits_as_the_distribution(p):
    table = table_of(p)
    n = 90_000  # equally spaced numbers of 32 bits
    drawn = [draw(table, 0, np.uint64(k * (2**32 // n))) for k in range(n)]
    # The grid has a step of 1 / n in each of three columns.
    assert np.abs(np.bincount(drawn, minlength=3) / n - p).max() < 6 / n


def test_the_widest_table():
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.full(65_536, 0.3))
    # 16 bits of threshold in each of 65,536 columns; the column filled last bears the rounding of all, some
    # sqrt(65,536) times 2**-17 of a column.
    assert np.abs(probabilities(table_of(p)) - p).max() < 1e-7


@njit
def halves_of_the_product(a, b):
    return high_product(a, b), low_product(a, b)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_halves_of_a_product(a, b):
    assert halves_of_the_product(np.uint32(a), np.uint32(b)) == divmod(a * b, 2**32)


@njit
def sum_and_shift(a, b, by):
    return low_sum(a, b), shifted(a, by)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 31))
def test_sums_and_shifts_of_32_bits(a, b, by):
    assert sum_and_shift(np.uint32(a), np.uint32(b), np.uint32(by)) == ((a + b) % 2**32, a >> by)


@njit
def place_of_lowest(word):
    return lowest_bit(word)


@given(st.integers(1, 2**64 - 1))
def test_place_of_the_lowest_bit(word):
    assert word % 2 ** (place_of_lowest(np.uint64(word)) + 1) == 2 ** place_of_lowest(np.uint64(word))
