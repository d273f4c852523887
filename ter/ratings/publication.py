"""What may leave the house: the only object that reports are made from."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ter.ratings.model_card import ModelCard
from ter.ratings.options import RatingOptions


@dataclass(frozen=True)
class Network:
    """The network in numbers. Outcome figures cover rated therapists with 5 modelled patients or more alone.

    Attributes
    ----------
    n_therapists, n_rated, n_provisional, n_services : int
    n_episodes, n_completed, n_at_caseness : int
        All therapists, behind the gate or not: these are no outcome figures.
    n_at_caseness_rated : int
        Modelled patients of these therapists.
    observed, expected : float
        Recovery rates (0 to 1) of these patients; NaN where there are none.
    """

    n_therapists: int
    n_rated: int
    n_provisional: int
    n_services: int
    n_episodes: int
    n_completed: int
    n_at_caseness: int
    n_at_caseness_rated: int
    observed: float
    expected: float


@dataclass(frozen=True)
class ModelNote:
    """The model in a few figures, none of which is a therapist's.

    Attributes
    ----------
    engine : str
    outcome : str
    groups : DataFrame
        As `Fit.groups`.
    service_effect : str
        "included", or the reason why it was left out.
    converged : bool
    notes : tuple of str
        Warnings in plain words.
    n_modelled : int
    left_out : tuple of (str, int)
        Rows left out of the model, and why.
    versions : tuple of (str, str)
    """

    engine: str
    outcome: str
    groups: pd.DataFrame
    service_effect: str
    converged: bool
    notes: tuple[str, ...]
    n_modelled: int
    left_out: tuple[tuple[str, int], ...]
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Publication:
    """All that pages and files are made from: no outcome figure of a therapist behind the gate is in it.

    Attributes
    ----------
    options : RatingOptions
    ratings : DataFrame
        The gated table of `Ratings.to_frame`, sorted by therapist id, with a column ``service_id``. Where a
        therapist has fewer than 5 modelled patients ``observed`` and ``o_e`` are NaN, and these patients are
        in none of the sums below, so that nobody is known by subtraction.
    network : Network
    calibration : DataFrame
        Over the patients of rated therapists with 5 modelled patients or more, by decile of prediction:
        ``decile``, ``n``, ``expected``, ``observed`` (rates, 0 to 1), ``low``, ``high`` (95% Wilson interval
        of the observed rate).
    trend : DataFrame
        Of the same therapists: ``therapist_id``, ``first_month``, ``last_month`` ("2026-03"),
        ``n_completed``, ``n_at_caseness``, ``observed``, ``expected`` (rates). Blocks of whole months that do
        not overlap, each with as many completed treatments as the gate asks for and 5 modelled patients, or
        more, in order of time; together they are all of the therapist's months.
    case_mix : DataFrame
        Of the same therapists: ``therapist_id``, ``variable``, ``level`` ("" for a mean), ``therapist``,
        ``network`` (over the patients of the therapists shown), ``shift`` (what a level's share does to the
        expected rate, 0 to 1; NaN of a mean).
    shift : DataFrame
        Of the same therapists: ``therapist_id``, ``variable``, ``shift`` (difference of rates that the
        variable makes).
    services : DataFrame
        ``service_id``, ``n_therapists``, ``n_rated``, ``n_completed``; outcome figures
        ``n_at_caseness_rated``, ``observed``, ``expected`` over the patients of the same therapists.
    model : ModelNote
    fingerprint : str
        sha256 of the rows that the model saw.
    card : ModelCard or None
        Whether these ratings should be trusted; every report is given one.
    changes : DataFrame or None
        What changed each rating since the last month (`ter.monitoring.explain_change`), for therapists who
        were rated in both.
    """

    options: RatingOptions
    ratings: pd.DataFrame
    network: Network
    calibration: pd.DataFrame
    trend: pd.DataFrame
    case_mix: pd.DataFrame
    shift: pd.DataFrame
    services: pd.DataFrame
    model: ModelNote
    fingerprint: str
    card: ModelCard | None = None
    changes: pd.DataFrame | None = None
