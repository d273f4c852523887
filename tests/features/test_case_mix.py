"""Learning and encoding: by hand, against pandas, and against themselves on new rows."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ter.errors import DataError, ModelFileError, OptionError
from ter.features import CaseMix, LearnedCaseMix, factor, interaction, linear, spline
from ter.features.spline_basis import natural_spline
from ter.schema import COLUMNS


def _column(learned, df, name):
    return learned.encode(df).X[:, learned.columns.index(name)]


def _raw(learned, df):
    return learned.encode(df).X * learned.scale + learned.centre


@pytest.fixture
def patients():
    rng = np.random.default_rng(11)
    n = 400
    return pd.DataFrame(
        {
            "phq9_first": rng.integers(0, 28, n),
            "age": rng.normal(41.3, 13.7, n).round(1),
            "urban": rng.choice(["Y", "N"], n),
            "employment": rng.choice(["works", "studies", "retired"], n),
            "step": rng.integers(2, 4, n),
        }
    )


# Lines


def test_a_line_is_standardised_by_hand():
    df = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0]})
    learned = CaseMix([linear("age")]).learn(df)
    # Mean 35; deviations 15, 5, 5, 15; variance 125 with the divisor n.
    assert learned.columns == ("intercept", "age")
    assert learned.centre.tolist() == [0.0, 35.0]
    assert learned.scale.tolist() == [1.0, np.sqrt(125.0)]
    expected = np.array([-15.0, -5.0, 5.0, 15.0]) / np.sqrt(125.0)
    np.testing.assert_allclose(_column(learned, df, "age"), expected, rtol=1e-15)
    assert (_column(learned, df, "intercept") == 1.0).all()


def test_a_missing_number_gets_the_mean_and_an_indicator():
    df = pd.DataFrame({"age": [20.0, np.nan, 40.0, 60.0]})
    learned = CaseMix([linear("age")]).learn(df)
    assert learned.columns == ("intercept", "age", "age[missing]")
    assert learned.centre.tolist() == [0.0, 40.0, 0.0]
    assert _column(learned, df, "age")[1] == 0.0
    assert _column(learned, df, "age[missing]").tolist() == [0, 1, 0, 0]
    assert learned.encode(df).unseen == ()


def test_a_number_missing_for_the_first_time_gets_the_mean_and_is_counted():
    learned = CaseMix([linear("age"), spline("phq9_first")]).learn(
        pd.DataFrame({"age": [20.0, 40, 60, 61, 62, 25, 33, 70], "phq9_first": [1, 5, 9, 14, 20, 3, 11, 13]})
    )
    new = learned.encode(pd.DataFrame({"age": [np.nan, 30.0], "phq9_first": [np.nan, 3.0]}))
    assert new.X[0].tolist() == [1.0, 0, 0, 0, 0, 0]
    assert new.unseen == (("age", 1), ("phq9_first", 1))


# Splines


def test_a_spline_is_the_standardised_basis_with_knots_at_quantiles(patients):
    learned = CaseMix([spline("age")]).learn(patients)
    x = patients["age"].to_numpy()
    raw = natural_spline(x, np.quantile(x, [0, 0.25, 0.5, 0.75, 1]))
    expected = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    assert learned.columns[1:] == ("age[s1]", "age[s2]", "age[s3]", "age[s4]")
    # The same arithmetic in another order.
    np.testing.assert_allclose(learned.encode(patients).X[:, 1:], expected, atol=1e-12)


def test_new_rows_are_encoded_with_the_old_knots(patients):
    learned = CaseMix([spline("age"), factor("urban"), linear("phq9_first")]).learn(patients)
    whole = learned.encode(patients).X
    for row in (0, 17, 399):
        assert (learned.encode(patients.iloc[[row]]).X[0] == whole[row]).all()


def test_a_spline_that_the_data_cannot_carry_says_how_to_mend_it():
    df = pd.DataFrame({"x": [0] * 60 + [1, 2, 3, 4, 5]})
    with pytest.raises(DataError, match=r'needs 5 distinct knots.*6 distinct values.*linear\("x"\)'):
        CaseMix([spline("x")]).learn(df)


# Factors


def test_a_factor_is_what_pandas_makes_of_it(patients):
    learned = CaseMix([factor("employment"), factor("step")]).learn(patients)
    expected = pd.get_dummies(patients["employment"], drop_first=True).join(
        pd.get_dummies(patients["step"], drop_first=True)
    )
    assert learned.columns[1:] == ("employment[studies]", "employment[works]", "step[3]")
    assert (learned.encode(patients).X[:, 1:] == expected.to_numpy(float)).all()
    assert learned.centre.tolist() == [0.0] * 4
    assert learned.scale.tolist() == [1.0] * 4


def test_levels_given_choose_the_reference():
    df = pd.DataFrame({"problem": ["a", "b", "c", "a"]})
    learned = CaseMix([factor("problem", ["c", "a", "b"])]).learn(df)
    assert learned.columns == ("intercept", "problem[a]", "problem[b]")
    assert _column(learned, df, "problem[b]").tolist() == [0, 1, 0, 0]


def test_missing_and_unseen_levels_are_the_level_missing():
    df = pd.DataFrame({"gender": ["m", "f", None, "f"]})
    learned = CaseMix([factor("gender")]).learn(df)
    assert learned.columns == ("intercept", "gender[m]", "gender[missing]")
    new = learned.encode(pd.DataFrame({"gender": ["x", None, "f", "m"]}))
    assert new.X[:, 2].tolist() == [1, 1, 0, 0]
    assert new.unseen == (("gender", 1),)


def test_unseen_levels_are_the_reference_where_nothing_was_missing_and_counted():
    learned = CaseMix([factor("gender")]).learn(pd.DataFrame({"gender": ["m", "f"]}))
    new = learned.encode(pd.DataFrame({"gender": ["x", None, "m"]}))
    assert new.X[:, 1].tolist() == [0, 0, 1]
    assert new.unseen == (("gender", 2),)


def test_a_value_outside_the_levels_given_counts_as_missing():
    df = pd.DataFrame({"step": ["2", "3", "4", "2"]})
    learned = CaseMix([factor("step", ["2", "3"])]).learn(df)
    assert learned.columns == ("intercept", "step[3]", "step[missing]")
    assert _column(learned, df, "step[missing]").tolist() == [0, 0, 1, 0]


def test_refuses_a_factor_of_free_text():
    with pytest.raises(DataError, match="101 levels"):
        CaseMix([factor("note")]).learn(pd.DataFrame({"note": [f"text {i}" for i in range(101)]}))


# Interactions


def test_an_interaction_is_the_product_before_centring(patients):
    learned = CaseMix([linear("age"), factor("urban"), interaction(linear("age"), factor("urban"))]).learn(
        patients
    )
    assert learned.columns == ("intercept", "age", "urban[Y]", "age:urban[Y]")
    product = patients["age"] * (patients["urban"] == "Y")
    np.testing.assert_allclose(_raw(learned, patients)[:, 3], product, atol=1e-12)
    X = learned.encode(patients).X
    # Standardised, up to rounding.
    np.testing.assert_allclose([X[:, 3].mean(), X[:, 3].std()], [0.0, 1.0], atol=1e-12)


def test_an_interaction_of_factors_is_zero_or_one(patients):
    learned = CaseMix([interaction(factor("employment"), factor("step"))]).learn(patients)
    assert learned.columns[1:] == ("employment[studies]:step[3]", "employment[works]:step[3]")
    both = (patients["employment"] == "works") & (patients["step"] == 3)
    assert (learned.encode(patients).X[:, 2] == both).all()


def test_an_interaction_with_a_spline_multiplies_every_column(patients):
    learned = CaseMix([interaction(spline("age", df=3), linear("phq9_first"))]).learn(patients)
    x = patients["age"].to_numpy()
    expected = natural_spline(x, np.quantile(x, [0, 1 / 3, 2 / 3, 1])) * patients[["phq9_first"]].to_numpy()
    np.testing.assert_allclose(_raw(learned, patients)[:, 1:], expected, atol=1e-10)


def test_missing_numbers_have_no_product():
    df = pd.DataFrame({"age": [1.0, np.nan, 3.0, 7.0], "sex": ["a", "b", "b", "a"]})
    learned = CaseMix([linear("age"), interaction(linear("age"), factor("sex"))]).learn(df)
    assert learned.columns == ("intercept", "age", "age[missing]", "age:sex[b]")
    assert _raw(learned, df)[1, 3] == pytest.approx(11 / 3)


# What carries nothing


def test_redundant_columns_are_dropped_by_name_and_never_silently(patients):
    df = patients.assign(constant=3, months=12 * patients["age"], country="UK")
    learned = CaseMix(
        [linear("age"), linear("constant"), linear("months"), factor("country"), factor("urban")]
    ).learn(df)
    assert learned.columns == ("intercept", "age", "urban[Y]")
    assert dict(learned.dropped) == {
        "constant": "the same in every modelled row",
        "months": "an exact combination of age",
        "country": "one level only in the modelled rows",
    }
    slices = learned.term_slices
    assert slices["urban"] == slice(2, 3)
    assert slices["months"] == slice(2, 2)
    assert learned.encode(df).X.shape == (400, 3)


def test_a_level_that_no_row_has_is_dropped():
    df = pd.DataFrame({"step": ["2", "3", "2"]})
    learned = CaseMix([factor("step", ["2", "3", "4"])]).learn(df)
    assert learned.columns == ("intercept", "step[3]")
    assert [name for name, _ in learned.dropped] == ["step[4]"]


# The guard


@pytest.mark.parametrize("column", [name for name, c in COLUMNS.items() if c.measured == "after_allocation"])
@pytest.mark.parametrize("term", [linear, spline, factor, lambda c: interaction(linear("age"), factor(c))])
def test_nothing_measured_after_allocation_may_adjust(column, term):
    with pytest.raises(OptionError, match=f"{column}, measured after .* allocated .* hide"):
        CaseMix([linear("imd_decile"), term(column)])


def test_the_guard_knows_the_columns_of_the_design():
    late = {name for name, column in COLUMNS.items() if column.measured == "after_allocation"}
    assert late >= {
        "n_sessions", "n_dna", "n_cancelled", "end_reason", "end_date", "phq9_last", "gad7_last",
        "anxiety_last", "recovered", "completed", "reliable_improvement",
    }  # fmt: skip


@pytest.mark.parametrize("column", ["episode_id", "patient_id", "therapist_id", "service_id"])
def test_ids_are_no_case_mix(column):
    with pytest.raises(OptionError, match="identifies"):
        CaseMix([factor(column)])


@pytest.mark.parametrize(
    ("terms", "says"),
    [(["age"], "'age' is no term"), ([linear("age"), spline("age")], "more than once: age")],
)
def test_refuses_what_is_no_case_mix(terms, says):
    with pytest.raises(OptionError, match=says):
        CaseMix(terms)


# Data that does not fit


def test_refuses_tables_that_do_not_fit():
    case_mix = CaseMix([linear("age")])
    for df, says in [
        (pd.DataFrame({"sex": ["f"]}), 'no column "age"'),
        (pd.DataFrame({"age": []}, dtype=float), "no rows"),
        (pd.DataFrame({"age": ["old"]}), "not numbers"),
        (pd.DataFrame({"age": [np.nan, np.nan]}), "empty in all 2 modelled rows"),
    ]:
        with pytest.raises(DataError, match=says):
            case_mix.learn(df)


def test_refuses_two_columns_of_one_name():
    df = pd.DataFrame({"x": ["a", "b", "a"], "x[b]": [1.0, 2.0, 4.0]})
    with pytest.raises(DataError, match=r"x\[b\]"):
        CaseMix([factor("x"), linear("x[b]")]).learn(df)


# The default


def test_the_default_takes_what_there_is_and_says_what_it_left_out(patients):
    df = patients.assign(wsas_first=0, medication=None, gad7_first=[0] * 390 + list(range(10)))
    df = df.drop(columns=["urban", "step"])
    learned = CaseMix.default().learn(df)
    assert learned.columns == (
        "intercept",
        *(f"phq9_first[s{k}]" for k in (1, 2, 3, 4)),
        "gad7_first",
        *(f"age[s{k}]" for k in (1, 2, 3, 4)),
        "employment[studies]",
        "employment[works]",
    )
    notes = " ".join(learned.notes)
    assert "not in the case mix: gender, ethnicity, imd_decile, long_term_condition, problem" in notes
    assert "gad7_first enters as a line" in notes
    assert "medication is not in the case mix: medication is empty" in notes
    assert dict(learned.dropped)["wsas_first"] == "the same in every modelled row"


# JSON


def test_the_saved_state_encodes_to_the_same_bits(patients):
    df = patients.assign(
        gender=["a", None] * 200, wait=np.where(patients.index % 7 == 0, np.nan, patients["age"])
    )
    learned = CaseMix(
        [
            spline("phq9_first"),
            linear("wait"),
            factor("gender"),
            factor("step", ["3", "2"]),
            interaction(spline("age"), factor("urban")),
            interaction(linear("age"), linear("phq9_first")),
            linear("age"),
        ]
    ).learn(df)
    again = LearnedCaseMix.from_json(learned.to_json())
    assert again == learned
    assert (again.encode(df).X == learned.encode(df).X).all()
    assert again.to_json() == learned.to_json()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=6, max_size=30, unique=True))
def test_any_number_survives_the_round_trip(values):
    df = pd.DataFrame({"x": values})
    learned = CaseMix([linear("x")]).learn(df)
    again = LearnedCaseMix.from_json(learned.to_json())
    assert (again.encode(df).X == learned.encode(df).X).all()


def _changes(state):
    """Ways in which a file can be wrong; each changes the state in place."""
    spline_term, factor_term = state["terms"][0], state["terms"][1]
    return {
        "an unknown key": lambda: state.update(extra=1),
        "an absent key": lambda: state.pop("notes"),
        "another format": lambda: state.update(format="ter case mix 2"),
        "an unknown kind": lambda: spline_term.update(kind="eval"),
        "an unknown key of a term": lambda: spline_term.update(code="print(1)"),
        "text for a number": lambda: spline_term["centre"].__setitem__(0, "0.5"),
        "an integer for a number": lambda: spline_term["centre"].__setitem__(0, 1),
        "no number": lambda: spline_term["centre"].__setitem__(0, float("nan")),
        "a scale of zero": lambda: spline_term["scale"].__setitem__(0, 0.0),
        "too few scales": lambda: spline_term["scale"].pop(),
        "falling knots": lambda: spline_term["knots"].reverse(),
        "too few knots": lambda: spline_term["knots"].pop(),
        "df as text": lambda: spline_term.update(df="4"),
        "df too small": lambda: spline_term.update(df=1, knots=[0.0, 1.0]),
        "missing as a number": lambda: spline_term.update(missing=0),
        "levels as a text": lambda: factor_term.update(levels="NY"),
        "a level twice": lambda: factor_term.update(levels=["N", "N"]),
        "no levels": lambda: factor_term.update(levels=[]),
        "a level more": lambda: factor_term["levels"].append("Z"),
        "a column more": lambda: state["columns"].append("age"),
        "a column dropped": lambda: state["dropped"].append(["urban[Y]", "because"]),
        "dropped without a reason": lambda: state["dropped"].append(["urban[Y]"]),
        "a note that is none": lambda: state["notes"].append(3),
        "terms that are none": lambda: state.update(terms={"0": spline_term}),
    }  # fmt: skip


@pytest.mark.parametrize("change", list(_changes({"terms": [{}, {}]})))
def test_refuses_a_changed_state(patients, change):
    learned = CaseMix([spline("age"), factor("urban")]).learn(patients)
    state = json.loads(learned.to_json())
    assert LearnedCaseMix.from_json(json.dumps(state)) == learned
    _changes(state)[change]()
    with pytest.raises(ModelFileError):
        LearnedCaseMix.from_json(json.dumps(state))


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", "[" * 100_000])
def test_refuses_what_is_no_state(text):
    with pytest.raises(ModelFileError):
        LearnedCaseMix.from_json(text)
