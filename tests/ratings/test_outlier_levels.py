import numpy as np
import pytest

from ter.ratings.funnel import FunnelOptions, funnel
from ter.ratings.outlier_levels import OUTLIER_LEVELS, outlier_levels


def test_alert_beyond_two_and_alarm_beyond_three():
    z = np.array([-3.01, -3.0, -2.01, -2.0, 0.0, 2.0, 2.01, 3.0, 3.01, np.nan])
    assert outlier_levels(z) == [
        "low alarm", "low alert", "low alert", "expected", "expected", "expected",
        "high alert", "high alert", "high alarm", None,
    ]  # fmt: skip


def test_levels_are_the_limits_of_a_funnel():
    # Beyond the normal limits with 2 and 3 standard deviations, overdispersion allowed for: the same units.
    from scipy.special import ndtr

    rng = np.random.default_rng(2)
    n = rng.integers(30, 400, 300)
    r = rng.binomial(n, np.clip(rng.normal(0.5, 0.1, 300), 0.05, 0.95))
    levels = tuple(2 * ndtr(k) - 1 for k in (2.0, 3.0))
    result = funnel(r, n, FunnelOptions(overdispersion="additive", scale="arcsine", levels=levels))
    position = np.array([OUTLIER_LEVELS.index(level) - 2 for level in outlier_levels(result.z_adjusted)])
    assert (position == result.outside.sum(axis=0)).all()
    assert len(set(position)) >= 3


def test_how_many_are_beyond_by_chance():
    from collections import Counter

    z = np.random.default_rng(1).normal(size=200_000)
    counts = Counter(outlier_levels(z))
    # The normal distribution's tails: 2.275% and 0.135%; four standard errors of 200,000.
    assert (counts["low alert"] + counts["low alarm"]) / 200_000 == pytest.approx(0.02275, abs=0.0014)
    assert counts["high alarm"] / 200_000 == pytest.approx(0.00135, abs=0.0004)
