"""A publication made by hand: 150 therapists, of every status, with hostile ids among them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ter.ratings.options import RatingOptions
from ter.ratings.publication import ModelNote, Network, Publication

HOSTILE_IDS = (
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "\N{GRINNING FACE} T",
    "x" * 300,
    "NaN",
    "None",
    "007",
    "{{ 7 * 7 }}",
    "$\\frac{1}{2}$",
    '"><img src=x onerror=alert(1)>',
    "'=1+1",
)
VARIABLES = ("phq9_first", "gad7_first", "wsas_first", "age", "employment", "problem", "imd_decile", "step")
OUTCOME_COLUMNS = (
    "observed", "expected", "predicted", "o_e", "p_e", "ter", "ter_q05", "ter_q95", "effect", "effect_sd",
    "reliability", "expected_rank", "rank_q05", "rank_q95", "percentile", "p_below_minimum", "p_top_quartile",
)  # fmt: skip


def make_publication(
    n: int = 150, *, hostile: bool = True, minimum: float | None = 44.0, seed: int = 1
) -> Publication:
    """Draw a publication of `n` therapists, of whom about one in eight is behind the gate."""
    rng = np.random.default_rng(seed)
    ids = sorted([*(HOSTILE_IDS[:n] if hostile else ()), *(f"T{i:04d}" for i in range(n))][:n])
    completed = np.maximum(rng.negative_binomial(1.6, 0.04, n), 1)
    completed[: min(n, 3)] = (9, 10, 11)[: min(n, 3)]
    rated = completed >= 10
    effect = rng.normal(0, 0.35, n)
    reliability = 0.35**2 / (0.35**2 + 4 / np.maximum(completed, 1))
    ter = 100 / (1 + np.exp(-effect * reliability))
    half = 1.645 * 25 * 0.35 * np.sqrt(1 - reliability)
    # Ranks are among the rated.
    R = int(rated.sum())
    rank = np.full(n, np.nan)
    rank[rated] = (-effect * reliability)[rated].argsort().argsort() + 1.0
    low = np.clip(ter - half, 0, 100)
    counted = completed - completed // 12
    observed = rng.binomial(counted, np.clip(0.5 + effect / 4, 0.02, 0.98)) / counted
    expected = rng.normal(0.5, 0.03, n)
    status = np.where(low + half < 40, "support", np.where(ter < 44, "watch", "rated"))
    ratings = pd.DataFrame(
        {
            "therapist_id": ids,
            "service_id": [f"S{i % 12:02d}" for i in range(n)],
            "status": np.where(rated, status, "provisional"),
            "n_completed": completed,
            "n_at_caseness": counted,
            "observed": observed,
            "expected": expected,
            "predicted": 0.5 * (observed + expected),
            "o_e": observed / expected,
            "p_e": 0.5 * (observed + expected) / expected,
            "ter": ter,
            "ter_q05": low,
            "ter_q95": np.clip(ter + half, 0, 100),
            "effect": effect,
            "effect_sd": 0.35 * np.sqrt(1 - reliability),
            "reliability": reliability,
            "expected_rank": rank,
            "rank_q05": np.maximum(1, rank - R / 4).round(),
            "rank_q95": np.minimum(R, rank + R / 4).round(),
            "percentile": 100 * (1 - (rank - 0.5) / max(R, 1)),
            "p_below_minimum": np.clip((48 - ter) / 10, 0, 1),
            "p_top_quartile": np.clip((ter - 50) / 10, 0, 1),
        }
    ).astype({"status": "object"})
    ratings.loc[~rated, list(OUTCOME_COLUMNS)] = np.nan
    shown = ratings[rated]
    return Publication(
        options=RatingOptions(completed=10, minimum=minimum, interval=0.9, support=0.9),
        ratings=ratings,
        network=Network(
            n_therapists=n,
            n_rated=int(rated.sum()),
            n_provisional=int((~rated).sum()),
            n_services=min(n, 12),
            n_episodes=int(completed.sum() * 1.4),
            n_completed=int(completed.sum()),
            n_at_caseness=int(ratings["n_at_caseness"].sum()),
            n_at_caseness_rated=int(shown["n_at_caseness"].sum()),
            observed=0.5123,
            expected=0.5057,
        ),
        calibration=_calibration(rng),
        trend=_trend(shown, rng),
        case_mix=_case_mix(shown, rng),
        shift=pd.DataFrame(
            [
                (name, variable, rng.normal(0, 0.02))
                for name in shown["therapist_id"]
                for variable in VARIABLES
            ],
            columns=["therapist_id", "variable", "shift"],
        ),
        services=pd.DataFrame(
            {
                "service_id": [f"S{i:02d}" for i in range(min(n, 12))],
                "n_therapists": 12,
                "n_rated": 11,
                "n_completed": 400,
                "n_at_caseness_rated": 350,
                "observed": rng.uniform(0.4, 0.6, min(n, 12)),
                "expected": rng.uniform(0.4, 0.6, min(n, 12)),
            }
        ),
        model=ModelNote(
            engine="fast",
            outcome="recovered",
            groups=pd.DataFrame(
                {
                    "factor": ["therapist", "service"],
                    "levels": [n, 12],
                    "sd": [0.35, 0.2],
                    "q05": [0.29, 0.1],
                    "q95": [0.41, 0.33],
                    "icc": [0.035, 0.012],
                    "median_odds_ratio": [1.40, 1.21],
                }
            ).set_index("factor"),
            service_effect="included",
            converged=True,
            notes=("The column 'medication' is the same in every row and was dropped.",),
            n_modelled=4500,
            left_out=(("not completed", 1200), ("not at caseness at the start", 300)),
            versions=(("ter", "0.1.0"), ("numpy", "2.0.0")),
        ),
        fingerprint="ab" * 32,
    )


def _calibration(rng: np.random.Generator) -> pd.DataFrame:
    expected = np.linspace(0.2, 0.8, 10)
    observed = np.clip(expected + rng.normal(0, 0.02, 10), 0, 1)
    return pd.DataFrame(
        {
            "decile": range(1, 11),
            "n": 450,
            "expected": expected,
            "observed": observed,
            "low": observed - 0.045,
            "high": observed + 0.045,
        }
    )


def _trend(shown: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for name, completed in zip(shown["therapist_id"], shown["n_completed"], strict=True):
        blocks = min(completed // 10, 9)
        for block in range(blocks):
            first = 12 * 2026 + 9 - 3 * (blocks - block) + 1
            rows.append(
                (
                    name,
                    _month(first),
                    _month(first + 2),
                    11,
                    10,
                    rng.binomial(10, 0.5) / 10,
                    rng.normal(0.5, 0.02),
                )
            )
    columns = [
        "therapist_id",
        "first_month",
        "last_month",
        "n_completed",
        "n_at_caseness",
        "observed",
        "expected",
    ]
    return pd.DataFrame(rows, columns=columns)


def _month(index: int) -> str:
    return f"{index // 12}-{index % 12 + 1:02d}"


def _case_mix(shown: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for name in shown["therapist_id"]:
        for variable in VARIABLES:
            if variable in ("employment", "problem"):
                share = rng.uniform(0.2, 0.8)
                rows.append((name, variable, "unemployed", share, 0.4, 0.4 - share))
                rows.append((name, variable, "missing", 1 - share, 0.6, 0.0))
            else:
                rows.append((name, variable, "", rng.normal(14, 1), 14.0, np.nan))
    return pd.DataFrame(rows, columns=["therapist_id", "variable", "level", "therapist", "network", "shift"])
