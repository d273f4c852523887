"""Therapists nested in services, by quadrature inside quadrature."""

from dataclasses import replace

import numpy as np
import pytest
from networks import grouping, network, table_of
from scipy.special import logsumexp

import ter
from ter.kernels.nested import service_passes
from ter.kernels.rows import expit
from ter.models.layout import arrange
from ter.models.nested import NestedLikelihood, members_of
from ter.models.structure import Structure, structure_of


def nested(seed, *, services=3, therapists=9, sd=(0.8, 0.6), **options):
    """A network of therapists who each work in one service."""
    design, _ = network(seed, therapists=therapists, **options)
    rng = np.random.default_rng(seed)
    home = np.concatenate([np.arange(services), rng.integers(0, services, therapists - services)])
    v, u = sd[1] * rng.standard_normal(services), sd[0] * rng.standard_normal(therapists)
    j = design.therapist.index
    p = expit.py_func if hasattr(expit, "py_func") else expit
    rate = np.array([p(x) for x in design.X @ np.array([0.2, 0.4, -0.4]) + u[j] + v[home[j]]])
    y = rng.binomial(design.trials.astype(int), rate).astype(float)
    return replace(design, successes=y, service=grouping("service", home[j], services))


def laid_out(design):
    return arrange(design, design.therapist, design.service)


def brute_force(design, x):
    """Trapezoidal sums over u and v on wide, dense grids: smooth integrands that vanish at both ends."""
    beta, su, sv = x[:-2], *np.exp(x[-2:])
    u, v = (np.linspace(-9 * s, 9 * s, 241) for s in (su, sv))
    eta = design.X @ beta
    total = 0.0
    for s in range(len(design.service.levels)):
        log_v = -0.5 * (v / sv) ** 2 - np.log(sv * np.sqrt(2 * np.pi)) + np.log(v[1] - v[0])
        for j in np.unique(design.therapist.index[design.service.index == s]):
            rows = design.therapist.index == j
            t = eta[rows][:, None, None] + v[:, None] + u
            y, n = design.successes[rows][:, None, None], design.trials[rows][:, None, None]
            log_f = (y * t - n * np.logaddexp(0, t)).sum(0) - 0.5 * (u / su) ** 2
            log_v += logsumexp(log_f, axis=1) - np.log(su * np.sqrt(2 * np.pi)) + np.log(u[1] - u[0])
        total += logsumexp(log_v)
    return total


@pytest.mark.parametrize("log_sd", [(-0.3, -0.8), (0.7, 0.4), (-3.0, -3.0)])
@pytest.mark.parametrize("trials", [None, 5])
def test_against_brute_force(log_sd, trials):
    design = nested(1, caseload=[1, 2, 3, 4, 5, 6, 7, 8, 0], trials=trials)
    x = np.array([0.1, 0.5, -0.3, *log_sd])
    likelihood = NestedLikelihood(laid_out(design), 41)
    # The grids are exact to rounding; 41 nodes to about 1e-9 with SDs of up to 2.
    assert likelihood.evaluate(x)[0] == pytest.approx(brute_force(design, x), abs=1e-7)


@pytest.mark.parametrize("x", [(0.1, 0.5, -0.3, -0.3, -0.8), (-0.4, 0.2, 0.1, 0.4, 0.2)])
def test_gradient_against_differences(x):
    likelihood = NestedLikelihood(laid_out(nested(2, caseload=6)), 31)
    x = np.array(x)
    _, gradient = likelihood.evaluate(x)
    numeric = [
        (likelihood.evaluate(x + h)[0] - likelihood.evaluate(x - h)[0]) / 2e-5 for h in 1e-5 * np.eye(x.size)
    ]
    # Central differences lose half of the digits of a value of about 40.
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=2e-7)


def test_moments_are_derivatives_of_the_likelihood():
    # E[v_s | y] is sigma_v^2 times the derivative of log L_s in the prior's mean, which a shift of the
    # service's rows stands for.
    design = nested(3, caseload=5)
    x = np.array([0.1, 0.5, -0.3, -0.2, 0.1])
    likelihood = NestedLikelihood(laid_out(design), 31)
    inner, outer = likelihood.moments(x)

    def shifted(index, k, h):
        X = np.column_stack([design.X, h * (index == k)])
        moved = NestedLikelihood(laid_out(replace(design, X=X)), 31)
        return moved.evaluate(np.concatenate([x[:-2], [1.0], x[-2:]]))[0]

    h = 1e-4
    for moments, factor, sd in (
        (inner, design.therapist, np.exp(x[-2])),
        (outer, design.service, np.exp(x[-1])),
    ):
        for k in range(3):
            up, at, down = (shifted(factor.index, k, d) for d in (h, 0.0, -h))
            assert moments[k, 0] == pytest.approx(sd**2 * (up - down) / (2 * h), abs=1e-5)
            variance = sd**2 + sd**4 * (up - 2 * at + down) / h**2
            assert moments[k, 1] == pytest.approx(variance, abs=1e-4)


def test_structure():
    crossed, _ = network(4, services=4)
    assert structure_of(crossed) is Structure.CROSSED
    assert structure_of(replace(crossed, service=None)) is Structure.ONE
    design = nested(4)
    assert structure_of(design) is Structure.NESTED
    turned = replace(design, therapist=design.service, service=design.therapist)
    assert structure_of(turned) is Structure.NESTED_REVERSED
    assert structure_of(replace(design, service=design.therapist)) is Structure.SAME


def fit(design, **options):
    columns = {"outcome": "y", "trials": "n", "therapist": "therapist_id", "service": "service_id"}
    terms = ter.CaseMix([ter.linear("x0"), ter.linear("x1")])
    return ter.fit(table_of(design), case_mix=terms, engine="ml", **{**columns, **options})


@pytest.fixture(scope="module")
def network_of_forty():
    return nested(5, services=8, therapists=40, caseload=12, sd=(0.9, 0.8))


def test_fit_says_what_it_did_and_names_do_not_matter(network_of_forty):
    found = fit(network_of_forty, nodes=15)
    assert found.record.converged
    assert found.record.structure == "nested: every therapist in one service"
    assert "Structure: nested" in found.summary()
    turned = fit(network_of_forty, nodes=15, therapist="service_id", service="therapist_id")
    assert turned.record.structure == "nested: every service with one therapist"
    # Both end where the Newton decrement is below 1e-7: within 3e-4 standard errors, of about 0.2 here.
    assert turned.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-7)
    np.testing.assert_allclose(turned.fixed, found.fixed, atol=2e-4)
    assert turned.groups.loc["service", "sd"] == pytest.approx(found.groups.loc["therapist", "sd"], abs=2e-4)
    for a, b in (("service", "therapist"), ("therapist", "service")):
        np.testing.assert_allclose(turned.effects(a)["mean"], found.effects(b)["mean"], atol=3e-4)
    more = fit(network_of_forty, nodes=25)
    assert more.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-4)


def test_rows_and_threads_do_not_matter(network_of_forty):
    table = table_of(network_of_forty)
    terms = ter.CaseMix([ter.linear("x0"), ter.linear("x1")])

    def estimates(t):
        return ter.fit(t, case_mix=terms, outcome="y", engine="ml", nodes=7).estimates

    a, b = estimates(table), estimates(table.sample(frac=1.0, random_state=1))
    np.testing.assert_array_equal(a.beta, b.beta)
    np.testing.assert_array_equal(a.u, b.u)


def test_where_arrays_happen_to_lie_does_not_matter(network_of_forty):
    # A loop that reads one array and adds to another is compiled twice, for arrays that may overlap and for
    # others. Which of the two runs is decided on the spot, with room to spare: by what lies near to what.
    layout = laid_out(network_of_forty)
    likelihood = NestedLikelihood(layout, 7)
    X, beta = layout.rows.X, np.array([0.1, 0.5, -0.3])
    gradients = []
    for gap in range(40):
        room = np.zeros(X.size + gap + beta.size + 2)
        placed = room[: X.size].reshape(X.shape, order="F")
        placed[...] = X
        gradient = room[X.size + gap :]
        service_passes(
            0, layout.n_outer, layout.rows._replace(X=placed), likelihood.members, likelihood.member_ptr,
            beta, 0.5, 0.4, *likelihood.rule, *likelihood.outer_rule, np.zeros(layout.n_inner),
            np.zeros(layout.n_outer), gradient, np.empty((layout.n_inner, 2)), np.empty((layout.n_outer, 2)),
        )  # fmt: skip
        gradients.append(gradient.copy())
    np.testing.assert_array_equal(gradients, np.tile(gradients[0], (40, 1)))


def test_a_service_effect_of_zero_is_said(network_of_forty):
    # Services dealt out to therapists who do not differ by them: the estimate is on its boundary.
    design = nested(11, services=8, therapists=40, caseload=12, sd=(0.6, 0.0))
    found = fit(design, nodes=9)
    assert found.record.singular
    assert found.groups.loc["service", "sd"] == 0.0
    alone = fit(design, nodes=25, service=None)
    # What is left at an SD of 1e-4, where the ascent rests, is of the order of 1e-8 times the caseloads.
    assert found.log_likelihood == pytest.approx(alone.log_likelihood, abs=2e-4)
    np.testing.assert_allclose(found.fixed["estimate"], alone.fixed["estimate"], atol=1e-3)


def test_extremes():
    # Services with a single therapist, therapists with all or no recoveries, one without patients.
    design = nested(6, services=4, therapists=12, caseload=[9, 0, 8, 7, 1, 1, 9, 9, 9, 9, 9, 9])
    y = design.successes.copy()
    y[design.therapist.index == 0], y[design.therapist.index == 2] = 1.0, 0.0
    design = replace(design, successes=y)
    layout = laid_out(design)
    assert 1 in np.diff(members_of(layout)[1])
    found = fit(design, nodes=11)
    assert np.isfinite(found.effects("therapist").to_numpy()).all()
    for wide in (np.log(30.0), np.log(1e-4)):
        value, gradient = NestedLikelihood(layout, 11).evaluate(np.array([0.0, 0.0, 0.0, wide, wide]))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_errors():
    design = nested(7)
    with pytest.raises(ter.OptionError, match="at least 5"):
        fit(design, nodes=3)
    one_to_one = replace(
        design, service=grouping("service", design.therapist.index, len(design.therapist.levels))
    )
    with pytest.raises(ter.DataError, match="cannot tell their effects apart"):
        fit(one_to_one, nodes=9)
