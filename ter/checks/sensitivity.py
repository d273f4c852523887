"""Sensitivity: how far each rating hangs on a choice that might have been made otherwise.

Every variant is a fit of its own, rated behind the same gate. Two variants look at what a rating of completed
treatments cannot see: a therapist who loses the hard cases looks better. ``everyone_started`` counts whoever
left early as not recovered, and ``completion`` rates completion itself, to be read beside recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

from ter.errors import OptionError
from ter.features import CaseMix, linear
from ter.measures import OUTCOME_COLUMNS, add_outcomes
from ter.models import Fit, fit
from ter.options import GATE, Engine
from ter.ratings import RatingOptions, Ratings, rate

Progress = Callable[[int, int], None]

Variant = Literal[
    "completion",
    "everyone_started",
    "reliable_improvement",
    "reliable_recovery",
    "missing_excluded",
    "after_allocation",
    "last_12_months",
    "last_24_months",
    "no_service_effect",
]
VARIANTS: Final = get_args(Variant)

#: What each variant does otherwise.
DESCRIPTIONS: Final[Mapping[Variant, str]] = MappingProxyType(
    {
        "completion": "rates completion (of all who ended, who completed) instead of recovery",
        "everyone_started": "counts all at caseness who ended; whoever did not complete did not recover",
        "reliable_improvement": "rates reliable improvement of all who completed",
        "reliable_recovery": "rates reliable recovery",
        "missing_excluded": "leaves out treatments whose last scores are missing",
        "after_allocation": "adjusts for sessions and missed appointments as well, which hides part of a "
        "therapist's own work: never a rating, only a question of how much it hides",
        "last_12_months": "uses treatments that ended in the last 12 months",
        "last_24_months": "uses treatments that ended in the last 24 months",
        "no_service_effect": "leaves the service effect out",
    }
)
#: Of these the network's rate is another one, and the minimum moves with it.
_OTHER_SCALE: Final = frozenset(
    {"completion", "everyone_started", "reliable_improvement", "reliable_recovery"}
)
#: What is known after allocation, and adjusted for in one variant alone.
AFTER_ALLOCATION: Final = ("n_sessions", "n_dna", "n_cancelled")


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """Ratings under each variant beside the main ones, gated.

    Attributes
    ----------
    table : DataFrame
        What `to_frame` gives a copy of.
    skipped : tuple of (str, str)
        Variants that the table does not allow, and why.
    options : RatingOptions
    """

    table: pd.DataFrame
    skipped: tuple[tuple[str, str], ...]
    options: RatingOptions

    def to_frame(self) -> pd.DataFrame:
        """Give every therapist's rating under every variant.

        Returns
        -------
        DataFrame
            By ``variant`` and ``therapist_id``: ``ter_main``, ``ter`` (percent); ``moved`` (their
            difference, points) and ``moved_apart`` (less the mean of all: what moves a therapist against the
            others); ``percentile_main``, ``percentile``; ``status_main``, ``status``, ``status_changed``.
            Figures are NaN where the therapist is behind the gate in either: then the status is
            "provisional" and counts as no change.
        """
        return self.table.copy()

    def by_variant(self) -> pd.DataFrame:
        """Sum up each variant.

        Returns
        -------
        DataFrame
            By ``variant``: ``therapists`` (rated in both), ``shift`` (mean of `moved`), ``typical`` and
            ``largest`` (median and maximum of ``|moved_apart|``), ``rank_correlation`` (Spearman's, of the
            TERs), ``status_changed`` (therapists).
        """
        rows = {}
        for variant, part in self.table.groupby(level="variant", sort=False):
            both = part.dropna(subset=["moved"])
            apart = both["moved_apart"].abs()
            ranks = both[["ter_main", "ter"]].rank()
            rows[variant] = {
                "therapists": len(both),
                "shift": both["moved"].mean(),
                "typical": apart.median(),
                "largest": apart.max(),
                "rank_correlation": ranks.corr().to_numpy()[0, 1] if len(both) > 1 else np.nan,
                "status_changed": int(part["status_changed"].sum()),
            }
        out = pd.DataFrame.from_dict(rows, orient="index")
        return out.rename_axis("variant")

    def summary(self) -> str:
        """Say in a line for each variant how far ratings move."""
        lines = []
        done = self.by_variant()
        for variant in (name for name in VARIANTS if name in done.index):
            row = done.loc[variant]
            lines.append(
                f"{variant}: {DESCRIPTIONS[variant]}. Of {row['therapists']:.0f} therapists the typical one "
                f"moves {row['typical']:.1f} points against the others, the furthest {row['largest']:.1f}; "
                f"rank correlation {row['rank_correlation']:.2f}; {row['status_changed']:.0f} change status."
            )
        return "\n".join([*lines, *(f"{name}: not run. {why}" for name, why in self.skipped)])

    def __repr__(self) -> str:
        return f"<ter.Sensitivity: {self.table.index.get_level_values('variant').nunique()} variants>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.by_variant().to_html(float_format='{:.2f}'.format)}"


@dataclass(frozen=True)
class _Plan:
    """A variant's table and what is fitted to it."""

    table: pd.DataFrame
    outcome: str = "recovered"
    extra: tuple[str, ...] = ()
    service: bool = True


def sensitivity(
    episodes: pd.DataFrame,
    *,
    case_mix: CaseMix | None = CaseMix.default(),  # noqa: B008 - frozen
    service: str | None = "service_id",
    completed: int = GATE,
    minimum: float | None = None,
    interval: float = 0.9,
    support: float = 0.9,
    variants: tuple[Variant, ...] = VARIANTS,
    engine: Engine = "fast",
    seed: int = 1,
    progress: Progress | None = None,
) -> Sensitivity:
    """Rate recovery, and rate it otherwise, to see how far each rating moves and who changes status.

    Parameters
    ----------
    episodes : DataFrame
        With the columns that `ter.add_outcomes` needs.
    case_mix : CaseMix or None
    service : str or None
    completed, minimum, interval, support
        As in `ter.rate`. Where a variant's outcome is another one the minimum moves with the network: it
        lies as far from the mean TER, in log-odds, as it does in the main ratings.
    variants : tuple of str
        Which; all by default. See `ter.checks.sensitivity.DESCRIPTIONS`.
    engine : {"fast", "nuts"}
    seed : int
    progress : callable, optional
        Called with the fits done, and all.

    Returns
    -------
    Sensitivity

    Raises
    ------
    OptionError
        If an option is out of its range, or there is no such variant.
    DataError
        If the table cannot be rated.
    """
    unknown = [name for name in variants if name not in VARIANTS]
    if unknown:
        raise OptionError(f"No variant is called {', '.join(unknown)}. There are: {', '.join(VARIANTS)}.")
    options = RatingOptions(completed, minimum, interval, support)
    table = add_outcomes(episodes.drop(columns=[c for c in OUTCOME_COLUMNS if c in episodes]))

    def fitted(plan: _Plan) -> Fit:
        terms = case_mix
        if case_mix is not None and plan.extra:
            more = tuple(linear(name) for name in plan.extra)
            terms = CaseMix((*case_mix.terms, *more), when_present=case_mix.when_present)
        return fit(
            plan.table,
            case_mix=terms,
            outcome=plan.outcome,
            completed="completed",
            service=service if plan.service else None,
            engine=engine,
            seed=seed,
        )

    main = rate(fitted(_Plan(table)), completed, minimum, interval, support)
    parts: dict[str, pd.DataFrame] = {}
    skipped = []
    for done, name in enumerate(variants, start=1):
        plan = _plan(name, table, case_mix, service)
        if isinstance(plan, str):
            skipped.append((name, plan))
        else:
            parts[name] = _compared(main, fitted(plan), options, moves=name in _OTHER_SCALE)
        if progress is not None:
            progress(done, len(variants))
    empty = pd.DataFrame(columns=_COLUMNS, index=pd.MultiIndex.from_arrays([[], []]))
    joined = pd.concat(parts) if parts else empty
    return Sensitivity(joined.rename_axis(["variant", "therapist_id"]), tuple(skipped), options)


_COLUMNS: Final = [
    "ter_main",
    "ter",
    "moved",
    "moved_apart",
    "percentile_main",
    "percentile",
    "status_main",
    "status",
    "status_changed",
]


def _plan(name: Variant, table: pd.DataFrame, case_mix: CaseMix | None, service: str | None) -> _Plan | str:
    """What a variant fits, or why it cannot."""
    ended = table["end_date"].notna()
    if name == "completion":
        outcome = table["completed"].astype(float).where(ended)
        if outcome.min() == outcome.max():
            return "Every treatment that ended was completed."
        return _Plan(table.assign(finished=outcome), "finished")
    if name == "everyone_started":
        counted = ended & table["at_caseness"].fillna(False).astype(bool)
        recovered = table["recovered"].fillna(False).astype(float)
        return _Plan(table.assign(recovered_of_started=recovered.where(counted)), "recovered_of_started")
    if name in ("reliable_improvement", "reliable_recovery"):
        return _Plan(table, name)
    if name == "missing_excluded":
        plain = table.drop(columns=list(OUTCOME_COLUMNS))
        return _Plan(add_outcomes(plain, missing_outcome="exclude"))
    if name == "after_allocation":
        late = [c for c in AFTER_ALLOCATION if c in table and table[c].notna().any()]
        if not late or case_mix is None:
            return "The table has no column measured after allocation, or no case mix was asked for."
        # A case mix refuses these columns by name. They go in as copies under other names, here alone.
        return _Plan(
            table.assign(**{f"after_allocation_{c}": table[c] for c in late}),
            extra=tuple(f"after_allocation_{c}" for c in late),
        )
    if name in ("last_12_months", "last_24_months"):
        last = max(table["start_date"].max(), table["end_date"].max())
        since = last - pd.DateOffset(months=12 if name == "last_12_months" else 24)
        if not (table["end_date"] <= since).any():
            return f"No treatment ended by {since:%Y-%m-%d}: the table is the window."
        return _Plan(table[table["end_date"].isna() | (table["end_date"] > since)])
    if service is None or table[service].nunique() < 2:
        return "The ratings are without a service effect as they are."
    return _Plan(table, service=False)


def _compared(main: Ratings, fitted: Fit, options: RatingOptions, *, moves: bool) -> pd.DataFrame:
    """Put a variant's ratings beside the main ones."""
    a = main.to_frame()
    minimum = options.minimum
    b = rate(fitted, options.completed, minimum, options.interval, options.support).to_frame()
    if moves and minimum is not None:
        minimum = moved_minimum(minimum, float(a["ter"].mean()), float(b["ter"].mean()))
        b = rate(fitted, options.completed, minimum, options.interval, options.support).to_frame()
    b = b.reindex(a.index)
    b["status"] = b["status"].fillna("provisional")
    both = (a["status"] != "provisional") & (b["status"] != "provisional")
    moved = (b["ter"] - a["ter"]).where(both)
    return pd.DataFrame(
        {
            "ter_main": a["ter"].where(both),
            "ter": b["ter"].where(both),
            "moved": moved,
            "moved_apart": moved - moved.mean(),
            "percentile_main": a["percentile"].where(both),
            "percentile": b["percentile"].where(both),
            "status_main": a["status"],
            "status": b["status"],
            "status_changed": both & (a["status"] != b["status"]),
        }
    )


def moved_minimum(minimum: float, mean_main: float, mean_variant: float) -> float:
    """Move a minimum with the network: as far from the mean in log-odds as it was; percent, 1 to 99."""

    def logit(percent: float) -> float:
        return float(np.log(percent / (100.0 - percent)))

    moved = logit(minimum) + logit(mean_variant) - logit(mean_main)
    return float(np.clip(100.0 / (1.0 + np.exp(-moved)), 1.0, 99.0))
