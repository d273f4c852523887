"""How much the priors matter: the same draws, weighted as if the priors had been others.

Importance reweighting of posterior draws (Kallioinen et al. 2024, "Detecting and diagnosing prior and
likelihood sensitivity with power-scaling", Stat. Comput. 34:57). It takes milliseconds, and it says itself
where it does not reach: other priors may put weight where there are too few draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from ter.features.design import FloatArray
from ter.models.certificate import PARETO_K_MAX, pareto_k
from ter.models.posterior import Posterior
from ter.models.priors import Priors

#: Fewer effective draws than this leave a Monte Carlo error of more than a tenth of a posterior SD.
EFFECTIVE_MIN: Final = 100.0
#: Which priors are scaled, by name of the change.
_SDS: Final = ("therapist", "service", "further", "slope")
PARTS: Final = {"fixed effects": ("beta",), "standard deviations": _SDS, "all": ("beta", *_SDS)}
FACTORS: Final = (0.5, 2.0)


@dataclass(frozen=True, eq=False, repr=False)
class PriorSensitivity:
    """How far a fit moves under other priors. Ungated, for analysts alone.

    Attributes
    ----------
    changes : DataFrame
        By change (whose priors, and by what their SDs are multiplied): ``effective_draws`` and ``pareto_k``
        of the reweighted draws; ``reliable``, whether the rest may be believed, which else is empty;
        ``ter_largest`` and ``ter_rms``, moves of the TERs in points, the largest and the root mean square;
        ``effect_largest``, largest move of a therapist effect in posterior SDs; ``sd_therapist``,
        ``sd_service``, ``sd_further`` and ``sd_slope``, posterior means under the changed priors (empty
        without the factor).
    ter, effect : DataFrame
        By therapist and change: moves of the TER (points) and of the effect (log-odds).
    fixed : DataFrame
        By term and change: moves of the fixed effects, log-odds on the scale of the columns.
    """

    changes: pd.DataFrame
    ter: pd.DataFrame
    effect: pd.DataFrame
    fixed: pd.DataFrame

    def summary(self) -> str:
        """The sensitivity in words and figures."""
        good = self.changes[self.changes["reliable"]]
        lines = [self.changes.round(3).dropna(axis=1, how="all").to_string()]
        if len(good):
            worst = int(good["ter_largest"].argmax())
            part, factor = good.index.to_list()[worst]
            lines.insert(
                0,
                f"Priors matter by up to {good['ter_largest'].max():.2f} points of TER (priors of {part} "
                f"times {factor:g}).",
            )
        if len(good) < len(self.changes):
            lines.append(
                "Where it says False the draws do not reach the changed posterior: fit again with "
                "ter.fit(..., priors=ter.Priors(...))."
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        first = (
            self.summary().splitlines()[0] if self.changes["reliable"].any() else "out of the draws' reach."
        )
        return f"<ter.PriorSensitivity: {first}>"


def scaled_priors(priors: Priors, part: str, factor: float) -> Priors:
    """Priors with the SDs of one of PARTS multiplied."""
    return replace(priors, **{name: factor * getattr(priors, name) for name in PARTS[part]})


def standard_deviations(posterior: Posterior, factors: Sequence[str]) -> dict[str, FloatArray]:
    """Draws of every standard deviation by its name among the priors, each of shape (D,)."""
    sds = dict(zip(factors, posterior.sd.T, strict=True))
    return sds if posterior.slope is None else {**sds, "slope": posterior.slope.sd}


def log_prior(posterior: Posterior, priors: Priors, factors: Sequence[str]) -> FloatArray:
    """Log density of the priors at each draw; that of v given its SD does not change. Shape (D,)."""
    sds = standard_deviations(posterior, factors)
    return priors.log_beta(posterior.beta) + priors.log_sd(np.column_stack(list(sds.values())), list(sds))


def reweighted(posterior: Posterior, priors: Priors, other: Priors, factors: Sequence[str]) -> FloatArray:
    """Weights of the draws under other priors, summing to 1: shape (D,)."""
    log_ratio = log_prior(posterior, other, factors) - log_prior(posterior, priors, factors)
    weights = posterior.weights * np.exp(log_ratio - log_ratio.max())
    return np.asarray(weights / weights.sum())


def prior_sensitivity(
    posterior: Posterior,
    priors: Priors,
    factors: tuple[str, ...],
    ids: tuple[str, ...],
    terms: tuple[str, ...],
    to_raw: FloatArray,
) -> PriorSensitivity:
    """Halve and double the SDs of the priors, of some and of all.

    Parameters
    ----------
    posterior : Posterior
        Made with `priors`.
    priors : Priors
    factors : tuple of str, length F
        Whose standard deviations `posterior.sd` holds.
    ids : tuple of str, length J
    terms : tuple of str, length P
    to_raw : ndarray, shape (P, P)
        Takes coefficients to the scale of the columns.
    """
    rows = []
    moves: dict[str, dict[tuple[str, float], FloatArray]] = {"ter": {}, "effect": {}, "fixed": {}}
    for part in PARTS:
        for factor in FACTORS:
            weights = reweighted(posterior, priors, scaled_priors(priors, part, factor), factors)
            change = weights - posterior.weights
            effective, k = float(1.0 / (weights**2).sum()), pareto_k(weights)
            reliable = effective >= EFFECTIVE_MIN and k <= PARETO_K_MAX
            hidden = 0.0 if reliable else np.nan
            ter = 100.0 * (posterior.given_ter @ change) + hidden
            effect = posterior.given_mean @ change + hidden
            sds = standard_deviations(posterior, factors)
            moves["ter"][part, factor] = ter
            moves["effect"][part, factor] = effect
            moves["fixed"][part, factor] = to_raw @ (change @ posterior.beta) + hidden
            rows.append(
                {
                    "priors": part,
                    "times": factor,
                    "effective_draws": effective,
                    "pareto_k": k,
                    "reliable": reliable,
                    "ter_largest": float(np.abs(ter).max()),
                    "ter_rms": float(np.sqrt((ter**2).mean())),
                    "effect_largest": float((np.abs(effect) / posterior.u_sd).max()),
                    **{
                        f"sd_{name}": float(weights @ sds[name]) + hidden if name in sds else np.nan
                        for name in _SDS
                    },
                }
            )

    def frame(name: str, index: pd.Index) -> pd.DataFrame:
        out = pd.DataFrame(moves[name], index=index)
        return out.rename_axis(columns=["priors", "times"])

    therapists = pd.Index(ids, name="therapist_id")
    return PriorSensitivity(
        changes=pd.DataFrame(rows).set_index(["priors", "times"]),
        ter=frame("ter", therapists),
        effect=frame("effect", therapists),
        fixed=frame("fixed", pd.Index(terms, name="term")),
    )
