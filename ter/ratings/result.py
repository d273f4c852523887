"""The ratings: a table, and how it was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import pandas as pd

from ter.ratings.options import RatingOptions


@dataclass(frozen=True, eq=False, repr=False)
class Ratings:
    """Ratings of all therapists, gated.

    Attributes
    ----------
    options : RatingOptions
    table : DataFrame
        What `to_frame` gives a copy of.
    notes : tuple of str
        Warnings in plain words.
    """

    options: RatingOptions
    table: pd.DataFrame
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Give the ratings as a table.

        Returns
        -------
        DataFrame
            By ``therapist_id``, every therapist of the table, sorted: ``status``, ``n_completed``,
            ``n_at_caseness``; the rates (0 to 1) ``observed``, ``expected``, ``predicted`` and their ratios
            ``o_e``, ``p_e``; ``ter`` and its interval (percent); ``effect`` and ``effect_sd`` (log-odds);
            ``reliability``; ``expected_rank``, its interval and ``percentile`` among the rated;
            ``p_below_minimum``, ``p_top_quartile`` (a rank of a quarter of the rated, rounded up, or better).
            Behind the gate (status ``provisional``) everything after the counts is NaN.
        """
        return self.table.copy()

    def summary(self) -> str:
        """Say in a few lines who is rated, and how.

        Returns
        -------
        str
        """
        counts = self.table["status"].value_counts()
        rated = self.table[self.table["status"] != "provisional"]
        flagged = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("watch", "support"))
        flags = "" if self.options.minimum is None else f" (of these {flagged})"
        lines = [
            f"{len(self.table)} listed: {len(rated)} rated{flags}, {counts.get('provisional', 0)} "
            f"provisional (fewer than {self.options.completed} completed)"
        ]
        if len(rated):
            ter, reliability = rated["ter"], rated["reliability"]
            lines.append(
                f"TER: median {ter.median():.1f}, from {ter.min():.1f} to {ter.max():.1f}; "
                f"reliability: median {reliability.median():.2f}, "
                f"from {reliability.min():.2f} to {reliability.max():.2f}"
            )
        return "\n".join([*lines, *self.notes])

    def __repr__(self) -> str:
        return f"<ter.Ratings: {self.summary().splitlines()[0]}>"

    def _repr_html_(self) -> str:
        """Show the summary and the table in Jupyter."""
        lines = "<br>".join(escape(line) for line in self.summary().splitlines())
        return f"<p>{lines}</p>{self.table.to_html(max_rows=20, float_format='{:.3g}'.format)}"
