"""Engine "ml" at the extremes: the right answer, and never a NaN, a warning or a hang."""

from dataclasses import replace

import numpy as np
import pytest
from networks import network, table_of

import ter
from ter.models.layout import arrange
from ter.models.ml import fit_ml
from ter.models.quadrature import QuadratureLikelihood

OPTIONS = {"outcome": "y", "engine": "ml"}


def finite(found):
    return all(
        np.isfinite(getattr(found, name)).all()
        for name in ("beta", "covariance", "sd", "u", "u_sd", "v", "v_sd", "log_likelihood")
    )


def laid_out(design):
    return arrange(design, design.therapist, design.service)


@pytest.mark.parametrize("nodes", [1, 9])
@pytest.mark.parametrize("services", [0, 3])
@pytest.mark.parametrize(
    "caseload",
    [[1] * 60, [20, 20], [5000] + [5] * 20, [0, 3, 40, 1] * 8],
    ids=["ones", "two", "huge", "gaps"],
)
def test_caseloads(caseload, services, nodes):
    design, _ = network(6, therapists=len(caseload), caseload=caseload, services=services)
    found = fit_ml(laid_out(design), nodes)
    assert found.converged
    assert finite(found)


@pytest.mark.parametrize("nodes", [1, 9])
@pytest.mark.parametrize("services", [0, 3])
def test_a_million_patients_a_row(services, nodes):
    # So much data leave no doubt of a therapist's rate: the SD is that of the true effects.
    design, truth = network(2, therapists=40, caseload=8, services=services, trials=1_000_000)
    found = fit_ml(laid_out(design), nodes)
    assert found.converged
    assert finite(found)
    np.testing.assert_allclose(found.beta[1:], truth.beta[1:], atol=1e-3)
    spread = np.sqrt((truth.u**2).mean()) if services else truth.u.std()
    # Three standard errors of an SD of 40 therapists are a third of it; the effects' own SD is meant here.
    assert found.sd[0] == pytest.approx(spread, rel=0.1)
    # One over the root of 8 million weights of 0.1 to 0.25; services are not told from therapists so well.
    assert found.u_sd.max() < (0.2 if services else 2e-3)


def test_a_caseload_of_a_hundred_thousand():
    design, truth = network(5, therapists=30, caseload=[100_000] + [20] * 29, columns=1)
    layout = laid_out(design)
    by_laplace, by_quadrature = fit_ml(layout, 1), fit_ml(layout, 9)
    assert by_laplace.converged
    assert by_quadrature.converged
    # One therapist's patients say what the column does: a standard error is some 0.007.
    assert by_quadrature.beta[1] == pytest.approx(truth.beta[1], abs=0.03)
    np.testing.assert_allclose(by_laplace.beta, by_quadrature.beta, atol=0.02)
    value = QuadratureLikelihood(layout, 41).value(by_quadrature.beta, float(by_quadrature.sd[0]))
    assert by_quadrature.log_likelihood == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("nodes", [1, 9])
def test_all_or_none_of_a_therapist_recover(nodes):
    design, _ = network(6, therapists=20, caseload=12, services=3)
    y = design.successes.copy()
    y[design.therapist.index == 0], y[design.therapist.index == 1] = 1.0, 0.0
    found = fit_ml(laid_out(replace(design, successes=y)), nodes)
    assert found.converged
    assert finite(found)
    assert found.u.argmax() == 0
    assert found.u.argmin() == 1


@pytest.mark.parametrize("nodes", [1, 9])
def test_a_column_of_huge_scale_is_the_same_column(nodes):
    table = table_of(network(8, services=4, therapists=30)[0])
    case_mix = ter.CaseMix([ter.linear("x0"), ter.linear("x1")])
    plain = ter.fit(table, case_mix=case_mix, nodes=nodes, **OPTIONS)
    scaled = ter.fit(table.assign(x0=1e9 + 1e7 * table["x0"]), case_mix=case_mix, nodes=nodes, **OPTIONS)
    # 1e9 + 1e7 x keeps nine digits of x.
    assert scaled.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-5)
    np.testing.assert_allclose(scaled.groups["sd"], plain.groups["sd"], rtol=1e-4)
    assert scaled.fixed.loc["x0", "estimate"] * 1e7 == pytest.approx(
        plain.fixed.loc["x0", "estimate"], rel=1e-4
    )


@pytest.mark.parametrize("nodes", [1, 9])
def test_separation_is_said(nodes):
    table = table_of(network(8, services=4, therapists=30)[0])
    fit = ter.fit(
        table.assign(x0=100.0 * table["y"]), case_mix=ter.CaseMix([ter.linear("x0")]), nodes=nodes, **OPTIONS
    )
    assert any("separation" in note for note in fit.record.notes)
    assert np.isfinite(fit.fixed["estimate"]).all()


def test_a_spread_that_runs_off_is_no_maximum():
    # 142 patients and 50 columns: together with 19 therapists they split the outcomes exactly.
    table = ter.simulate(ter.Scenario.preset("gloucestershire_2018_19"), seed=10).episodes
    fit = ter.fit(table, engine="ml")
    assert not fit.record.converged
    assert any("no maximum, and an SD ran off" in note for note in fit.record.notes)
    assert fit.groups.loc["therapist", "median_odds_ratio"] == np.inf
    assert "NOT CONVERGED" in fit.summary()


def test_quadrature_names_its_factor():
    table = table_of(network(8, services=4, therapists=30)[0])
    case_mix = ter.CaseMix([ter.linear("x0")])
    fit = ter.fit(table, case_mix=case_mix, nodes=9, **OPTIONS)
    assert "Quadrature with 9 nodes over the therapists" in " ".join(fit.record.notes)
    swapped = ter.fit(
        table, case_mix=case_mix, nodes=9, therapist="service_id", service="therapist_id", **OPTIONS
    )
    assert any(
        "over the services, Laplace's method over the therapists" in note for note in swapped.record.notes
    )
    assert swapped.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(swapped.groups["sd"].to_numpy(), fit.groups["sd"].to_numpy()[::-1], rtol=1e-4)
