import numba
import numpy as np
import pytest
from networks import network

from ter.models import layout as layout_module
from ter.models.fast import fit_fast
from ter.models.laplace import LaplaceLikelihood
from ter.models.layout import arrange


def test_rows_are_sorted_by_unit_then_service():
    design, _ = network(2, therapists=7, services=3, caseload=[3, 0, 5, 1, 9, 0, 4])
    layout = arrange(design, design.therapist, design.service)
    rows = layout.rows
    np.testing.assert_array_equal(np.diff(rows.row_ptr), [3, 0, 5, 1, 9, 0, 4])
    therapist = design.therapist.index[layout.order]
    service = design.service.index[layout.order]
    assert (np.diff(therapist * 10 + service) >= 0).all()
    for j in range(7):
        cells = range(rows.unit_cells[j], rows.unit_cells[j + 1])
        found = [
            (j, int(rows.cell_outer[c]), i)
            for c in cells
            for i in range(rows.cell_ptr[c], rows.cell_ptr[c + 1])
        ]
        assert [i for _, _, i in found] == list(range(rows.row_ptr[j], rows.row_ptr[j + 1]))
        assert all(service[i] == s and therapist[i] == j for j, s, i in found)
    np.testing.assert_array_equal(rows.X, design.X[layout.order])
    np.testing.assert_array_equal(rows.y, design.successes[layout.order])


@pytest.mark.parametrize("size", [1, 64, 4096])
def test_partitions_cover_every_unit_once(size, monkeypatch):
    monkeypatch.setattr(layout_module, "ROWS_A_PARTITION", size)
    design, _ = network(2, therapists=50, caseload=[0, 100] * 25)
    layout = arrange(design, design.therapist, None)
    parts = layout.partitions()
    covered = [j for a, b in parts for j in range(a, b)]
    assert covered == list(range(50))
    assert len(parts) <= layout_module.MAX_PARTITIONS


def test_threads_do_not_change_a_bit(monkeypatch):
    # Small partitions, so that two threads have something to share.
    monkeypatch.setattr(layout_module, "ROWS_A_PARTITION", 64)
    design, _ = network(2, therapists=40, services=3, caseload=20)
    layout = arrange(design, design.therapist, design.service)
    assert len(layout.partitions()) > 4
    before = numba.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            found = fit_fast(layout, 11, 1)
            results.append((found, LaplaceLikelihood(layout).evaluate(np.full(5, 0.1))))
    finally:
        numba.set_num_threads(before)
    (one, laplace_one), (two, laplace_two) = results
    for name in one.posterior.__dataclass_fields__:
        np.testing.assert_array_equal(
            getattr(one.posterior, name), getattr(two.posterior, name), err_msg=name
        )
    np.testing.assert_array_equal(one.row_expected, two.row_expected)
    for a, b in zip(laplace_one, laplace_two, strict=True):
        np.testing.assert_array_equal(a, b)
