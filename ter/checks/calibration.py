"""Calibration: whether as many recover as were expected to, overall and in every part of the network.

"Expected" is the rate with a therapist drawn at random: the therapist's effect is integrated over its
distribution, so that a good therapist's patients do better than it and a poor one's worse. That difference is
what a rating measures, not a fault. So tests take the therapist as their unit, and intervals of O/E are wider
than they would be with independent patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.checks.cases import Cases, bins, cases_of
from ter.checks.cluster import FEWEST_FOR_SLOPES, Gap, joint_p, total_gap
from ter.features.columns import require, texts
from ter.models.result import Fit
from ter.models.sums import sum_by
from ter.ratings.standardise import wilson
from ter.schema import COLUMNS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: A numeric variable is cut into so many groups of equal size, one with fewer values by its values.
GROUPS = 5
#: Groups of fewer patients are compared, but not tested.
FEWEST_TESTED = 20
#: Rates nearer to 0 or 1 count as this near in the recalibration, where one patient would else outweigh all.
CERTAIN = 0.005
#: A text column with more levels is an identifier rather than a group.
MANY_LEVELS = 50


@dataclass(frozen=True)
class Recalibration:
    """Logistic recalibration: logit P(recovered) = intercept + slope logit(expected) (Cox 1958).

    Attributes
    ----------
    slope, slope_se : float
        1 where expected rates are as spread as they should be; below 1 where they are too extreme. Standard
        errors are robust to therapists (Liang and Zeger 1986); NaN with fewer than 30, of which they come out
        too small.
    intercept, intercept_se : float
        With the slope held at 1 (calibration in the large): above 0 where more recover than expected.
    """

    slope: float
    slope_se: float
    intercept: float
    intercept_se: float


@dataclass(frozen=True)
class Discrimination:
    """How far expected rates tell apart who recovers.

    Attributes
    ----------
    brier : float
        Mean squared difference of outcome and expected rate (Brier 1950).
    brier_scaled : float
        1 - brier / brier of the overall rate: 0 for no information, 1 for certainty.
    auc, auc_low, auc_high : float
        Probability that a patient who recovered had been given the higher rate, with a 95% interval (DeLong
        et al. 1988, Biometrics 44:837-845; patients taken as independent).
    """

    brier: float
    brier_scaled: float
    auc: float
    auc_low: float
    auc_high: float


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """Calibration of a model on a table. Network figures, for analysts: therapists behind the gate are in it.

    Attributes
    ----------
    overall : DataFrame
        One row, as those of `deciles`.
    deciles : DataFrame
        By tenth of the expected rate; columns as in `compare`.
    decile_p : float
        Of no gap in any tenth, all tested at once by therapist (Hotelling); NaN with too few therapists.
    groups : DataFrame
        By variable and level; columns as in `compare`, and ``p_adjusted`` (Holm 1979, over all groups).
    recalibration : Recalibration
    discrimination : Discrimination
    """

    overall: pd.DataFrame
    deciles: pd.DataFrame
    decile_p: float
    groups: pd.DataFrame
    recalibration: Recalibration
    discrimination: Discrimination

    def to_frame(self) -> pd.DataFrame:
        """Give every comparison as one table: overall, by tenth and by group."""
        parts = [
            self.overall.assign(variable="all", level=""),
            self.deciles.assign(variable="tenth of expected", level=[str(k) for k in self.deciles.index]),
            self.groups.reset_index(),
        ]
        return pd.concat(parts, ignore_index=True).set_index(["variable", "level"])

    def summary(self) -> str:
        """Say it in a few lines."""
        o, r, d = self.overall.iloc[0], self.recalibration, self.discrimination
        lines = [
            f"Observed / expected {o['o_e']:.3f} ({o['o_e_low']:.3f} to {o['o_e_high']:.3f}), "
            f"{o['n']:,.0f} patients.",
            f"Calibration slope {r.slope:.2f} (SE {r.slope_se:.2f}), intercept {r.intercept:+.2f} "
            f"(SE {r.intercept_se:.2f}).",
            f"Largest gap in a tenth: {100 * np.abs(self.deciles['gap']).max():.1f} points "
            f"(all tenths together: p = {self.decile_p:.2g}).",
            f"Brier score {d.brier:.4f}, scaled {d.brier_scaled:.3f}; AUC {d.auc:.3f} "
            f"({d.auc_low:.3f} to {d.auc_high:.3f}).",
        ]
        tested = self.groups.reset_index().dropna(subset="p_adjusted")
        if len(tested):
            worst = tested.iloc[int(np.argmin(tested["p_adjusted"]))]
            lines.append(
                f"Least like chance among {len(tested)} groups: {worst['variable']} {worst['level']}, O/E "
                f"{worst['o_e']:.2f} (adjusted p = {worst['p_adjusted']:.2g})."
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ter.Calibration: {self.summary().splitlines()[0]}>"

    def _repr_html_(self) -> str:
        lines = "<br>".join(escape(line) for line in self.summary().splitlines())
        return f"<p>{lines}</p>{self.to_frame().to_html(float_format='{:.3g}'.format)}"


def calibrate(fit: Fit, episodes: pd.DataFrame, variables: list[str] | None = None) -> Calibration:
    """Compare a model with a table: the one that it was fitted to, or better, another.

    On its own table a model with an intercept can hardly be wrong overall: there the tenths and the groups
    are worth reading, and `cross_validate` tells the rest.

    Parameters
    ----------
    fit : Fit
    episodes : DataFrame
    variables : list of str, optional
        Columns to compare by; by default `comparable`: all that were known before the therapist could
        influence them, in the case mix or not, and the service.

    Returns
    -------
    Calibration

    Raises
    ------
    DataError
        If the table cannot be modelled.
    """
    cases = cases_of(fit, episodes)
    return calibrate_cases(cases, grouped(episodes, cases, variables or comparable(fit, episodes)))


def calibrate_cases(cases: Cases, groups: dict[str, tuple[IntArray, tuple[str, ...]]]) -> Calibration:
    """Compare cases with their expectation.

    Parameters
    ----------
    cases : Cases
    groups : dict
        By variable: the level of each case, and the levels' names.
    """
    tenth = bins(cases.expected, cases.n, 10)
    overall = compare(cases, np.zeros(len(cases.n), np.int64), ("",))
    deciles = compare(cases, tenth, tuple(str(k) for k in range(1, 11)))
    parts = {name: compare(cases, code, levels) for name, (code, levels) in groups.items()}
    table = (
        pd.concat(parts, names=["variable", "level"])
        if parts
        else overall.iloc[:0].set_index(pd.MultiIndex.from_arrays([[], []], names=["variable", "level"]))
    )
    table = table.assign(p_adjusted=holm(table["p"].to_numpy()))
    return Calibration(
        overall=overall,
        deciles=deciles,
        decile_p=joint_gap_p(cases, tenth),
        groups=table,
        recalibration=recalibrate(cases),
        discrimination=discriminate(cases),
    )


def compare(cases: Cases, code: IntArray, levels: tuple[str, ...]) -> pd.DataFrame:
    """Compare observed and expected recovery by group.

    Parameters
    ----------
    cases : Cases
    code : ndarray of int64, shape (C,)
        Level of each case; -1 for none.
    levels : tuple of str

    Returns
    -------
    DataFrame
        By level that occurs: ``n``; the rates ``observed`` and ``expected``, ``low`` and ``high`` (95% Wilson
        interval of the observed rate, patients taken as independent); ``gap`` (observed - expected); ``o_e``
        with ``o_e_low`` and ``o_e_high`` (95%, by therapist); ``therapists``; ``p`` of no gap (t test by
        therapist; NaN with fewer than 20 patients or 10 therapists).
    """
    from scipy.stats import t

    rows = []
    residual = cases.residual
    order = np.argsort(code, kind="stable")
    used, starts = np.unique(code[order], return_index=True)
    for k, inside in zip(used, np.split(order, starts[1:]), strict=True):
        if k < 0:
            continue
        n, observed = float(cases.n[inside].sum()), float(cases.observed[inside].sum())
        expected = float(cases.n[inside] @ cases.expected[inside])
        therapist = cases.therapist[inside]
        present = np.bincount(therapist, minlength=cases.n_therapists) > 0
        gap = total_gap(sum_by(therapist, residual[inside], cases.n_therapists)[present])
        low, high = wilson(np.array([observed]), np.array([n]))
        half = gap.se * float(t.ppf(0.975, max(gap.therapists - 1, 1)))
        rows.append(
            {
                "level": levels[k],
                "n": n,
                "observed": observed / n,
                "expected": expected / n,
                "low": low[0],
                "high": high[0],
                "gap": (observed - expected) / n,
                "o_e": observed / expected,
                "o_e_low": max(observed - half, 0.0) / expected,
                "o_e_high": (observed + half) / expected,
                "therapists": gap.therapists,
                "p": gap.p if n >= FEWEST_TESTED else np.nan,
            }
        )
    return pd.DataFrame(rows).set_index("level")


def joint_gap_p(cases: Cases, code: IntArray) -> float:
    """P-value of no gap in any group: shape of `code` (C,), from 0 up."""
    used, group = np.unique(code, return_inverse=True)
    K = len(used)
    cell = sum_by(cases.therapist * K + group, cases.residual, cases.n_therapists * K)
    return joint_p(cell.reshape(cases.n_therapists, K))


def recalibrate(cases: Cases) -> Recalibration:
    """Estimate calibration slope and intercept; NaN where every case has one expected rate."""
    import statsmodels.api as sm

    def estimate(X: FloatArray, offset: FloatArray | None) -> tuple[float, float]:
        model = sm.GLM(both, X, family=sm.families.Binomial(), offset=offset)
        with np.errstate(all="ignore"):
            found = model.fit(cov_type="cluster", cov_kwds={"groups": cases.therapist})
        se = float(found.bse[-1]) if cases.n_therapists >= FEWEST_FOR_SLOPES else float("nan")
        return float(found.params[-1]), se

    both = np.column_stack([cases.observed, cases.n - cases.observed])
    p = np.clip(cases.expected, CERTAIN, 1.0 - CERTAIN)
    logit = np.log(p / (1.0 - p))
    ones = np.ones((len(p), 1))
    slope = (np.nan, np.nan) if np.ptp(logit) < 1e-6 else estimate(np.column_stack([ones, logit]), None)
    return Recalibration(*slope, *estimate(ones, logit))


def discriminate(cases: Cases) -> Discrimination:
    """Brier score and AUC of cases; grouped counts weigh as so many patients."""
    n, y, p = cases.n, cases.observed, cases.expected
    N, rate = n.sum(), y.sum() / n.sum()
    brier = float((y * (1.0 - p) ** 2 + (n - y) * p**2).sum() / N)
    auc, se = area(p, y, n - y)
    return Discrimination(
        brier=brier,
        brier_scaled=float(1.0 - brier / (rate * (1.0 - rate))),
        auc=auc,
        auc_low=max(auc - 1.959963984540054 * se, 0.0),
        auc_high=min(auc + 1.959963984540054 * se, 1.0),
    )


def worse_than_none(cases: Cases) -> Gap:
    """Compare the squared error of expected rates with that of one rate for all, by therapist.

    Returns
    -------
    Gap
        Of the excess: below 0 where the expected rates do better.
    """
    n, y, p = cases.n, cases.observed, cases.expected
    rate = y.sum() / n.sum()
    excess = y * ((1.0 - p) ** 2 - (1.0 - rate) ** 2) + (n - y) * (p**2 - rate**2)
    return total_gap(cases.by_therapist(excess))


def area(score: FloatArray, positive: FloatArray, negative: FloatArray) -> tuple[float, float]:
    """Area under the ROC curve and its standard error (DeLong et al. 1988), from counts at each score.

    Parameters
    ----------
    score, positive, negative : ndarray, shape (C,)

    Returns
    -------
    auc, se : float
    """
    distinct, index = np.unique(score, return_inverse=True)
    a, b = (np.bincount(index, count, len(distinct)) for count in (positive, negative))
    # Placement values: of a positive, the share of negatives below it; of a negative, of positives above it.
    below = (np.cumsum(b) - b / 2) / b.sum()
    above = 1.0 - (np.cumsum(a) - a / 2) / a.sum()
    auc = float(a @ below / a.sum())
    variances = [
        (count @ (place - auc) ** 2) / max(count.sum() - 1.0, 1.0) / count.sum()
        for count, place in ((a, below), (b, above))
    ]
    return auc, float(np.sqrt(sum(variances)))


def comparable(fit: Fit, table: pd.DataFrame) -> list[str]:
    """Columns that patients may be compared by: known before allocation, in the case mix or not."""
    own = list(fit.case_mix.reads) if fit.case_mix is not None else []
    known = [name for name, column in COLUMNS.items() if column.measured == "start" and name in table]
    roles = {fit.settings.outcome, fit.settings.trials, fit.settings.therapist}
    service = [fit.settings.service] if fit.settings.service in table else []
    return [
        name
        for name in dict.fromkeys([*own, *known, *service])
        if name is not None
        and name not in roles
        and not pd.api.types.is_datetime64_any_dtype(table[name])
        and table[name].notna().any()
    ]


def grouped(
    table: pd.DataFrame, cases: Cases, variables: list[str]
) -> dict[str, tuple[IntArray, tuple[str, ...]]]:
    """Put each case into a group by each variable: numbers into fifths, texts by level, blanks apart.

    Raises
    ------
    DataError
        If the table has no such column.
    """
    require(table, tuple(variables), "the comparison")
    out: dict[str, tuple[IntArray, tuple[str, ...]]] = {}
    for name in variables:
        column = table[name].iloc[cases.row]
        numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
        if numeric and column.nunique() > GROUPS:
            out[name] = _fifths(column.to_numpy(np.float64, na_value=np.nan), cases.n)
        else:
            codes, levels = texts(column)
            if len(levels) <= MANY_LEVELS:
                out[name] = _with_missing(codes, levels)
    return out


def _fifths(values: FloatArray, n: FloatArray) -> tuple[IntArray, tuple[str, ...]]:
    """Fifths of the values that are known, named by their ends."""
    codes = np.full(len(values), -1, np.int64)
    known = ~np.isnan(values)
    fifth = bins(values[known], n[known], GROUPS)
    codes[known] = np.unique(fifth, return_inverse=True)[1]
    ends = [(values[codes == k].min(), values[codes == k].max()) for k in range(codes.max() + 1)]
    return _with_missing(codes, tuple(f"{low:g} to {high:g}" for low, high in ends))


def _with_missing(codes: IntArray, levels: tuple[str, ...]) -> tuple[IntArray, tuple[str, ...]]:
    """Make blanks a group of their own."""
    missing = codes < 0
    if not missing.any():
        return codes, levels
    return np.where(missing, len(levels), codes), (*levels, "missing")


def holm(p: FloatArray) -> FloatArray:
    """Adjust p-values for their number (Holm 1979, Scand. J. Stat. 6:65-70); NaN stay, and do not count."""
    from statsmodels.stats.multitest import multipletests

    out = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        out[known] = multipletests(p[known], method="holm")[1]
    return out
