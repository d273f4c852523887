"""The problems of the benchmarks, and the answers that the benchmarks check against."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

import ter
from benchmarks.answers import integrated_log_likelihood, laplace_log_likelihood, steepest
from benchmarks.problems import CASELOADS, MANY, MEDIUM, SMALL, TINY, draw_network, scenario_of
from benchmarks.reference import count_outcomes, team_of


@pytest.mark.parametrize("problem", [TINY, SMALL, MEDIUM], ids=lambda problem: problem.name)
def test_networks_are_of_the_size_they_are_called(problem):
    network = draw_network(problem)
    assert network.X.shape == (problem.rows, problem.columns + 1)
    assert len(network.case_mix.terms) == problem.columns
    assert network.table["therapist_id"].nunique() == problem.therapists == network.u.size
    assert network.table["service_id"].nunique() == problem.services == network.v.size
    again = draw_network(problem)
    assert network.table.equals(again.table)


def test_arrays_and_table_are_the_same_network():
    network = draw_network(TINY)
    names = sorted(network.table["therapist_id"].unique())
    assert [names[k] for k in network.therapist] == list(network.table["therapist_id"])
    np.testing.assert_array_equal(network.X[:, 1:], network.table[["x00", "x01"]])
    np.testing.assert_array_equal(network.y, network.table["y"])


@pytest.mark.parametrize("problem", [SMALL, MEDIUM, CASELOADS, MANY], ids=lambda problem: problem.name)
def test_scenarios_are_of_the_size_they_are_called(problem):
    scenario = scenario_of(problem)
    counts = ter.simulation.count_outcomes(scenario, problem.seed)
    assert len(counts) == problem.therapists
    # Caseloads vary by 60% and with the day of joining: four standard errors of their mean.
    assert counts["n_episodes"].sum() == pytest.approx(
        problem.rows, rel=4 * 0.75 / np.sqrt(problem.therapists)
    )


def test_maximum_likelihood_is_what_a_general_optimiser_finds():
    network = draw_network(TINY)
    fit = ter.fit(network.table, case_mix=network.case_mix, outcome="y", engine="ml", nodes=1)

    def value(x):
        return laplace_log_likelihood(network, x[:3], np.exp(x[3:]))

    found = minimize(
        lambda x: -value(x),
        np.array([0.0, 0.0, 0.0, -1.0, -1.0]),
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 5000, "adaptive": True},
    )
    assert found.success
    assert fit.log_likelihood == pytest.approx(-found.fun, abs=1e-7)
    # A log-likelihood that is 1e-8 below its maximum is 1e-4 standard errors away.
    np.testing.assert_array_less(np.abs(fit.fixed["estimate"] - found.x[:3]), 1e-3 * fit.fixed["se"])
    np.testing.assert_allclose(fit.groups["sd"], np.exp(found.x[3:]), rtol=1e-3)
    x, se = found.x, np.append(fit.fixed["se"], [0.3, 0.3])
    assert steepest(value, x, se) < 0.02
    # The slope is nearly linear in the distance: a standard error off is seen as such.
    assert steepest(value, x + np.eye(5)[1] * se, se) == pytest.approx(1.0, rel=0.2)


def test_integrated_likelihood_against_scipy():
    network = draw_network(TINY)
    beta, sd = np.array([0.1, -0.3, 0.2]), 0.6
    total = 0.0
    for j in range(network.u.size):
        rows = network.therapist == j
        eta, y = network.X[rows] @ beta, network.y[rows]

        def log_density(u, eta=eta, y=y):
            return float((y * (eta + u) - np.logaddexp(0, eta + u)).sum() + norm.logpdf(u, scale=sd))

        top = max(log_density(u) for u in np.linspace(-4, 4, 161))
        area, _ = quad(lambda u, f=log_density, t=top: np.exp(f(u) - t), -6, 6, limit=500, points=[-1, 0, 1])
        total += top + np.log(area)
    # quad asks for 1.5e-8 of each of twelve integrals.
    assert integrated_log_likelihood(network, beta, sd) == pytest.approx(total, abs=2e-7)


def test_reference_simulation_has_the_same_content():
    simulation = ter.simulate(scenario_of(MEDIUM), seed=MEDIUM.seed)
    team = team_of(simulation)
    ours = ter.simulation.count_outcomes(simulation.scenario, MEDIUM.seed).iloc[:, 1:].to_numpy().sum(axis=0)
    theirs = count_outcomes(simulation.scenario, team, np.random.default_rng(1)).sum(axis=0)
    assert ours[0] == theirs[0]
    # Three standard errors of sampling are 0.5 to 0.8 points at this size; the rest is for what the reference
    # leaves out.
    np.testing.assert_allclose(ours[1:] / ours[:-1], theirs[1:] / theirs[:-1], atol=0.01)
