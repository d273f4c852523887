"""The problems that r_answers.R states, and R's answers to them."""

import json
from pathlib import Path

import numpy as np
from scipy.special import ndtri

ANSWERS = json.loads(Path(__file__).with_name("r_answers.json").read_text())

#: Two hundred units with z-scores whose variance is 1 + size / 50, and ten outliers.
_UNIT = np.arange(1, 201)
SIZE = 10.0 + (_UNIT * 37) % 200
Z = 0.3 + ndtri((1 + (_UNIT * 71) % 200 - 0.5) / 200) * np.sqrt(1 + SIZE / 50)
Z[::20] -= 9

OBSERVED = np.array([0.0, 1, 2, 5, 10, 37, 250])
EXPECTED = np.array([1.3, 1, 4.5, 3.2, 14, 30.5, 251.7])
SUCCESSES = np.array([0.0, 1, 5, 17, 40])
TRIALS = np.array([7.0, 12, 10, 60, 40])

#: Fleiss (1981), table 14.4: Down's syndrome by birth order and mother's age, Michigan.
BIRTHS = np.array(
    [
        [230061, 329449, 114920, 39487, 14208, 3052],
        [72202, 326701, 208667, 83228, 28466, 5375],
        [15050, 175702, 207081, 117300, 45026, 8660],
        [2293, 68800, 132424, 98301, 46075, 9834],
        [327, 30666, 123419, 149919, 104088, 34392],
    ],
    dtype=float,
)
CASES = np.array(
    [
        [107, 141, 60, 40, 39, 25],
        [25, 150, 110, 84, 82, 39],
        [3, 71, 114, 103, 108, 75],
        [1, 26, 64, 89, 137, 96],
        [0, 8, 63, 112, 262, 295],
    ],
    dtype=float,
)
STANDARD = np.array([319933.0, 931318, 786511, 488235, 237863, 61313])

#: Benjamini and Hochberg (1995), section 4.1: thrombolysis in myocardial infarction, fifteen comparisons.
P_VALUES = np.array(
    [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
     0.7590, 1.0]
)  # fmt: skip
