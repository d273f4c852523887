"""A fit that starts from an earlier one gives the same answer."""

import numpy as np
import pytest
from networks import network, table_of
from test_nested import nested
from test_slope import sloped

import ter
from ter.errors import OptionError
from ter.features import build_design
from ter.models.effects_posterior import (
    EffectsPosterior,
    find_centre,
    half_normal,
    lkj_two,
    score_of_half_normal,
    score_of_lkj_two,
)
from ter.models.layout import arrange
from ter.models.priors import Priors
from ter.models.slope_views import effect_variance
from ter.models.start import from_earlier, from_nothing

COLUMNS = [ter.linear("x0"), ter.linear("x1"), ter.linear("x2")]


@pytest.fixture(scope="module")
def table():
    return table_of(network(3, therapists=50, services=6, caseload=20, columns=3)[0])


@pytest.fixture(scope="module")
def scratch(table):
    return ter.fit(table, case_mix=ter.CaseMix(COLUMNS), outcome="y")


def differences(a, b):
    """The largest differences, of TERs as rates."""
    return [
        np.abs(a.posterior.ter_mean - b.posterior.ter_mean).max() / 100,
        np.abs(a.effects("therapist") - b.effects("therapist")).to_numpy().max(),
        np.abs(a.fixed - b.fixed).to_numpy().max(),
        np.abs(a.groups["sd"] - b.groups["sd"]).max(),
    ]


EARLIER = {
    "last month": {"rows": slice(0, 900)},
    "fewer columns": {"columns": 2},
    "other services": {"rows": slice(0, 600), "rename": True},
    "without services": {"service": None},
    "by maximum likelihood": {"engine": "ml"},
}


@pytest.mark.parametrize("name", EARLIER)
def test_same_answer_in_fewer_iterations(table, scratch, name):
    spec = dict(EARLIER[name])
    before = table.iloc[spec.pop("rows", slice(None))]
    if spec.pop("rename", False):
        before = before.assign(service_id=before["service_id"].replace("S00001", "closed"))
    case_mix = ter.CaseMix(COLUMNS[: spec.pop("columns", 3)])
    earlier = ter.fit(before, case_mix=case_mix, outcome="y", **spec)
    fit = ter.fit(table, case_mix=ter.CaseMix(COLUMNS), outcome="y", start=earlier)
    # What is asked of it; the search for the middle ends within 1e-5, which draws and weights make a
    # hundredth of.
    assert max(differences(fit, scratch)) < 1e-6
    if name != "without services":
        assert fit.record.iterations < scratch.record.iterations


@pytest.mark.parametrize("service", ["service_id", None])
@pytest.mark.parametrize("nodes", [1, 9])
# The SD of services is next to zero, the data hardly bound that of therapists, and a network like any other.
@pytest.mark.parametrize("seed", [0, 26, 5])
def test_maximum_likelihood_is_the_same_from_an_earlier_fit(seed, nodes, service):
    rng = np.random.default_rng(seed)
    sizes = {"therapists": int(rng.integers(20, 80)), "services": int(rng.integers(3, 9))}
    design, _ = network(
        seed, **sizes, caseload=int(rng.integers(4, 25)), columns=3, sd=rng.uniform(0.1, 1, 2)
    )
    table = table_of(design)
    options = {"outcome": "y", "engine": "ml", "nodes": nodes, "service": service}
    earlier = ter.fit(table.iloc[: int(0.8 * len(table))], case_mix=ter.CaseMix(COLUMNS), **options)
    fits = [ter.fit(table, case_mix=ter.CaseMix(COLUMNS), start=s, **options) for s in (None, earlier)]
    tables = [(f.fixed, f.groups.select_dtypes("number"), f.effects("therapist")) for f in fits]
    for scratch, again in zip(*tables, strict=True):
        # Relative where figures are large: the upper end of the interval of an SD that is hardly bounded.
        moved = np.abs(again - scratch) / np.maximum(np.abs(scratch), 1.0)
        assert np.nanmax(moved.to_numpy()) < 1e-6
    assert fits[0].log_likelihood == pytest.approx(fits[1].log_likelihood, abs=1e-9)


def two_months(kind, therapists=48, caseload=24):
    """Tables of two months that share most rows; each has levels and a column that the other lacks."""
    if kind == "nested":
        design = nested(4, services=8, therapists=40, caseload=14)
    else:
        design, _, _ = sloped(
            1, therapists=therapists, caseload=caseload, services=6, sd=(0.9, 0.5), sd_w=0.9
        )
    table = table_of(design)
    n, rng = len(table), np.random.default_rng(0)
    table["region"] = rng.integers(1, 7, n).astype(str)
    table["kind"] = rng.choice(["a", "b"], n)
    # Rows stand by therapist: some leave and some come, and with them a region and a kind of patient.
    table.loc[: n // 16, ["region", "kind"]] = ["0", "old"]
    table.loc[n - n // 16 :, ["region", "kind"]] = ["7", "new"]
    return table.iloc[: n - n // 8], table.iloc[n // 8 :]


KINDS = {
    "nested": {"nodes": 7},
    "slope": {"severity_slope": "x0", "service": None},
    "slope by quadrature": {"severity_slope": "x0", "service": None, "nodes": 7},
    "slope and service": {"severity_slope": "x0"},
    "third factor": {"further": "region"},
    "all": {"severity_slope": "x0", "further": "region"},
    "all by quadrature": {"severity_slope": "x0", "further": "region", "nodes": 5},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_structure_begins_where_the_earlier_fit_ended(kind):
    months = two_months(kind)
    terms = ter.CaseMix([ter.linear("x0"), ter.linear("x1"), ter.factor("kind")])
    options = {"outcome": "y", "engine": "ml", "case_mix": terms, **KINDS[kind]}
    scratch = [ter.fit(month, **options) for month in months]
    assert all(fit.record.converged for fit in scratch)
    for k in (0, 1):
        again = ter.fit(months[k], start=scratch[1 - k], **options)
        assert again.record.converged
        assert again.record.iterations < scratch[k].record.iterations
        assert again.log_likelihood == pytest.approx(scratch[k].log_likelihood, abs=1e-9)
        # What is asked of it.
        tables = [
            (f.fixed, f.groups[["sd"]], *(f.effects(g) for g in f.factors)) for f in (again, scratch[k])
        ]
        for a, b in zip(*tables, strict=True):
            np.testing.assert_allclose(a.to_numpy(), b.to_numpy(), atol=1e-6, rtol=0)
        # An interval of an SD of 0.07 goes up to 6: its end moves by many times what the estimate does.
        np.testing.assert_allclose(again.groups["q95"], scratch[k].groups["q95"], rtol=1e-5)
        if again.severity is not None:
            np.testing.assert_allclose(again.slope["estimate"], scratch[k].slope["estimate"], atol=1e-6)


@pytest.mark.parametrize("kind", ["slope", "third factor", "all"])
def test_the_middle_of_a_posterior_does_not_show_where_its_search_began(kind):
    months = two_months(kind)
    options = {"outcome": "y", "case_mix": ter.CaseMix([ter.linear("x0"), ter.factor("kind")])}
    first = ter.fit(months[0], engine="ml", **options, **KINDS[kind])
    model = {"severity": None, "further": None, "service": "service_id"}
    asked = {"severity" if k == "severity_slope" else k: v for k, v in KINDS[kind].items()}
    design = build_design(months[1], therapist="therapist_id", **options, **(model | asked))
    layout = arrange(design, design.therapist, None)
    posterior = EffectsPosterior(design, layout, 7, Priors())
    scratch, again = (
        find_centre(posterior, *posterior.beginning(start))
        for start in (from_nothing(design, layout), from_earlier(first, design))
    )
    assert again.evaluations < scratch.evaluations
    assert again.mode.converged
    # Draws follow from these: a tenth of what the answer may be off by.
    for name in ("q", "covariance", "drift"):
        np.testing.assert_allclose(getattr(again, name), getattr(scratch, name), atol=1e-7, err_msg=name)
    np.testing.assert_allclose(again.mode.b, scratch.mode.b, atol=1e-7)


def test_posterior_with_a_third_factor_begins_where_the_earlier_fit_ended():
    months = two_months("third factor", therapists=16, caseload=16)
    options = {"outcome": "y", "case_mix": ter.CaseMix([ter.linear("x0")]), "further": "region"}
    first = ter.fit(months[0], engine="ml", **options)
    scratch, again = (ter.fit(months[1], start=start, **options) for start in (None, first))
    for a, b in ((again.fixed, scratch.fixed), (again.groups, scratch.groups)):
        np.testing.assert_allclose(a.to_numpy(), b.to_numpy(), atol=1e-6, rtol=0)
    for name in again.factors:
        a, b = again.effects(name), scratch.effects(name)
        np.testing.assert_allclose(a.to_numpy(), b.to_numpy(), atol=1e-6, rtol=0)
    np.testing.assert_allclose(again.posterior.ter_mean, scratch.posterior.ter_mean, atol=1e-4)  # percent


@pytest.mark.parametrize("q", [-4.0, -0.7, 0.0, 1.3, 4.0])
def test_scores_are_undone(q):
    assert score_of_half_normal(half_normal(q, 0.7), 0.7) == pytest.approx(q, abs=1e-9)
    assert score_of_lkj_two(lkj_two(q)) == pytest.approx(q, abs=1e-6)


@pytest.mark.parametrize("engine", ["ml", "fast"])
def test_a_fit_of_any_kind_may_start_one_with_slopes(engine):
    first, second = two_months("all")
    terms = ter.CaseMix([ter.linear("x0"), ter.linear("x1")])
    options = {"outcome": "y", "case_mix": terms}
    earlier = ter.fit(first, engine=engine, service=None, **options)
    model = {"engine": "ml", "severity_slope": "x0", "further": "region", **options}
    fits = [ter.fit(second, start=start, **model) for start in (None, earlier)]
    np.testing.assert_allclose(fits[1].groups["sd"], fits[0].groups["sd"], atol=1e-6)
    # And the other way round: what has slopes starts what has none.
    plain = [ter.fit(first, engine="ml", start=start, **options) for start in (None, fits[0])]
    np.testing.assert_allclose(plain[1].groups["sd"], plain[0].groups["sd"], atol=1e-6)


def test_slopes_are_read_in_the_units_of_the_new_month():
    first, second = two_months("slope")
    second = second.assign(x0=3.0 + 2.0 * second["x0"])
    fit = ter.fit(first, outcome="y", case_mix=None, service=None, severity_slope="x0", engine="ml")
    design = build_design(
        second, case_mix=None, outcome="y", trials=None, therapist="therapist_id", service=None, severity="x0"
    )
    sigma = from_earlier(fit, design).sigma
    # The same variance of a therapist's effect at the same severity, whatever it is measured from.
    at = [-1.0, 0.0, 2.5, 6.0]
    z = (np.array(at) - design.severity.centre) / design.severity.scale
    variance = effect_variance(sigma.sd_u, sigma.sd_w, sigma.correlation, z)
    np.testing.assert_allclose(np.sqrt(variance), fit.variance_by_severity(at)["sd"], rtol=1e-12)


def test_start_must_be_a_fit(table):
    with pytest.raises(OptionError, match="earlier fit"):
        ter.fit(table, case_mix=None, outcome="y", start={"beta": 0.0})
