"""Networks whose truth is known, rated again and again: do the ratings mean what they say?

300 therapists with 10 to 60 patients, whose case mix differs between them. `python
tests/ratings/known_truth.py 500` runs the proof at full size (some seconds a replicate) and prints its
figures as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri
from scipy.stats import rankdata

from ter.features import CaseMix, linear
from ter.models.fit import fit
from ter.ratings import RatingOptions, rate
from ter.ratings.outliers import OutlierOptions, find_outliers

J, SMALLEST, LARGEST = 300, 10, 60
SD, SLOPE, SPREAD = 0.42, -0.6, 0.4
#: About a fifth of the therapists are truly below it.
MINIMUM = 42.0
FDR = 0.2


@dataclass(frozen=True, eq=False)
class Truth:
    """What only a simulation knows, by therapist: the effect, the case mix, the caseload."""

    u: np.ndarray
    severity: np.ndarray
    n: np.ndarray


def draw_truth(rng: np.random.Generator) -> Truth:
    return Truth(rng.normal(0, SD, J), rng.normal(0, SPREAD, J), rng.integers(SMALLEST, LARGEST + 1, J))


def draw_patients(truth: Truth, rng: np.random.Generator) -> pd.DataFrame:
    unit = np.repeat(np.arange(J), truth.n)
    x = truth.severity[unit] + rng.normal(size=len(unit))
    y = rng.random(len(unit)) < expit(SLOPE * x + truth.u[unit])
    ids = np.array([f"t{j:03d}" for j in range(J)], dtype=object)
    table = pd.DataFrame({"therapist_id": ids[unit], "severity": x, "recovered": y})
    return table.assign(completed=True, at_caseness=True)


def fitted(patients: pd.DataFrame, seed: int):
    return fit(patients, case_mix=CaseMix([linear("severity")]), service=None, seed=seed)


def true_ter(u: np.ndarray, patients: pd.DataFrame) -> np.ndarray:
    """The rate that the table's patients would have with each therapist, percent."""
    grid = np.linspace(u.min(), u.max(), 201)
    # Smooth in u: a table of 201 points is exact to 1e-4 points.
    rates = [expit(SLOPE * patients["severity"] + at).mean() for at in grid]
    return 100 * np.interp(u, grid, rates)


def exact_p(patients: pd.DataFrame, slope: float) -> np.ndarray:
    """Give each therapist's probability of a TER below the minimum by sums over grids alone.

    The slope is taken as given; the mean and the SD of the effects have the priors of the package.
    """
    x, y = patients["severity"].to_numpy(), patients["recovered"].to_numpy(float)
    first = np.flatnonzero(~patients["therapist_id"].duplicated().to_numpy())
    u = np.linspace(-3, 3, 121)
    means, sds = np.linspace(-0.12, 0.12, 9), np.linspace(0.2, 0.7, 26)
    eta = slope * x[:, None] + u
    likelihood = np.add.reduceat(y[:, None] * eta - np.logaddexp(0, eta), first)
    likelihood = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    threshold = np.interp(MINIMUM, 100 * expit(eta).mean(axis=0), u)
    below = np.clip((threshold - u) / (u[1] - u[0]) + 0.5, 0, 1)
    log_weight, p = np.empty((9, 26)), np.empty((9, 26, len(first)))
    for at in np.ndindex(9, 26):
        mean, sd = means[at[0]], sds[at[1]]
        prior = np.exp(-0.5 * ((u - mean) / sd) ** 2)
        joint = likelihood * (prior / prior.sum())
        evidence = joint.sum(axis=1)
        log_weight[at] = np.log(evidence).sum() - 0.5 * sd**2
        p[at] = joint @ below / evidence
    weight = np.exp(log_weight - log_weight.max())
    return np.tensordot(weight / weight.sum(), p, axes=2)


def replicate(seed: int) -> dict[str, np.ndarray]:
    """Simulate a network, rate it, and put the ratings beside the truth."""
    rng = np.random.default_rng([seed, 1])
    truth = draw_truth(rng)
    patients = draw_patients(truth, rng)
    found = fitted(patients, seed)
    table = rate(found, minimum=MINIMUM).to_frame()
    options = OutlierOptions(RatingOptions(minimum=MINIMUM), false_alarm=3.0, fdr=FDR)
    outliers = find_outliers(found, options=options).to_frame()
    true_rank = rankdata(-truth.u)
    return {
        "p": table["p_below_minimum"].to_numpy(float),
        "p_exact": exact_p(patients, SLOPE),
        "low": true_ter(truth.u, patients) < MINIMUM,
        "covered": (table["rank_q05"] <= true_rank) & (true_rank <= table["rank_q95"]),
        "support": (table["status"] == "support").to_numpy(),
        "flag_fdr": outliers["flag_fdr"].to_numpy(bool),
        "flag_loss": outliers["flag_loss"].to_numpy(bool),
        "error_expected": table["expected_rank"].to_numpy(float) - true_rank,
        "error_o_e": rankdata(-table["o_e"]) - true_rank,
        "error_raw": rankdata(-table["observed"]) - true_rank,
        "marginal_z": outliers["marginal_z"].to_numpy(float),
        "p_worst": np.array([outliers["p_worst"].min()]),
    }


def rated_again(seed: int) -> dict[str, np.ndarray]:
    """Rate a network, then the same therapists on new patients alone: where do the deciles go?"""
    rng = np.random.default_rng([seed, 2])
    truth = draw_truth(rng)
    first, second = (rate(fitted(draw_patients(truth, rng), seed)).to_frame() for _ in range(2))
    order = np.argsort(first["effect"].to_numpy())
    tenth = J // 10
    out = {}
    for name, chosen in (("bottom", order[:tenth]), ("top", order[-tenth:])):
        was, now = first.iloc[chosen], second.iloc[chosen]
        out[name] = np.array(
            [
                # Unshrunk, the estimate falls back by the first reliability: to the first shrunk effect.
                (was["effect"] / was["reliability"]).mean(),
                was["effect"].mean(),
                (now["effect"] / now["reliability"]).mean(),
                # Shrunk, the second effect is the first times the second reliability.
                (was["effect"] * now["reliability"]).mean(),
                now["effect"].mean(),
            ]
        )
    return out


def summarise(replicates: list[dict[str, np.ndarray]]) -> dict[str, object]:
    """Figures over all replicates, with Monte Carlo standard errors over replicates where they are needed."""

    def pooled(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(r[name]) for r in replicates])

    p, p_exact, low = pooled("p"), pooled("p_exact"), pooled("low")
    near = (p > 0.85) & (p < 0.95)

    def calibration(p: np.ndarray, low: np.ndarray) -> list[list[float]]:
        bins = [(0.0, 0.05), (0.05, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 1.0)]
        return [
            [a, b, int(inside.sum()), float(p[inside].mean()), float(low[inside].mean())]
            for a, b in bins
            if (inside := (p >= a) & (p < b)).any()
        ]

    def false_share(name: str) -> tuple[float, float]:
        shares = [(r[name] & ~r["low"]).sum() / max(r[name].sum(), 1) for r in replicates]
        return float(np.mean(shares)), float(np.std(shares) / np.sqrt(len(shares)))

    mse = {name: float((pooled(f"error_{name}") ** 2).mean()) for name in ("expected", "o_e", "raw")}
    return {
        "replicates": len(replicates),
        "given_0.85_to_0.95": [int(near.sum()), float(p[near].mean()), float(low[near].mean())],
        "calibration": calibration(p, low),
        "calibration_of_exact_p": calibration(p_exact, low),
        "largest_difference_to_exact_p": float(np.abs(p - p_exact).max()),
        "rank_coverage": float(pooled("covered").mean()),
        "false_flags": {name: false_share(name) for name in ("support", "flag_fdr", "flag_loss")},
        "flagged": {name: float(pooled(name).mean()) for name in ("support", "flag_fdr", "flag_loss")},
        "truly_low": float(low.mean()),
        "rank_mse": mse,
        "rank_mse_less_than_raw": 1 - mse["expected"] / mse["raw"],
        "rank_mse_less_than_o_e": 1 - mse["expected"] / mse["o_e"],
        "marginal_z_sd": float(pooled("marginal_z").std()),
        "networks_with_p_worst_below_5_percent": float((pooled("p_worst") < 0.05).mean()),
    }


def minimum_is_a_fifth() -> float:
    """The share of therapists truly below the minimum, with the average case mix."""
    x = np.sqrt(1 + SPREAD**2) * ndtri((np.arange(400) + 0.5) / 400)
    u = SD * ndtri((np.arange(400) + 0.5) / 400)
    return float((100 * expit(SLOPE * x + u[:, None]).mean(axis=1) < MINIMUM).mean())


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(json.dumps(summarise([replicate(seed) for seed in range(count)]), indent=1))
    again = [rated_again(seed) for seed in range(max(count // 5, 1))]
    print(
        json.dumps({name: np.mean([a[name] for a in again], axis=0).tolist() for name in ("bottom", "top")})
    )
