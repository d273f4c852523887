"""A slow, exact reference for the draws: the model as it is written, by inverse distribution functions.

It shares with the kernels the distributions of `ter.simulation.tables` (tested on their own) and the
therapists, and nothing else: NumPy's generator, no alias tables, no packed words, libm's exponential.
"""

import numpy as np

from ter.kernels.patients import N_GAD7
from ter.measures import MEASURES
from ter.simulation import tables as t


def choose(rng, p, rows=None):
    """Draw from the distributions in the rows of p."""
    cumulated = np.cumsum(np.atleast_2d(p), axis=1)
    cumulated /= cumulated[:, -1:]
    rows = np.zeros(rng.size, np.int64) if rows is None else rows
    out = np.empty(rng.size, np.int64)
    for row in np.unique(rows):
        at = rows == row
        out[at] = np.searchsorted(cumulated[row], rng[at], side="right")
    return out


def draw(setup, seed):
    """Draw all patients of a set-up scenario; a mapping of columns."""
    rng = np.random.default_rng(seed)
    scenario, c = setup.scenario, setup.caseloads
    p, e, courses = scenario.population, scenario.effects, scenario.courses
    therapist = np.repeat(np.arange(c.n.size), c.n)
    n, S = therapist.size, c.service_effect.size
    service = c.service[therapist]
    crossed = rng.random(n) < scenario.network.crossing
    service = np.where(crossed, (service + rng.integers(1, S, n)) % S, service)
    decile = 1 + choose(rng.random(n), t.decile_shares(p, setup.roster.deprivation_tilt), service)
    recorded = rng.random(n) >= p.imd_unrecorded
    age = choose(rng.random(n), t.band_shares(p.ages))
    problem = choose(rng.random(n), [q.share for q in p.problems])

    severity = c.shift[therapist] + c.service_shift[service]
    severity += p.severity_by_deprivation * (5.5 - decile) + p.severity_by_age * (age - 40) / 10
    step = np.floor((severity - t.SEVERITIES[0]) / t.SEVERITY_STEP + rng.random(n)).astype(int)
    step = np.clip(step, 0, t.SEVERITIES.size - 1)
    shares = t.score_shares(p)
    scores = choose(rng.random(n), shares.reshape(-1, 28 * N_GAD7), problem * t.SEVERITIES.size + step)
    phq9, gad7 = scores // N_GAD7, scores % N_GAD7
    wsas = choose(rng.random(n), t.wsas_shares(p), scores)
    prior = choose(rng.random(n), p.prior_episodes)
    wait = choose(rng.random(n), t.band_shares(p.waits))
    age_band, phq9_band = np.searchsorted([24, 39, 59, 74], age), np.searchsorted([9, 19], phq9)
    stratum = ((decile - 1) * 5 + age_band) * 3 + phq9_band
    strata = t.strata_shares(p, shares)
    levels = {f.column: choose(rng.random(n), t.level_shares(f, strata), stratum) for f in p.factors}

    measures = t.measures_of(p)
    used = rng.random(n) < np.array([q.measure_share for q in p.problems])[problem]
    place = np.array([measures.index(q.measure) if q.measure_share > 0 else -1 for q in p.problems])
    measure = np.where(used, place[problem], -1)
    specific = t.specific_first_shares(measures, p.specific_first)
    anxiety = choose(rng.random(n), specific, np.maximum(measure, 0) * N_GAD7 + gad7)
    threshold = np.array([MEASURES[key].caseness for key in measures])
    anxious = np.where(measure >= 0, anxiety >= threshold[measure], gad7 >= threshold[1])
    case = (phq9 >= threshold[0]) | anxious

    eta = e.intercept + e.phq9 * phq9 + e.gad7 * gad7 + e.age * age + e.prior * prior + e.wait * wait
    eta += np.where(wsas < 41, e.wsas * wsas, e.wsas * t.WSAS_STAND_IN + e.wsas_missing)
    eta += np.where(recorded, e.imd * decile, e.imd * t.IMD_STAND_IN + e.imd_missing)
    eta += np.array([q.effect for q in p.problems])[problem]
    for f in p.factors:
        eta += np.array([level.effect for level in f.levels])[levels[f.column]]
    eta += c.effect[therapist] + c.service_effect[service]
    eta += c.slope[therapist] * (phq9 - t.SEVERITY_CENTRE) / t.SEVERITY_SCALE
    recovers = case & (rng.random(n) < 1 / (1 + np.exp(-eta)))

    done = np.log(courses.completion / (1 - courses.completion)) + c.completion[therapist]
    done += courses.completion_by_age * (age - 40) / 10 + courses.completion_by_imd * (decile - 5)
    done += courses.completion_by_phq9 * (phq9 - 14)
    completes = rng.random(n) < 1 / (1 + np.exp(-done))
    attended = choose(rng.random(n), t.session_shares(courses.sessions_mean, courses.sessions_cv))
    sessions = np.where(completes, attended, 1)
    dna = choose(rng.random(n), t.poisson_shares(courses.dna_mean))
    cancelled = choose(rng.random(n), t.poisson_shares(courses.cancelled_mean))
    interval = np.where(rng.random(n) < courses.fortnightly, 14, 7)
    days = setup.calendar.days
    mass = setup.calendar.mass.astype(float)
    at = c.mass_before[therapist] + rng.random(n) * c.mass[therapist]
    start = days[np.searchsorted(mass, at, side="right") - 1]
    ended = start + interval * (sessions + dna + cancelled - 1) <= setup.truth.last_day
    return {
        "service": service,
        "decile": np.where(recorded, decile, -1),
        "age": age,
        "problem": problem,
        "phq9": phq9,
        "gad7": gad7,
        "wsas": np.where(wsas < 41, wsas, -1),
        "prior": prior,
        "wait": wait,
        **levels,
        "anxiety": np.where(measure >= 0, anxiety, -1),
        "case": case,
        "sessions": sessions,
        "dna": dna,
        "cancelled": cancelled,
        "interval": interval,
        "start": start - days[0],
        "completed": completes & ended,
        "recovered": recovers,
        "counted": completes & ended & recovers,
    }
