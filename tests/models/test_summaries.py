"""Counts by therapist, month and decile, against pandas and a plain sort."""

import numpy as np
import pandas as pd
import pytest

from ter.features import build_design
from ter.features.columns import TableView
from ter.models.summaries import (
    month_index,
    summarise_deciles,
    summarise_months,
    summarise_units,
    weighted_quantiles,
)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(8)
    n = 600
    ends = pd.Timestamp("1969-11-20") + pd.to_timedelta(rng.integers(0, 200, n), unit="D")
    return pd.DataFrame(
        {
            "therapist_id": rng.choice(["T1", "T2", "T3", "T4"], n),
            "service_id": rng.choice(["a", "b"], n),
            "end_date": ends.to_series().where(rng.random(n) < 0.9).to_numpy(),
            "completed": rng.random(n) < 0.8,
            "at_caseness": rng.random(n) < 0.9,
            "y": rng.choice([0.0, 1.0, np.nan], n, p=[0.4, 0.5, 0.1]),
        }
    )


@pytest.fixture(scope="module")
def made(table):
    view = TableView(table)
    design = build_design(
        view, case_mix=None, outcome="y", therapist="therapist_id", service="service_id", by_content=True
    )
    rate = np.random.default_rng(9).uniform(0.1, 0.9, len(design.rows)).round(2)
    units = summarise_units(view, design, "y", "completed")
    months = summarise_months(view, design, "completed", rate)
    return design, rate, (units, months, summarise_deciles(design, rate))


def test_units(table, made):
    _, _, (units, _, _) = made
    rows = table.assign(
        n=table["y"].notna(),
        done=table["completed"] & table["at_caseness"] & table["y"].notna(),
    ).groupby("therapist_id")
    np.testing.assert_array_equal(units.n_episodes, rows.size())
    np.testing.assert_array_equal(units.n_completed, rows["completed"].sum())
    np.testing.assert_array_equal(units.n_at_caseness, rows["done"].sum())
    np.testing.assert_array_equal(units.n, rows["n"].sum())
    np.testing.assert_array_equal(units.observed, rows["y"].sum())
    assert units.service == tuple(rows["service_id"].agg(lambda s: s.value_counts().sort_index().idxmax()))


def test_months(table, made):
    design, rate, (_, months, _) = made
    expected = pd.Series(0.0, table.index)
    expected.iloc[design.rows] = rate
    frame = table.assign(
        n=table["y"].notna(),
        expected=expected,
        month=12 * table["end_date"].dt.year + table["end_date"].dt.month - 1,
    )
    frame = frame[frame["end_date"].notna() & (frame["completed"] | frame["n"])]
    by = frame.groupby(["therapist_id", "month"]).agg(
        {"completed": "sum", "n": "sum", "y": "sum", "expected": "sum"}
    )
    np.testing.assert_array_equal(months.unit, by.index.get_level_values(0).str[1:].astype(int) - 1)
    np.testing.assert_array_equal(months.month, by.index.get_level_values(1))
    np.testing.assert_array_equal(months.n_completed, by["completed"])
    np.testing.assert_array_equal(months.n, by["n"])
    np.testing.assert_array_equal(months.observed, by["y"])
    np.testing.assert_allclose(months.expected, by["expected"], rtol=1e-13)


def test_deciles(made):
    design, rate, (_, _, deciles) = made
    place = np.clip(np.searchsorted(deciles.edges, rate, side="right") - 1, 0, 9)
    for j in range(4):
        for b in range(10):
            own = (design.therapist.index == j) & (place == b)
            assert deciles.n[j, b] == own.sum()
            assert deciles.observed[j, b] == design.successes[own].sum()
            assert deciles.expected[j, b] == pytest.approx(rate[own].sum(), rel=1e-13)


def test_quantiles_of_equal_weights_are_those_of_a_sort():
    values = np.random.default_rng(1).random(1_003).round(2)
    shares = np.linspace(0, 1, 11)
    expected = np.interp(shares, (np.arange(1_003) + 0.5) / 1_003, np.sort(values))
    expected[[0, -1]] = values.min(), values.max()
    # Interpolation between neighbours is rounded in another order.
    np.testing.assert_allclose(weighted_quantiles(values, np.ones(1_003), shares), expected, atol=1e-12)
    # A weight of two is the value twice, but for halves of steps, and values are hundredths.
    twice = weighted_quantiles(np.repeat(values, 2), np.ones(2_006), shares)
    np.testing.assert_allclose(weighted_quantiles(values, np.full(1_003, 2.0), shares), twice, atol=0.011)


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_months_are_counted_from_year_zero(unit):
    dates = pd.Series(pd.to_datetime(["1969-12-31", "1970-01-01", "2026-10-31", None])).astype(
        f"datetime64[{unit}]"
    )
    assert month_index(dates).tolist() == [1969 * 12 + 11, 1970 * 12, 2026 * 12 + 9, -1]
    east = pd.Series(pd.to_datetime(["2026-11-01T00:30:00+13:00"]))
    assert month_index(east).tolist() == [2026 * 12 + 10]
