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
from ter.features import Design
from ter.models.posterior import Posterior
from ter.ratings.tabulated import cdf_at
from ter.simulation.scenario import Scenario
from ter.simulation.studies.designs import design_of, encoder_of
from ter.simulation.studies.draws import draw_network
from ter.simulation.studies.rated import StudyEngine, one_thread, solve_design
from ter.simulation.studies.study import Replicate, check_study
from ter.simulation.studies.uniformity import outside_band, simultaneous_band

FloatArray = NDArray[np.float64]

#: The priors of the engines: SD of each coefficient on the model's scale; scale of each half-normal SD.
PRIOR_BETA_SD: Final = 2.5
PRIOR_SD_SCALE: Final = 1.0
#: The network whose patients are kept through all replicates.
DESIGN_SEED: Final = 1


def calibration_network() -> Scenario:
    """Give a small network: 50 therapists, 5 services, about 20 treatments each."""
    return Scenario.preset(
        "england_2024_25", n_therapists=50, n_services=5, mean_caseload=35.0, caseload_cv=0.8
    )


@dataclass(frozen=True)
class CalibrationStudy:
    """Simulation-based calibration of an engine, on the patients of a network.

    Attributes
    ----------
    scenario : Scenario
        Whose patients, therapists and services: one network of it is kept, with its case mix and caseloads.
        Its effects play no part.
    engine : {"fast", "ml"}
        "ml" shows what holding the parameters at their estimates costs.
    columns : tuple of str
        The case mix.
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
    band: float = 0.95

    def __post_init__(self) -> None:
        check_study(self.scenario, self.engine)
        if not isinstance(self.columns, tuple):
            raise OptionError(f"columns must be a tuple of names, not {self.columns!r}.")
        if not 0.5 <= self.band < 1:
            raise OptionError(f"band must be a probability from 0.5 to 1, not {self.band!r}.")

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
        truth = draw_truth(design, rng)
        drawn = replace(design, successes=truth.outcomes)
        # Any therapist does; another one each time covers small and large caseloads.
        unit = int(rng.integers(len(design.therapist.levels)))
        with one_thread():
            solved = solve_design(drawn, self.engine, seed)
            below = probabilities_below(solved.posterior, truth, design, unit)
        return Replicate(np.array([[below[name]] for name in self.quantities]), solved.converged)

    def summarise(self, sums: FloatArray) -> pd.DataFrame:
        """Say of each quantity how far its probabilities are from uniform.

        ``mean`` (1/2), ``spread`` (SD in units of a uniform's, 1), ``ks_p`` (p-value of the
        Kolmogorov-Smirnov test), ``outside`` (share of the distribution function outside the simultaneous
        band, 0), and the distribution function ``ecdf`` at 0.05, 0.1, ...
        """
        from scipy.stats import kstest

        R = len(sums)
        low, high = simultaneous_band(R, self.band)
        rows = []
        for name, p in zip(self.quantities, sums[..., 0].T, strict=True):
            spread = float(p.std(ddof=1) * np.sqrt(12.0))
            figures = [
                ("mean", p.mean(), p.std(ddof=1) / np.sqrt(R), np.nan),
                # The fourth moment of a uniform: Var(s^2) = (mu4 - sigma^4) / R, mu4 = 1/80.
                ("spread", spread, 0.5 * np.sqrt((144.0 / 80.0 - 1.0) / R), np.nan),
                ("ks_p", kstest(p, "uniform").pvalue, np.nan, np.nan),
                ("outside", outside_band(p, low, high), np.nan, np.nan),
            ]
            for at in np.arange(1, 20) / 20:
                share = float((p <= at).mean())
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
        p, n = of("ks_p"), len(self.quantities)
        return [
            f"{n - len(bad)} of {n} quantities stay within the {100 * self.band:g}% simultaneous band of a "
            f"uniform distribution{': outside are ' + ', '.join(bad) if bad else ''}.",
            f"The smallest p-value of the Kolmogorov-Smirnov tests is {min(p.values()):.3g}; with {n} tests, "
            f"one below {0.05 / n:.2g} would be a finding.",
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
