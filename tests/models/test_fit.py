"""The result of a fit: its tables, its refusals, and its file."""

import dataclasses
import json
import zipfile

import numba
import numpy as np
import pandas as pd
import pytest
from networks import network, table_of
from scipy.special import expit

import ter
from ter.errors import DataError, ModelFileError, OptionError
from ter.models.same_table import require_fitted_table

TERMS = ter.CaseMix([ter.linear("x0"), ter.linear("x1")])
OPTIONS = {"case_mix": TERMS, "outcome": "y"}


@pytest.fixture(scope="module")
def table():
    return table_of(network(1, therapists=25, services=4, caseload=12)[0])


@pytest.fixture(scope="module")
def fast(table):
    return ter.fit(table, **OPTIONS)


@pytest.fixture(scope="module")
def ml(table):
    return ter.fit(table, engine="ml", nodes=1, **OPTIONS)


def test_tables_have_their_columns(fast, ml):
    assert list(fast.fixed.columns) == ["mean", "sd", "q05", "q95"]
    assert list(ml.fixed.columns) == ["estimate", "se"]
    assert list(fast.fixed.index) == list(ml.fixed.index) == ["intercept", "x0", "x1"]
    for fit in (fast, ml):
        assert list(fit.groups.index) == ["therapist", "service"]
        assert list(fit.groups["levels"]) == [25, 4]
        assert list(fit.effects("therapist").columns) == ["n", "mean", "sd", "q05", "q50", "q95"]
        assert fit.effects("therapist")["n"].sum() == fit.effects("service")["n"].sum() == 300
        assert "therapist" in fit.summary()
        assert "<table" in fit._repr_html_()


def test_group_figures_follow_from_the_sds(ml):
    variance = ml.groups["sd"] ** 2
    # Closed forms: latent-scale ICC, and exp(sqrt(2) 0.6745 sd).
    np.testing.assert_allclose(ml.groups["icc"], variance / (variance.sum() + np.pi**2 / 3))
    np.testing.assert_allclose(
        ml.groups["median_odds_ratio"], np.exp(np.sqrt(2 * variance) * 0.6744897501960817), rtol=1e-12
    )


def test_fixed_effects_are_on_the_scale_of_the_columns(table, ml):
    # The same model with x0 in other units: the coefficient scales, nothing else moves.
    scaled = ter.fit(table.assign(x0=10 + 100 * table["x0"]), engine="ml", nodes=1, **OPTIONS)
    assert scaled.log_likelihood == pytest.approx(ml.log_likelihood, abs=1e-8)
    assert scaled.fixed.loc["x0", "estimate"] == pytest.approx(ml.fixed.loc["x0", "estimate"] / 100, rel=1e-5)
    moved = ml.fixed.loc["intercept", "estimate"] - 0.1 * ml.fixed.loc["x0", "estimate"]
    assert scaled.fixed.loc["intercept", "estimate"] == pytest.approx(moved, rel=1e-5)


def test_factors_may_be_given_in_either_order(table, ml):
    # The larger factor is eliminated: exchanging the words exchanges the results.
    swapped = ter.fit(table, engine="ml", nodes=1, therapist="service_id", service="therapist_id", **OPTIONS)
    assert swapped.log_likelihood == pytest.approx(ml.log_likelihood, abs=1e-7)
    np.testing.assert_allclose(swapped.groups["sd"], ml.groups["sd"][::-1], rtol=1e-4)
    np.testing.assert_allclose(swapped.effects("service")["mean"], ml.effects("therapist")["mean"], atol=1e-5)
    np.testing.assert_allclose(swapped.fixed, ml.fixed, rtol=1e-3)


def test_posterior_is_near_the_likelihood_where_there_is_much_data():
    # The larger the data, the less the priors matter: posterior mean and ML estimate agree to a fraction of
    # an SE.
    design, _ = network(5, therapists=200, caseload=40)
    table = table_of(design)
    fast = ter.fit(table, service=None, **OPTIONS)
    ml = ter.fit(table, service=None, engine="ml", nodes=15, **OPTIONS)
    np.testing.assert_allclose(fast.fixed["mean"], ml.fixed["estimate"], atol=0.1 * ml.fixed["se"].min())
    np.testing.assert_allclose(fast.fixed["sd"], ml.fixed["se"], rtol=0.1)
    assert fast.groups["sd"]["therapist"] == pytest.approx(ml.groups["sd"]["therapist"], rel=0.05)
    # At its own optimum the likelihood is highest, by about the number of parameters over two at most.
    assert ml.log_likelihood - 2 < fast.log_likelihood <= ml.log_likelihood


def test_grouped_counts_equal_single_patients():
    design, _ = network(4, therapists=12, caseload=1, columns=0, trials=8)
    counts = table_of(design)
    rows = counts.loc[counts.index.repeat(8)].assign(
        y=np.concatenate([np.r_[np.ones(y), np.zeros(8 - y)] for y in counts["y"]])
    )
    options = {"case_mix": None, "outcome": "y", "service": None}
    grouped = ter.fit(counts, trials="n", **options)
    single = ter.fit(rows.drop(columns="n").reset_index(drop=True), **options)
    np.testing.assert_allclose(grouped.fixed, single.fixed, rtol=1e-6)
    np.testing.assert_allclose(grouped.effects("therapist"), single.effects("therapist"), rtol=1e-6)
    np.testing.assert_array_equal(grouped.units.n, single.units.n)


def test_expected_integrates_the_therapist(fast, table):
    patients = table.head(5)
    got = fast.expected(patients)
    assert list(got.columns) == ["expected", "q05", "q95"]
    p = fast.posterior
    z, w = np.polynomial.hermite_e.hermegauss(60)
    X = np.column_stack([np.ones(5), patients[["x0", "x1"]]])
    X = (X - fast.columns.centre) / fast.columns.scale
    service = [fast.services.ids.index(s) for s in patients["service_id"]]
    eta = X @ p.beta.T + p.v[:, service].T
    rates = sum(wk * expit(eta + p.sd[:, 0] * zk) for zk, wk in zip(z, w / w.sum(), strict=True))
    np.testing.assert_allclose(got["expected"], rates @ p.weights, atol=1e-6)
    assert (got["q05"] < got["expected"]).all()
    assert (got["expected"] < got["q95"]).all()


def test_a_new_service_is_drawn_at_random_too(fast, table):
    new = fast.expected(table.head(3).assign(service_id="never seen"))
    assert new["expected"].between(0, 1).all()
    known = fast.expected(table.head(3))
    assert ((new["q95"] - new["q05"]) > 0.5 * (known["q95"] - known["q05"])).all()


def test_rates_of_rows_come_back_in_the_order_of_the_table(table):
    # The sums by decile and the case-mix means use rows in the table's order, whatever the kernels' order.
    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    a, b = ter.fit(table, **OPTIONS), ter.fit(shuffled, **OPTIONS)
    np.testing.assert_allclose(a.deciles.observed, b.deciles.observed)
    np.testing.assert_allclose(a.case_mix_means.units, b.case_mix_means.units)
    # To the last bit: rows are put in the order of their content before anything is summed.
    for name in a.posterior.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(a.posterior, name), getattr(b.posterior, name), err_msg=name)
    assert a.fingerprint == b.fingerprint


def test_the_saved_fit_has_the_same_bytes_whatever_order_storage_and_threads(table, tmp_path):
    shuffled = table.sample(frac=1, random_state=2)
    stored = table.astype({"therapist_id": "category", "x0": "Float64"})
    before = numba.get_num_threads()
    saved = set()
    try:
        for threads, given in ((1, table), (2, shuffled), (2, stored)):
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            ter.fit(given, engine="ml", **OPTIONS).save(tmp_path / "fit.ter")
            saved.add((tmp_path / "fit.ter").read_bytes())
    finally:
        numba.set_num_threads(before)
    assert len(saved) == 1


def test_a_model_with_another_kind_of_fingerprint_is_told_from_another_table(ml, table):
    assert require_fitted_table(ml, table) is table
    with pytest.raises(OptionError, match="not the table that the model was fitted to"):
        require_fitted_table(ml, table.head(50))
    # As the first definition wrote them: 64 digits alone.
    older = dataclasses.replace(ml, fingerprint="ab" * 32)
    with pytest.raises(OptionError, match="an earlier version of ter"):
        require_fitted_table(older, table)


def test_a_single_service_is_left_out_and_said_so(table):
    fit = ter.fit(table.assign(service_id="S1"), **OPTIONS)
    assert fit.record.service_effect == "left out, because the data have a single service"
    assert list(fit.groups.index) == ["therapist"]
    with pytest.raises(OptionError, match='no factor "service"'):
        fit.effects("service")


REFUSED = [
    ({"nodes": 0}, OptionError, "nodes"),
    ({"nodes": 3}, OptionError, "at least 7 nodes"),
    ({"nodes": 2.5}, OptionError, "nodes"),
    ({"seed": -1}, OptionError, "seed"),
    ({"engine": "slow"}, OptionError, "engine must be one of"),
    ({"engine": "ml", "nodes": 4}, OptionError, "nodes=1"),
    ({"engine": "ml", "nodes": 3, "service": None}, OptionError, "at least 5"),
    ({"service": "nowhere"}, DataError, "nowhere"),
    ({"therapist": "nowhere"}, DataError, "nowhere"),
    ({"outcome": "nowhere"}, DataError, "nowhere"),
]


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_refuses_what_it_does_not_take(table, change, error, message):
    with pytest.raises(error, match=message):
        ter.fit(table, **{**OPTIONS, **change})


@pytest.mark.parametrize("value", [0, 1])
def test_refuses_equal_outcomes(table, value):
    with pytest.raises(DataError, match="same for all"):
        ter.fit(table.assign(y=value), **OPTIONS)


def test_sigma_at_zero_is_a_singular_fit():
    # Every therapist has the same share of recoveries: less spread than chance, so that the estimate is zero.
    ids = np.repeat([f"T{k}" for k in range(10)], 10)
    table = pd.DataFrame({"therapist_id": ids, "y": np.tile([0, 1], 50)})
    options = {"case_mix": None, "outcome": "y", "service": None}
    fit = ter.fit(table, engine="ml", nodes=1, **options)
    assert fit.record.singular
    assert fit.record.converged
    assert fit.groups["sd"]["therapist"] == 0.0
    # Without an effect the model is a single coin: its log-likelihood in closed form.
    assert fit.log_likelihood == pytest.approx(100 * np.log(0.5), abs=1e-4)
    posterior = ter.fit(table, **options)
    assert posterior.record.converged
    assert posterior.groups["sd"]["therapist"] < 0.3


EXTREMES = {
    "one therapist recovers all and one none": {"caseload": [12] * 10, "force": {0: 1, 1: 0}},
    "one patient each": {"caseload": [1] * 60},
    "two therapists": {"caseload": [20, 20]},
    "one huge caseload": {"caseload": [5000] + [5] * 20},
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_give_finite_answers(name):
    spec = EXTREMES[name]
    table = table_of(network(6, therapists=len(spec["caseload"]), caseload=spec["caseload"])[0])
    for unit, y in spec.get("force", {}).items():
        table.loc[table["therapist_id"] == f"T{unit:05d}", "y"] = y
    fit = ter.fit(table, service=None, **OPTIONS)
    assert fit.record.converged
    assert np.isfinite(fit.effects("therapist").to_numpy()).all()
    assert np.isfinite(fit.fixed.to_numpy()).all()
    assert np.isfinite(fit.posterior.ter_mean).all()
    assert ((fit.posterior.ter_mean > 0) & (fit.posterior.ter_mean < 100)).all()
    effects = fit.effects("therapist")["mean"]
    if "force" in spec:
        assert effects["T00000"] == effects.max()
        assert effects["T00001"] == effects.min()


def test_constant_and_collinear_columns_are_named(table):
    case_mix = ter.CaseMix([ter.linear("x0"), ter.linear("flat"), ter.linear("twice")])
    fit = ter.fit(table.assign(flat=3.0, twice=2 * table["x0"]), case_mix=case_mix, outcome="y")
    assert list(fit.fixed.index) == ["intercept", "x0"]
    assert any("flat" in note for note in fit.record.notes)
    assert any("twice" in note for note in fit.record.notes)


def test_separation_is_held_by_the_priors_and_said(table):
    fit = ter.fit(table.assign(x0=100.0 * table["y"]), engine="ml", nodes=1, **OPTIONS)
    assert any("separation" in note for note in fit.record.notes)
    posterior = ter.fit(table.assign(x0=100.0 * table["y"]), **OPTIONS)
    assert np.isfinite(posterior.fixed.to_numpy()).all()


def test_empty_therapists_are_kept():
    table = table_of(network(2, therapists=6, caseload=10)[0])
    table["y"] = table["y"].astype("Float64")
    table.loc[table["therapist_id"] == "T00003", "y"] = pd.NA
    fit = ter.fit(table, service=None, **OPTIONS)
    assert fit.record.left_out == (("y is missing", 10),)
    effects = fit.effects("therapist")
    assert effects.loc["T00003", "n"] == 0
    assert effects.loc["T00003", "mean"] == pytest.approx(0.0, abs=1e-9)


# -- the file
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["fast", "ml"])
def test_saved_and_loaded_fits_are_equal(engine, fast, ml, table, tmp_path):
    fit = fast if engine == "fast" else ml
    fit.save(tmp_path / "model.ter")
    back = ter.load_fit(tmp_path / "model.ter")
    assert back.summary() == fit.summary()
    pd.testing.assert_frame_equal(back.effects("therapist"), fit.effects("therapist"))
    pd.testing.assert_frame_equal(back.expected(table), fit.expected(table))
    assert back.record == fit.record or engine == "ml"
    assert back.units.ids == fit.units.ids
    again = tmp_path / "again.ter"
    back.save(again)
    assert again.read_bytes() == (tmp_path / "model.ter").read_bytes()


def test_damaged_files_are_refused(fast, tmp_path):
    path = tmp_path / "model.ter"
    fast.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelFileError):
            ter.load_fit(path)
    for position in rng.integers(0, len(whole), 60):
        flipped = bytearray(whole)
        flipped[position] ^= 0xFF
        path.write_bytes(bytes(flipped))
        # A flip may hit bytes of the container that carry nothing; then the content must be whole.
        try:
            assert ter.load_fit(path).summary() == fast.summary()
        except ModelFileError:
            continue


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def rehash(members):
    import hashlib

    members["sha256.json"] = json.dumps(
        {name: hashlib.sha256(data).hexdigest() for name, data in members.items() if name != "sha256.json"}
    ).encode()


def test_an_edited_file_is_refused(fast, tmp_path):
    path = tmp_path / "model.ter"
    fast.save(path)
    rewrite(path, lambda m: m.update({"fit.json": m["fit.json"].replace(b'"fast"', b'"ml"')}))
    with pytest.raises(ModelFileError, match="changed"):
        ter.load_fit(path)


def test_a_newer_format_is_refused(fast, tmp_path):
    path = tmp_path / "model.ter"
    fast.save(path)

    def newer(members):
        content = json.loads(members["fit.json"])
        members["fit.json"] = json.dumps({**content, "format": 99}).encode()
        rehash(members)

    rewrite(path, newer)
    with pytest.raises(ModelFileError, match="newer version"):
        ter.load_fit(path)


def test_loading_executes_nothing(fast, tmp_path):
    # A pickled array would run code when it is read; an unknown type would be looked up.
    path = tmp_path / "model.ter"

    def pickled(members):
        import io

        buffer = io.BytesIO()
        np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        members["fit.posterior.beta.npy"] = buffer.getvalue()
        rehash(members)

    def foreign(members):
        members["fit.json"] = members["fit.json"].replace(b'"type": "Units"', b'"type": "Path"')
        rehash(members)

    for change in (pickled, foreign):
        fast.save(path)
        rewrite(path, change)
        with pytest.raises(ModelFileError, match="not a whole model file"):
            ter.load_fit(path)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(OptionError, match="no model file"):
        ter.load_fit(tmp_path / "nothing.ter")


# -- what a fit says of small data, and of what it is given --------------------------------------------


def test_small_data_are_said_to_be_small(table, fast):
    assert any("small for the case mix" in note for note in ter.fit(table.head(40), **OPTIONS).record.notes)
    assert not any("small for the case mix" in note for note in fast.record.notes)


def test_a_list_of_terms_is_no_case_mix(table):
    with pytest.raises(OptionError, match="CaseMix"):
        ter.fit(table, outcome="y", case_mix=[ter.linear("x0")])


def test_the_default_number_of_nodes_suits_the_engine(table):
    assert ter.fit(table, **OPTIONS).settings.nodes == 11
    assert ter.fit(table, engine="ml", **OPTIONS).settings.nodes == 1


def test_patients_without_an_outcome_are_in_no_denominator():
    scenario = ter.Scenario.preset("england_2024_25", n_therapists=12, n_services=2, mean_caseload=40)
    episodes = ter.add_outcomes(ter.simulate(scenario, seed=1).episodes, missing_outcome="exclude")
    assert episodes["recovered"].isna().any()
    units = ter.fit(episodes, case_mix=ter.CaseMix([ter.linear("phq9_first")])).units
    np.testing.assert_array_equal(units.n_at_caseness, units.n)


def test_what_each_level_does_to_the_expected_rate(table):
    # The levels of a factor add up to the whole term: shares add up to one, and the reference moves nothing.
    colours = np.array(["blue", "green", "red"])[np.random.default_rng(1).integers(0, 3, len(table))]
    case_mix = ter.CaseMix([ter.factor("colour"), ter.linear("x0")])
    means = ter.fit(table.assign(colour=colours), case_mix=case_mix, outcome="y").case_mix_means
    levels = [k for k, (name, level) in enumerate(means.labels) if name == "colour" and level]
    np.testing.assert_allclose(
        means.level_shift[:, levels].sum(axis=1), means.shift[:, means.variables.index("colour")], atol=1e-12
    )
    (mean,) = [k for k, (name, _) in enumerate(means.labels) if name == "x0"]
    assert np.isnan(means.level_shift[:, mean]).all()
