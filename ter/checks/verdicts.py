"""From what a check found to a line of the model card: figure, bar, status and words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ter.checks import bars
from ter.checks.calibration import Calibration, Recalibration, worse_than_none
from ter.checks.cluster import FEWEST_THERAPISTS
from ter.checks.cross_validation import CrossValidation
from ter.checks.influence import Influence
from ter.checks.predictive import PredictiveCheck
from ter.checks.residuals import Normality, SeveritySlope
from ter.models.fit import EVENTS_A_COLUMN
from ter.models.result import Fit
from ter.options import CheckName, CheckStatus
from ter.ratings.model_card import Check

#: With fewer therapists their spread is hardly known (Maas and Hox 2005, Methodology 1:86-92).
FEW_THERAPISTS = 30
#: By name: what is asked, and the words if it passed.
_QUESTIONS: dict[CheckName, tuple[str, str]] = {
    "convergence": ("Did the computer find the answer?", "The model was found, and its error is small."),
    "sample_size": ("Is there enough data?", "There is enough data for this model."),
    "missing_outcomes": ("Are last scores there?", "Few last scores are missing."),
    "completion": ("Do patients stay to the end?", "Most patients finish, and therapists are alike in it."),
    "calibration_overall": (
        "Do as many recover as expected?",
        "The sums agree. On the data that a model was made from they always do: only a wrong table would "
        "show here.",
    ),
    "calibration_by_decile": (
        "Is it right for hard cases and for easy ones?",
        "From the hardest tenth of patients to the easiest, as many recover as expected.",
    ),
    "calibration_slope": (
        "Are expected rates spread as they should be?",
        "On the model's own data, expected rates are neither too bold nor too timid.",
    ),
    "calibration_by_group": (
        "Is it fair to each group of patients?",
        "No group that was tested is off. For groups that the model adjusts for, its own data make that "
        "nearly so.",
    ),
    "new_therapists": (
        "Does it hold for therapists it has not seen?",
        "It was right about therapists who were left out when it was made.",
    ),
    "next_months": (
        "Does it hold for months it has not seen?",
        "Made without the latest months, it was right about them.",
    ),
    "spread": (
        "Do therapists differ as the model says?",
        "No therapist lies further out than the model allows.",
    ),
    "normality": (
        "Is the spread of therapists bell-shaped?",
        "Therapists spread as in a bell curve, as the model takes them to.",
    ),
    "severity_slope": (
        "Is a therapist's edge the same for mild and severe cases?",
        "One rating stands for mild and severe cases alike.",
    ),
    "influence": (
        "Does any one therapist sway the others' ratings?",
        "Leaving out any one therapist hardly moves the others.",
    ),
}


def line(
    name: CheckName, status: CheckStatus, figure: str, bar: str, words: str = "", remedy: str = ""
) -> Check:
    """Make a line; `words` and `remedy` are for a check that did not pass."""
    title, fine = _QUESTIONS[name]
    if status == "passed":
        words, remedy = fine, ""
    elif status == "not_run":
        words, remedy = "There is too little data to tell.", ""
    return Check(name, title, status, figure, bar, words, remedy)


def not_run(name: CheckName, why: str) -> Check:
    """Say that a check was not run, and why."""
    return Check(name, _QUESTIONS[name][0], "not_run", "not checked", "none", why)


def convergence(fit: Fit) -> Check:
    """Whether the engine found the posterior, and certified it."""
    record = fit.record
    certificate = record.certificate
    faults = () if certificate is None else certificate.faults
    figures = fit.certificate.split(": ", 1)[-1].removesuffix(" ".join(faults)).strip().rstrip(".")
    return line(
        "convergence",
        "failed" if not record.converged else "caution" if faults else "passed",
        figures or "converged",
        "fails if the fit did not converge; caution if its certificate names a fault",
        "The answer may be off by more than it says.",
        " ".join(faults) or "Fit again with fewer terms.",
    )


def sample_size(fit: Fit, rated: int) -> Check:
    """Whether the data carry the model; small data are a caution, never a failure."""
    recovered, n = float(fit.units.observed.sum()), float(fit.units.n.sum())
    events = min(recovered, n - recovered) / len(fit.columns.names)
    small = rated < FEW_THERAPISTS or events < EVENTS_A_COLUMN
    return line(
        "sample_size",
        "caution" if small else "passed",
        f"{rated} rated therapists, {events:.0f} outcomes for each term of the model",
        f"caution below {FEW_THERAPISTS} rated therapists or {EVENTS_A_COLUMN} outcomes a term",
        "The data are small: the spread of therapists and the effects of case mix are not known well.",
        "Use more months, or fewer terms.",
    )


def missing_outcomes(share: float) -> Check:
    """Whether last scores are missing."""
    return line(
        "missing_outcomes",
        bars.MISSING.judge(share),
        f"{share:.1%} of finished treatments have no last score",
        f"caution from {bars.MISSING.caution:.0%}, fails from {bars.MISSING.fail:.0%}",
        "Missing scores count as no recovery, so ratings partly tell who fills in forms.",
        "Find the missing scores, or see how ratings change without them (ter.checks.sensitivity).",
    )


def completion(rate: float, spread_sd: float) -> Check:
    """Whether patients finish, and finish alike with all therapists; never a failure."""
    return line(
        "completion",
        bars.worst(bars.NOT_COMPLETED.judge(1.0 - rate), bars.COMPLETION_SPREAD.judge(spread_sd)),
        f"{rate:.0%} of those who ended had finished; therapists differ by {100 * spread_sd:.0f} points (SD)",
        "caution if fewer than half finish, or therapists differ by 10 points or more",
        "Ratings see only patients who finish. A therapist who loses hard cases looks better.",
        "Read the ratings of completion beside these (ter.checks.sensitivity).",
    )


def calibration_overall(found: Calibration) -> Check:
    """O/E of the whole."""
    o = found.overall.iloc[0]
    return line(
        "calibration_overall",
        bars.OVERALL.judge(abs(o["o_e"] - 1.0), o["p"]),
        f"observed / expected {o['o_e']:.2f} ({o['o_e_low']:.2f} to {o['o_e_high']:.2f}, p = {_p(o['p'])})",
        "fails if off by 5% or more, beyond chance",
        "More or fewer patients recover than expected, everywhere.",
        "See whether the table is the one that was fitted to, and whether its outcomes are right.",
    )


def calibration_by_decile(found: Calibration) -> Check:
    """Gaps by tenth of the expected rate; a single one is right by construction."""
    if len(found.deciles) < 2:
        return not_run("calibration_by_decile", "All patients are expected to recover equally often.")
    gap = float(found.deciles["gap"].abs().max())
    return line(
        "calibration_by_decile",
        bars.GAP.judge(gap, found.decile_p),
        f"largest gap {100 * gap:.1f} points in a tenth of patients (all tenths: p = {_p(found.decile_p)})",
        "fails if a gap is 5 points or more, and the gaps are beyond chance",
        "The model is wrong for hard or for easy cases: therapists who see many of them are misjudged.",
        "Let severity bend: use splines, and add what is missing from the case mix.",
    )


def calibration_slope(found: Calibration) -> Check:
    """Slope of the logistic recalibration."""
    r = found.recalibration
    return line(
        "calibration_slope",
        bars.SLOPE.judge(abs(r.slope - 1.0), _normal_p((r.slope - 1.0) / r.slope_se)),
        _slope(r),
        "fails if 0.2 or more from 1, beyond chance",
        "Expected rates are too bold (slope below 1) or too timid (above 1).",
        "Below 1: use fewer terms. Above 1: let terms bend, or add what is missing.",
    )


def calibration_by_group(found: Calibration) -> Check:
    """The group least like chance."""
    tested = found.groups.reset_index().dropna(subset="p_adjusted")
    if tested.empty:
        return not_run("calibration_by_group", "No group had 20 patients of 10 therapists.")
    g = tested.iloc[int(np.argmin(tested["p_adjusted"]))]
    gap, p = float(g["gap"]), float(g["p_adjusted"])
    return line(
        "calibration_by_group",
        bars.GAP.judge(abs(gap), p),
        f"of {len(tested)} groups {g['variable']} {g['level']} is least like chance: "
        f"{100 * gap:+.1f} points (p = {_p(p)})",
        "fails if a group is off by 5 points or more, beyond chance (all groups counted)",
        f"Patients with {g['variable']} {g['level']} fare otherwise than expected: therapists who see "
        "many of them are misjudged.",
        f"Put {g['variable']} into the case mix, or let it bend.",
    )


def new_therapists(found: CrossValidation) -> Check:
    """Brier score, slope and O/E for therapists who were held out."""
    r, o = found.calibration.recalibration, found.calibration.overall.iloc[0]
    excess = worse_than_none(found.cases)
    return line(
        "new_therapists",
        bars.worst(
            bars.WORSE_THAN_NONE.judge(excess.total, excess.p),
            bars.HELD_OUT_SLOPE.judge(1.0 - r.slope, _normal_p((r.slope - 1.0) / r.slope_se)),
            bars.HELD_OUT.judge(abs(o["o_e"] - 1.0), o["p"]),
        ),
        f"scaled Brier score {found.calibration.discrimination.brier_scaled:.3f}, {_slope(r)}, "
        f"observed / expected {o['o_e']:.2f}",
        "fails if one rate for all does better, or O/E is off by 10% or more, beyond chance; caution if the "
        "slope is 0.5 or less",
        "What the model learned holds less for therapists it has not seen: part of it is chance.",
        "Use fewer terms or more months: the case mix is large for the data.",
    )


def next_months(found: CrossValidation, since: str, p: float) -> Check:
    """O/E of the months that were held out."""
    o = found.calibration.overall.iloc[0]
    return line(
        "next_months",
        bars.HELD_OUT.judge(abs(o["o_e"] - 1.0), p),
        f"since {since} observed / expected {o['o_e']:.2f} over {o['n']:,.0f} patients (p = {_p(p)})",
        "fails if off by 10% or more, beyond chance",
        "The latest months differ from those before: patients, measures or care have changed.",
        "Find out what changed. Use fewer months of data, so that the old ones do not count.",
    )


def spread(found: PredictiveCheck) -> Check:
    """The furthest therapist, and the spread as a whole."""
    z, p = (float(found.table[column]["furthest"]) for column in ("observed", "p_upper"))
    return line(
        "spread",
        bars.FURTHEST.judge(z, p),
        f"the furthest therapist is {z:.1f} standard deviations out (p = {_p(p)})",
        "fails if one is 4.5 or more out, where the model would have none",
        "A therapist lies further out than the model allows: wrong data, or truly unlike the rest.",
        "Look at the data of the furthest therapists: wrong ids, other patients, other measures.",
    )


def normality(found: Normality) -> Check:
    """Tails and lopsidedness of the therapists' distribution."""
    return line(
        "normality",
        bars.worst(
            bars.KURTOSIS.judge(found.kurtosis, found.p_kurtosis),
            bars.SKEWNESS.judge(abs(found.skewness), found.p_skewness),
        ),
        f"excess kurtosis {found.kurtosis:.1f} (p = {_p(found.p_kurtosis)}), skewness {found.skewness:.1f} "
        f"(p = {_p(found.p_skewness)})",
        "fails if kurtosis is 3 or more above a bell curve's, or skewness 1.5 or more, beyond chance",
        "Some therapists lie far out, or on one side. The few far out are drawn too near to the middle.",
        "Check their data. If it is right, read observed rates beside ratings, or rate unlike groups apart.",
    )


def severity_slope(found: SeveritySlope, severity_sd: float, therapist_sd: float) -> Check:
    """Slopes on severity, against the therapists' spread."""
    ratio = found.sd * severity_sd / therapist_sd if therapist_sd > 0.0 else float("nan")
    return line(
        "severity_slope",
        bars.SLOPES.judge(ratio, found.p),
        f"slopes are {ratio:.1f} times as large as the spread of therapists (p = {_p(found.p)})",
        "fails if as large as the spread of therapists itself, beyond chance",
        "Some therapists do better with severe cases, some with mild ones: one rating cannot tell both.",
        'Fit with severity_slope="phq9_first", or read the ratings for mild and severe cases apart.',
    )


def influence(found: Influence) -> Check:
    """What the most influential therapists do to the rest."""
    table = found.table
    moved, spread_moved = float(table["others_sd"].max()), float(table["sd_moved"].max())
    return line(
        "influence",
        bars.worst(bars.MOVED.judge(moved), bars.SPREAD_MOVED.judge(spread_moved)),
        f"at most {moved:.2f} standard deviations of another's rating, {spread_moved:.2f} of the spread",
        "caution from 1 of either; fails from 3 of a rating",
        "One therapist weighs so much that the others' ratings hang on them.",
        "Check that therapist's data. If it is right, wait for more data of the others.",
    )


def _slope(found: Recalibration) -> str:
    """Write a slope with its standard error."""
    if np.isnan(found.slope):
        return "no slope, as all expected rates are alike"
    se = "not known: too few therapists" if np.isnan(found.slope_se) else f"{found.slope_se:.2f}"
    return f"slope {found.slope:.2f} (standard error {se})"


def _p(p: float) -> str:
    """Write a p-value."""
    return "not known" if np.isnan(p) else "below 0.001" if p < 0.001 else f"{p:.3f}"


def _normal_p(z: float) -> float:
    """Two-sided p-value of a standard normal."""
    from scipy.special import ndtr

    return float(2.0 * ndtr(-abs(z)))


def share_missing(episodes: pd.DataFrame) -> float:
    """Share of completed treatments at caseness that lack a last score; NaN where there are none."""
    needed = {"completed", "at_caseness", "phq9_last", "gad7_last"}
    if not needed <= set(episodes.columns):
        return float("nan")
    counted = (
        episodes["completed"].astype(bool) & episodes["at_caseness"].fillna(False).astype(bool)
    ).to_numpy()
    if not counted.any():
        return float("nan")
    missing = (episodes["phq9_last"].isna() | episodes["gad7_last"].isna()).to_numpy()
    return float(missing[counted].mean())


def completion_rates(episodes: pd.DataFrame, therapist: str) -> tuple[float, float]:
    """Share of ended episodes that were completed, and its SD between therapists beyond chance.

    The second is the moment estimate: the variance of therapists' rates less what chance alone makes of it,
    over therapists with at least 10 ended episodes; 0 where chance makes more, NaN with fewer than 10.
    """
    if not {"completed", "end_date"} <= set(episodes.columns):
        return float("nan"), float("nan")
    ended = episodes[episodes["end_date"].notna()]
    if ended.empty:
        return float("nan"), float("nan")
    by = ended.groupby(therapist)["completed"].agg(["sum", "count"]).astype(float)
    rate = float(by["sum"].sum() / by["count"].sum())
    by = by[by["count"] >= 10]
    if len(by) < FEWEST_THERAPISTS:
        return rate, float("nan")
    chance = rate * (1.0 - rate) / by["count"]
    variance = float(((by["sum"] / by["count"] - rate) ** 2 - chance).mean())
    return rate, float(np.sqrt(max(variance, 0.0)))
