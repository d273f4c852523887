"""Whether the chains of engine "nuts" may be believed."""

from __future__ import annotations

from dataclasses import dataclass

#: Bars of Vehtari et al. (2021, Bayesian Analysis 16:667-718): the chains agree, and they know enough for
#: R-hat itself and for quantiles to be estimated.
R_HAT_MAX = 1.01
EFFECTIVE_MIN = 400.0
#: Below it the sampler hardly moves between energies (Betancourt 2017, "A conceptual introduction to
#: Hamiltonian Monte Carlo", section 6.1).
E_BFMI_MIN = 0.3
#: Divergences mark where the sampler cannot go. With an SD next to zero a stray one is to be expected; above
#: this share of the draws part of the posterior may be missing.
DIVERGENT_MAX = 1e-3


@dataclass(frozen=True)
class Diagnostics:
    """What was checked of the chains, over beta, the SDs and all effects.

    Attributes
    ----------
    r_hat : float
        The largest.
    ess_bulk, ess_tail : float
        The smallest effective sample sizes, of means and of 5% and 95% quantiles.
    divergences : int
    e_bfmi : float
        The smallest of the chains.
    draws : int
        Of all chains after tuning.
    sampler : str
        The library that sampled: ``"nutpie"`` or ``"pymc"``.
    """

    r_hat: float
    ess_bulk: float
    ess_tail: float
    divergences: int
    e_bfmi: float
    draws: int
    sampler: str

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, with the remedy, in plain words; empty if nothing is."""
        # Figures may be NaN, which passes no comparison.
        checks = [
            (self.r_hat <= R_HAT_MAX, f"The chains disagree (R-hat {self.r_hat:.3f}): take more draws"),
            (
                self.ess_bulk >= EFFECTIVE_MIN and self.ess_tail >= EFFECTIVE_MIN,
                f"The draws are worth few independent ones ({self.ess_bulk:.0f} for means, "
                f"{self.ess_tail:.0f} for quantiles): take more draws",
            ),
            (
                self.divergences <= DIVERGENT_MAX * self.draws,
                f"{self.divergences} of {self.draws} draws diverged, so that part of the posterior may be "
                "missing: tune for longer, or leave the service effect out",
            ),
            (
                self.e_bfmi >= E_BFMI_MIN,
                f"The sampler hardly moves between energies (E-BFMI {self.e_bfmi:.2f}): tune for longer",
            ),
        ]
        return tuple(f"{text}." for passed, text in checks if not passed)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def __str__(self) -> str:
        figures = (
            f"Chains {'agree' if self.passed else 'NOT ACCEPTED'} ({self.sampler}): "
            f"R-hat {self.r_hat:.3f}, effective draws {self.ess_bulk:.0f} (means) and "
            f"{self.ess_tail:.0f} (quantiles) of {self.draws}, {self.divergences} divergences, E-BFMI "
            f"{self.e_bfmi:.2f}."
        )
        return " ".join([figures, *self.faults])
