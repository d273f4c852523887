"""The tables of the kernels hold what the scenario says, and ids and words are spelled as they should be."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ter.errors import OptionError
from ter.kernels.stages import start_day
from ter.simulation import Scenario
from ter.simulation.build import alias, build_truth, group_factors, problems_of
from ter.simulation.calendar import MASS, day_number, make_calendar
from ter.simulation.caseloads import set_up
from ter.simulation.frames import part_ids, words
from ter.simulation.ids import id_names, numbered
from ter.simulation.network import mean_presence
from ter.simulation.population import Factor, Level

ENGLAND = Scenario.preset("england_2024_25", n_therapists=20, n_services=3, mean_caseload=5)


def test_problems_stand_with_and_without_their_measure():
    problem, measure, share = problems_of(ENGLAND.population)
    problems = ENGLAND.population.problems
    assert np.allclose(np.bincount(problem, share), [p.share for p in problems])
    used = measure >= 0
    assert sorted(problem[used]) == [k for k, p in enumerate(problems) if p.measure_share > 0]
    assert not used[: len(problems)].any() and used[len(problems) :].all()


@pytest.mark.parametrize("columns", [(), ("step",), ("gender", "ethnicity", "employment", "medication")])
def test_factors_fall_into_an_even_number_of_groups(columns):
    factors = tuple(Factor(name, tuple(Level(str(k), 0.1) for k in range(10))) for name in columns)
    groups = group_factors(ENGLAND.replace(factors=factors).population)
    assert [f for group in groups for f in group] == list(range(len(columns)))
    assert len(groups) % 2 == 0
    assert all(len(group) <= 2 for group in groups)  # 10 x 10 x 10 levels are too many


def test_effects_of_groups_are_the_sums_of_their_levels():
    setup = set_up(ENGLAND, 1)
    t, codes = setup.tables, setup.codes
    for g in range(codes.n_groups):
        first, width = int(t.group_effect_first[g]), int(t.group_width[g])
        total = np.zeros(width)
        for f, factor in enumerate(ENGLAND.population.factors):
            if codes.group_of[f] == g:
                total += np.array([level.effect for level in factor.levels])[codes.levels[f]]
        assert np.allclose(t.group_effect[first : first + width], total)


def test_too_many_values_in_one_distribution_are_refused():
    with pytest.raises(OptionError, match=r"combines 70,000 values .* fewer problems, ages"):
        alias(np.ones(70_000))


def test_numbers_are_floats_whatever_the_scenario_holds():
    # Else every mixture of whole and other numbers would be a type of its own, and compile the kernels anew.
    changed = ENGLAND.replace(intercept=1, completion=1, crossing=0)
    kinds = [
        [type(value) for value in build_truth(s, make_calendar(s.network), 2)] for s in (ENGLAND, changed)
    ]
    assert kinds[0] == kinds[1]
    assert set(kinds[0][:-6]) == {float} and set(kinds[0][-6:]) == {int}


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (date(2024, 11, 1), date(2026, 10, 31)),
        (date(2025, 3, 3), date(2025, 3, 3)),
        (date(2025, 3, 1), date(2025, 3, 2)),  # a weekend
        (date(2000, 1, 1), date(2099, 12, 31)),
    ],
)
def test_every_part_of_the_mass_belongs_to_the_day_that_it_lies_in(start, end):
    season = (1.0, 0.1, 1, 1, 3.0, 1, 1, 10.0, 1, 1, 1, 0.5)
    scenario = ENGLAND.replace(start=start, last_start=end, end=end, season=season)
    calendar = make_calendar(scenario.network)
    tables = set_up(scenario, 1).tables
    assert calendar.mass[0] == 0 and calendar.mass[-1] == MASS
    edges = calendar.mass[:-1].astype(np.int64)
    for shift in (0, 1, -1):  # at each edge, and next to it
        at = (edges + shift) % MASS
        starts, part = tables.starts.view(np.uint32), np.uint32(tables.starts_shift)
        day = [start_day(np.uint32(mass), starts, part) + calendar.first_day for mass in at[:3000].tolist()]
        place = np.searchsorted(calendar.mass.astype(np.int64), at[:3000], side="right") - 1
        assert np.array_equal(day, calendar.days[place])
    if calendar.days.size > 2:
        assert set((calendar.days + 3) % 7) <= {0, 1, 2, 3, 4}
    assert calendar.days[0] >= day_number(start) and calendar.days[-1] <= day_number(end)


@pytest.mark.parametrize(("joining", "leaving"), [(0, 0), (1, 0), (0, 1), (1, 1), (0.3, 0.6)])
def test_mean_presence_against_every_pair_of_days(joining, leaving):
    plan = ENGLAND.replace(last_start=date(2025, 1, 31), end=date(2025, 1, 31)).network
    calendar = make_calendar(plan)
    mass, days = calendar.mass / MASS, calendar.days.size
    total = 0.0
    for a in range(days):
        for b in range(days):
            first, last = min(a, b), max(a, b)
            total += joining * leaving * (mass[last + 1] - mass[first])
            total += joining * (1 - leaving) * (1 - mass[a]) + (1 - joining) * leaving * mass[b + 1]
            total += (1 - joining) * (1 - leaving)
    assert mean_presence(calendar, joining, leaving) == pytest.approx(total / days**2, rel=1e-12)


def test_words_of_every_length():
    names = ["", "a", "eightlet", "nineteen letters..", "zwölf Ärzte, é" * 3]
    codes = np.array([4, 0, 1, 2, 3, -1, 4, 4, 1, 0], np.int64)
    spelled = [None if pd.isna(word) else word for word in words(codes, names)]
    expected = [names[code] or None if code >= 0 else None for code in codes]
    assert spelled == expected
    assert len(words(codes[:0], names)) == 0
    # Codes that stand for the names in another order, more than once, or for none.
    places = np.array([3, -1, 3, 1, 0])
    spelled = [None if pd.isna(word) else word for word in words(codes[codes >= 0], names, places=places)]
    assert spelled == [names[places[k]] or None if places[k] >= 0 else None for k in codes[codes >= 0]]


def test_ids():
    assert list(numbered("T", np.array([0, 98, 999]), 1000, 3)) == ["T0001", "T0099", "T1000"]
    assert id_names("S", 100, 2) == list(numbered("S", np.arange(100), 100, 2))
    c = set_up(ENGLAND, 1, [0, 7]).caseloads._replace(n=np.array([10_001, 1]), number=np.array([0, 7]))
    episodes, patients = part_ids("EP", ENGLAND, c)
    assert [episodes[k] for k in (0, 9998, 9999, 10_000, 10_001)] == [
        "E001-0001",
        "E001-9999",
        "E001-10000",
        "E001-10001",
        "E008-0001",
    ]
    assert [name.replace("P", "E") for name in patients] == list(episodes)
