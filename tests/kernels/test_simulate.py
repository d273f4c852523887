"""The kernels' small functions, each against its definition."""

import math
from itertools import product

import numpy as np
import pytest

from ter.kernels import courses, patients
from ter.kernels.courses import Course
from ter.kernels.patients import Key

KEY = Key(np.uint64(0x0123456789ABCDEF), np.uint64(0xFEDCBA9876543211))


@pytest.mark.parametrize("x", [-800.0, -40.0, -1.0, -1e-9, 0.0, 0.3, 5.0, 36.0, 800.0])
def test_logistic(x):
    exact = 1 / (1 + math.exp(-x)) if x > -700 else 0.0
    # Rounding: some units in the last place, relative; below -700 the probability is less than 1e-300.
    assert patients.logistic(x) == pytest.approx(exact, rel=1e-14, abs=1e-300)
    assert patients.logistic(x) + patients.logistic(-x) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("noise", [0.0, 0.5, 0.999])
@pytest.mark.parametrize(("first", "last"), [(20, 3), (3, 20), (27, 0), (5, 5)])
def test_scores_start_and_end_where_the_episode_says(first, last, noise):
    for sessions in (2, 3, 10):
        path = [courses.score_at(first, last, k, sessions, 0, 27, noise) for k in range(sessions)]
        assert path[0] == first
        assert path[-1] == last
        assert all(0 <= score <= 27 for score in path)


def test_scores_fall_faster_early_than_late():
    # Without noise: halfway, three quarters of the way are done.
    assert courses.score_at(24, 4, 2, 5, 0, 27, 0.5) == 9
    assert courses.score_at(24, 4, 1, 5, 0, 27, 0.5) == round(24 - 20 * 0.25 * 1.75)


def test_noise_is_a_tenth_of_the_range_either_way():
    assert courses.score_at(10, 10, 1, 3, 0, 20, 0.0) == 8
    assert courses.score_at(10, 10, 1, 3, 0, 20, 1.0) == 12


def course_of(sessions, dna, cancelled, start=100, interval=7):
    return Course(
        start, interval, sessions, dna, cancelled, start + interval * (sessions + dna + cancelled - 1)
    )


def statuses_of(i, course):
    dna, cancelled, out = course.dna, course.cancelled, []
    for a in range(course.sessions + course.dna + course.cancelled):
        status = courses.next_status(KEY, i, a, course, dna, cancelled)
        dna -= status == courses.DNA
        cancelled -= status == courses.CANCELLED
        out.append(status)
    return out


@pytest.mark.parametrize(("sessions", "dna", "cancelled"), list(product([1, 2, 3, 8], [0, 1, 3], [0, 2])))
def test_a_course_has_the_appointments_that_it_should(sessions, dna, cancelled):
    for i in range(50):
        status = statuses_of(i, course_of(sessions, dna, cancelled))
        assert status.count(courses.ATTENDED) == sessions
        assert status.count(courses.DNA) == dna
        assert status.count(courses.CANCELLED) == cancelled
        assert status[0] == courses.ATTENDED
        assert sessions == 1 or status[-1] == courses.ATTENDED


def test_missed_appointments_come_anywhere_alike():
    n = 6000
    at = np.zeros(6)
    for i in range(n):
        at[statuses_of(i, course_of(5, 1, 0)).index(courses.DNA)] += 1
    assert at[0] == at[5] == 0
    # Four places alike; 4 SD of a binomial share.
    assert np.abs(at[1:5] / n - 0.25).max() < 4 * math.sqrt(0.25 * 0.75 / n)


@pytest.mark.parametrize(("last_day", "seen"), [(100, 1), (106, 1), (107, 2), (120, 3), (121, 4), (500, 4)])
def test_appointments_up_to_the_last_day(last_day, seen):
    assert courses.appointments_seen(course_of(3, 1, 0), last_day) == seen


def test_no_two_purposes_share_a_number():
    purposes = [value for name, value in vars(patients).items() if name.startswith("DRAW_")]
    assert len(set(purposes)) == len(purposes)
    others = [value for value in purposes if value != patients.DRAW_FACTORS]
    # Factors take the counters from DRAW_FACTORS on; there are seven columns that a scenario may name.
    assert max(others) < patients.DRAW_FACTORS <= patients.DRAWS - 7
