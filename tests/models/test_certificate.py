import tracemalloc

import numpy as np
import pytest
from networks import network
from scipy.stats import genpareto

from ter.models.certificate import Certificate, pareto_k
from ter.models.fast import fit_fast
from ter.models.layout import arrange

GOOD = {
    "pareto_k": 0.2,
    "effective_draws": 450.0,
    "edge_mass": 1e-5,
    "nodes_error": 1e-6,
    "gradient_norm": 0.05,
    "modes_found": True,
}


@pytest.mark.parametrize("k", [0.1, 0.3, 0.5, 0.8, 1.2])
def test_shape_of_a_known_tail(k):
    # Weights that are Pareto beyond a threshold: the standard error is about (1 + k) / sqrt(n), n = 300.
    estimates = [
        pareto_k(genpareto.rvs(k, size=10_000, random_state=np.random.default_rng(seed)))
        for seed in range(20)
    ]
    drawn = (300 * k + 5) / 310
    assert np.mean(estimates) == pytest.approx(drawn, abs=3 * (1 + k) / np.sqrt(300 * 20))


def test_even_weights_have_no_tail():
    assert pareto_k(np.full(512, 1 / 512)) == -np.inf


def test_scale_does_not_matter():
    weights = genpareto.rvs(0.4, size=512, random_state=np.random.default_rng(1))
    assert pareto_k(weights) == pytest.approx(pareto_k(1e-6 * weights), abs=1e-9)


def test_a_plain_network_is_certified():
    design, _ = network(2, therapists=30, services=4)
    certificate = fit_fast(arrange(design, design.therapist, design.service), 11, 1).certificate
    assert certificate.passed, str(certificate)
    assert certificate.usable


def test_too_few_nodes_are_noticed():
    # Effects of SD 6 with caseloads of 40 leave integrands that 7 nodes cannot follow.
    design, _ = network(2, therapists=40, caseload=40, sd=(6.0, 0.0))
    layout = arrange(design, design.therapist, None)
    assert any("more nodes" in fault for fault in fit_fast(layout, 7, 1).certificate.faults)
    assert not any("more nodes" in fault for fault in fit_fast(layout, 61, 1).certificate.faults)


def test_two_crossed_factors_with_many_levels_are_certified_in_bounded_memory():
    # Weights over 150 coordinates: Laplace's method alone leaves half of the draws effective, or fewer.
    design, _ = network(9, therapists=300, services=147, caseload=25, sd=(0.5, 0.7))
    layout = arrange(design, design.therapist, design.service)
    tracemalloc.start()
    certificate = fit_fast(layout, 11, 1).certificate
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert certificate.passed, str(certificate)
    assert certificate.effective_draws > 300
    # Interpolated factors 34 MB at once, those of at most 81 grid points, and 2 MB a figure of every pair of
    # therapist and draw, at 1,024 draws.
    assert peak < 150e6


def test_a_good_posterior_is_certified():
    certificate = Certificate(**GOOD)
    assert certificate.passed
    assert str(certificate).startswith("Certified")


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("pareto_k", 0.9, "rare levels"),
        ("effective_draws", 50.0, "rare levels"),
        ("edge_mass", 0.05, "cuts off"),
        ("nodes_error", 0.2, "more nodes"),
        ("gradient_norm", 2.0, "mode"),
        ("modes_found", False, "mode"),
    ],
)
def test_each_fault_is_named_with_its_remedy(field, value, word):
    certificate = Certificate(**{**GOOD, field: value})
    assert not certificate.passed
    assert len(certificate.faults) == 1
    assert word in certificate.faults[0]
    assert "NOT CERTIFIED" in str(certificate)
