"""What changed a rating: this month's TER less the last month's, explained exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ter.checks.refit import refit
from ter.errors import OptionError
from ter.features import CaseMix, modelled_rows
from ter.features.columns import texts
from ter.models.posterior import Posterior
from ter.models.result import Fit
from ter.models.same_table import require_fitted_table
from ter.ratings.gate import shown_therapists
from ter.ratings.options import RatingOptions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Progress = Callable[[int, int], None]

#: What a change is made of, in the order in which one thing after another is exchanged.
PARTS: Final = ("own_patients", "others", "reference", "model")
#: Draws of the parameters. What so few leave of Monte Carlo error is made good for, in `others`.
DRAWS: Final = 128
#: Points of the grid over each effect, from -REACH to REACH posterior standard deviations.
POINTS: Final = 53
REACH: Final = 8.0
_NEWTON_STEPS: Final = 30


@dataclass(frozen=True, eq=False, repr=False)
class Changes:
    """What changed each rating. Therapists behind the gate in either month are not in it.

    Attributes
    ----------
    table : DataFrame
        What `to_frame` gives a copy of.
    """

    table: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Give a row for each therapist.

        Returns
        -------
        DataFrame
            ``therapist_id``; ``previous`` and ``current`` (TER, percent) and ``change`` (points), which is
            the sum of ``own_patients`` (the therapist's own patients: new ones, and outcomes that became
            known), ``others`` (what other therapists' patients teach about the network: the case mix, the
            services, the spread of therapists), ``reference`` (the patients whom a TER is about are other
            ones) and ``model`` (the terms of the model are other ones); ``text``, the same in a sentence.
        """
        return self.table.copy()

    def summary(self) -> str:
        """Say how much the typical rating moved, and why."""
        if self.table.empty:
            return "No therapist was rated in both months."
        typical = self.table[["change", *PARTS]].abs().median()
        parts = ", ".join(f"{name} {typical[name]:.1f}" for name in PARTS)
        return (
            f"{len(self.table)} therapists rated in both months; the typical TER moved by "
            f"{typical['change']:.1f} points ({parts})."
        )

    def __repr__(self) -> str:
        return f"<ter.Changes: {self.summary()}>"


def explain_change(
    previous: Fit,
    fit: Fit,
    previous_episodes: pd.DataFrame,
    episodes: pd.DataFrame,
    *,
    options: RatingOptions | None = None,
    progress: Progress | None = None,
) -> Changes:
    """Explain what changed each TER between two months.

    One thing after another is exchanged, in this order: the therapist's own patients, with everything else as
    it was; the parameters of the network; the patients whom a TER is about; the terms of the model. Each part
    is the difference that its step makes, so that the parts add up to the change exactly. Another order would
    share the change out a little differently. Where the terms are others, the old ones are fitted to the new
    table as well.

    Parameters
    ----------
    previous, fit : Fit
        Last month's and this month's, with posteriors.
    previous_episodes, episodes : DataFrame
        The tables that they were fitted to.
    options : RatingOptions, optional
        Its gate.
    progress : callable, optional
        Called with the steps done, and all.

    Returns
    -------
    Changes

    Raises
    ------
    OptionError
        If a fit has no posterior, or a severity slope or a further factor, or the two rate different
        outcomes, or a table is not the one that its fit saw.
    """
    if previous.posterior is None or fit.posterior is None:
        raise OptionError('Changes are explained of fits with a posterior: engine "fast" or "nuts".')
    if previous.settings.outcome != fit.settings.outcome:
        raise OptionError(
            f'The two months rate different outcomes: "{previous.settings.outcome}" and '
            f'"{fit.settings.outcome}".'
        )
    for settings in (previous.settings, fit.settings):
        if settings.severity_slope is not None or settings.further is not None:
            raise OptionError(
                "Changes are explained of models without a severity slope and a further factor."
            )
    previous_episodes = require_fitted_table(previous, previous_episodes, "previous_episodes")
    episodes = require_fitted_table(fit, episodes, "episodes")
    options = options or RatingOptions()
    ids = _in_both(previous, fit, options)
    between = fit if _terms(previous) == _terms(fit) else refit(previous, episodes, engine="fast")
    old, new = _patients(previous, previous_episodes), _patients(fit, episodes)
    steps = [(previous, old, old), (previous, new, old), (between, new, old), (between, new, new)]
    if between is not fit:
        steps.append((fit, new, new))
    ters: list[FloatArray] = []
    # One thread for the linear algebra: its sums would otherwise depend on how many there are.
    with threadpool_limits(limits=1):
        for model, own, reference in steps:
            ters.append(ters_of(model, ids, own, reference))
            if progress is not None:
                progress(len(ters), len(steps))
    # With the same terms there is no last step: it would change nothing.
    ters += [ters[-1]] * (len(PARTS) + 1 - len(ters))
    table = pd.DataFrame({"therapist_id": ids})
    table["previous"], table["current"] = _published(previous, ids), _published(fit, ids)
    table["change"] = table["current"] - table["previous"]
    for name, before, after in zip(PARTS, ters[:-1], ters[1:], strict=True):
        table[name] = after - before
    # Few draws, and grids, leave errors at both ends, which are known: the published TERs are exact.
    table["others"] += table["change"] - table[list(PARTS)].sum(axis=1)
    table["text"] = [_sentence(table.iloc[k]) for k in range(len(table))]
    return Changes(table)


@dataclass(frozen=True, eq=False)
class _Patients:
    """The modelled rows of a table."""

    table: pd.DataFrame
    successes: FloatArray
    trials: FloatArray
    codes: IntArray
    levels: tuple[str, ...]

    def of(self, name: str) -> IntArray:
        """Positions of a therapist's rows."""
        return np.flatnonzero(self.codes == self.levels.index(name)) if name in self.levels else _NONE


_NONE: Final[IntArray] = np.zeros(0, np.int64)


def _patients(fit: Fit, table: pd.DataFrame) -> _Patients:
    settings = fit.settings
    chosen = modelled_rows(table, outcome=settings.outcome, trials=settings.trials)
    kept = table.iloc[chosen.rows]
    codes, levels = texts(kept[settings.therapist])
    return _Patients(kept, chosen.successes, chosen.trials, codes, levels)


def ters_of(fit: Fit, ids: list[str], own: _Patients, reference: _Patients) -> FloatArray:
    """Posterior mean TER (percent) of R therapists, from draws of a fit's parameters and any patients.

    For each draw the density of u given the therapist's own patients is put on a grid, and the mean over it
    taken of the rate that the reference patients reach with that u.
    """
    p = fit.posterior
    if p is None:
        raise OptionError("There is no posterior.")
    k = np.searchsorted(np.cumsum(p.weights), (np.arange(DRAWS) + 0.5) / DRAWS)
    k = np.minimum(k, p.weights.size - 1)
    sigma = np.maximum(p.sd[k, 0], 1e-6)  # an SD of 0 leaves u at 0
    low, high = -8.0 * sigma.max(), 8.0 * sigma.max()
    u_points = np.linspace(low, high, 129)
    curve = _rates(_predictors(fit, p, k, reference.table), reference.trials, u_points)
    eta = _predictors(fit, p, k, own.table)
    out = np.empty(len(ids))
    for r, name in enumerate(ids):
        rows = own.of(name)
        u, density = posterior_of_effect(eta[rows], own.successes[rows], own.trials[rows], sigma)
        reached = np.stack([np.interp(u[:, d], u_points, curve[:, d]) for d in range(DRAWS)], axis=1)
        out[r] = 100.0 * float((density * reached).sum(axis=0).mean())
    return out


def posterior_of_effect(
    eta: FloatArray, y: FloatArray, n: FloatArray, sigma: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Tabulate the density of u given a therapist's patients, for each draw of the parameters.

    Parameters
    ----------
    eta : ndarray, shape (rows, D)
        Linear predictors without u.
    y, n : ndarray, shape (rows,)
    sigma : ndarray, shape (D,)

    Returns
    -------
    u, density : ndarray, shape (POINTS, D)
        The density sums to 1 over each column.
    """
    mode = np.zeros(len(sigma))
    for _ in range(_NEWTON_STEPS):
        rate = 1.0 / (1.0 + np.exp(-(eta + mode)))
        gradient = (y[:, None] - n[:, None] * rate).sum(axis=0) - mode / sigma**2
        curvature = (n[:, None] * rate * (1.0 - rate)).sum(axis=0) + 1.0 / sigma**2
        step = np.clip(gradient / curvature, -1.0, 1.0)
        mode = mode + step
        if np.abs(step).max() < 1e-9:
            break
    u = mode + np.linspace(-REACH, REACH, POINTS)[:, None] / np.sqrt(curvature)
    at = u[:, None, :] + eta
    log_density = (y[:, None] * at - n[:, None] * np.logaddexp(0.0, at)).sum(axis=1) - u**2 / (2 * sigma**2)
    density = np.exp(log_density - log_density.max(axis=0))
    return u, density / density.sum(axis=0)


def _predictors(fit: Fit, p: Posterior, k: IntArray, table: pd.DataFrame) -> FloatArray:
    """Linear predictors without u at some draws, (rows, D). A service that is not known adds nothing."""
    learned = fit.case_mix if fit.case_mix is not None else CaseMix(()).learn(table)
    eta: FloatArray = learned.encode(table).X @ p.beta[k].T
    if fit.services.ids:
        column = pd.Index(table[str(fit.settings.service)].astype(str))
        service = pd.Index(fit.services.ids).get_indexer(column)
        v = np.column_stack([p.v[k], np.zeros(len(k))])
        eta += v[:, service].T
    return eta


def _rates(eta: FloatArray, trials: FloatArray, u: FloatArray) -> FloatArray:
    """Mean rate of patients with each effect u, for each draw: shape (points, D)."""
    weights = trials / trials.sum()
    return np.stack([weights @ (1.0 / (1.0 + np.exp(-(eta + x)))) for x in u])


def _terms(fit: Fit) -> tuple[object, ...]:
    """What the model is made of."""
    terms = () if fit.case_mix is None else tuple(learned.term for learned in fit.case_mix.terms)
    return (*terms, bool(fit.services.ids))


def _in_both(previous: Fit, fit: Fit, options: RatingOptions) -> list[str]:
    """Therapists whose outcomes may be shown in both months."""
    shown = [
        {name for name, kept in zip(f.units.ids, shown_therapists(f, options), strict=True) if kept}
        for f in (previous, fit)
    ]
    return sorted(shown[0] & shown[1])


def _published(fit: Fit, ids: list[str]) -> FloatArray:
    """TER of therapists as they were rated."""
    if fit.posterior is None:
        raise OptionError("There is no posterior.")
    position = {name: j for j, name in enumerate(fit.units.ids)}
    return np.array([fit.posterior.ter_mean[position[name]] for name in ids])


def _sentence(row: pd.Series) -> str:
    """Say in plain words what changed a rating."""
    words = {
        "own_patients": "their own patients",
        "others": "what other therapists' patients taught us",
        "reference": "a change in the patients that ratings are about",
        "model": "a change of the model",
    }
    parts = [f"{words[name]} {row[name]:+.1f}" for name in PARTS if abs(row[name]) >= 0.05]
    if not parts:
        return f"The rating stayed at {row['current']:.1f}."
    return (
        f"The rating went from {row['previous']:.1f} to {row['current']:.1f} ({row['change']:+.1f} points): "
        f"{', '.join(parts)}."
    )
