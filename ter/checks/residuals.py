"""What is left over by therapist: a slope on severity, and the shape of the therapists' distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.checks.predictive import Replicates, two_sided, upper_p

FloatArray = NDArray[np.float64]

HEAVY = (
    "A few therapists lie further out than a normal distribution allows. Ranks and limits of the others are "
    "little touched, but those few are drawn too far to the middle (McCulloch and Neuhaus 2011): look at "
    "their data first (wrong ids, other patients, other measures), leave out what is no therapist, and read "
    "their observed rate beside the rating."
)
SKEWED = (
    "The therapists' distribution is lopsided: a group may differ from the rest (trainees, another step, "
    "another service). Put what tells it apart into the case mix, or rate the groups apart."
)


@dataclass(frozen=True, eq=False, repr=False)
class Normality:
    """Whether therapists differ as a normal distribution does.

    Attributes
    ----------
    kurtosis, skewness : float
        Excess kurtosis (0 if normal, 3 of a Laplace distribution) and skewness of the standardised residuals.
    p_kurtosis : float
        One-sided: that a right model's residuals had tails as heavy.
    p_skewness : float
        Two-sided.
    quantiles : DataFrame
        For a QQ plot, by rank from below: ``observed``, and ``low``, ``median``, ``high`` (2.5%, 50%, 97.5%)
        of that rank under the model.
    """

    kurtosis: float
    skewness: float
    p_kurtosis: float
    p_skewness: float
    quantiles: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Give the data of the QQ plot."""
        return self.quantiles.copy()

    def summary(self) -> str:
        """Say it in a line, with what to do."""
        lines = [
            f"Excess kurtosis {self.kurtosis:.2f} (p = {self.p_kurtosis:.2g}), "
            f"skewness {self.skewness:.2f} (p = {self.p_skewness:.2g})."
        ]
        lines += [HEAVY] if self.p_kurtosis < 0.01 else []
        lines += [SKEWED] if self.p_skewness < 0.01 else []
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ter.Normality: {self.summary().splitlines()[0]}>"


@dataclass(frozen=True)
class SeveritySlope:
    """Whether some therapists do better with severe patients than with mild ones, beyond chance.

    Attributes
    ----------
    ratio : float
        Sum of squared slope scores over its mean under the model: 1 without slopes.
    p : float
        One-sided, from draws of the model without slopes.
    sd : float
        Standard deviation of the slopes, log-odds for a unit of severity: by moments, to first order.
    therapists : int
    """

    ratio: float
    p: float
    sd: float
    therapists: int

    def to_frame(self) -> pd.DataFrame:
        """Give the figures as a table of one row."""
        return pd.DataFrame([vars(self)])

    def summary(self) -> str:
        """Say it in a line."""
        return (
            f"Therapists' residuals follow severity {self.ratio:.2f} times as much as chance would have it "
            f"(p = {self.p:.2g}, {self.therapists} therapists)."
        )


def normality(found: Replicates) -> Normality:
    """Compare the therapists' residuals with what normal effects give.

    A residual (recoveries above those expected) is divided by its standard deviation under the model, chance
    and the therapists' spread together. So caseloads of any size stand beside each other, and shrinkage,
    which makes any distribution of estimated effects look normal, plays no part. Kurtosis and skewness are
    compared with those of draws of the model: small caseloads are lopsided and short-tailed by themselves, as
    all proportions are.

    Parameters
    ----------
    found : Replicates
        `ter.checks.predictive.replicate`.

    Returns
    -------
    Normality
    """
    observed, drawn = found.residual / found.sd, found.drawn / found.sd
    ranked = np.sort(drawn, axis=1)
    low, median, high = np.quantile(ranked, (0.025, 0.5, 0.975), axis=0)
    kurtosis, skewness = _shape(observed)
    kurtosis_drawn, skewness_drawn = _shape(drawn)
    return Normality(
        kurtosis=float(kurtosis),
        skewness=float(skewness),
        p_kurtosis=float(upper_p(kurtosis, kurtosis_drawn)),
        p_skewness=float(two_sided(skewness, skewness_drawn)),
        quantiles=pd.DataFrame({"observed": np.sort(observed), "low": low, "median": median, "high": high}),
    )


def _shape(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Excess kurtosis and skewness along the last axis."""
    centred = z - z.mean(axis=-1, keepdims=True)
    square = centred * centred  # powers above the second take fifty times as long as products
    variance = square.mean(axis=-1)
    kurtosis: FloatArray = (square * square).mean(axis=-1) / variance**2 - 3.0
    skewness: FloatArray = (square * centred).mean(axis=-1) / variance**1.5
    return kurtosis, skewness


def severity_slope(found: Replicates) -> SeveritySlope:
    """Test for slopes on severity: the score test of a variance component (Lin 1997, Biometrika 84:309-326).

    Within each therapist the residuals are multiplied by how far the patient's severity lies from the mean of
    the therapist's patients, and added up. Where therapists have slopes of their own these sums are larger
    than chance makes them. The reference distribution comes from draws of the model without slopes.

    Parameters
    ----------
    found : Replicates
        Drawn with a severity.

    Returns
    -------
    SeveritySlope
    """
    scale = (found.slope_drawn**2).mean(axis=0)
    used = scale > 0.0
    information = found.slope_information[used]

    def apart(score: FloatArray) -> FloatArray:
        # A slope that all therapists share is a fault of the case mix, which calibration finds.
        common = score[..., used].sum(axis=-1, keepdims=True) / information.sum()
        return np.asarray(score[..., used] - common * information)

    def statistic(score: FloatArray) -> FloatArray:
        # Not standardised one by one: large caseloads, which say more of slopes, count for more.
        total: FloatArray = (apart(score) ** 2).sum(axis=-1) / scale[used].sum()
        return total

    observed = statistic(found.slope)
    excess = ((apart(found.slope) ** 2).sum() - scale[used].sum()) / (information**2).sum()
    return SeveritySlope(
        ratio=float(observed),
        p=float(upper_p(observed, statistic(found.slope_drawn))),
        sd=float(np.sqrt(max(excess, 0.0))),
        therapists=int(used.sum()),
    )
