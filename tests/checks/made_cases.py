"""Cases drawn from the model itself, with the truth known."""

from __future__ import annotations

import numpy as np

from ter.checks.cases import Cases


def drawn_cases(rng, *, therapists=60, caseload=30, sd=0.4, effects=None, slopes=0.0, level=0.0):
    """Cases whose expected rates are right, and a standard normal severity of each."""
    therapist = np.repeat(np.arange(therapists), caseload)
    severity = rng.standard_normal(therapist.size)
    eta = level - 0.6 * severity
    u = sd * rng.standard_normal(therapists) if effects is None else effects
    w = slopes * rng.standard_normal(therapists)
    z, weights = np.polynomial.hermite_e.hermegauss(40)
    expected = (1 / (1 + np.exp(-(eta[:, None] + sd * z)))) @ (weights / weights.sum())
    rate = 1 / (1 + np.exp(-(eta + u[therapist] + w[therapist] * severity)))
    y = (rng.random(therapist.size) < rate).astype(float)
    ids = tuple(f"T{k:03d}" for k in range(therapists))
    cases = Cases(therapist, ids, np.ones(y.size), y, expected, np.arange(y.size))
    return cases, severity
