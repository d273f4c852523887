"""A fit that starts from an earlier one gives the same answer."""

import numpy as np
import pytest
from networks import network, table_of

import ter
from ter.errors import OptionError

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


def test_start_must_be_a_fit(table):
    with pytest.raises(OptionError, match="earlier fit"):
        ter.fit(table, case_mix=None, outcome="y", start={"beta": 0.0})
