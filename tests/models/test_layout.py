from dataclasses import replace

import numba
import numpy as np
import pytest
from networks import network
from scipy.linalg import eigh

from ter.features.design import Grouping
from ter.kernels.elementary import exponentials
from ter.kernels.rows import Rows
from ter.models import layout as layout_module
from ter.models import ml
from ter.models.fast import fit_fast
from ter.models.laplace import LaplaceLikelihood
from ter.models.layout import arrange, thinned
from ter.models.ml import fit_ml
from ter.models.part import scaled_information


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


def test_equal_cells_are_in_the_order_of_their_content():
    # Small cells are sorted by insertion, large ones by merging: either way shuffled rows come out the same.
    design, _ = network(4, therapists=6, services=2, caseload=[3, 90, 1, 200, 12, 40])
    shuffle = np.random.default_rng(0).permutation(len(design.successes))
    shuffled = replace(
        design,
        X=design.X[shuffle],
        successes=design.successes[shuffle],
        trials=design.trials[shuffle],
        therapist=replace(design.therapist, index=design.therapist.index[shuffle]),
        service=replace(design.service, index=design.service.index[shuffle]),
    )
    one, two = (arrange(d, d.therapist, d.service).rows for d in (design, shuffled))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("services", [0, 3])
def test_a_thinned_layout_is_that_of_the_units_alone(services):
    design, _ = network(4, therapists=20, services=services, caseload=[0, 7, 2, 30] * 5)
    layout = arrange(design, design.therapist, design.service)
    some = design.therapist.index % 3 == 0
    part = replace(
        design,
        X=design.X[some],
        successes=design.successes[some],
        trials=design.trials[some],
        therapist=Grouping(
            "therapist", "therapist_id", design.therapist.levels[::3], design.therapist.index[some] // 3
        ),
        service=None if not services else replace(design.service, index=design.service.index[some]),
    )
    expected = arrange(part, part.therapist, part.service)
    for name, value in zip(Rows._fields, thinned(layout, 3).rows, strict=True):
        np.testing.assert_array_equal(value, getattr(expected.rows, name), err_msg=name)


@pytest.mark.parametrize("nodes", [1, 9])
def test_a_rough_start_changes_nothing(nodes, monkeypatch):
    design, _ = network(3, therapists=200, services=5, caseload=12)
    layout = arrange(design, design.therapist, design.service)
    cold = fit_ml(layout, nodes)
    steps = []
    monkeypatch.setattr("ter.models.layout.FEW_ROWS", 100)
    monkeypatch.setattr(ml, "thinned", lambda layout, step: steps.append(step) or thinned(layout, step))
    warm = fit_ml(layout, nodes)
    assert steps == [ml.THINNED_STEP]
    for name in ("beta", "sd", "u", "v", "log_likelihood"):
        np.testing.assert_allclose(getattr(warm, name), getattr(cold, name), rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("nodes", [1, 9])
@pytest.mark.parametrize("others", [0, 1])
def test_a_level_that_the_part_hardly_has_does_not_lead_astray(nodes, others, monkeypatch):
    """Three patients have a level, or all those of a therapist: none, or all of them, in the part."""
    design, _ = network(3, therapists=200, services=5, caseload=12)
    therapist, rare = design.therapist.index, np.zeros(len(design.X))
    rare[np.flatnonzero(therapist % 8 == 3)[:3] if others else therapist == 8] = 1.0
    more = {"X": np.asfortranarray(np.column_stack([design.X, (rare - rare.mean()) / rare.std()]))}
    more |= {"columns": (*design.columns, "rare")}
    more |= {"centre": np.append(design.centre, 0.0), "scale": np.append(design.scale, 1.0)}
    design = replace(design, **more)
    layout = arrange(design, design.therapist, design.service)
    cold = fit_ml(layout, nodes)
    monkeypatch.setattr("ter.models.layout.FEW_ROWS", 100)
    warm = fit_ml(layout, nodes)
    assert cold.converged
    assert warm.converged
    for name in ("beta", "sd", "u", "v", "log_likelihood"):
        np.testing.assert_allclose(getattr(warm, name), getattr(cold, name), rtol=0, atol=1e-6, err_msg=name)


def test_exponentials():
    x = np.concatenate([np.linspace(-700, 700, 9001), [0.0, -0.0, 1e-300, np.log(2) / 2]])
    out = np.empty_like(x)
    exponentials(x, out, np.empty(x.size))
    # log 2 is taken to 53 bits, so that the error grows with |x|: half a unit in the last place for each.
    assert (np.abs(out / np.exp(x) - 1) <= 4e-16 + 1e-16 * np.abs(x)).all()


def test_information_of_a_part_foretells_that_of_the_whole():
    """Near enough for steps: in every direction between two thirds and one and a half times the exact one."""
    design, _ = network(5, therapists=400, services=8, caseload=40)
    whole = arrange(design, design.therapist, design.service)
    part = thinned(whole, 8)
    found = fit_ml(whole, 1)
    x = np.concatenate([found.beta, np.log(found.sd)])
    laplace = LaplaceLikelihood(part)
    information = laplace.evaluate_exactly(x)[2]
    times = whole.rows.y.size / part.rows.y.size
    exact = LaplaceLikelihood(whole).evaluate_exactly(x)[2]
    ratios = eigh(scaled_information(laplace, x, information, times), exact, eigvals_only=True)
    assert 2 / 3 < ratios.min() <= ratios.max() < 3 / 2, ratios
    # Eight services do not become more of them.
    assert eigh(times * information, exact, eigvals_only=True).max() > 2
