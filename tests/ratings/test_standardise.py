import numpy as np
import pytest
from r_answers import ANSWERS, BIRTHS, CASES, EXPECTED, OBSERVED, STANDARD, SUCCESSES, TRIALS
from statsmodels.stats.proportion import proportion_confint

from ter.ratings.standardise import (
    byar,
    direct_rate,
    divide,
    exact_proportion,
    exact_ratio,
    square_root_ratio,
    wilson,
)


def test_nothing_is_divided_by_nothing():
    got = divide(np.array([3.0, 0.0, 1.0, np.nan]), np.array([4.0, 0.0, np.nan, 2.0]))
    assert got[0] == 0.75
    assert np.isnan(got[1:]).all()


def test_wilson_is_that_of_statsmodels():
    successes, n = np.array([0.0, 5.0, 10.0, 37.0]), np.array([10.0, 10.0, 10.0, 91.0])
    low, high = proportion_confint(successes, n, method="wilson")
    np.testing.assert_allclose(wilson(successes, n), (low, high), atol=1e-12)


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_exact_ratios_are_those_of_r(level):
    # R finds some ends by root finding, to about 1e-6 of their size; most are exact.
    np.testing.assert_allclose(
        exact_ratio(OBSERVED, EXPECTED, level), ANSWERS[f"poisson_{level:.0%}".rstrip("%")], rtol=1e-9
    )


def test_exact_proportions_are_those_of_r():
    np.testing.assert_allclose(exact_proportion(SUCCESSES, TRIALS), ANSWERS["binomial_95"], rtol=1e-12)


def test_published_intervals_of_a_count():
    # Breslow and Day (1987), table 2.10: factors for O = 10 are 0.480 and 1.84, for O = 1 0.0253 and 5.57.
    low, high = exact_ratio(np.array([10.0, 1.0]), np.array([10.0, 1.0]))
    np.testing.assert_allclose(low, [0.480, 0.0253], atol=5e-4)
    np.testing.assert_allclose(high, [1.84, 5.57], atol=5e-3)


def test_byar_is_close_to_exact():
    # "Accurate even where the observed number is small" (Breslow and Day): from 5 events, within 1% of the
    # width of the interval; with one event, within 3%.
    for count, share in ((1.0, 0.03), (5.0, 0.01), (10.0, 0.005), (200.0, 2e-4)):
        exact = np.ravel(exact_ratio(np.array([count]), np.array([count])))
        got = np.ravel(byar(np.array([count]), np.array([count])))
        np.testing.assert_allclose(got, exact, atol=share * np.ptp(exact))
    assert byar(np.array([0.0]), np.array([2.0]))[0] == 0
    # Of no event: 3.69 is the exact upper end, Byar's is 3.6 to 3.7.
    assert byar(np.array([0.0]), np.array([1.0]))[1] == pytest.approx(3.689, rel=0.02)


def test_vandenbroucke_by_hand():
    # 16 events of 10 expected: (4 - .98)^2 / 10 and (4 + .98)^2 / 10.
    low, high = square_root_ratio(np.array([16.0, 0.0]), np.array([10.0, 10.0]))
    np.testing.assert_allclose((low[0], high[0]), (0.91204, 2.48004), atol=1e-4)
    assert low[1] == 0


@pytest.mark.parametrize("method", [byar, exact_ratio, square_root_ratio])
def test_intervals_of_ratios_cover(method):
    # Of Poisson counts with mean 20 and a true ratio of 1: exact at least 95%, approximations within 1.5%.
    from scipy.stats import poisson

    counts = np.arange(0, 80.0)
    low, high = method(counts, np.full(80, 20.0))
    coverage = poisson.pmf(counts, 20)[(low <= 1) & (high >= 1)].sum()
    if method is exact_ratio:
        assert 0.95 <= coverage < 0.97
    assert coverage == pytest.approx(0.95, abs=0.015)


def test_direct_rates_are_those_of_epitools():
    rate, low, high = direct_rate(CASES, BIRTHS, STANDARD)
    np.testing.assert_allclose((rate, low, high), ANSWERS["direct"], rtol=1e-10)
    # Fleiss (1981): 92.3 per 100,000 among first births.
    assert 1e5 * rate[0] == pytest.approx(92.3, abs=0.05)


def test_a_direct_rate_needs_every_stratum():
    n = np.array([[10.0, 20.0], [10.0, 0.0], [10.0, 20.0]])
    events = np.array([[2.0, 5.0], [2.0, 0.0], [0.0, 0.0]])
    rate, low, high = direct_rate(events, n, np.array([1.0, 1.0]))
    assert rate[0] == pytest.approx((0.2 + 0.25) / 2)
    assert np.isnan([rate[1], low[1], high[1]]).all()
    assert (rate[2], low[2]) == (0, 0)
    assert high[2] > 0
    # A stratum that the standard does not have is not needed.
    assert direct_rate(events, n, np.array([1.0, 0.0]))[0][1] == pytest.approx(0.2)
