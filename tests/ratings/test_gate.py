"""Nothing of a therapist behind the gate leaves: not by itself, and not by subtraction."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest

from ter.errors import FitError, OptionError
from ter.ratings import publish, rate

COMPLETED = [9, 10, 11, 40, 0, 120, 3, 25, 60, 14]

#: Fields of the posterior that hold no row by therapist, and the numbers of random streams: no outcomes.
PARAMETERS = {"weights", "beta", "v", "f", "sd", "units", "seed", "slope"}


def _other_outcomes(fit, behind):
    """The same fit, had the patients of these therapists fared otherwise."""

    def changed(array, rows, by=0.7):
        array = array.copy()
        array[rows] *= by
        return array

    posterior = fit.posterior
    by_therapist = [f.name for f in fields(posterior) if f.name not in PARAMETERS]
    months = fit.months
    of_them = behind[months.unit]
    return replace(
        fit,
        units=replace(
            fit.units, n=changed(fit.units.n, behind), observed=changed(fit.units.observed, behind, 0.6)
        ),
        posterior=replace(
            posterior, **{name: changed(getattr(posterior, name), behind) for name in by_therapist}
        ),
        months=replace(
            months,
            n=changed(months.n, of_them),
            observed=changed(months.observed, of_them, 0.6),
            expected=changed(months.expected, of_them),
        ),
        deciles=replace(
            fit.deciles,
            n=changed(fit.deciles.n, behind),
            observed=changed(fit.deciles.observed, behind, 0.6),
            expected=changed(fit.deciles.expected, behind),
        ),
        case_mix_means=replace(
            fit.case_mix_means,
            units=changed(fit.case_mix_means.units, behind),
            level_shift=changed(fit.case_mix_means.level_shift, behind),
            shift=changed(fit.case_mix_means.shift, behind),
            network=fit.case_mix_means.network + 1.0,
        ),
    )


def _bytes(value):
    """Every figure of a publication, exactly."""
    if isinstance(value, pd.DataFrame):
        return value.to_csv(float_format="%.17g")
    if is_dataclass(value):
        return [_bytes(getattr(value, f.name)) for f in fields(value)]
    return repr(value)


@pytest.mark.parametrize("completed", [COMPLETED, [9, 10, 11, 40, 70, 120, 30, 25, 60, 14]])
@pytest.mark.parametrize("minimum", [None, 48.0])
def test_no_output_depends_on_the_outcomes_behind_the_gate(make_fit, completed, minimum):
    # Also where a single therapist (t000) is behind it: what does not vary cannot be subtracted.
    fit = make_fit(completed)
    behind = fit.units.n_completed < 10
    other = _other_outcomes(fit, behind)
    assert not np.array_equal(other.units.observed, fit.units.observed)
    ours, theirs = (publish(f, rate(f, minimum=minimum)) for f in (fit, other))
    assert _bytes(ours) == _bytes(theirs)


def test_outputs_do_depend_on_the_outcomes_of_the_rated(make_fit):
    # The test above can fail: the same change before the gate shows in every table.
    fit = make_fit(COMPLETED)
    other = _other_outcomes(fit, fit.units.n_completed >= 10)
    ours, theirs = (publish(f, rate(f)) for f in (fit, other))
    for name in ("ratings", "network", "calibration", "trend", "case_mix", "shift", "services"):
        assert _bytes(getattr(ours, name)) != _bytes(getattr(theirs, name)), name


FEW = {"n_completed": [12, 11, 40, 30, 25, 9], "n": [1, 4, 36, 5, 0, 8]}


def test_what_few_patients_did_is_not_published(make_fit):
    fit = make_fit(**FEW)
    ratings = rate(fit)
    table = publish(fit, ratings).ratings
    assert (table["status"] != "provisional").tolist() == [True] * 5 + [False]
    for column in ("observed", "o_e"):
        # Five are enough to show; of none there is nothing to show.
        assert table[column].notna().tolist() == [False, False, True, True, False, False]
    assert table["ter"].notna().tolist() == [True] * 5 + [False]
    assert table["expected"].notna().tolist() == [True] * 4 + [False] * 2
    # The analyst's table keeps them.
    assert ratings.to_frame()["observed"].notna().tolist() == [True] * 4 + [False] * 2


def test_what_few_patients_did_is_not_to_be_had_by_subtraction(make_fit):
    # All that is summed: taking away the therapists that are shown leaves nothing over.
    fit = make_fit(**FEW)
    publication = publish(fit, rate(fit))
    shown = publication.ratings.dropna(subset=["observed"])
    n, recovered = fit.units.n[2:4].sum(), (shown["observed"] * fit.units.n[2:4]).sum()
    network, services = publication.network, publication.services
    assert (network.n_rated, network.n_at_caseness_rated, services["n_rated"].sum()) == (5, n, 5)
    assert network.observed * n == pytest.approx(recovered, rel=1e-14)
    assert services["n_at_caseness_rated"].sum() == n
    assert (services["observed"] * services["n_at_caseness_rated"]).sum() == pytest.approx(recovered)
    # The deciles are those of the made fit, whose rounded counts are not the totals.
    assert publication.calibration["n"].sum() == fit.deciles.n[2:4].sum()
    assert set(publication.trend["therapist_id"]) == {"t002", "t003"}
    assert (publication.trend["n_at_caseness"] >= 5).all()


def test_no_sum_depends_on_what_few_patients_did(make_fit):
    # Had these patients fared otherwise, and the posteriors stayed, not a byte would differ.
    fit = make_fit(**FEW)
    few = (fit.units.n > 0) & (fit.units.n < 5)
    of_them = few[fit.months.unit]
    other = replace(
        fit,
        units=replace(
            fit.units, observed=np.where(few, fit.units.n - fit.units.observed, fit.units.observed)
        ),
        months=replace(
            fit.months,
            observed=np.where(of_them, fit.months.n - fit.months.observed, fit.months.observed),
        ),
        deciles=replace(
            fit.deciles,
            observed=np.where(few[:, None], fit.deciles.n - fit.deciles.observed, fit.deciles.observed),
        ),
    )
    ours, theirs = rate(fit), rate(other)
    assert not ours.to_frame()["observed"].equals(theirs.to_frame()["observed"])
    assert _bytes(publish(fit, ours)) == _bytes(publish(other, theirs))


def test_the_network_is_the_sum_of_the_rated(make_fit):
    fit = make_fit(COMPLETED)
    network = publish(fit, rate(fit)).network
    rated = fit.units.n_completed >= 10
    n = fit.units.n[rated]
    assert (network.n_therapists, network.n_rated, network.n_provisional) == (10, 7, 3)
    assert network.n_services == 3
    assert network.n_completed == sum(COMPLETED)
    assert network.n_episodes == sum(COMPLETED) + 20
    assert network.n_at_caseness == fit.units.n_at_caseness.sum()
    assert network.n_at_caseness_rated == n.sum()
    assert network.observed == pytest.approx(fit.units.observed[rated].sum() / n.sum(), rel=1e-14)
    expected = (n * fit.posterior.expected_mean[rated]).sum() / n.sum()
    assert network.expected == pytest.approx(expected, rel=1e-14)


def test_therapists_of_every_kind_are_listed(make_fit):
    fit = make_fit([12, 30, 0, 9], n=[0, 25, 0, 9])
    publication = publish(fit, rate(fit))
    assert publication.ratings["therapist_id"].tolist() == ["t000", "t001", "t002", "t003"]
    assert publication.ratings["service_id"].tolist() == ["s0", "s1", "s2", "s0"]
    assert publication.ratings["n_completed"].tolist() == [12, 30, 0, 9]
    # The rated one without patients adds nothing to the rates, and does not spoil them.
    assert publication.network.n_at_caseness_rated == 25
    assert publication.network.observed == fit.units.observed[1] / 25


def test_nobody_rated(make_fit):
    fit = make_fit([3, 9, 1])
    publication = publish(fit, rate(fit))
    assert np.isnan(publication.network.observed)
    assert np.isnan(publication.network.expected)
    assert publication.network.n_at_caseness_rated == 0
    for table in (publication.calibration, publication.trend, publication.case_mix, publication.shift):
        assert table.empty
        assert len(table.columns)
    assert publication.services["observed"].isna().all()
    assert publication.services["n_rated"].tolist() == [0, 0, 0]


def test_the_note_on_the_model(make_fit):
    fit = make_fit(COMPLETED)
    note = publish(fit, rate(fit)).model
    assert (note.engine, note.outcome, note.service_effect) == ("fast", "recovered", "included")
    assert note.notes == ("A note.",)
    assert note.left_out == (("treatment not completed", 20),)
    assert note.n_modelled == fit.units.n.sum()


def test_what_did_not_converge_is_not_published(make_fit):
    fit = make_fit(COMPLETED, converged=False)
    with pytest.raises(FitError, match="did not converge"):
        publish(fit, rate(fit))


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"n_completed": [*COMPLETED[:9], 9]}, {"n_completed": COMPLETED[:9]}]
)
def test_ratings_of_another_fit_are_refused(make_fit, other):
    fit = make_fit(COMPLETED)
    with pytest.raises(OptionError, match="another fit"):
        publish(fit, rate(make_fit(**({"n_completed": COMPLETED} | other))))
