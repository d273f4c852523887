"""The ratings against networks whose truth is known, at a size for every day.

`known_truth.py` runs the same at full size; TER_REPLICATES sets the number here.
"""

import os

import numpy as np
import pytest
from known_truth import (
    FDR,
    MINIMUM,
    draw_patients,
    draw_truth,
    exact_p,
    fitted,
    minimum_is_a_fifth,
    rated_again,
    replicate,
    summarise,
)
from scipy.special import expit

from ter.ratings import rate
from ter.ratings.classify import flag_by_p_value
from ter.ratings.empirical_null import sized_null
from ter.ratings.poisson_binomial import exact_test

pytestmark = pytest.mark.slow

REPLICATES = int(os.environ.get("TER_REPLICATES", "6"))


@pytest.fixture(scope="module")
def replicates():
    return [replicate(1000 + seed) for seed in range(REPLICATES)]


@pytest.fixture(scope="module")
def summary(replicates):
    return summarise(replicates)


def test_the_case_has_what_it_is_about():
    assert minimum_is_a_fifth() == pytest.approx(0.2, abs=0.03)


def test_the_probability_below_the_minimum_is_calibrated(replicates):
    p, low = (np.concatenate([r[name] for r in replicates]) for name in ("p", "low"))
    for a, b in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 0.85), (0.85, 1.0)):
        inside = (p >= a) & (p < b)
        expected = p[inside].sum()
        # Outcomes of therapists given their probabilities: binomial. Four standard errors, half as much again
        # because all therapists of a network share its parameters.
        error = np.sqrt((p * (1 - p))[inside].sum())
        assert abs(low[inside].sum() - expected) < 6 * error
        # The bin is not so wide that this could not fail.
        assert 6 * error < 0.5 * inside.sum()


def test_the_probability_below_the_minimum_is_that_of_brute_force():
    rng = np.random.default_rng([5, 1])
    truth = draw_truth(rng)
    patients = draw_patients(truth, rng)
    found = fitted(patients, seed=5)
    p = rate(found, minimum=MINIMUM).to_frame()["p_below_minimum"].to_numpy(float)
    # What is left apart: brute force takes the slope as known, at its posterior mean. Over eight networks the
    # largest difference was .001; with the true slope, one or two standard errors away, it was .04.
    exact = exact_p(patients, found.fixed.loc["severity", "mean"])
    np.testing.assert_allclose(p, exact, atol=2e-3)


def test_rank_intervals_cover(summary):
    # 90% intervals; 1,800 ranks have a standard error of .007, and those of a network hang together.
    assert summary["rank_coverage"] == pytest.approx(0.9, abs=0.03)


def test_false_flags_stay_below_their_setting(summary):
    # Means over networks of the share of false flags. "support" is P(low) of 0.9 or more, so at most .1; the
    # Bayes rule of a false alarm that costs three times a miss takes P(low) above .75, so at most .25.
    for name, level in (("flag_fdr", FDR), ("support", 0.1), ("flag_loss", 0.25)):
        share, error = summary["false_flags"][name]
        assert share <= level + 3 * error
        assert summary["flagged"][name] > 0


def test_expected_ranks_are_nearer_the_truth(summary):
    # Over 500 networks the squared error is 34% below that of ranks by the raw rate, 19% below those by O/E.
    assert summary["rank_mse_less_than_raw"] > 0.2
    assert summary["rank_mse_less_than_o_e"] > 0.1


def test_nobody_is_an_outlier_of_a_normal_network(summary):
    # Scores of 1,800 therapists: the SD has a standard error of .017.
    assert summary["marginal_z_sd"] == pytest.approx(1.0, abs=0.07)


def test_extremes_fall_back_by_the_reliability():
    again = [rated_again(2000 + seed) for seed in range(2)]
    for name in ("bottom", "top"):
        raw, predicted, raw_again, shrunk, shrunk_again = np.mean([a[name] for a in again], axis=0)
        # 60 therapists; a second estimate has an SD of some .6, and its mean over them a standard error of
        # .08 (shrunk .04): three of these.
        assert raw_again == pytest.approx(predicted, abs=0.24)
        assert shrunk_again == pytest.approx(shrunk, abs=0.12)
        # Without allowing for it the fall would be taken for a change: it is far larger than that error.
        assert abs(raw - raw_again) > 0.25


def test_unusual_therapists_are_flagged_with_few_false_flags():
    """Twenty-five of 500 therapists do not belong to the network; the others differ by more than chance."""
    rng = np.random.default_rng(17)
    false, found = [], []
    for _ in range(40):
        n = rng.integers(20, 150, 500)
        unit = np.repeat(np.arange(500), n)
        eta = rng.normal(0, 0.7, n.sum())
        unusual = np.zeros(500, dtype=bool)
        unusual[:25] = True
        u = rng.normal(0, 0.25, 500) + np.where(unusual, rng.choice([-1.3, 1.3], 500), 0.0)
        p0 = expit(eta)
        test = exact_test(p0, unit, np.bincount(unit, rng.random(len(unit)) < expit(eta + u[unit]), 500))
        size = np.bincount(unit, p0 * (1 - p0))
        flagged = flag_by_p_value(sized_null(test.z, size).p_value(test.z, size), 0.1)
        false.append((flagged & ~unusual).sum() / max(flagged.sum(), 1))
        found.append((flagged & unusual).sum() / 25)
    # 40 networks, SD of the share some .06: a standard error of .01; three of these.
    assert np.mean(false) <= 0.1 + 0.03
    assert np.mean(found) > 0.5
