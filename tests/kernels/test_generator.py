"""A small battery on the stream that simulations use, along therapists, across them, and across seeds.

The large ones (dieharder, PractRand) take hours: `benchmarks/generator.py` feeds them. Here a right generator
fails each test with probability 1e-6; seeds are fixed.
"""

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.generator import ORDERS, PATIENTS, piece
from ter.kernels.patients import WORDS
from ter.kernels.rng import bits, stream_key

LEVEL = 1e-6
WORDS_TESTED = 1 << 17

orders = pytest.mark.parametrize("order", ORDERS)


def stream(order, seed=5):
    return piece(order, seed, 0, WORDS_TESTED)


def two_sided(z):
    return 2 * stats.norm.sf(abs(z))


def test_the_stream_is_the_one_that_is_used():
    words = stream("along")
    for j, i, k in ((0, 0, 0), (0, 3, 5), (7, 63, 15)):
        start, step = stream_key(np.uint64(5), np.uint64(0), np.uint64(j))
        expected = bits(np.uint64(start), np.uint64(step), np.uint64(i * WORDS + k))
        assert int(words[(j * PATIENTS + i) * WORDS + k]) == int(expected)


def test_pieces_follow_each_other():
    for order in ORDERS:
        whole = piece(order, 9, 0, 4096)
        assert np.array_equal(np.concatenate([piece(order, 9, k, 2048) for k in (0, 1)]), whole)


@orders
def test_monobit_and_runs(order):
    b = np.unpackbits(stream(order).view(np.uint8))
    n = b.size
    assert two_sided((b.sum() - n / 2) / math.sqrt(n / 4)) > LEVEL
    # Wald and Wolfowitz (1940): changes between neighbours are Binomial(n - 1, 1/2).
    changes = np.count_nonzero(b[1:] != b[:-1])
    assert two_sided((changes - (n - 1) / 2) / math.sqrt((n - 1) / 4)) > LEVEL


@orders
def test_every_bit_position(order):
    words = stream(order)
    ones = np.array([np.count_nonzero((words >> np.uint64(k)) & np.uint64(1)) for k in range(64)])
    z = (ones - words.size / 2) / math.sqrt(words.size / 4)
    assert two_sided(np.abs(z).max()) * 64 > LEVEL


@orders
def test_bytes_and_pairs_of_bytes(order):
    b = stream(order).view(np.uint8)
    assert stats.chisquare(np.bincount(b, minlength=256)).pvalue > LEVEL
    pairs = b[0::2].astype(np.int64) * 256 + b[1::2]
    assert stats.chisquare(np.bincount(pairs, minlength=65_536)).pvalue > LEVEL


@orders
def test_serial_correlation(order):
    u = stream(order) / 2.0**64
    for lag in (1, 2, WORDS, PATIENTS * WORDS):
        r = np.corrcoef(u[:-lag], u[lag:])[0, 1]
        assert two_sided(r * math.sqrt(u.size - lag)) > LEVEL


@orders
def test_birthday_spacings(order):
    # Marsaglia (1985): m birthdays among n days; equal spacings are Poisson with mean m^3 / (4 n), here 4.
    m, n_days = 1 << 10, 1 << 26
    days = (stream(order)[: 100 * m] >> np.uint64(38)).astype(np.int64).reshape(100, m)
    spacings = np.sort(np.diff(np.sort(days, axis=1), axis=1), axis=1)
    equal = int((np.diff(spacings, axis=1) == 0).sum())
    mean = 100 * m**3 / (4 * n_days)
    assert two_sided((equal - mean) / math.sqrt(mean)) > LEVEL


def test_therapists_share_nothing():
    """Whole streams of 64 therapists with one another: 2,016 correlations."""
    own = piece("along", 12, 0, 64 * PATIENTS * WORDS).reshape(64, -1) / 2.0**64
    r = np.corrcoef(own)[np.triu_indices(64, 1)] * math.sqrt(own.shape[1])
    assert two_sided(np.abs(r).max()) * r.size > LEVEL
    assert stats.kstest(r, "norm").pvalue > LEVEL
    # No number occurs twice: 65,536 of 2^64 have no reason to meet.
    words = piece("along", 12, 0, 64 * PATIENTS * WORDS)
    assert np.unique(words).size == words.size
