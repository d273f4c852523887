"""The kernels draw from the model: against a slow, exact reference, and without the JIT.

`TER_EXACT_PATIENTS` sets the number of patients; in the suite it is small enough for seconds. At 16 million
(``TER_EXACT_PATIENTS=16000000 pytest tests/simulation/test_exactness.py``) the same tests take minutes and
some 8 GB.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from slow_draws import draw

from ter.simulation import Scenario
from ter.simulation.build import course_codes
from ter.simulation.caseloads import set_up
from ter.simulation.modelled import case_mix_codes

PATIENTS = int(os.environ.get("TER_EXACT_PATIENTS", "400000"))
SCENARIO = Scenario.preset(
    "england_2024_25",
    n_therapists=500,
    n_services=12,
    mean_caseload=PATIENTS / 500,
    caseload_cv=0.3,
    severity_slope_sd=0.2,
    imd_unrecorded=0.1,
)


def columns(setup):
    """The record of the kernels, as the columns of the reference."""
    r = setup.record()
    rows = np.arange(r.service.size)
    codes = case_mix_codes(setup, r, rows)
    sessions, dna, cancelled, interval = course_codes()
    names = {
        "imd_decile": "decile",
        "phq9_first": "phq9",
        "gad7_first": "gad7",
        "wsas_first": "wsas",
        "prior_episodes": "prior",
        "wait_days": "wait",
    }
    return {names.get(name, name): values for name, values in codes.items()} | {
        "service": r.service,
        "anxiety": r.anxiety,
        "case": r.case,
        "sessions": sessions[r.course],
        "dna": dna[r.course],
        "cancelled": cancelled[r.course],
        "interval": interval[r.course],
        "start": r.start,
        "completed": r.completed,
        "recovered": r.recovered,
        "counted": r.completed & r.recovered,
    }


@pytest.fixture(scope="module")
def drawn():
    setup = set_up(SCENARIO, 2026)
    return setup, columns(setup), draw(setup, 7)


def test_every_mean(drawn):
    _, ours, theirs = drawn
    assert set(ours) == set(theirs)
    z = []
    for name, values in ours.items():
        a, b = values.astype(float), theirs[name].astype(float)
        z.append((a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / a.size))
    # Some 27 columns: the largest of so many |z| exceeds 4.6 in one of 10,000 right programs.
    assert np.abs(z).max() < 4.6, dict(zip(ours, z, strict=True))


def test_every_share(drawn):
    _, ours, theirs = drawn
    for name in ours:
        low = min(ours[name].min(), theirs[name].min())
        pair = [np.bincount((side[name] - low).astype(np.int64)) for side in (ours, theirs)]
        width = max(map(len, pair))
        table = np.array([np.pad(counts, (0, width - len(counts))) for counts in pair])
        table = table[:, table.sum(axis=0) > 20]
        if table.shape[1] > 1:
            # 27 tests: a right program fails one of them once in 10,000.
            assert stats.chi2_contingency(table).pvalue > 4e-6, name


def test_every_pair_of_columns(drawn):
    _, ours, theirs = drawn
    a, b = (np.corrcoef([side[name].astype(float) for name in ours]) for side in (ours, theirs))
    pairs = np.triu_indices(len(ours), 1)
    difference = np.arctanh(np.clip(a[pairs], -0.999, 0.999)) - np.arctanh(np.clip(b[pairs], -0.999, 0.999))
    z = difference * np.sqrt(ours["age"].size / 2)
    # Fisher's z: its variance is 1 / n for normal columns, and up to some three times that for skewed ones
    # that hang together; of 351 pairs the largest |z| of a right program is below 4.9 with 99.97%.
    assert np.abs(z).max() < 4.9 * np.sqrt(3)
    weak = np.abs(b[pairs]) < 0.05
    assert np.abs(z[weak]).max() < 4.9
    assert weak.sum() > 150


def test_every_therapist(drawn):
    setup, ours, theirs = drawn
    therapist = np.repeat(np.arange(setup.caseloads.n.size), setup.caseloads.n)
    n = setup.caseloads.n
    rates = [np.bincount(therapist, side["recovered"].astype(float)) / n for side in (ours, theirs)]
    mean = (rates[0] + rates[1]) / 2
    z = (rates[0] - rates[1]) / np.sqrt(2 * mean * (1 - mean) / n)
    # Of J z the SD is 1 within 4 / sqrt(2 J).
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * z.size)
    assert np.abs(z).max() < 5.1  # 500 of them
    assert abs(z.mean()) < 4 / np.sqrt(z.size)


WITHOUT_JIT = """
import hashlib, sys
import numpy as np
np.seterr(over="ignore")  # numbers of 64 bits wrap around, as they should
from ter.simulation import Scenario, simulate, count_outcomes
scenario = Scenario.preset("england_2024_25", n_therapists=4, n_services=3, mean_caseload=12)
sim = simulate(scenario, 2**64 - 1, sessions=True)
digest = hashlib.sha256()
for table in (sim.episodes, sim.sessions, count_outcomes(scenario, 2**64 - 1)):
    digest.update(table.to_csv().encode())
print(len(sim.episodes), digest.hexdigest())
"""


def test_same_bits_with_and_without_the_jit():
    said = [
        subprocess.run(
            [sys.executable, "-c", WITHOUT_JIT],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"NUMBA_DISABLE_JIT": disabled, "NUMBA_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for disabled in ("0", "1")
    ]
    assert said[0] == said[1]
    assert int(said[0].split()[0]) > 20
