"""Likelihood-ratio test of whether a factor's variance is zero.

Zero lies on the boundary of what a variance can be, so that twice the log-likelihood ratio is distributed as
an even mixture of a point mass at zero and chi-squared on one degree of freedom (Self and Liang 1987, JASA
82; Stram and Lee 1994, Biometrics 50), whether or not another factor's variance is estimated beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import chi2

from ter.models.layout import Layout
from ter.models.ml import LOWEST_LOG_SD, Estimates
from ter.models.profile import Profile


@dataclass(frozen=True, repr=False)
class VarianceTest:
    """A factor's variance against zero.

    Attributes
    ----------
    factor : str
        ``"therapist"`` or ``"service"``.
    statistic : float
        Twice the log-likelihood ratio.
    p_value : float
        1 where the variance is estimated as zero.
    log_likelihood, without : float
        With the factor, and without it; without binomial constants.
    converged : bool
        Whether the maximum without the factor was found.
    """

    factor: str
    statistic: float
    p_value: float
    log_likelihood: float
    without: float
    converged: bool

    def summary(self) -> str:
        """One sentence."""
        return (
            f"{self.factor} variance against none: twice the log-likelihood ratio {self.statistic:.2f}, "
            f"p = {self.p_value:.2g} (even mixture of 0 and chi-squared on 1 df, as zero is on the boundary)."
        )

    def __repr__(self) -> str:
        return f"<ter.VarianceTest: {self.summary()}>"


def variance_test(layout: Layout, nodes: int, found: Estimates, factor: int, name: str) -> VarianceTest:
    """Test whether a factor's variance is zero.

    Parameters
    ----------
    layout : Layout
    nodes : int
    found : Estimates
        The maximum, in the order of the layout's factors.
    factor : int
        0 for the inner factor, 1 for the outer one.
    name : str
        What the factor is called.
    """
    without = Profile(layout, nodes, found, factor).at(LOWEST_LOG_SD)
    statistic = max(2.0 * (found.log_likelihood - without.value), 0.0)
    p_value = mixture_p_value(statistic) if found.sd[factor] > 0.0 else 1.0
    return VarianceTest(name, statistic, p_value, found.log_likelihood, without.value, without.converged)


def mixture_p_value(statistic: float) -> float:
    """P(T >= statistic) for T an even mixture of 0 and chi-squared on one degree of freedom."""
    return 1.0 if statistic <= 0.0 else 0.5 * float(chi2.sf(statistic, 1))
