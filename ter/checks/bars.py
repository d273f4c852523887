"""The bars of the model card: what is a caution, and what stops the publication.

Two things must come together: a deviation beyond chance, and one that is large enough to matter. Eleven
figures of a card have a p-value that may fail it. Each fails at p <= 0.0009, so that a right model fails one
of them in at most 1% of months (Bonferroni); each is a caution below 0.0045, so in at most 5%. The sizes are
choices, stated with each check in docs/checks.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ter.options import CheckStatus

FAIL_P: Final = 0.0009
CAUTION_P: Final = 0.0045


@dataclass(frozen=True)
class Bar:
    """How large a deviation must be.

    Attributes
    ----------
    fail : float
        From here on it matters enough to stop, if it is beyond chance.
    caution : float
        From here on it is worth a word.
    """

    fail: float
    caution: float

    def judge(self, size: float, p: float = 0.0) -> CheckStatus:
        """Judge a deviation; without a p-value by its size alone. "not_run" where either is unknown."""
        if not (size == size and p == p):  # NaN is the one value that differs from itself
            return "not_run"
        if size >= self.fail and p <= FAIL_P:
            return "failed"
        if size >= self.caution and p < CAUTION_P:
            return "caution"
        return "passed"


#: |O/E - 1| of the whole network on the months that were fitted to.
OVERALL: Final = Bar(0.05, 0.025)
#: Largest |observed - expected| rate in a tenth of patients, or in a group of them.
GAP: Final = Bar(0.05, 0.025)
#: |slope - 1| of the logistic recalibration, on the data that were fitted to.
SLOPE: Final = Bar(0.2, 0.1)
#: 1 - slope for therapists who were held out. Too many terms for the data are worth a word; a failure is a
#: model that does worse than none.
HELD_OUT_SLOPE: Final = Bar(float("inf"), 0.5)
#: Held-out Brier score above that of one rate for all: any excess that is beyond chance.
WORSE_THAN_NONE: Final = Bar(0.0, 0.0)
#: |O/E - 1| of patients who were held out.
HELD_OUT: Final = Bar(0.1, 0.05)
#: The furthest therapist's residual, in standard deviations under the model. With a spread of 0.4 a therapist
#: who loses every patient is some 5 out.
FURTHEST: Final = Bar(4.5, 3.5)
#: Excess kurtosis: 3 is that of a Laplace distribution.
KURTOSIS: Final = Bar(3.0, 1.0)
SKEWNESS: Final = Bar(1.5, 0.75)
#: Spread of therapists' slopes, for a standard deviation of severity, over the spread of their effects.
SLOPES: Final = Bar(1.0, 0.5)
#: What leaving out one therapist moves another's effect by, in its posterior standard deviations.
MOVED: Final = Bar(3.0, 1.0)
#: What leaving out one therapist moves the spread by, in its standard errors; no failure.
SPREAD_MOVED: Final = Bar(float("inf"), 1.0)
#: Share of finished treatments at caseness without a last score.
MISSING: Final = Bar(0.2, 0.1)
#: Share of endings that were no completed treatment; no failure, as ratings are of completed treatments.
NOT_COMPLETED: Final = Bar(float("inf"), 0.5)
#: Standard deviation of therapists' completion rates beyond chance.
COMPLETION_SPREAD: Final = Bar(float("inf"), 0.1)


def worst(*statuses: CheckStatus) -> CheckStatus:
    """Give the worst of several statuses; "not_run" only if nothing was run."""
    return next((status for status in _FROM_WORST if status in statuses), "not_run")


_FROM_WORST: Final[tuple[CheckStatus, ...]] = ("failed", "caution", "passed")
