from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from ter.errors import DataError
from ter.ratings.poisson_binomial import exact_test

#: Sums of at most some hundred products of numbers below 1: errors of rounding stay below this.
RELATIVE = 1e-12


def _by_enumeration(p):
    pmf = np.zeros(len(p) + 1)
    for outcome in product([0, 1], repeat=len(p)):
        y = np.array(outcome)
        pmf[y.sum()] += np.prod(np.where(y == 1, p, 1 - p))
    return pmf


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=7).map(np.array), st.data())
def test_by_enumeration_of_all_outcomes(p, data):
    observed = data.draw(st.integers(0, len(p)))
    pmf = _by_enumeration(p)
    test = exact_test(p, np.zeros(len(p), dtype=int), np.array([float(observed)]))
    lower, upper = pmf[: observed + 1].sum(), pmf[observed:].sum()
    mid, above = pmf[:observed].sum() + pmf[observed] / 2, pmf[observed + 1 :].sum() + pmf[observed] / 2
    assert test.lower[0] == pytest.approx(lower, rel=RELATIVE)
    assert test.upper[0] == pytest.approx(upper, rel=RELATIVE)
    assert test.mid[0] == pytest.approx(mid, rel=RELATIVE)
    assert test.two_sided[0] == pytest.approx(min(1, 2 * min(lower, upper)), rel=RELATIVE)
    assert test.two_sided_mid[0] == pytest.approx(min(1, 2 * min(mid, above)), rel=RELATIVE)
    assert test.z[0] == pytest.approx(norm.ppf(mid) if mid < above else norm.isf(above), abs=1e-9)


def _by_fourier(p):
    """Hong (2013), equation 7: the distribution from its characteristic function."""
    n = len(p)
    t = 2 * np.pi * np.arange(n + 1) / (n + 1)
    phi = np.prod(1 - p + p * np.exp(1j * t[:, None]), axis=1)
    return np.fft.fft(phi).real / (n + 1)


def test_large_caseloads_by_the_characteristic_function():
    rng = np.random.default_rng(4)
    p = rng.beta(3, 3, 240)
    pmf = _by_fourier(p)
    for observed in (90, 118, 150):
        test = exact_test(p, np.zeros(240, dtype=int), np.array([float(observed)]))
        # The Fourier sum has an absolute error of some 1e-15 a term.
        assert test.lower[0] == pytest.approx(pmf[: observed + 1].sum(), abs=1e-12)
        assert test.upper[0] == pytest.approx(pmf[observed:].sum(), abs=1e-12)


def test_equal_probabilities_make_a_binomial():
    n, observed = np.array([12, 60, 300]), np.array([9.0, 11.0, 260.0])
    test = exact_test(np.full(n.sum(), 0.45), np.repeat(np.arange(3), n), observed)
    np.testing.assert_allclose(test.lower, binom.cdf(observed, n, 0.45), rtol=1e-10)
    # A tail of 1e-40 keeps its digits.
    np.testing.assert_allclose(test.upper, binom.sf(observed - 1, n, 0.45), rtol=1e-10)
    assert test.z[2] > 12


@pytest.mark.reference
def test_real_hospitals_have_the_tails_that_r_gives(reference_data):
    import json

    import pandas as pd

    folder = reference_data / "funnel"
    units = pd.read_csv(folder / "medpar_died_units.csv")
    target = json.loads((folder / "medpar_died.json").read_text())["target"]
    n = units["n"].to_numpy()
    test = exact_test(np.full(n.sum(), target), np.repeat(np.arange(len(n)), n), units["r"].to_numpy(float))
    # R prints 15 digits.
    np.testing.assert_allclose(test.lower, units["p_lower"], atol=1e-12)
    np.testing.assert_allclose(test.upper, units["p_upper"], atol=1e-12)


def test_units_in_any_order_give_the_same_bits():
    rng = np.random.default_rng(8)
    unit = rng.integers(0, 40, 900)
    p = rng.uniform(0.2, 0.8, 900)
    observed = np.bincount(unit, rng.random(900) < p, 40)
    order = rng.permutation(900)
    one, two = exact_test(p, unit, observed), exact_test(p[order], unit[order], observed)
    assert (one.z == two.z).all()


def test_on_target_the_test_keeps_its_level():
    rng = np.random.default_rng(6)
    n = rng.integers(10, 40, 20_000)
    unit = np.repeat(np.arange(len(n)), n)
    p = rng.beta(4, 4, n.sum())
    test = exact_test(p, unit, np.bincount(unit, rng.random(n.sum()) < p))
    # Exact p-values are never too small; mid-p are right on average over counts (their steps leave some 10%
    # of the level). The share's own standard error is .0015.
    assert (test.two_sided < 0.05).mean() <= 0.05
    assert (test.two_sided_mid < 0.05).mean() == pytest.approx(0.05, abs=0.01)
    assert test.z.mean() == pytest.approx(0, abs=0.03)
    assert test.z.std() == pytest.approx(1, abs=0.03)


def test_a_unit_without_patients_has_nothing_to_test():
    test = exact_test(np.array([0.5, 0.4]), np.array([1, 1]), np.array([0.0, 1.0]))
    assert np.isnan([test.lower[0], test.two_sided[0], test.two_sided_mid[0], test.z[0]]).all()
    assert np.isfinite(test.z[1])


@pytest.mark.parametrize(("p", "observed"), [([0.5], [2.0]), ([0.5], [-1.0]), ([0.5], [0.5]), ([1.0], [1.0])])
def test_what_cannot_be(p, observed):
    with pytest.raises(DataError):
        exact_test(np.array(p), np.zeros(1, dtype=int), np.array(observed))
