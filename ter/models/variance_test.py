"""Likelihood-ratio tests of whether variances are zero."""

from __future__ import annotations

from dataclasses import dataclass

from ter.models.boundary import Mixture
from ter.models.maxima import Maxima
from ter.models.newton import Optimum


@dataclass(frozen=True, repr=False)
class VarianceTest:
    """A factor's variance against zero.

    Attributes
    ----------
    factor : str
        ``"therapist"``, ``"service"``, ``"further"`` or ``"therapist slope"``.
    statistic : float
        Twice the log-likelihood ratio.
    p_value : float
        1 where the variance is estimated as zero.
    log_likelihood, without : float
        With the factor, and without it; without binomial constants.
    converged : bool
        Whether the maximum without the factor was found.
    reference : Mixture
        How the statistic is distributed if the variance is zero.
    """

    factor: str
    statistic: float
    p_value: float
    log_likelihood: float
    without: float
    converged: bool
    reference: Mixture

    def summary(self) -> str:
        """One sentence."""
        return (
            f"{self.factor} variance against none: twice the log-likelihood ratio {self.statistic:.2f}, "
            f"p = {self.p_value:.2g} ({self.reference}, as zero is on the boundary)."
        )

    def __repr__(self) -> str:
        return f"<ter.VarianceTest: {self.summary()}>"


def variance_test(maxima: Maxima, factor: str, without: Optimum, reference: Mixture) -> VarianceTest:
    """Compare the maxima with and without a factor.

    Parameters
    ----------
    maxima : Maxima
    factor : str
        One of its names.
    without : Optimum
        The maximum without it.
    reference : Mixture
    """
    statistic = max(2.0 * (maxima.highest - without.value), 0.0)
    # Without therapists' effects there are no slopes either.
    dropped = ("therapist", "therapist slope") if factor == "therapist" else (factor,)
    # Where nothing is left out all that differs is rounding.
    zero = all(maxima.sd.get(name, 0.0) == 0.0 for name in dropped)
    p_value = 1.0 if zero else reference.p_value(statistic)
    return VarianceTest(
        factor, statistic, p_value, maxima.highest, without.value, without.converged, reference
    )
