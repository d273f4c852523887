import numpy as np
import pytest

from ter.errors import DataError, OptionError
from ter.monitoring import ChartOptions, chart, limit_for_run_length
from ter.monitoring.chart import mean_run_length, quantile_above

FEW = ChartOptions(replicates=2000)


@pytest.fixture(scope="module")
def patients():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.2, 0.8, 50)
    return rng.random(50) < p, p


def test_sums_are_steiners(patients):
    """The table of weights in Steiner et al. (2000), section 2, written out for both directions."""
    y, p = patients
    found = chart(y, p, FEW).to_frame()
    for name, odds in (("up", 2.0), ("down", 0.5)):
        total, path = 0.0, []
        for recovered, rate in zip(y, p, strict=True):
            ratio = odds / (1 - rate + odds * rate) if recovered else 1 / (1 - rate + odds * rate)
            total = max(0.0, total + np.log(ratio))
            path.append(total)
        np.testing.assert_allclose(found[name], path, rtol=1e-12)
    np.testing.assert_allclose(found["vlad"], np.cumsum(y * 1.0 - p), rtol=1e-12)


def maxima(p, truth, rng, count):
    """The furthest that each chart gets, drawn by other means."""
    y = rng.random((count, p.size)) < truth
    out = {}
    for name, odds in (("up", 2.0), ("down", 0.5)):
        w = np.where(y, np.log(odds), 0.0) - np.log(1 - p + odds * p)
        total, best = np.zeros(count), np.zeros(count)
        for i in range(p.size):
            total = np.maximum(0.0, total + w[:, i])
            best = np.maximum(best, total)
        out[name] = best
    z = (np.cumsum(y - p, axis=1) / np.sqrt(np.cumsum(p * (1 - p))))[:, 4:]
    out["high"], out["low"] = z.max(axis=1), (-z).max(axis=1)
    return out


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_false_alarms_are_as_rare_as_asked(patients, rate):
    y, p = patients
    found = chart(y, p, ChartOptions(false_alarm=rate, replicates=8000))
    drawn = maxima(p, p, np.random.default_rng(7), 8000)
    table = found.to_frame()
    sd = np.sqrt(np.cumsum(p * (1 - p)))
    limits = {
        "up": found.h_up,
        "down": found.h_down,
        "high": table["vlad_high"].iloc[-1] / sd[-1],
        "low": -table["vlad_low"].iloc[-1] / sd[-1],
    }
    for name, limit in limits.items():
        # Two samples of 8,000: the SD of the difference is 0.0034 at 0.05 and 0.0063 at 0.2.
        assert np.mean(drawn[name] >= limit) == pytest.approx(rate, abs=0.0035 * 4 if rate < 0.1 else 0.026)
    assert table["vlad_low"].isna().sum() == 4


def test_limits_can_allow_for_estimated_rates(patients):
    y, p = patients
    eta = np.log(p / (1 - p)) + 0.5 * np.random.default_rng(2).standard_normal((400, 1))
    truth = 1 / (1 + np.exp(-eta))
    plain, wide = chart(y, p, FEW), chart(y, p, FEW, truth=truth)
    assert wide.h_up > plain.h_up
    assert wide.h_down > plain.h_down
    assert wide.to_frame()["vlad_high"].iloc[-1] > plain.to_frame()["vlad_high"].iloc[-1]


def test_a_fall_is_signalled_and_named(patients):
    _, p = patients
    found = chart(np.zeros(50, bool), p, FEW)
    assert found.signals
    first = found.signals[0]
    assert found.table["down"][first] >= found.h_down > found.table["down"][first - 1]
    assert f"patient {first}" in found.summary()
    assert chart(p > 0.5, p, FEW) is not None


def markov_run_length(pool, odds, limit, states):
    """Mean run length from Brook and Evans' Markov chain (1972), its states the sum on a grid."""
    step = limit / states
    up, down = np.log(odds / (1 - pool + odds * pool)), -np.log(1 - pool + odds * pool)
    moves = np.zeros((states, states))
    for i in range(states):
        for weight, share in ((up, pool), (down, 1 - pool)):
            to = np.maximum(np.rint((i * step + weight) / step).astype(int), 0)
            inside = to < states
            np.add.at(moves[i], to[inside], share[inside] / pool.size)
    return float(np.linalg.solve(np.eye(states) - moves, np.ones(states))[0])


@pytest.mark.parametrize("odds", [2.0, 0.5])
def test_run_lengths_are_those_of_the_markov_chain(odds):
    pool = np.random.default_rng(3).uniform(0.2, 0.8, 40)
    limit = limit_for_run_length(pool, odds, 150.0, replicates=1500)
    # 1,500 runs of a nearly exponential length: a standard error of 150 / sqrt(1500) = 3.9; the grid's own
    # error is below 1%.
    assert markov_run_length(pool, odds, limit, 500) == pytest.approx(150.0, abs=16.0)
    assert mean_run_length(pool, odds, limit, 1500, 1, 150.0) == pytest.approx(150.0, abs=1.0)


def test_a_limit_lies_between_values_and_is_reached_by_no_more_than_the_share():
    values = np.array([1.0, 1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    assert quantile_above(values, 0.2) == 6.5
    assert quantile_above(values, 0.05) > 8.0
    assert quantile_above(values, 1.0) == 1.0


def test_the_same_seed_gives_the_same_limits(patients):
    y, p = patients
    a, b = chart(y, p, FEW), chart(y, p, FEW)
    assert (a.h_up, a.h_down) == (b.h_up, b.h_down)
    assert chart(y, p, ChartOptions(replicates=2000, seed=2)).h_up != a.h_up


@pytest.mark.parametrize(
    "options", [{"odds": 1.0}, {"false_alarm": 0.0}, {"false_alarm": 1.2}, {"replicates": 100}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(OptionError):
        ChartOptions(**options)


def test_bad_rates_are_refused():
    with pytest.raises(DataError, match="between 0 and 1"):
        chart(np.array([True]), np.array([1.0]))
    with pytest.raises(DataError, match="an outcome and an expected rate"):
        chart(np.array([True, False]), np.array([0.5]))
    with pytest.raises(OptionError):
        limit_for_run_length(np.array([0.5]), 2.0, 1.0)
