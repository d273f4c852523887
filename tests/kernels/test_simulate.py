"""The kernels' small functions, each against its definition."""

import math
from itertools import product

import numpy as np
import pytest
from numba import njit

from ter.kernels import blocks, courses, patients, simulate, stages
from ter.kernels.bits import power_of_two
from ter.kernels.courses import Course
from ter.kernels.logistic import exponential, happens
from ter.kernels.patients import Key
from ter.simulation import Scenario
from ter.simulation.caseloads import set_up
from ter.simulation.population import FACTOR_COLUMNS

KEY = Key(np.uint64(0x0123456789ABCDEF), np.uint64(0xFEDCBA9876543211))


@pytest.mark.parametrize("x", [-86.0, -40.0, -1.0, -1e-9, 0.0, 0.3, math.log(2) / 2, 5.0, 36.0, 86.0])
def test_exponential(x):
    # Single precision: x log2(e) is rounded (6e-8 of it), and so is that constant; then the seven terms of
    # the series are. Its first term left out is 2e-7.
    assert exponential(np.float32(x)) == pytest.approx(math.exp(np.float32(x)), rel=1.2e-7 * abs(x) + 6e-7)


@pytest.mark.parametrize("x", [-1e30, -1000.0, 1000.0, 1e30, math.inf, -math.inf])
def test_exponential_beyond_its_range(x):
    value = exponential(np.float32(x))
    assert value > 1e37 if x > 0 else 0 <= value < 1e-37


@njit
def jitted_power(k):
    return power_of_two(k)


@pytest.mark.parametrize("k", [-126, -1, 0, 1, 52, 127])
def test_powers_of_two(k):
    assert jitted_power(np.int32(k)) == 2.0**k


@njit
def occurrences(u, eta):
    n = 0
    for k in range(u.size):
        n += happens(np.float32(u[k]), np.float32(eta))
    return n


@pytest.mark.parametrize("eta", [-9.0, -2.0, -0.3, 0.0, 1.0, 4.0, 9.0])
def test_what_happens_has_the_probability_of_its_log_odds(eta):
    # Equally spaced numbers: the share below p is p within half a step. 1e-4 is asked for, 1e-6 held.
    n = 2_000_000
    share = occurrences((np.arange(n) + 0.5) / n, eta) / n
    assert share == pytest.approx(1 / (1 + math.exp(-eta)), abs=1e-6)


@pytest.mark.parametrize("log_odds", [-1e6, 1e6])
def test_what_is_certain(log_odds):
    for bits in (0, 2**31, 2**32 - 1):
        u = patients.fraction(np.uint32(bits))
        assert 0 < u < 1
        assert happens(u, np.float32(log_odds)) == (log_odds > 0)


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


def test_no_two_purposes_share_a_word():
    numbers = [value for name, value in vars(patients).items() if name.startswith("WORD_")]
    assert len(set(numbers)) == len(numbers)
    others = [number for number in numbers if number != patients.WORD_FACTORS]
    # Groups of factors take the words from WORD_FACTORS on, two groups to a word.
    assert max(others) < patients.WORD_FACTORS
    assert patients.WORD_FACTORS + (len(FACTOR_COLUMNS) + 1) // 2 <= patients.WORDS


def test_three_counts_of_a_block_share_a_number():
    assert blocks.SEATS < 1024
    assert blocks.SEATS % patients.STEP == 0
    assert -(-blocks.SEATS // 64) * 64 <= blocks.ROOM  # marks are read 64 at a time
    assert blocks.ROOM % 16 == 0  # so that rows of numbers of 32 bits begin with a line of the cache
    record = simulate.new_record(blocks.SEATS, 0)
    for outcome in (record.completed, record.case, record.recovered):
        outcome[:] = 1
    assert simulate._tally(0, blocks.SEATS, record) == blocks.SEATS * (1 + 2**10 + 2**20)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 128, blocks.SEATS - 1, blocks.SEATS])
def test_marked_places_are_listed_in_order(n):
    setup = set_up(Scenario.preset("england_2024_25", n_therapists=3, n_services=2), 1)
    block = blocks.new_block(setup.caseloads, setup.tables)
    rng = np.random.default_rng(n)
    for share in (0.0, 0.1, 1.0):
        block.marks[:] = rng.random(blocks.ROOM) < share  # beyond the n-th, too, as after a longer block
        count = int(stages.list_marked(n, block))
        assert np.array_equal(block.found[:count], np.flatnonzero(block.marks[:n]))


def test_phq9_of_every_pair_of_scores():
    for scores in range(28 * 22):
        assert patients.phq9_of(np.int64(scores)) == scores // 22


def test_every_course_has_its_number():
    seen = set()
    for code in range(40 * patients.N_MISSED):
        course = courses.course_of(code, 100)
        assert stages.span_of(np.uint32(code)) == course.end - 100
        seen.add((course.sessions, course.dna, course.cancelled, course.interval))
        assert course.end == 100 + course.interval * (course.sessions + course.dna + course.cancelled - 1)
        assert (course.sessions == 1) == (code < patients.N_MISSED)
    assert seen == set(product(range(1, 41), range(11), range(11), (7, 14)))


@pytest.mark.parametrize("n_services", [1, 2, 5])
@pytest.mark.parametrize("crossing", [0.0, 0.3, 1.0])
def test_service_of_a_patient(n_services, crossing):
    scale = (n_services - 1) / max(crossing, 1e-30)
    n = 20_000
    network = np.int32(1 % n_services), np.int32(n_services), np.float32(scale * 2.0**-32)
    drawn = [stages.choose_service(np.uint32(k * (2**32 // n)), *network) for k in range(n)]
    share = np.bincount(drawn, minlength=n_services) / n
    own = 1 if n_services == 1 else 1 - crossing
    # Equally spaced numbers: within a step for each of the services.
    assert share[1 % n_services] == pytest.approx(own, abs=n_services / n)
    others = np.delete(share, 1 % n_services)
    assert np.allclose(others, (1 - own) / max(n_services - 1, 1), atol=n_services / n)
