"""The ascent where the log-likelihood is flat: next to an SD of zero."""

import numpy as np
import pytest

from ter.models.climb import ascend, climb
from ter.models.ml import LOWEST_LOG_SD

UNITS, LOWEST = np.array([0.2, 0.2]), np.array([-np.inf, LOWEST_LOG_SD])


def surface(rise, fall, centre=0.3):
    """A log-likelihood in (beta, log sd): rise sd^2 - fall sd^4 less a parabola, whose maxima are known."""

    def slope(x):
        assert np.isfinite(x).all()
        s2 = np.exp(2.0 * x[1])
        value = rise * s2 - fall * s2**2 - 0.5 * 25.0 * (x[0] - centre - s2) ** 2
        pull = 25.0 * (x[0] - centre - s2)
        return float(value), np.array([-pull, 2.0 * s2 * (rise - 2.0 * fall * s2 + pull)])

    return slope


@pytest.mark.parametrize("start", [-1.2, -4.0, -9.0, 0.5])
def test_a_small_sd_is_found_from_anywhere(start):
    # Half of rise / fall is the variance at the maximum, an SD of 0.035. The differences that the gradient is
    # of end within 1e-6 of it where a standard error is 2.
    found = ascend(surface(50.0, 20000.0), np.array([0.0, start]), UNITS, LOWEST)
    assert found.converged
    assert np.exp(2.0 * found.x[1]) == pytest.approx(50.0 / 40000.0, rel=2e-6)
    assert found.x[0] == pytest.approx(0.3 + 50.0 / 40000.0, abs=1e-8)


def test_a_coefficient_has_no_edge():
    # Far below where an SD would be put to zero.
    found = ascend(surface(50.0, 20000.0, centre=-12.0), np.array([0.0, -1.2]), UNITS, LOWEST)
    assert found.x[0] == pytest.approx(-12.0 + 50.0 / 40000.0, abs=1e-8)


@pytest.mark.parametrize("start", [-1.2, -4.0, 0.5])
def test_a_variance_that_is_best_negative_is_zero(start):
    x, _ = climb(surface(-50.0, 20000.0), np.array([0.0, start]), UNITS, LOWEST)
    assert x[1] == LOWEST_LOG_SD
    found = ascend(surface(-50.0, 20000.0), np.array([0.0, start]), UNITS, LOWEST)
    assert found.converged
    # Held at zero, it has no information: the other parameter's is the parabola's.
    np.testing.assert_allclose(found.information, [[25.0, 0.0], [0.0, 0.0]], rtol=1e-6, atol=1e-12)
