import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ter.ratings.reliability import cases_needed, cases_until, information_of, rankability, reliability_of

#: An ICC of 5% on the log-odds scale.
SD = np.sqrt(0.05 / 0.95 * np.pi**2 / 3)


def test_what_ten_treatments_can_tell():
    # DESIGN's figures, by hand: 0.30 at 10; 54 patients for 0.7, 208 for 0.9.
    assert reliability_of(np.array([2.5]), SD)[0] == pytest.approx(0.302, abs=5e-4)
    assert cases_needed(0.7, np.array([SD]), 0.25)[0] == pytest.approx(53.9, abs=0.05)
    assert cases_needed(0.9, np.array([SD]), 0.25)[0] == pytest.approx(207.9, abs=0.05)


@given(st.floats(0.05, 2), st.floats(0.1, 0.9), st.integers(1, 300), st.floats(0.05, 0.95))
def test_the_pieces_agree(sd, rate, n, target):
    information = np.array([n * rate * (1 - rate)])
    reliability = reliability_of(information, sd)
    np.testing.assert_allclose(information_of(reliability, sd), information, rtol=1e-9)
    needed = cases_until(target, np.array([float(n)]), reliability)
    np.testing.assert_allclose(needed, cases_needed(target, np.array([sd]), rate * (1 - rate)), rtol=1e-9)
    # So many patients of the same kind give the target.
    assert reliability_of(needed * rate * (1 - rate), sd)[0] == pytest.approx(target, rel=1e-9)


def test_without_patients_nothing_can_be_said():
    assert np.isnan(cases_until(0.7, np.array([0.0, 20.0]), np.array([0.0, 0.0]))).all()


def test_reliability_is_the_squared_correlation_of_estimate_and_truth():
    # Normal effects and errors; the correlation over 200,000 units has a standard error of some .001.
    rng = np.random.default_rng(2)
    u = rng.normal(0, SD, 200_000)
    estimate = u + rng.normal(0, 1 / np.sqrt(6.0), u.size)
    assert np.corrcoef(u, estimate)[0, 1] ** 2 == pytest.approx(
        reliability_of(np.array([6.0]), SD)[0], abs=0.005
    )


def test_rankability_by_hand():
    # Squared errors .04, .09, .25 have the median .09; with a variance of .03 that makes .03 / .12.
    assert rankability(np.sqrt(0.03), np.array([0.2, 0.3, 0.5])) == pytest.approx(0.25)
    assert rankability(0.0, np.array([0.2])) == 0
    assert np.isnan(rankability(0.3, np.array([])))


@pytest.mark.reference
def test_rankability_of_real_hospitals(reference_data):
    """Standard errors of fixed effects by statsmodels, as in Lingsma et al. (2009)."""
    import pandas as pd
    import statsmodels.api as sm

    folder = reference_data / "medpar"
    data = pd.read_csv(folder / "data.csv", dtype={"provnum": str})
    size = data.groupby("provnum")["died"].agg(["sum", "size"])
    # A fixed effect is finite only where some died and some did not.
    kept = size[(size["sum"] > 0) & (size["sum"] < size["size"])].index
    data = data[data["provnum"].isin(kept)]
    fitted = sm.GLM(
        data["died"], pd.get_dummies(data["provnum"], dtype=float), family=sm.families.Binomial()
    ).fit(tol=1e-14)
    # Without covariates the information of a unit is n p (1 - p): what `information_of` stands for.
    information = size.loc[kept, "sum"] * (1 - size.loc[kept, "sum"] / size.loc[kept, "size"])
    np.testing.assert_allclose(fitted.bse**-2, information, rtol=1e-6)
    sd = 0.4
    reliability = reliability_of(information.to_numpy(), sd)
    # With an odd number of units, the median of squared errors is that of the unit of median reliability.
    odd = reliability[: len(reliability) - (len(reliability) + 1) % 2]
    errors = 1 / np.sqrt(information_of(odd, sd))
    assert rankability(sd, errors) == pytest.approx(np.median(odd), rel=1e-9)
