"""Partitions and threads: what an engine finds does not depend on who does the work."""

from dataclasses import fields
from threading import Event, get_ident

import numpy as np
import pytest
from networks import network

from ter.kernels import parallel
from ter.models import laplace, layout
from ter.models.layout import arrange
from ter.models.ml import fit_ml


def fitted(monkeypatch, threads, nodes, services=6):
    monkeypatch.setattr(parallel.numba, "get_num_threads", lambda: threads)
    design, _ = network(4, services=services, therapists=90, caseload=20)
    return fit_ml(arrange(design, design.therapist, design.service), nodes)


@pytest.fixture
def small_parts(monkeypatch):
    """Many partitions, where these few rows would make one."""
    monkeypatch.setattr(layout, "ROWS_A_PARTITION", 90)
    monkeypatch.setattr(laplace, "ROWS_A_SHARE", 300)


@pytest.mark.parametrize(("nodes", "services"), [(1, 6), (9, 6), (9, 0)])
def test_threads_do_not_change_a_byte(monkeypatch, small_parts, nodes, services):
    one, three = (fitted(monkeypatch, threads, nodes, services) for threads in (1, 3))
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(three, field.name)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), field.name


@pytest.mark.parametrize("nodes", [1, 9])
def test_partitions_change_rounding_alone(monkeypatch, request, nodes):
    whole = fitted(monkeypatch, 1, nodes)
    request.getfixturevalue("small_parts")
    parts = fitted(monkeypatch, 1, nodes)
    # Sums in another order; an ascent may end at another point within 1e-5 standard errors of the maximum.
    np.testing.assert_allclose(parts.beta, whole.beta, rtol=0, atol=1e-6)
    np.testing.assert_allclose(parts.sd, whole.sd, rtol=0, atol=1e-6)
    np.testing.assert_allclose(parts.v, whole.v, rtol=0, atol=1e-6)
    assert parts.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)


def test_results_come_in_the_order_of_the_parts(monkeypatch):
    monkeypatch.setattr(parallel.numba, "get_num_threads", lambda: 4)
    parts = list(range(500))
    assert parallel.map_partitions(lambda part: part * part, parts) == [part * part for part in parts]


def test_the_calling_thread_works_too(monkeypatch):
    monkeypatch.setattr(parallel.numba, "get_num_threads", lambda: 2)
    caller = get_ident()
    seen = set()
    for _ in range(100):
        seen |= set(parallel.map_partitions(lambda _: get_ident(), range(20)))
    assert caller in seen


def test_passes_within_passes_end(monkeypatch):
    monkeypatch.setattr(parallel.numba, "get_num_threads", lambda: 3)

    def work(part):
        return sum(parallel.map_partitions(lambda k: k + part, range(5)))

    assert parallel.map_partitions(work, range(12)) == [10 + 5 * part for part in range(12)]


def test_an_error_of_any_part_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(parallel.numba, "get_num_threads", lambda: 3)

    def work(part):
        if part == 7:
            raise ValueError("part 7")
        return part

    with pytest.raises(ValueError, match="part 7"):
        parallel.map_partitions(work, range(12))


@pytest.mark.parametrize("threads", [1, 2])
def test_what_was_begun_is_there_when_asked_for(monkeypatch, threads):
    monkeypatch.setattr(parallel.numba, "get_num_threads", lambda: threads)
    assert [later() for later in [parallel.begin(lambda k=k: 7 * k) for k in range(50)]] == list(
        range(0, 350, 7)
    )


def test_what_nobody_has_begun_is_done_by_who_asks_for_it(monkeypatch):
    monkeypatch.setattr(parallel.numba, "get_num_threads", lambda: 2)
    idle, started = Event(), Event()
    other = parallel.begin(lambda: (started.set(), idle.wait(60)))
    assert started.wait(60)
    try:
        # The one other thread is busy: neither waits for it.
        assert parallel.begin(get_ident)() == get_ident()
        assert set(parallel.map_partitions(lambda _: get_ident(), range(9))) == {get_ident()}
    finally:
        idle.set()
    assert other() == (None, True)


def test_an_error_of_what_was_begun_is_raised_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(parallel.numba, "get_num_threads", lambda: 2)

    def fail():
        raise ValueError("here")

    later = parallel.begin(fail)
    with pytest.raises(ValueError, match="here"):
        later()
