from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from r_answers import ANSWERS, P_VALUES

from ter.ratings.classify import (
    expected_loss,
    flag_by_loss,
    flag_by_p_value,
    flag_by_posterior,
    share_of_nulls,
)

probabilities = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=8).map(np.array)


@given(probabilities, st.floats(0.1, 10), st.floats(0.1, 10))
def test_no_other_choice_costs_less(p_low, false_alarm, missed):
    best = expected_loss(p_low, flag_by_loss(p_low, false_alarm, missed), false_alarm, missed)
    every = [
        expected_loss(p_low, np.array(choice), false_alarm, missed)
        for choice in product([False, True], repeat=len(p_low))
    ]
    assert best <= min(every) + 1e-12


def test_the_cost_of_a_mistake_by_simulation():
    # Truly low with the probability stated: the mean cost of the rule is the expected loss.
    rng = np.random.default_rng(1)
    p = np.array([0.1, 0.4, 0.6, 0.95])
    flagged = flag_by_loss(p, 3.0, 1.0)
    assert flagged.tolist() == [False, False, False, True]
    low = rng.random((200_000, 4)) < p
    cost = np.where(flagged, 3.0 * ~low, 1.0 * low).sum(axis=1)
    # The mean of 200,000 costs with an SD of about .9 has a standard error of .002.
    assert cost.mean() == pytest.approx(expected_loss(p, flagged, 3.0, 1.0), abs=0.01)


@given(probabilities, st.floats(0.01, 0.6))
def test_the_longest_list_whose_false_share_is_kept(p_low, level):
    flagged = flag_by_posterior(p_low, level)
    false = [
        (sum(choice), np.mean(1 - p_low[list(choice)]))
        for choice in product([False, True], repeat=len(p_low))
        if any(choice)
    ]
    longest = max((n for n, share in false if share <= level), default=0)
    if len(np.unique(p_low)) == len(p_low):
        assert flagged.sum() == longest
    if flagged.any():
        assert np.mean(1 - p_low[flagged]) <= level + 1e-12
        assert p_low[flagged].min() > p_low[~flagged].max(initial=-1)


def test_equals_are_flagged_together():
    # Two would pass (.105), all three would not (.137): of two equals neither is flagged.
    p = np.array([0.99, 0.8, 0.8, np.nan])
    assert flag_by_posterior(p, 0.12).tolist() == [True, False, False, False]
    assert flag_by_posterior(p, 0.14).tolist() == [True, True, True, False]
    assert not flag_by_posterior(np.array([np.nan]), 0.1).any()
    assert not flag_by_posterior(np.array([]), 0.1).any()


@pytest.mark.parametrize("method", ["bh", "by"])
@pytest.mark.parametrize("level", [0.01, 0.05, 0.1, 0.5])
def test_p_values_are_flagged_as_by_r(method, level):
    assert flag_by_p_value(P_VALUES, level, method).tolist() == [p <= level for p in ANSWERS[method]]


def test_the_example_of_benjamini_and_hochberg():
    # Section 4.1: their procedure rejects the four hypotheses with the smallest p-values at 0.05.
    assert flag_by_p_value(P_VALUES, 0.05).sum() == 4


def test_the_share_of_nulls_by_hand():
    # Four of fifteen are above one half: (1 + 4) / 7.5.
    assert share_of_nulls(P_VALUES) == pytest.approx(5 / 7.5)
    # At .05 / (2/3) = .075 the eighth passes (.0344 is at most 8 x .005), the ninth does not (.0459 of .045).
    assert flag_by_p_value(P_VALUES, 0.05, "storey").sum() == 8
    assert flag_by_p_value(P_VALUES, 0.05, "bh").sum() == 4


def _storey(p, level):
    """By its definition: reject p <= t for the largest t at which the estimated rate is at most the level."""
    null = min(1.0, (1 + (p > 0.5).sum()) / (0.5 * len(p)))
    passing = [t for t in p if t <= 0.5 and null * len(p) * t / (p <= t).sum() <= level]
    return p <= max(passing, default=-1)


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=30).map(np.array), st.floats(0.01, 0.4))
def test_storey_by_its_definition(p, level):
    got = flag_by_p_value(p, level, "storey")
    # Products next to the level may round to either side.
    null = share_of_nulls(p)
    ranks = np.array([(p <= t).sum() for t in p])
    if (np.abs(null * len(p) * p / ranks - level) > 1e-9).all():
        assert got.tolist() == _storey(p, level).tolist()


@pytest.mark.parametrize("method", ["bh", "by", "storey"])
def test_the_share_of_false_flags_is_kept(method):
    rng = np.random.default_rng(7)
    false, power = [], []
    for _ in range(400):
        low = rng.random(200) < 0.3
        from scipy.special import ndtr

        p = ndtr(rng.normal(np.where(low, -2.5, 0.0)))
        flagged = flag_by_p_value(p, 0.1, method)
        false.append((flagged & ~low).sum() / max(flagged.sum(), 1))
        power.append((flagged & low).sum() / low.sum())
    # 400 replicates of a share with an SD of some .05: the mean's standard error is .0025; three of these.
    assert np.mean(false) <= 0.1 + 0.0075
    assert np.mean(power) > 0.25
    if method == "bh":
        # Its rate is the level times the share of nulls, exactly.
        assert np.mean(false) == pytest.approx(0.07, abs=0.0075)


def test_nothing_to_test():
    assert flag_by_p_value(np.array([np.nan, 0.001]), 0.05).tolist() == [False, True]
    assert not flag_by_p_value(np.array([np.nan]), 0.05).any()
