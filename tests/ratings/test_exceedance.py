import numpy as np
import pytest
from scipy.stats import norm

from ter.errors import OptionError
from ter.ratings import rate
from ter.ratings.exceedance import exceedance

COMPLETED = [9, 10, 40, 0, 120]


def test_probabilities_of_a_normal_posterior(make_fit):
    fit = make_fit(COMPLETED)
    table = exceedance(fit, ter=[45, 52.5], effect=[-0.4, 0.1])
    assert list(table) == ["p_ter_below_45", "p_ter_below_52.5", "p_effect_below_-0.4", "p_effect_below_0.1"]
    passed = np.array(COMPLETED) >= 10
    assert table[~passed].isna().all(axis=None)
    p = fit.posterior
    # 201 points .065 SD apart: a monotone cubic between them is off by less than 1e-5.
    for name, value in (("p_ter_below_45", 45), ("p_ter_below_52.5", 52.5)):
        exact = norm.cdf(value, p.ter_mean, 20 * p.u_sd)[passed]
        np.testing.assert_allclose(table[name][passed], exact, atol=1e-5)
    exact = norm.cdf(-0.4, p.u_mean, p.u_sd)[passed]
    np.testing.assert_allclose(table["p_effect_below_-0.4"][passed], exact, atol=1e-5)
    assert (
        table["p_ter_below_45"][passed] == rate(fit, minimum=45).to_frame()["p_below_minimum"][passed]
    ).all()


def test_thresholds_that_cannot_be(make_fit):
    fit = make_fit(COMPLETED)
    with pytest.raises(OptionError, match="at least one"):
        exceedance(fit)
    with pytest.raises(OptionError, match="percent"):
        exceedance(fit, ter=[0.45])
    with pytest.raises(OptionError, match="lowered"):
        exceedance(fit, effect=[0.0], completed=5)
