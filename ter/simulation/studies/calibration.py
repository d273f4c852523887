"""Study ``calibration``: is a posterior what it says it is? Simulation-based calibration of an engine.

Parameters are drawn from the engine's own priors, outcomes from the parameters, and the posterior is asked
for the probability that it gives to what lies below the truth. If the engine is right these probabilities are
uniform (Cook, Gelman and Rubin 2006; Talts et al. 2018), for every quantity and whatever the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import OptionError
from ter.features import Design, Grouping
from ter.models.posterior import Posterior
from ter.ratings.tabulated import cdf_at
from ter.simulation.checks import check_count, check_number
from ter.simulation.scenario import Scenario
from ter.simulation.studies.designs import design_of, encoder_of, true_case_mix
from ter.simulation.studies.draws import draw_network
from ter.simulation.studies.rated import StudyEngine, one_thread, solve_design
from ter.simulation.studies.study import Replicate, check_study
from ter.simulation.studies.uniformity import ecdf, outside_band, points_of, simultaneous_band

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: The priors of the engines: SD of each coefficient on the model's scale; scale of each half-normal SD.
PRIOR_BETA_SD: Final = 2.5
PRIOR_SD_SCALE: Final = 1.0
#: The network whose patients the replicates have.
DESIGN_SEED: Final = 1
#: Bins of the chi-squared test, and the least that a bin must expect.
BINS: Final = 20
LEAST_EXPECTED: Final = 5
#: Chance that any of the tests rejects what is right.
LEVEL: Final = 0.05


def calibration_network() -> Scenario:
    """Give a small network: 40 therapists with more than 30 modelled patients each, 4 services."""
    return Scenario.preset(
        "england_2024_25", n_therapists=40, n_services=4, mean_caseload=100.0, caseload_cv=0.0, joining=0.0,
        leaving=0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class CalibrationStudy:
    """Simulation-based calibration of an engine, on the patients of a network.

    Attributes
    ----------
    scenario : Scenario
        Whose patients, therapists and services: all replicates draw on one network of it. Its effects play no
        part.
    engine : {"fast", "ml"}
        "ml" shows what holding the parameters at their estimates costs.
    columns : tuple of str
        The case mix.
    caseloads : tuple of int
        The fewest and the most patients of a therapist: each replicate draws caseloads uniformly between
        them, and so many of each therapist's patients (all, where these are fewer). Empty for all patients in
        each replicate.
    band : float
        Probability that the simultaneous band holds a uniform sample's whole distribution function.

    Raises
    ------
    OptionError
        If a setting is out of range.
    """

    NAME: ClassVar[str] = "calibration"

    scenario: Scenario = field(default_factory=calibration_network)
    engine: StudyEngine = "fast"
    columns: tuple[str, ...] = ("phq9_first", "age", "gender")
    caseloads: tuple[int, ...] = (3, 30)
    band: float = 0.95

    def __post_init__(self) -> None:
        check_study(self.scenario, self.engine)
        if not isinstance(self.columns, tuple):
            raise OptionError(f"columns must be a tuple of names, not {self.columns!r}.")
        known = [term.name for term in true_case_mix(self.scenario).terms]
        for column in self.columns:
            if column not in known:
                raise OptionError(
                    f"columns names {column!r}; the scenario's case mix has {', '.join(known)}."
                )
        if self.caseloads != ():
            check_caseloads(self.caseloads)
        check_number("band", self.band, 0.5, 0.9999)

    @property
    def quantities(self) -> tuple[str, ...]:
        """What is ranked: coefficients, SDs, the first service, a therapist and its TER."""
        design = fixed_design(self.scenario, self.columns)
        services = () if design.service is None else ("sd_service", "service")
        coefficients = tuple(f"beta: {name}" for name in design.columns)
        if self.engine == "ml":
            # Estimates are points: only the effects have a distribution.
            return ("therapist", "ter")
        return (*coefficients, "sd_therapist", *services, "therapist", "ter")

    def replicate(self, seed: int) -> Replicate:
        """Probability below the truth, of each quantity: shape (quantities, 1)."""
        rng = np.random.default_rng(seed)
        design = fixed_design(self.scenario, self.columns)
        if self.caseloads:
            design = of_rows(design, draw_patients(design, self.caseloads, rng))
        truth = draw_truth(design, rng)
        drawn = replace(design, successes=truth.outcomes)
        # Any therapist does; another one each time covers small and large caseloads.
        unit = int(rng.integers(len(design.therapist.levels)))
        with one_thread():
            # Monte Carlo errors of a few hundredths of a posterior SD move no rank.
            solved = solve_design(drawn, self.engine, seed, precise=False)
            below = probabilities_below(solved.posterior, truth, design, unit)
        return Replicate(np.array([[below[name]] for name in self.quantities]))

    def summarise(self, sums: FloatArray) -> pd.DataFrame:
        """Say of each quantity how far its probabilities are from uniform.

        ``mean`` (1/2), ``spread`` (SD in units of a uniform's, 1), ``largest`` (largest deviation of the
        distribution function) and ``ks_p`` (its p-value, of the Kolmogorov-Smirnov test), ``chi2_p`` (p-value
        of the chi-squared test on 20 bins, fewer for fewer than 100 replicates), ``outside`` (share of the
        distribution function outside the simultaneous band, 0), and the distribution function ``ecdf`` where
        the band is: at 0.01, 0.02, ..., of fewer than 100 replicates R at 1 / R, 2 / R, ...
        """
        from scipy.stats import chisquare, kstest

        R = len(sums)
        bins = int(np.clip(R // LEAST_EXPECTED, 2, BINS))
        low, high = simultaneous_band(R, self.band)
        rows = []
        for name, p in zip(self.quantities, sums[..., 0].T, strict=True):
            spread = float(p.std(ddof=1) * np.sqrt(12.0))
            ks = kstest(p, "uniform")
            figures = [
                ("mean", p.mean(), p.std(ddof=1) / np.sqrt(R), np.nan),
                # The fourth moment of a uniform: Var(s^2) = (mu4 - sigma^4) / R, mu4 = 1/80.
                ("spread", spread, 0.5 * np.sqrt((144.0 / 80.0 - 1.0) / R), np.nan),
                ("largest", ks.statistic, np.nan, np.nan),
                ("ks_p", ks.pvalue, np.nan, np.nan),
                ("chi2_p", chisquare(np.histogram(p, bins, (0.0, 1.0))[0]).pvalue, np.nan, np.nan),
                ("outside", outside_band(p, low, high), np.nan, np.nan),
            ]
            points = points_of(R)
            for at, share in zip(points, ecdf(p, points), strict=True):
                figures.append(("ecdf", share, np.sqrt(share * (1.0 - share) / R), at))
            rows += [
                {
                    "quantity": name,
                    "at": at,
                    "statistic": statistic,
                    "estimate": estimate,
                    "mcse": mcse,
                    "n": R,
                }
                for statistic, estimate, mcse, at in figures
            ]
        return pd.DataFrame(rows)

    def in_words(self, table: pd.DataFrame) -> list[str]:
        """Which quantities are uniform, and which are not."""

        def of(statistic: str) -> dict[str, float]:
            rows = table[table["statistic"] == statistic]
            return dict(zip(rows["quantity"], map(float, rows["estimate"]), strict=True))

        bad = [name for name, share in of("outside").items() if share > 0]
        n = len(self.quantities)
        smallest = {
            f"{min(of(test).values()):.3g} ({name})": min(of(test).values())
            for test, name in (("ks_p", "Kolmogorov-Smirnov"), ("chi2_p", "chi-squared"))
        }
        level = LEVEL / (2 * n)
        verdict = "none is" if min(smallest.values()) >= level else "that is a finding"
        return [
            f"{n - len(bad)} of {n} quantities stay within the {100 * self.band:g}% simultaneous band of a "
            f"uniform distribution{': outside are ' + ', '.join(bad) if bad else ''}.",
            f"The smallest p-values are {' and '.join(smallest)}; with two tests of {n} quantities, one "
            f"below {level:.2g} would be a finding: {verdict}.",
        ]


@dataclass(frozen=True, eq=False)
class PriorDraw:
    """Parameters drawn from the priors, and outcomes drawn from them.

    Attributes
    ----------
    beta, v, u : ndarray, shapes (P,), (S,), (J,)
        On the model's scale, log-odds.
    sd : ndarray, shape (F,)
        Therapist, then service.
    outcomes : ndarray, shape (N,)
        0 or 1.
    fixed : ndarray, shape (N,)
        Linear predictor without the therapist.
    """

    beta: FloatArray
    v: FloatArray
    u: FloatArray
    sd: FloatArray
    outcomes: FloatArray
    fixed: FloatArray


# Kept, because all replicates share it.
@lru_cache(maxsize=4)
def fixed_design(scenario: Scenario, columns: tuple[str, ...]) -> Design:
    """The design that stays through all replicates."""
    return design_of(scenario, draw_network(scenario, DESIGN_SEED), encoder_of(scenario, columns))


def check_caseloads(caseloads: tuple[int, ...]) -> None:
    """Refuse what is not the fewest and the most patients of a therapist.

    Raises
    ------
    OptionError
    """
    if not isinstance(caseloads, tuple) or len(caseloads) != 2:
        raise OptionError(f"caseloads must be the fewest and the most patients, not {caseloads!r}.")
    for k, value in enumerate(caseloads):
        check_count(f"caseloads[{k}]", value, 1, 1_000_000)
    if caseloads[0] > caseloads[1]:
        raise OptionError(f"caseloads must not decrease: {caseloads!r}.")


def draw_patients(design: Design, caseloads: tuple[int, ...], rng: np.random.Generator) -> IntArray:
    """Rows of a design: of each therapist a number that is drawn, at random."""
    therapist = design.therapist.index
    keep = rng.integers(caseloads[0], caseloads[1] + 1, len(design.therapist.levels))
    order = np.lexsort((rng.random(therapist.size), therapist))
    grouped = therapist[order]
    # Place of each row among its therapist's.
    place = np.arange(grouped.size) - np.searchsorted(grouped, grouped)
    return np.sort(order[place < keep[grouped]])


def of_rows(design: Design, rows: IntArray) -> Design:
    """A part of a design's rows; columns, scales and levels stay as they are."""

    def part(group: Grouping) -> Grouping:
        return replace(group, index=group.index[rows])

    return replace(
        design,
        X=design.X[rows],
        successes=design.successes[rows],
        trials=design.trials[rows],
        therapist=part(design.therapist),
        service=None if design.service is None else part(design.service),
        rows=np.arange(rows.size),
        n_rows=rows.size,
    )


def draw_truth(design: Design, rng: np.random.Generator) -> PriorDraw:
    """Draw parameters from the priors, and outcomes of the design's patients."""
    n_factors = 1 if design.service is None else 2
    sd = np.abs(PRIOR_SD_SCALE * rng.standard_normal(n_factors))
    beta = PRIOR_BETA_SD * rng.standard_normal(len(design.columns))
    u = sd[0] * rng.standard_normal(len(design.therapist.levels))
    fixed = design.X @ beta
    v = np.zeros(0)
    if design.service is not None:
        v = sd[1] * rng.standard_normal(len(design.service.levels))
        fixed = fixed + v[design.service.index]
    p = 1.0 / (1.0 + np.exp(-(fixed + u[design.therapist.index])))
    return PriorDraw(beta, v, u, sd, (rng.random(p.size) < p).astype(np.float64), fixed)


def probabilities_below(
    posterior: Posterior, truth: PriorDraw, design: Design, unit: int
) -> Mapping[str, float]:
    """Posterior probability below the truth, of every quantity.

    Parameters
    ----------
    posterior : Posterior
    truth : PriorDraw
    design : Design
    unit : int
        The therapist.
    """

    def of_draws(draws: FloatArray, value: float) -> float:
        return float(posterior.weights @ (draws < value))

    out = {
        f"beta: {name}": of_draws(posterior.beta[:, k], truth.beta[k])
        for k, name in enumerate(design.columns)
    }
    out["sd_therapist"] = of_draws(posterior.sd[:, 0], truth.sd[0])
    if truth.v.size:
        out["sd_service"] = of_draws(posterior.sd[:, 1], truth.sd[1])
        out["service"] = of_draws(posterior.v[:, 0], truth.v[0])
    one = slice(unit, unit + 1)
    out["therapist"] = float(cdf_at(posterior.u_grid[one], posterior.u_cdf[one], truth.u[unit])[0])
    ter = 100.0 * float(np.mean(1.0 / (1.0 + np.exp(-(truth.fixed + truth.u[unit])))))
    out["ter"] = float(cdf_at(posterior.ter_grid[one], posterior.ter_cdf[one], ter)[0])
    return out
