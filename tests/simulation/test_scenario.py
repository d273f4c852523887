"""Scenarios: JSON in and out, overrides, and refusals that give the reason."""

import dataclasses
import datetime
import json

import numpy as np
import pytest

from ter.errors import OptionError
from ter.simulation import PRESETS, Scenario, read_scenario
from ter.simulation.population import Factor, Level, ScoreLine

HUGE = 10**400  # too large for a float
DEEP = "[" * 100_000 + "]" * 100_000

ENGLAND = Scenario.preset("england_2024_25")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_json_there_and_back(name):
    scenario = Scenario.preset(name)
    assert scenario.name == name
    again = Scenario.from_json(scenario.to_json())
    assert again == scenario
    assert hash(again) == hash(scenario)
    assert again.to_json() == scenario.to_json()


def test_json_from_a_file(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(ENGLAND.to_json(), encoding="utf-8")
    assert Scenario.from_json(path) == ENGLAND


def test_names_of_parameters_are_unique():
    # `replace` finds the part by the parameter's name.
    parts = [getattr(ENGLAND, part) for part in ("network", "effects", "population", "courses")]
    names = [field.name for part in parts for field in dataclasses.fields(part)]
    assert len(set(names)) == len(names)
    assert "name" not in names


def test_overrides_reach_their_part():
    scenario = Scenario.preset("england_2024_25", n_therapists=3, therapist_sd=0, completion=1.0, name="mine")
    assert (scenario.network.n_therapists, scenario.effects.therapist_sd, scenario.courses.completion) == (
        3,
        0,
        1,
    )
    assert scenario.name == "mine"
    assert scenario.population == ENGLAND.population
    assert ENGLAND.network.n_therapists == 700


def test_unknown_names_are_refused():
    with pytest.raises(OptionError, match=r"no preset 'england'.*england_2024_25"):
        Scenario.preset("england")
    with pytest.raises(OptionError, match=r"n_therapist.*n_therapists"):
        ENGLAND.replace(n_therapist=3)


@pytest.mark.parametrize(
    "override",
    [{"n_therapists": HUGE}, {"therapist_sd": HUGE}, {"therapist_sd": -HUGE}, {"score_correlation": HUGE}],
)
def test_numbers_too_large_for_a_float_are_refused(override):
    (name,) = override
    with pytest.raises(OptionError, match=f"{name} is -?10000.*; it must lie between") as python:
        ENGLAND.replace(**override)
    assert len(str(python.value)) < 200
    with pytest.raises(OptionError, match=f"{name} is a value of type int too large to show"):
        ENGLAND.replace(**{name: 10**5000})


@pytest.mark.parametrize("part", ["network", "effects", "population", "courses"])
def test_parts_of_another_kind_are_refused(part):
    with pytest.raises(OptionError, match=f"{part} must be of type .*, not None"):
        dataclasses.replace(ENGLAND, **{part: None})


def _content(**changes):
    content = json.loads(ENGLAND.to_json())
    for path, value in changes.items():
        *parents, key = path.split("__")
        target = content
        for parent in parents:
            target = target[int(parent) if parent.isdigit() else parent]
        if value is KeyError:
            del target[key]
        else:
            target[key] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "scenario has unknown keys colour"),
        ({"network__colour": 1}, "scenario.network has unknown keys colour"),
        (
            {"population__problems__0__colour": 1},
            r"scenario.population.problems\[0\] has unknown keys colour",
        ),
        ({"effects__phq9": KeyError}, "scenario.effects lacks phq9"),
        ({"effects__phq9": "much"}, "effects.phq9 must be a finite number, not 'much'"),
        ({"effects__phq9": None}, "effects.phq9 must be a finite number, not None"),
        ({"effects__phq9": True}, "effects.phq9 must be a finite number, not True"),
        ({"network__n_therapists": 2.5}, "n_therapists must be a whole number"),
        ({"network__start": "1 May 2025"}, "scenario.network.start must be a date"),
        ({"network__start": 20250501}, "scenario.network.start must be a date"),
        ({"network": [1]}, "scenario.network must be an object"),
        ({"population__ages": 5}, "scenario.population.ages must be a list"),
        ({"name": 5}, "scenario.name must be text"),
        ({"population__factors__0__levels__0__name": 5}, "name must be text"),
        ({"population__ages__2__low": 60}, r"scenario.population.ages\[2\]: high of a band is 44"),
        ({"courses__recovered__sd": -1}, "scenario.courses.recovered: sd of a score line is -1"),
        ({"population__factors__0__levels__1__share": None}, r"share of factor gender\[1\] must be a finite"),
        ({"network__n_therapists": HUGE}, "n_therapists is 10000"),
        ({"effects__therapist_sd": HUGE}, "therapist_sd is 10000"),
    ],
)
def test_json_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(OptionError, match=message):
        Scenario.from_json(_content(**changes))


def test_a_key_that_is_given_twice_is_refused():
    text = ENGLAND.to_json()
    twice = text.replace('"phq9":', '"phq9": -0.5, "phq9":', 1)
    assert twice != text
    with pytest.raises(OptionError, match="text of a scenario: the key 'phq9' is given twice"):
        Scenario.from_json(twice)


def test_the_file_of_a_simulation_is_refused_with_the_function_that_reads_it():
    text = json.dumps({"seed": 1, "scenario": json.loads(ENGLAND.to_json())})
    with pytest.raises(OptionError, match=r"ter.simulation.read_scenario\(path\)"):
        Scenario.from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"england"', "nul"])
def test_text_that_is_no_scenario_is_refused(text):
    with pytest.raises(OptionError, match="scenario"):
        Scenario.from_json(text)


@pytest.mark.parametrize(
    "text",
    [DEEP, '{"name": ' + DEEP + "}", _content().replace("[0.99,", "[" + "9" * 5000 + ",")],
    ids=["deep", "deep inside", "long number"],
)
def test_text_beyond_what_can_be_read_is_refused(text, tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(text, encoding="utf-8")
    for source, where in ((text, "The text of a scenario"), (path, str(path))):
        with pytest.raises(OptionError, match=f"{where} holds no scenario: .*or nests lists too deep"):
            Scenario.from_json(source)


def test_a_value_that_is_too_deep_to_show_is_refused():
    # At each depth one or another of reading and showing gives up.
    for depth in range(100, 1200, 50):
        with pytest.raises(OptionError):
            Scenario.from_json('{"network": ' + "[" * depth + "]" * depth + "}")


def test_text_that_names_a_file_is_refused_with_a_hint():
    with pytest.raises(OptionError, match=r"taken as JSON text; give a file as pathlib.Path\('sc.json'\)"):
        Scenario.from_json("sc.json")
    with pytest.raises(OptionError, match="is not JSON") as error:
        Scenario.from_json('{"name": ')
    assert "pathlib" not in str(error.value)


@pytest.mark.parametrize("source", [None, 5, b"{}", {}])
def test_what_is_neither_text_nor_a_path_is_refused(source):
    with pytest.raises(OptionError, match=r"from JSON text or from a pathlib\.Path"):
        Scenario.from_json(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read as a scenario: No such file"),
        (b"PAR1\xff\x00", "cannot be read as a scenario: it is not text in UTF-8"),
        (b"", "is empty; it must be JSON"),
        (b" \n", "is empty; it must be JSON"),
        (b"seed: 1", "is not JSON"),
    ],
)
def test_files_that_cannot_be_read_are_named(content, message, tmp_path):
    path = tmp_path / "scenario.json"
    if content is not None:
        path.write_bytes(content)
    for read in (Scenario.from_json, read_scenario):
        with pytest.raises(OptionError, match=message) as error:
            read(path)
        assert str(error.value).startswith(str(path))


def test_a_folder_is_no_scenario(tmp_path):
    with pytest.raises(OptionError, match="cannot be read as a scenario: Is a directory"):
        Scenario.from_json(tmp_path)


def test_numbers_that_json_does_not_have_are_refused():
    with pytest.raises(OptionError, match="therapist_sd must be a finite number"):
        Scenario.from_json(_content().replace('"therapist_sd": 0.416', '"therapist_sd": NaN'))


def test_numbers_of_numpy_become_those_that_json_can_hold():
    plain = ENGLAND.replace(n_therapists=7, mean_caseload=12.5)
    of_numpy = ENGLAND.replace(n_therapists=np.int64(7), mean_caseload=np.float32(12.5))
    assert of_numpy.to_json() == plain.to_json()
    with pytest.raises(OptionError, match=r"n_therapists must be a whole number, not 7\.5"):
        ENGLAND.replace(n_therapists=np.float64(7.5))


LEVELS = (Level("a", 0.5), Level("b", 0.4))
TWICE = tuple(dataclasses.replace(p, name=p.name or "depression") for p in ENGLAND.population.problems)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"n_therapists": 0}, "n_therapists is 0; it must lie between 1"),
        ({"n_services": 0}, "n_services is 0"),
        ({"n_services": True}, "n_services must be a whole number"),
        ({"mean_caseload": -1}, "mean_caseload is -1"),
        ({"mean_caseload": float("inf")}, "mean_caseload must be a finite number"),
        ({"caseload_cv": -0.1}, "caseload_cv is -0.1"),
        ({"joining": 1.1}, "joining is 1.1"),
        ({"crossing": -0.1}, "crossing is -0.1"),
        ({"start": ENGLAND.network.end, "last_start": ENGLAND.network.start}, "must follow each other"),
        ({"end": ENGLAND.network.start}, "must follow each other"),
        ({"therapist_sd": -0.1}, "therapist_sd is -0.1"),
        ({"service_sd": float("nan")}, "service_sd must be a finite number"),
        ({"severity_slope_sd": -1}, "severity_slope_sd is -1"),
        ({"score_correlation": 1.0}, "score_correlation is 1.0"),
        ({"score_correlation": -1.2}, "score_correlation is -1.2"),
        ({"score_correlation": float("nan")}, "score_correlation"),
        ({"below_caseness": 2}, "below_caseness is 2"),
        ({"deciles": (0.5, 0.5)}, "deciles has 2 shares; there are 10"),
        ({"deciles": (0.2,) * 10}, "shares of deciles sum to 2, not to 1"),
        ({"prior_episodes": ()}, "prior_episodes is empty"),
        ({"prior_episodes": (1.5, -0.5)}, r"prior_episodes\[0\] is 1.5"),
        ({"problems": ENGLAND.population.problems[:3]}, "shares of problems sum to"),
        ({"problems": ENGLAND.population.problems[:1] * 2}, "problems"),
        ({"waits": ()}, "waits is empty"),
        ({"completion": 1.5}, "completion is 1.5"),
        ({"sessions_mean": 1.0}, "sessions_mean is 1.0"),
        ({"dna_mean": -1}, "dna_mean is -1"),
        ({"missing_last": 1.5}, "missing_last is 1.5"),
        ({"together": 1.0}, "together is 1.0; it must lie between 0 and 0.7"),
        ({"problems": TWICE}, "names the same thing twice: 'depression'.$"),
        ({"wsas_sd": 0.0}, "wsas_sd is 0.0"),
        ({"name": 5}, "name must be text, not 5"),
        ({"season": [1.0] * 12}, r"season must be a tuple, not \[1.0"),
        ({"season": "x" * 12}, "season must be a tuple"),
        ({"ages": list(ENGLAND.population.ages)}, "ages must be a tuple"),
        ({"ages": ((18, 30, 1.0),)}, r"ages\[0\] must be of type Band, not \(18"),
        ({"deciles": [0.1] * 10}, "deciles must be a tuple"),
        ({"problems": "all"}, "problems must be a tuple, not 'all'"),
        ({"factors": ("gender",)}, r"factors\[0\] must be of type Factor, not 'gender'"),
        ({"prior_episodes": 1.0}, "prior_episodes must be a tuple, not 1.0"),
        ({"waits": None}, "waits must be a tuple, not None"),
        ({"score_correlation": None}, "score_correlation must be a finite number, not None"),
        ({"recovered": (0.0, 0.5, 1.0)}, "recovered must be of type ScoreLine"),
        ({"specific_first": None}, "specific_first must be of type ScoreLine, not None"),
        (
            {"start": "2025-01-01"},
            r"start must be a date such as datetime.date\(2024, 11, 1\), not '2025-01-01'",
        ),
        ({"end": datetime.datetime(2026, 10, 31)}, "end must be a date such as"),
        ({"last_start": None}, "last_start must be a date such as"),
    ],
)
def test_impossible_scenarios_are_refused_with_the_reason(overrides, message):
    with pytest.raises(OptionError, match=message):
        ENGLAND.replace(**overrides)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Factor("gender", LEVELS), "factor gender sum to 0.9, not to 1"),
        (lambda: Factor("gender", (Level("a", 0.5), Level("a", 0.5))), "names the same thing twice"),
        (lambda: Factor("gender", list(LEVELS)), "levels of factor gender must be a tuple"),
        (lambda: Factor(["gender"], LEVELS), "column of a factor must be text"),
        (
            lambda: Factor("gender", (Level("a", None),)),
            r"share of factor gender\[0\] must be a finite number",
        ),
        (lambda: Level(None, 0.5), "name of a level must be text, not None"),
        (
            lambda: dataclasses.replace(ENGLAND.population.problems[0], name=5),
            "name of a problem must be text",
        ),
        (
            lambda: dataclasses.replace(ENGLAND.population.problems[0], measure=["hai"]),
            "measure must be text",
        ),
        (lambda: ScoreLine(0.0, 0.5, -1.0), "sd of a score line is -1.0"),
        (lambda: Level("a", 0.5, effect=float("nan")), "level 'a': effect must be a finite number"),
        (
            lambda: ENGLAND.replace(factors=(Factor("n_dna", (Level("a", 1.0),)),)),
            "Unknown factors n_dna; the known ones are gender",
        ),
        (
            lambda: dataclasses.replace(ENGLAND.population.problems[0], measure="wsas", measure_share=0.5),
            "'wsas' is not a disorder-specific measure",
        ),
        (
            lambda: dataclasses.replace(ENGLAND.population.problems[0], measure="mobility_inventory"),
            "not a disorder-specific measure of whole points",
        ),
        (
            lambda: dataclasses.replace(ENGLAND.population.problems[0], measure="", measure_share=0.5),
            "measure_share is 0.5, but no measure is named",
        ),
        (lambda: dataclasses.replace(ENGLAND.population.ages[0], low=18, high=17), "high of a band is 17"),
        (
            lambda: ENGLAND.replace(
                ages=(dataclasses.replace(ENGLAND.population.ages[0], low=3, share=1.0),)
            ),
            "ages must lie between 16 and 110",
        ),
    ],
)
def test_impossible_parts_are_refused_with_the_reason(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_coefficients_by_hand():
    scenario = ENGLAND.replace(
        intercept=1.0,
        problems=(
            dataclasses.replace(ENGLAND.population.problems[0], name="b", share=0.6, effect=0.5),
            dataclasses.replace(ENGLAND.population.problems[1], name="a", share=0.4, effect=0.2),
        ),
        factors=(Factor("step", (Level("3", 0.5, -0.1), Level("2", 0.3, 0.4), Level("", 0.2, -1.0))),),
    )
    terms = scenario.coefficients()
    # The reference is the first level in sorted order: "a" and "2". Their effects go to the intercept.
    assert terms["intercept"] == pytest.approx(1.0 + 0.2 + 0.4)
    assert terms["problem[b]"] == pytest.approx(0.3)
    assert terms["step[3]"] == pytest.approx(-0.5)
    assert terms["step[missing]"] == pytest.approx(-1.4)
    assert "problem[a]" not in terms and "step[2]" not in terms
    assert terms["imd_decile"] == scenario.effects.imd
    assert terms["phq9_first"] == scenario.effects.phq9


def test_names_that_cannot_be_told_apart_or_written_are_refused():
    with pytest.raises(OptionError, match='has the name "missing"'):
        Factor("step", (Level("missing", 0.5), Level("", 0.5)))
    with pytest.raises(OptionError, match="half of a letter"):
        Level("\ud800", 1.0)
    with pytest.raises(OptionError, match=r"There is no preset \['x'\]"):
        Scenario.preset(["x"])
    assert Level("ŝ 中 😀\n", 1.0).name


def test_levels_that_nobody_has_are_in_no_coefficient():
    nobody, most, few = Level("a", 0.0, 5.0), Level("b", 0.6, 0.5), Level("c", 0.4, 0.8)
    with_it = ENGLAND.replace(factors=(Factor("step", (nobody, most, few)),)).coefficients()
    without = ENGLAND.replace(factors=(Factor("step", (most, few)),)).coefficients()
    assert with_it == without
    assert with_it["step[c]"] == pytest.approx(0.3)


def test_a_factor_that_is_never_recorded_is_in_the_intercept():
    plain = ENGLAND.replace(factors=()).coefficients()
    never = ENGLAND.replace(factors=(Factor("step", (Level("", 1.0, 0.25),)),)).coefficients()
    assert never == plain | {"intercept": plain["intercept"] + 0.25}
