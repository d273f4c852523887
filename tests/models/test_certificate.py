import tracemalloc

import numpy as np
import pytest
from networks import network
from scipy.stats import genpareto

from ter.models.certificate import NODES_ERROR_MAX, Certificate, draw_at, pareto_k
from ter.models.fast import fit_fast
from ter.models.layout import arrange
from ter.models.quadrature import QuadratureLikelihood
from ter.models.solve import solve_fast

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


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_draw_at_a_share_of_the_posterior(share):
    rng = np.random.default_rng(4)
    values, weights = rng.standard_normal(400), rng.dirichlet(np.ones(400))
    k = draw_at(values, weights, share)
    assert weights[values < values[k]].sum() < share <= weights[values <= values[k]].sum() + 1e-12


def test_more_nodes_are_taken_where_a_high_sd_needs_them():
    # A patient each leaves SDs from 0 to 4 open: at their mean 11 nodes are enough, at large ones they are
    # not.
    design, _ = network(5, therapists=1000, caseload=1, columns=1, sd=(2.0, 0.0))
    layout = arrange(design, design.therapist, None)
    plain = fit_fast(layout, 11, 1)
    p = plain.posterior
    at_mean = [
        QuadratureLikelihood(layout, nodes).value(p.weights @ p.beta, p.weights @ p.sd[:, 0])
        for nodes in (11, 100)
    ]
    assert abs(at_mean[1] - at_mean[0]) < NODES_ERROR_MAX
    assert any("more nodes" in fault for fault in plain.certificate.faults)
    solved, asked = solve_fast(design, 11, 1), solve_fast(design, 22, 1)
    assert solved.certificate.passed, str(solved.certificate)
    assert solved.certificate.nodes == asked.certificate.nodes == 22
    assert solved.notes == ("11 quadrature nodes were too few for these data: 22 were used.",)
    assert not asked.notes
    np.testing.assert_array_equal(solved.posterior.ter_mean, asked.posterior.ter_mean)
    np.testing.assert_array_equal(solved.posterior.sd, asked.posterior.sd)


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
