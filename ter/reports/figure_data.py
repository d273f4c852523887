"""What the figures draw, as tables: from a publication, or through the gate. No matplotlib is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError
from ter.ratings.funnel import Funnel, funnel_adjusted
from ter.ratings.gate import admit
from ter.ratings.publication import Publication
from ter.reports import views

if TYPE_CHECKING:
    from ter.models.result import Fit
    from ter.ratings.options import RatingOptions

FloatArray = NDArray[np.float64]

#: Points of a density that is drawn, and how many standard deviations of the prior it reaches to.
_DENSITY_POINTS = 241
_REACH = 4.0


def caterpillar_data(publication: Publication) -> pd.DataFrame:
    """Give every rated unit's TER and interval, from the lowest to the highest.

    Parameters
    ----------
    publication : Publication

    Returns
    -------
    DataFrame
        ``therapist_id``, ``position`` (1 for the lowest), ``value``, ``low``, ``high`` (percent).
    """
    return _intervals(publication, "ter", "ter")


def ranks_data(publication: Publication) -> pd.DataFrame:
    """Give every rated unit's expected rank and its interval, from the last rank to the first.

    Parameters
    ----------
    publication : Publication

    Returns
    -------
    DataFrame
        ``therapist_id``, ``position`` (1 for the last), ``value``, ``low``, ``high``: ranks, 1 for the
        highest TER.
    """
    table = _intervals(publication, "expected_rank", "rank")[::-1].reset_index(drop=True)
    return table.assign(position=np.arange(1, len(table) + 1))


def calibration_data(publication: Publication) -> pd.DataFrame:
    """Give observed and predicted recovery by decile of prediction.

    Parameters
    ----------
    publication : Publication

    Returns
    -------
    DataFrame
        ``decile``, ``n``; ``expected``, ``observed``, ``low``, ``high`` (percent; 95% Wilson interval).
    """
    table = publication.calibration.dropna(subset=["expected", "observed"]).reset_index(drop=True)
    rates = ["expected", "observed", "low", "high"]
    return table.assign(**{name: 100 * table[name] for name in rates})


def shrinkage_data(publication: Publication) -> pd.DataFrame:
    """Give the way from the raw recovery rate to the TER, for all whose results are shown.

    Parameters
    ----------
    publication : Publication

    Returns
    -------
    DataFrame
        ``therapist_id``, ``n_at_caseness``; ``observed`` (the raw rate), ``adjusted`` (the network's
        expected rate plus O - E, as in `funnel_data`), ``ter``, all percent; ``reliability``. In the order of
        the publication.
    """
    shown = publication.ratings.dropna(subset=["ter", "observed"])
    average = 100 * publication.network.expected
    return pd.DataFrame(
        {
            "therapist_id": shown["therapist_id"],
            "n_at_caseness": shown["n_at_caseness"],
            "observed": 100 * shown["observed"],
            "adjusted": views.at_face_value(average, shown["observed"], shown["expected"]),
            "ter": shown["ter"],
            "reliability": shown["reliability"],
        }
    ).reset_index(drop=True)


def funnel_data(publication: Publication) -> tuple[tuple[str, ...], Funnel] | None:
    """Compute the funnel of case-mix-adjusted recovery of all whose results are shown.

    A unit's value is the network's expected rate plus O - E, what it has seen less what was expected of its
    patients, against their number: see `ter.ratings.funnel.funnel_adjusted`.

    Parameters
    ----------
    publication : Publication

    Returns
    -------
    ids : tuple of str
    funnel : Funnel
        None in place of both where nobody's results are shown.
    """
    shown = publication.ratings.dropna(subset=["observed", "expected"])
    target = publication.network.expected
    if shown.empty or not 0 < target < 1:
        return None
    n = shown["n_at_caseness"].to_numpy(float)
    recovered, expected = (shown["observed"] * n).round(), shown["expected"] * n
    return tuple(shown["therapist_id"]), funnel_adjusted(recovered, expected, n, target=target)


def reliability_data(publication: Publication) -> pd.DataFrame:
    """Give the reliability of every rated unit's TER, and the patients that it rests on.

    Parameters
    ----------
    publication : Publication

    Returns
    -------
    DataFrame
        ``therapist_id``, ``n_at_caseness``, ``reliability``.
    """
    rated = publication.ratings.dropna(subset=["reliability"])
    return rated[["therapist_id", "n_at_caseness", "reliability"]].reset_index(drop=True)


def reliability_curve(publication: Publication, n: FloatArray) -> FloatArray:
    """Compute the reliability that a caseload of the network's usual patients gives.

    ``sigma^2 / (sigma^2 + 1 / (n w))``: the variance of the effects, against that of a log-odds estimated
    from n patients (Spearman-Brown, on the scale of the model). A patient's information w is the mean of
    p (1 - p), by tenths of prediction. Real caseloads differ and parameters are not known, so that therapists
    lie a little off the curve.

    Parameters
    ----------
    publication : Publication
        Its standard deviation between therapists, and its predictions.
    n : ndarray
        Patients.

    Returns
    -------
    ndarray
        From 0 to 1, of the shape of `n`; NaN where nobody's results are shown.
    """
    variance = float(publication.model.groups["sd"].loc["therapist"]) ** 2
    count, p = publication.calibration[["n", "expected"]].to_numpy(float).T
    each = float(count @ (p * (1.0 - p)) / count.sum()) if len(p) else np.nan
    information = np.asarray(n, dtype=np.float64) * each
    curve: FloatArray = variance * information / (variance * information + 1.0)
    return curve


def case_mix_data(publication: Publication, therapist_id: str) -> pd.DataFrame:
    """Compare the patients of one therapist with the network's.

    Parameters
    ----------
    publication : Publication
    therapist_id : str

    Returns
    -------
    DataFrame
        ``label``, ``detail`` (words; shares of fewer than five patients are not told), ``shift`` (percentage
        points that the variable adds to the expected recovery), the largest first: what the page shows.

    Raises
    ------
    DataError
        If nothing is shown of this therapist: behind the gate, too few patients, or unknown.
    """
    shifts = views.therapist_shifts(publication, therapist_id)
    if not shifts:
        raise DataError(
            f"No case mix is shown of therapist {therapist_id!r}: not in this publication, behind the gate, "
            "or with too few patients."
        )
    return pd.DataFrame(
        {
            "label": [shift.label for shift in shifts],
            "detail": [shift.detail for shift in shifts],
            "shift": [100 * shift.shift for shift in shifts],
        }
    )


@dataclass(frozen=True, eq=False)
class EffectDensity:
    """What is known of one therapist's effect before and after their own results.

    Attributes
    ----------
    therapist_id : str
    curves : DataFrame
        ``effect`` (log-odds), ``prior``, ``posterior`` (densities).
    """

    therapist_id: str
    curves: pd.DataFrame


def effect_density(fit: Fit, options: RatingOptions, therapist_id: str) -> EffectDensity:
    """Compute the prior and posterior density of one therapist's effect; of the rated alone.

    The prior is N(0, sigma_u^2), averaged over the posterior of sigma_u; the posterior is the slope of the
    distribution function that the ratings are read from.

    Parameters
    ----------
    fit : Fit
    options : RatingOptions
        Its gate.
    therapist_id : str

    Returns
    -------
    EffectDensity

    Raises
    ------
    OptionError
        If the fit has no posterior.
    DataError
        If this therapist is behind the gate or unknown.
    """
    from scipy.interpolate import PchipInterpolator

    admitted = admit(fit, options)
    if therapist_id not in admitted.units.ids:
        raise DataError(
            f"Therapist {therapist_id!r} is not rated: unknown, or fewer than {options.completed} completed."
        )
    posterior, j = admitted.posterior, admitted.units.ids.index(therapist_id)
    sd, weights = posterior.sd[:, 0], posterior.weights
    reach = _REACH * float(np.sqrt(weights @ sd**2))
    ends = min(-reach, posterior.u_grid[j, 0]), max(reach, posterior.u_grid[j, -1])
    effect = np.linspace(*ends, _DENSITY_POINTS)
    slope = PchipInterpolator(posterior.u_grid[j], posterior.u_cdf[j], extrapolate=False).derivative()
    with np.errstate(divide="ignore", invalid="ignore"):
        normal = np.exp(-0.5 * (effect[:, None] / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
    return EffectDensity(
        therapist_id,
        pd.DataFrame(
            {
                "effect": effect,
                "prior": np.nan_to_num(normal) @ weights,
                "posterior": np.nan_to_num(slope(effect)),
            }
        ),
    )


def _intervals(publication: Publication, value: str, interval: str) -> pd.DataFrame:
    low, high = (f"{interval}_{quantile}" for quantile in publication.options.quantile_names)
    rated = publication.ratings.dropna(subset=[value]).sort_values([value, "therapist_id"])
    return pd.DataFrame(
        {
            "therapist_id": rated["therapist_id"].to_numpy(),
            "position": np.arange(1, len(rated) + 1),
            "value": rated[value].to_numpy(float),
            "low": rated[low].to_numpy(float),
            "high": rated[high].to_numpy(float),
        }
    )
