"""Healthy months pass. At full size: ``TER_CARD_MONTHS=300 pytest tests/checks/test_pass_rate.py``."""

import os

import pytest
from scipy.stats import binom

import ter
from ter.checks import model_card

MONTHS = int(os.environ.get("TER_CARD_MONTHS", "2"))


@pytest.mark.slow
def test_a_right_model_fails_in_at_most_one_month_of_a_hundred(case_mix):
    """The model is fitted with what the scenario's outcomes depend on most; the rest is small."""
    failed = []
    for seed in range(MONTHS):
        scenario = ter.Scenario.preset("england_2024_25", n_therapists=60, n_services=6, mean_caseload=40)
        table = ter.simulate(scenario, seed=9000 + seed).episodes
        fit = ter.fit(table, case_mix=case_mix, engine="ml")
        failed += [(seed, name) for name in model_card(fit, table).failed]
    # As many failing months as 1 in 100 would have with a chance above a thousandth.
    assert len({seed for seed, _ in failed}) <= binom.ppf(0.999, MONTHS, 0.01), failed
