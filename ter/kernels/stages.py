"""The model that patients are drawn from: case mix, course and outcome, a block of patients at a time.

A block is drawn stage by stage, each stage a loop that the compiler runs over sixteen patients at once, or
eight where the processor has AVX2 alone: no branches, 32 bits a number, tables read by `fetch`, what earlier
stages drew read by `read`, what is drawn stored by `put`. Stages are short: one long loop takes longer than
the two that it falls into. Draws from large tables take three: find the place, look up, choose.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import BARE, inner
from ter.kernels.alias import choose, draw, pick, place
from ter.kernels.blocks import Block, halves_of, key_of, place_of, seat_courses
from ter.kernels.logistic import happens
from ter.kernels.memory import fetch, low_product, low_sum, lowest_bit, put, put_found, read, shifted
from ter.kernels.patients import (
    AGE_ENDS,
    GAD7,
    HALF,
    MOST_MISSED,
    N_AGE_BANDS,
    N_GAD7,
    N_MISSED,
    N_PHQ9_BANDS,
    N_WSAS,
    PHQ9,
    PHQ9_ENDS,
    WORD_COMPLETION_COURSE,
    WORD_FACTORS,
    WORD_ONCE_SPECIFIC,
    WORD_PEOPLE_SCORES,
    WORD_SERVICE_DECILE,
    WORD_START_OUTCOME,
    WORD_WSAS_HISTORY,
    Caseloads,
    Record,
    Tables,
    Truth,
    fraction,
    low,
    phq9_of,
    word,
)

_1, _56 = np.uint64(1), np.uint64(56)
#: Times eight bytes of 0 or 1, they are the highest eight bits, the lowest byte the lowest.
_EIGHT_TO_BITS = np.uint64(0x0102040810204080)
_LOW_16, _HIGH_16 = np.uint32(0xFFFF), np.uint32(0xFFFF0000)
_2_TO_16, _2_TO_32 = np.float32(2.0**-16), 2.0**-32
_ZERO = np.float32(0.0)


@njit(**BARE)
def choose_service(bits: np.uint32, home: np.int32, n_services: np.int32, crossing: np.float32) -> np.int32:
    """Choose the therapist's own service, or any other alike.

    `crossing`: number of other services for each unit of probability, in 2**-32.
    """
    other = np.int32(min(np.float32(bits) * crossing, np.float32(n_services)))
    there = np.int32(home + np.int32(1) + other)
    there = np.int32(there - n_services) if there >= n_services else there
    return home if other >= np.int32(n_services - 1) else there


@inner
def decile_of(recorded: np.int32) -> np.int32:
    """Give the decile, less 1, whether it is recorded or not."""
    return np.int32(recorded - np.int32(10)) if recorded >= np.int32(10) else recorded


@inner
def stratum_of(decile: np.int32, age: np.int32, phq9: np.int32) -> np.uint32:
    """Give the stratum on which the levels of factors depend: decile, band of age, band of PHQ-9."""
    stratum = low_product(np.uint32(decile), np.uint32(N_AGE_BANDS * N_PHQ9_BANDS))
    for last in AGE_ENDS:
        stratum = low_sum(stratum, np.uint32(N_PHQ9_BANDS)) if age > last else stratum
    for last in PHQ9_ENDS:
        stratum = low_sum(stratum, np.uint32(1)) if phq9 > last else stratum
    return stratum


@inner
def draw_origin(n: int, row: np.uint64, c: Caseloads, t: Tables, truth: Truth, b: Block, r: Record) -> None:
    """Draw service and deprivation."""
    n_services, crossing = np.int32(c.service_effect.size), np.float32(truth.crossing * _2_TO_32)
    for_decile, for_service = halves_of(WORD_SERVICE_DECILE)
    for k in range(n):
        m, seat, half = row + np.uint64(k), np.uint64(k), np.uint64(k) + np.uint64(k)
        bits = read(b.halves, for_service + half)
        service = choose_service(bits, read(b.home, seat), n_services, crossing)
        bits = read(b.halves, for_decile + half)
        put(b.rounding, seat, bits & _LOW_16)
        put(r.service, m, service)
        put(r.decile, m, draw(t.deciles, service, bits & _HIGH_16))


@inner
def draw_person(n: int, row: np.uint64, t: Tables, truth: Truth, b: Block, r: Record) -> None:
    """Draw age and problem, and mark those with a specific measure."""
    first_specific = np.int32(t.first_specific)
    n_ages, first_age = np.int32(truth.n_ages), np.int32(truth.first_age)
    ages_inverse = np.float32(truth.ages_inverse)
    for_scores, for_person = halves_of(WORD_PEOPLE_SCORES)
    for k in range(n):
        m, half = row + np.uint64(k), np.uint64(k) + np.uint64(k)
        put(b.for_scores, np.uint64(k), read(b.halves, for_scores + half))
        person = np.int32(draw(t.people, np.int32(0), read(b.halves, for_person + half)))
        problem = np.int32((np.float32(person) + HALF) * ages_inverse)
        put(b.marks, np.uint64(k), problem >= first_specific)
        put(r.problem, m, problem)
        put(r.age, m, np.int32(first_age + person - np.int32(problem * n_ages)))


@inner
def look_up(n: int, number: int, table: NDArray[np.uint32], b: Block) -> None:
    """Look up what is in each patient's place of a large table, and do nothing else.

    What is not in the first cache is waited for. A processor begins many such look-ups at once where little
    else stands between them.
    """
    for k in range(n):
        at = place_of(k, number)
        put_found(b.entries, at, fetch(table, read(b.places, at)))


@inner
def place_scores(n: int, row: np.uint64, t: Tables, truth: Truth, b: Block, r: Record) -> None:
    """Find where the first scores are to be looked up.

    Severity is rounded to one of the two nearest steps of the tables, at random, so that its mean is exact.
    """
    n_severities, highest = np.int32(truth.n_severities), np.float32(truth.n_severities - 1)
    lowest, steps = np.float32(truth.severity_low), np.float32(truth.severity_steps)
    by_deprivation = np.float32(truth.severity_by_deprivation)
    by_age = np.float32(truth.severity_by_age)
    width = np.uint32(t.scores.width)
    for k in range(n):
        m, seat = row + np.uint64(k), np.uint64(k)
        round_up = (np.float32(np.int32(read(b.rounding, seat))) + HALF) * _2_TO_16
        severity = read(b.shift, seat) + fetch(b.service_shift, read(r.service, m))
        severity += by_deprivation * (np.float32(4.5) - np.float32(decile_of(np.int32(read(r.decile, m)))))
        severity += by_age * (np.float32(read(r.age, m)) - np.float32(40.0))
        step = np.int32(min(max((severity - lowest) * steps + round_up, _ZERO), highest))
        line = np.int32(np.int32(np.int32(read(r.problem, m)) * n_severities) + step)
        put(b.places, seat, place(low_product(np.uint32(line), width), width, read(b.for_scores, seat)))


@inner
def draw_scores(n: int, row: np.uint64, t: Tables, b: Block, r: Record) -> None:
    """Draw the first scores, and find where WSAS is to be looked up."""
    width, high, width_wsas = np.uint32(t.scores.width), np.uint32(t.scores.high), np.uint32(t.wsas.width)
    for_history, for_wsas = halves_of(WORD_WSAS_HISTORY)
    for k in range(n):
        m, seat, half = row + np.uint64(k), np.uint64(k), np.uint64(k) + np.uint64(k)
        scores = choose(read(b.entries, seat), width, high, read(b.for_scores, seat))
        put(r.scores, m, scores)
        put(b.for_history, seat, read(b.halves, for_history + half))
        bits = read(b.halves, for_wsas + half)
        put(b.for_wsas, seat, bits)
        put(b.places, place_of(k, 1), place(low_product(scores, width_wsas), width_wsas, bits))


@inner
def draw_rest(n: int, row: np.uint64, t: Tables, truth: Truth, b: Block, r: Record) -> None:
    """Draw WSAS, earlier episodes and wait, and add up the log-odds of recovery, factors apart."""
    by_gad7, by_age = np.float32(truth.gad7), np.float32(truth.age)
    by_imd, imd_missing = np.float32(truth.imd), np.float32(truth.imd_missing)
    by_wsas, wsas_missing = np.float32(truth.wsas), np.float32(truth.wsas_missing)
    by_prior, by_wait = np.float32(truth.prior), np.float32(truth.wait)
    n_waits, waits_inverse = np.int32(truth.n_waits), np.float32(truth.waits_inverse)
    caseness_phq9, caseness_gad7 = np.int32(t.caseness[PHQ9]), np.int32(t.caseness[GAD7])
    width, high = np.uint32(t.wsas.width), np.uint32(t.wsas.high)
    for k in range(n):
        m, seat = row + np.uint64(k), np.uint64(k)
        scores = np.int32(read(r.scores, m))
        phq9 = np.int32(phq9_of(scores))
        gad7 = np.int32(scores - np.int32(N_GAD7 * phq9))
        age, decile = np.int32(read(r.age, m)), np.int32(read(r.decile, m))
        wsas = np.int32(choose(read(b.entries, place_of(k, 1)), width, high, read(b.for_wsas, seat)))
        history = np.int32(draw(t.history, np.int32(0), read(b.for_history, seat)))
        prior = np.int32((np.float32(history) + HALF) * waits_inverse)
        wait = np.int32(history - np.int32(prior * n_waits))

        eta = read(b.log_odds, seat) + read(b.by_phq9, seat) * np.float32(phq9)
        eta += by_gad7 * np.float32(gad7) + by_age * np.float32(age)
        eta += fetch(b.problem_effect, np.int32(read(r.problem, m)))
        eta += imd_missing if decile >= 10 else by_imd * np.float32(decile)
        eta += wsas_missing if wsas >= N_WSAS - 1 else by_wsas * np.float32(wsas)
        eta += by_prior * np.float32(prior) + by_wait * np.float32(wait)
        eta += fetch(b.service_effect, read(r.service, m))

        put(r.wsas, m, wsas)
        put(r.history, m, history)
        put(r.case, m, np.int32(phq9 >= caseness_phq9) | np.int32(gad7 >= caseness_gad7))
        put(r.anxiety, m, -1)
        put(b.log_odds, place_of(k, 1), eta)


@inner
def place_pair(n: int, row: np.uint64, pair: int, t: Tables, b: Block, r: Record) -> None:
    """Find where the combinations of levels of two groups of factors are to be looked up."""
    one, two = np.uint64(2 * pair), np.uint64(2 * pair + 1)
    first_1, first_2 = np.uint32(t.group_first[one]), np.uint32(t.group_first[two])
    width_1, width_2 = np.uint32(t.group_width[one]), np.uint32(t.group_width[two])
    for_two, for_one = halves_of(WORD_FACTORS + pair)
    for k in range(n):
        m, half = row + np.uint64(k), np.uint64(k) + np.uint64(k)
        decile, phq9 = decile_of(np.int32(read(r.decile, m))), np.int32(phq9_of(read(r.scores, m)))
        stratum = stratum_of(decile, np.int32(read(r.age, m)), phq9)
        first = low_sum(first_1, low_product(stratum, width_1))
        put(b.places, place_of(k, 0), place(first, width_1, read(b.halves, for_one + half)))
        first = low_sum(first_2, low_product(stratum, width_2))
        put(b.places, place_of(k, 1), place(first, width_2, read(b.halves, for_two + half)))


@inner
def draw_pair(n: int, row: np.uint64, pair: int, t: Tables, b: Block, r: Record) -> None:
    """Draw the combinations of levels of two groups of factors, and add their effects."""
    one, two = np.uint64(2 * pair), np.uint64(2 * pair + 1)
    width_1, width_2 = np.uint32(t.group_width[one]), np.uint32(t.group_width[two])
    high_1, high_2 = np.uint32(t.group_high[one]), np.uint32(t.group_high[two])
    effects_1, effects_2 = np.uint32(t.group_effect_first[one]), np.uint32(t.group_effect_first[two])
    cells_1, cells_2 = one * np.uint64(r.service.size), two * np.uint64(r.service.size)
    for_two, for_one = halves_of(WORD_FACTORS + pair)
    for k in range(n):
        m, half = row + np.uint64(k), np.uint64(k) + np.uint64(k)
        cell_1 = choose(read(b.entries, place_of(k, 0)), width_1, high_1, read(b.halves, for_one + half))
        cell_2 = choose(read(b.entries, place_of(k, 1)), width_2, high_2, read(b.halves, for_two + half))
        effect = fetch(b.group_effect, np.int32(low_sum(effects_1, cell_1)))
        effect += fetch(b.group_effect, np.int32(low_sum(effects_2, cell_2)))
        put(r.cells, cells_1 + m, cell_1)
        put(r.cells, cells_2 + m, cell_2)
        put(b.log_odds, place_of(k, 2 + pair), read(b.log_odds, place_of(k, 1 + pair)) + effect)


@njit(**BARE)
def list_marked(n: int, b: Block) -> np.uint64:
    """List the places among the first n that are marked, and give how many they are.

    The marks of 64 places become the bits of one number first: the processor guesses wrong when a loop over
    bits ends, and so guesses once for 64 places.
    """
    count = np.uint64(0)
    for first in range(0, n, 64):
        bits = np.uint64(0)
        for eight in range(8):
            marks = b.eights[np.uint64((first >> 3) + eight)]
            bits |= (marks * _EIGHT_TO_BITS >> _56) << np.uint64(8 * eight)
        if first + 64 > n:
            bits &= (_1 << np.uint64(n - first)) - _1  # what lies beyond the last patient is nobody's
        while bits != 0:
            b.found[count] = np.uint64(first) + lowest_bit(bits)
            count += _1
            bits &= bits - _1
    return count


@inner
def draw_measures(n: int, row: np.uint64, t: Tables, b: Block, r: Record) -> None:
    """Draw the first score of the specific measure, which then says who is at caseness beside PHQ-9.

    Few have one: they are marked and listed first, and then drawn one by one.
    """
    count = list_marked(n, b)
    for which in range(count):
        at = b.found[np.uint64(which)]
        m = row + at
        measure = np.uint64(t.problem_measure[np.uint64(r.problem[m])])
        scores = np.int64(r.scores[m])
        phq9 = phq9_of(scores)
        bits = low(word(key_of(np.uint64(b.run[at]), b), np.int64(at), WORD_ONCE_SPECIFIC))
        anxiety = np.int64(draw(t.specific_first, np.int64(measure) * N_GAD7 + scores - N_GAD7 * phq9, bits))
        r.case[m] = np.uint8(phq9 >= t.caseness[PHQ9]) | np.uint8(anxiety >= t.caseness[measure])
        r.anxiety[m] = anxiety


@inner
def draw_outcome(n: int, row: np.uint64, t: Tables, b: Block, r: Record) -> None:
    """Draw the outcome at the end of the course.

    It is Bernoulli, with the probability of the model; nobody recovers from below caseness.
    """
    pairs = t.group_first.size // 2
    for_outcome, for_start = halves_of(WORD_START_OUTCOME)
    for k in range(n):
        m, seat, half = row + np.uint64(k), np.uint64(k), np.uint64(k) + np.uint64(k)
        put(b.for_start, seat, read(b.halves, for_start + half))
        u = fraction(read(b.halves, for_outcome + half))
        recovers = happens(u, read(b.log_odds, place_of(k, 1 + pairs)))
        put(r.recovered, m, np.int32(recovers) & np.int32(read(r.case, m)))


@inner
def draw_completion(n: int, row: np.uint64, truth: Truth, b: Block, r: Record) -> None:
    """Draw who completes."""
    by_age, by_imd = np.float32(truth.completion_by_age), np.float32(truth.completion_by_imd)
    by_phq9 = np.float32(truth.completion_by_phq9)
    for_course, for_completion = halves_of(WORD_COMPLETION_COURSE)
    for k in range(n):
        m, seat, half = row + np.uint64(k), np.uint64(k), np.uint64(k) + np.uint64(k)
        put(b.for_course, seat, read(b.halves, for_course + half))
        age, decile = np.int32(read(r.age, m)), decile_of(np.int32(read(r.decile, m)))
        phq9 = np.int32(phq9_of(read(r.scores, m)))
        eta = read(b.completion, seat) + by_age * (np.float32(age) - np.float32(40.0))
        eta += by_imd * (np.float32(decile) - np.float32(4.0))
        eta += by_phq9 * (np.float32(phq9) - np.float32(14.0))
        put(b.completes, seat, happens(fraction(read(b.halves, for_completion + half)), eta))


@inner
def draw_course(n: int, row: np.uint64, t: Tables, b: Block, r: Record) -> None:
    """Draw the course."""
    whole, few = np.uint32(t.courses.size - N_MISSED), np.uint32(N_MISSED)
    bits_high = np.uint32(t.courses_high)
    for k in range(n):
        m, seat = row + np.uint64(k), np.uint64(k)
        completes = read(b.completes, seat) != 0
        begin = few if completes else np.uint32(0)
        width = whole if completes else few
        course = pick(t.courses, begin, width, bits_high, read(b.for_course, seat))
        put(r.course, m, low_sum(begin, course))


@njit(**BARE)
def span_of(course: np.uint32) -> np.int32:
    """Give the days from the first to the last appointment of a course.

    Divisions, which do not vectorise, are products with inverses that are exact for all courses there are.
    """
    pairs = np.uint32(course >> np.uint32(1))  # weekly and fortnightly
    sessions = np.uint32(low_product(pairs, np.uint32(554_619)) >> np.uint32(26))  # / 121, less 1
    missed = np.uint32(pairs - low_product(sessions, np.uint32((MOST_MISSED + 1) ** 2)))
    dna = np.uint32(low_product(missed, np.uint32(745)) >> np.uint32(13))  # / 11
    intervals = np.uint32(low_sum(sessions, missed) - low_product(dna, np.uint32(MOST_MISSED)))
    weekly = low_product(intervals, np.uint32(7))
    return np.int32(low_sum(weekly, weekly) if course & np.uint32(1) else weekly)


@njit(**BARE)
def start_day(mass: np.uint32, starts: NDArray[np.uint32], shift: np.uint32) -> np.int32:
    """Give the day, from the scenario's first, before which lies a mass of the starts."""
    part = shifted(mass, shift)
    at = low_sum(part, part)
    begins = fetch(starts, np.int32(at))
    days = fetch(starts, np.int32(low_sum(at, np.uint32(1))))
    return np.int32(days >> np.uint32(16)) if mass >= begins else np.int32(days & _LOW_16)


@inner
def draw_dates(n: int, row: np.uint64, t: Tables, truth: Truth, b: Block, r: Record) -> None:
    """Draw the first day, and find who has completed by the last one.

    A course counts as completed if it has two attended sessions and has ended by the last day.
    """
    days, shift = np.int32(truth.last_day - truth.first_day), np.uint32(t.starts_shift)
    for k in range(n):
        m, seat = row + np.uint64(k), np.uint64(k)
        start = start_day(read(b.mass_before, seat), b.starts, shift)
        ended = np.int32(start + span_of(np.uint32(read(r.course, m)))) <= days
        put(r.start, m, start)
        put(r.completed, m, np.int32(read(b.completes, seat)) & np.int32(ended))


@inner
def draw_patients(n: int, row: np.uint64, c: Caseloads, t: Tables, truth: Truth, b: Block, r: Record) -> None:
    """Draw case mix and outcome of the n patients that are seated into the record, from a row on."""
    draw_origin(n, row, c, t, truth, b, r)
    draw_person(n, row, t, truth, b, r)
    place_scores(n, row, t, truth, b, r)
    look_up(n, 0, t.scores.words, b)
    draw_scores(n, row, t, b, r)
    look_up(n, 1, t.wsas.words, b)
    draw_rest(n, row, t, truth, b, r)
    for pair in range(t.group_first.size // 2):
        place_pair(n, row, pair, t, b, r)
        look_up(n, 0, t.groups, b)
        look_up(n, 1, t.groups, b)
        draw_pair(n, row, pair, t, b, r)
    draw_measures(n, row, t, b, r)
    draw_outcome(n, row, t, b, r)


@inner
def draw_courses(n: int, row: np.uint64, c: Caseloads, t: Tables, truth: Truth, b: Block, r: Record) -> None:
    """Draw the courses of the patients that were drawn last, who completes them, and when."""
    seat_courses(n, c, truth, b)
    draw_completion(n, row, truth, b, r)
    draw_course(n, row, t, b, r)
    draw_dates(n, row, t, truth, b, r)


@inner
def draw_block(n: int, row: np.uint64, c: Caseloads, t: Tables, truth: Truth, b: Block, r: Record) -> None:
    """Draw the n patients that are seated, and their courses, into the record, from a row on."""
    draw_patients(n, row, c, t, truth, b, r)
    draw_courses(n, row, c, t, truth, b, r)
