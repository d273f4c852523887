"""Small kernels, each beside itself as plain Python: what they return and what they fill."""

import copy
import sys

import numpy as np
import pytest

from ter.kernels import (
    content,
    cusum,
    effects,
    lanes,
    moments,
    order,
    poisson_binomial,
    posterior,
    replicates,
    runs,
    tables,
    text,
)

RNG = np.random.default_rng(7)
WORDS = RNG.integers(0, 2**64, 20, dtype=np.uint64)
SINGLE = RNG.normal(size=(5, 8)).astype(np.float32)
PTR = np.array([0, 4, 4, 11, 20])
VALUES, WEIGHTS = RNG.normal(size=20), RNG.integers(1, 4, 20).astype(float)
GAPS = np.where(np.arange(20) % 3, VALUES, np.nan)
LEVELS = RNG.integers(0, 3, 20)
TABLE = np.cumsum(RNG.uniform(0.1, 1.0, (6, 2, 2)), axis=0)
RATES = RNG.uniform(0.05, 0.95, 20)
DATA = np.frombuffer(b"north or south of the river, and beyond", np.uint8)
KEY = np.uint64(0x9E3779B97F4A7C15)

CASES = {
    "mix_words": (content.mix_words, WORDS[:10].copy(), False, WORDS[::-1].copy().reshape(2, 10)),
    "add_lanes": (content.add_lanes, WORDS.reshape(2, 10), np.zeros(2, np.uint64)),
    "words_of_texts": (content.words_of_texts, np.array([0, 5, 5, 14, 39]), DATA, np.zeros(4, np.uint64)),
    "weight": (cusum.weight, True, 0.3, 2.0),
    "cusum": (cusum.cusum, RATES < 0.6, RATES, 1.7, np.empty(20)),
    "drawn_maxima": (
        cusum.drawn_maxima,
        np.uint64(5),
        RATES,
        RATES[None, :] * 0.9,
        np.array([0.5, 2.0]),
        4,
        np.empty((6, 4)),
    ),
    "run_lengths": (cusum.run_lengths, np.uint64(5), RATES, 0.5, 1.5, 60, np.zeros(9, np.int64)),
    "normal_quantile": (effects.normal_quantile, 0.2),
    "normal_quantile, tail": (effects.normal_quantile, 0.999),
    "effect_at": (effects.effect_at, 0.7, -0.4, *lanes.skew_shape(-0.4)),
    "stratum": (effects.stratum, np.uint64(11), KEY, 5),
    "joint_effects": (
        effects.joint_effects,
        0,
        5,
        np.arange(5),
        np.repeat([0, 1], 4),
        np.uint64(3),
        SINGLE,
        np.abs(SINGLE),
        SINGLE / 9,
        np.empty((5, 8), np.float32),
    ),
    "rank_draws": (effects.rank_draws, 0, 8, np.round(SINGLE), np.empty((5, 8), np.float32)),
    "conditional_cdf": (lanes.conditional_cdf, 0.4, 0.3),
    "moments": (moments.moments, VALUES),
    "moments, constant": (moments.moments, np.ones(4)),
    "standardise": (moments.standardise, VALUES, 0.2, 1.3, np.empty(20)),
    "take": (order.take, VALUES, np.arange(20)[::-1].copy(), np.empty(20)),
    "tails": (poisson_binomial.tails, RATES, PTR, np.array([2, 0, 7, 3]), np.empty((4, 3))),
    **{f"read_one at {x}": (posterior.read_one, TABLE, -1.0, 0.5, x, 1) for x in (-2.0, 0.3, 4.0)},
    "run_sums": (runs.run_sums, VALUES, WEIGHTS, PTR, np.empty(4)),
    "known_sums": (runs.known_sums, GAPS, WEIGHTS, PTR, np.empty(4), np.empty(4)),
    "level_sums": (runs.level_sums, LEVELS, WEIGHTS, PTR, np.zeros((4, 3))),
    "sums_by_bin": (runs.sums_by_bin, RATES, np.array([0.3, 0.6]), WEIGHTS, VALUES, PTR, np.zeros((3, 4, 3))),
    "has_homes": (runs.has_homes, np.repeat([0, 1], 10), np.repeat([1, 0], 10), np.full(2, -1)),
    "has_homes, not": (runs.has_homes, LEVELS, LEVELS[::-1].copy(), np.full(3, -1)),
    "rate_table": (tables.rate_table, -2.3, 1.8, 0.6),
    "read_rates": (tables.read_rates, VALUES, *tables.rate_table(-3.0, 3.0, 0.6), np.empty(20)),
    "expected_rates": (tables.expected_rates, VALUES, 0.6, np.empty(20)),
    **{
        f"draw_count of {n}": (replicates.draw_count, np.random.default_rng(3), n, odds)
        for n, odds in ((1, 0.4), (12, 3.0), (400, 1.1))
    },
    **{
        f"draw_residuals, {'patients' if single else 'cells'}": (
            replicates.draw_residuals,
            np.random.default_rng(4),
            single,
            np.full(20, 1 if single else 5),
            RATES / (1 - RATES),
            RATES,
            VALUES,
            LEVELS,
            np.array([0.8, 1.0, 1.3]),
            np.zeros(3),
            np.zeros(3),
        )
        for single in (True, False)
    },
    "write_number": (text.write_number, 4205, 2, np.zeros(9, np.uint8)),
}


def typed(kernel):
    """What a compiled function gives as plain numbers, in the type that it has within kernels."""

    def call(*arguments):
        given = kernel(*arguments)
        return tuple(map(np.uint64, given)) if isinstance(given, tuple) else np.uint64(given)

    return call


def compared(value):
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("name", CASES)
def test_same_numbers_as_plain_python(monkeypatch, name):
    kernel, *arguments = CASES[name]
    compiled, plain = copy.deepcopy(arguments), copy.deepcopy(arguments)
    returned = kernel(*compiled)
    module = sys.modules[kernel.py_func.__module__]
    for hashing in {"stream_key", "bits", "mix", "stratum"} & set(vars(module)):
        monkeypatch.setattr(module, hashing, typed(getattr(module, hashing)))
    with np.errstate(over="ignore"):  # hashes wrap around
        expected = kernel.py_func(*plain)
    for a, b in zip([returned, *compiled], [expected, *plain], strict=True):
        for x, y in zip(compared(a), compared(b), strict=True):
            if isinstance(x, np.random.Generator):
                assert x.bit_generator.state == y.bit_generator.state
            elif x is not None:
                # Compiled sums may be reordered, and single precision keeps seven digits.
                single = getattr(x, "dtype", None) == np.float32
                np.testing.assert_allclose(
                    x, y, rtol=1e-6 if single else 1e-12, atol=1e-7 if single else 1e-13
                )
