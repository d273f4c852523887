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


def test_start_must_be_a_fit(table):
    with pytest.raises(OptionError, match="earlier fit"):
        ter.fit(table, case_mix=None, outcome="y", start={"beta": 0.0})
