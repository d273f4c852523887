import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ter.models.units import CaseMixMeans, Deciles, Months, Units
from ter.ratings import publish, rate
from ter.ratings.aggregates import calibration, case_mix, services, shift, trend


def _units(n, service=None):
    n = np.asarray(n, dtype=float)
    return Units(
        ids=tuple(f"t{j}" for j in range(len(n))), service=service or ("",) * len(n),
        n_episodes=n.astype(int) + 3, n_completed=n.astype(int) + 2, n_at_caseness=n.astype(int), n=n,
        observed=n // 2,
    )  # fmt: skip


def _months(rows):
    unit, month, completed, n, observed, expected = np.array(rows, dtype=float).T
    return Months(unit.astype(int), month.astype(int), completed.astype(int), n, observed, expected)


def test_blocks_of_months_by_hand():
    december = 12 * 2025 + 11
    months = _months(
        [
            # 4 + 7 = 11 make the last block; 3 + 6 + 2 = 11 the one before; the 5 left over join the first.
            (0, december - 5, 5, 4, 2, 2.0),
            (0, december - 4, 3, 3, 1, 1.5),
            (0, december - 3, 6, 5, 5, 2.5),
            (0, december - 1, 2, 2, 0, 1.0),
            (0, december, 4, 3, 1, 1.5),
            (0, december + 1, 7, 7, 4, 3.5),
            # A single month of 30.
            (1, december, 30, 0, 0, 0.0),
        ]
    )
    table = trend(("a", "b"), months, 10)
    assert table.to_dict("list") == {
        "therapist_id": ["a", "a", "b"],
        "first_month": ["2025-07", "2025-12", "2025-12"],
        "last_month": ["2025-11", "2026-01", "2025-12"],
        "n_completed": [16, 11, 30],
        "n_at_caseness": [14, 10, 0],
        "observed": [pytest.approx(8 / 14), 0.5, pytest.approx(np.nan, nan_ok=True)],
        "expected": [0.5, 0.5, pytest.approx(np.nan, nan_ok=True)],
    }


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=15), min_size=1, max_size=6),
    st.integers(10, 20),
)
def test_blocks_are_a_partition_and_each_passes_the_gate(counts, completed):
    rows = [
        (unit, 24000 + month, k, k, k // 2, k / 2)
        for unit, row in enumerate(counts)
        for month, k in enumerate(row)
    ]
    table = trend(tuple(map(str, range(len(counts)))), _months(rows), completed)
    for unit, row in enumerate(counts):
        blocks = table[table["therapist_id"] == str(unit)]
        assert blocks["n_completed"].sum() == sum(row)
        # All therapists here who passed the gate as a whole: no block is below it.
        if sum(row) >= completed:
            assert (blocks["n_completed"] >= completed).all()
        assert (blocks["last_month"].to_numpy()[:-1] < blocks["first_month"].to_numpy()[1:]).all()
        # Nowhere could a block be cut in two: the latest month is taken off as soon as ten are together.
        latest = np.cumsum(row[::-1])
        if sum(row) >= 2 * completed + 11:
            assert blocks["n_completed"].iloc[-1] == latest[np.argmax(latest >= completed)]


def test_a_block_of_months_has_five_patients():
    months = _months(
        [
            # Ten completed in each month: the last has too few patients alone, and so has the first.
            (0, 24000, 10, 4, 1, 2.0),
            (0, 24001, 10, 6, 3, 3.0),
            (0, 24002, 10, 1, 1, 0.5),
            (0, 24003, 10, 4, 1, 2.0),
        ]
    )
    table = trend(("a",), months, 10)
    assert table["n_completed"].tolist() == [20, 20]
    assert table["n_at_caseness"].tolist() == [10, 5]
    assert table["observed"].tolist() == [0.4, 0.4]


def test_no_dates_no_trend():
    assert trend(("a",), None, 10).empty


def test_calibration_pools_the_deciles_that_have_patients():
    n, zero = np.zeros((2, 10)), np.zeros((2, 10))
    n[0, 2], n[1, 2], n[1, 9] = 6, 4, 20
    observed, expected = zero.copy(), zero.copy()
    observed[0, 2], observed[1, 2], observed[1, 9] = 1, 2, 15
    expected[0, 2], expected[1, 2], expected[1, 9] = 1.5, 1.0, 16
    table = calibration(Deciles(np.linspace(0, 1, 11), n, observed, expected))
    assert table["decile"].tolist() == [3, 10]
    assert table["n"].tolist() == [10, 20]
    np.testing.assert_allclose(table["observed"], [0.3, 0.75])
    np.testing.assert_allclose(table["expected"], [0.25, 0.8])
    # Wilson's interval of 3 in 10: Brown, Cai and DasGupta's formula by hand.
    np.testing.assert_allclose(table.loc[0, ["low", "high"]].astype(float), [0.1078, 0.6032], atol=5e-5)


def test_services_count_everyone_and_show_outcomes_of_the_rated():
    units = _units([4, 20, 30, 2, 12], service=("b", "b", "a", "c", "a"))
    rated = _units([20, 30, 12], service=("b", "a", "a"))
    table = services(units, rated, rated, np.array([0.5, 0.4, np.nan]))
    assert table["service_id"].tolist() == ["a", "b", "c"]
    assert table["n_therapists"].tolist() == [2, 2, 1]
    assert table["n_rated"].tolist() == [2, 1, 0]
    assert table["n_completed"].tolist() == [46, 28, 4]
    assert table["n_at_caseness_rated"].tolist() == [42, 20, 0]
    np.testing.assert_allclose(table["observed"], [21 / 42, 0.5, np.nan])
    assert table["expected"].tolist()[1] == 0.5


def test_services_count_a_rated_therapist_whose_results_are_not_shown():
    rated, shown = _units([20, 3], service=("a", "a")), _units([20], service=("a",))
    table = services(rated, rated, shown, np.array([0.5]))
    assert table.loc[0, ["n_therapists", "n_rated", "n_completed"]].tolist() == [2, 2, 27]
    assert table.loc[0, ["n_at_caseness_rated", "observed", "expected"]].tolist() == [20, 0.5, 0.5]


def test_without_services_there_is_no_row():
    table = services(_units([20, 30]), _units([20, 30]), _units([20, 30]), np.array([0.5, 0.5]))
    assert table.empty
    assert "observed" in table


@pytest.fixture
def means():
    return CaseMixMeans(
        labels=(("age", ""), ("gender", "f")),
        units=np.array([[30.0, 0.5], [99.0, 1.0], [40.0, 0.2], [np.nan, 0.6]]),
        network=np.array([1.0, 2.0]),
        level_shift=np.array([[np.nan, 0.1], [np.nan, 0.2], [np.nan, 0.3], [np.nan, 0.4]]),
        variables=("age", "gender"),
        shift=np.arange(8.0).reshape(4, 2),
    )


def test_case_mix_of_few_patients_is_not_shown_nor_to_be_had_by_subtraction(means):
    units = _units([10, 4, 30, 5])
    table = case_mix(units, means)
    assert table["therapist_id"].tolist() == ["t0", "t0", "t2", "t2", "t3", "t3"]
    assert table["variable"].tolist() == ["age", "gender"] * 3
    assert table["level"].tolist() == ["", "f"] * 3
    # The network is the therapists shown: (10 x 30 + 30 x 40) / 40; (10 x .5 + 30 x .2 + 5 x .6) / 45.
    np.testing.assert_allclose(table["network"], [37.5, 14 / 45] * 3)
    assert table["therapist"].iloc[2] == 40.0
    np.testing.assert_array_equal(table["shift"], [np.nan, 0.1, np.nan, 0.3, np.nan, 0.4])
    shifts = shift(units, means)
    assert shifts["therapist_id"].unique().tolist() == ["t0", "t2", "t3"]
    assert shifts["shift"].tolist() == [0, 1, 4, 5, 6, 7]


def test_months_of_a_publication_are_those_of_the_rated(make_fit):
    fit = make_fit([9, 10, 11, 40, 0, 120, 3, 25, 60, 14])
    publication = publish(fit, rate(fit))
    rated = publication.ratings[publication.ratings["status"] != "provisional"].set_index("therapist_id")
    totals = publication.trend.groupby("therapist_id")[["n_completed", "n_at_caseness"]].sum()
    assert totals.index.tolist() == rated.index.tolist()
    assert (totals["n_completed"] == rated["n_completed"]).all()
    assert (totals["n_at_caseness"] == rated["n_at_caseness"]).all()
    assert (publication.trend["n_completed"] >= 10).all()
    recovered = (publication.trend["observed"] * publication.trend["n_at_caseness"]).groupby(
        publication.trend["therapist_id"]
    )
    np.testing.assert_allclose(recovered.sum(), rated["observed"] * rated["n_at_caseness"])
