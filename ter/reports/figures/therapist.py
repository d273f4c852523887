"""Figures of one therapist."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes

from ter.ratings.publication import Publication
from ter.reports import figure_data, words
from ter.reports.figure_data import EffectDensity
from ter.reports.figures.style import ACCENT, DASHED, INK, MUTED, frame

#: Half the width of the axis of shifts, percentage points, at least: small stays small.
_LEAST_SPAN: Final = 1.0


def case_mix(publication: Publication, ax: Axes, *, therapist_id: str) -> Axes:
    """Draw what each variable of the case mix does to one therapist's expected recovery.

    Data: `figure_data.case_mix_data`.

    Parameters
    ----------
    publication : Publication
    ax : matplotlib.axes.Axes
    therapist_id : str

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: percentage points along x, the variables along y, the largest at the top.

    Raises
    ------
    DataError
        If nothing is shown of this therapist.
    """
    table = figure_data.case_mix_data(publication, therapist_id)
    frame(ax, "Percentage points of expected recovery")
    shift = table["shift"].to_numpy(float)
    place = -np.arange(len(table), dtype=np.float64)
    ax.barh(place, shift, height=0.55, color=np.where(shift >= 0, ACCENT, MUTED).tolist())
    ax.axvline(0.0, color=INK, linewidth=1.0)
    names = [f"{row.label}\n{row.detail}" for row in table.itertuples(index=False)]
    ax.set_yticks(place, names, parse_math=False)
    ax.tick_params(axis="y", length=0)
    span = 1.25 * max(_LEAST_SPAN, float(np.abs(shift).max()))
    ax.set_xlim(-span, span)
    for at, value in zip(place, shift, strict=True):
        side = 1 if value >= 0 else -1
        ax.annotate(
            words.points(value / 100), (value, at), xytext=(4 * side, 0), textcoords="offset points",
            ha="left" if side > 0 else "right", va="center", fontsize=8, color=INK,
        )  # fmt: skip
    return ax


def prior_posterior(density: EffectDensity, ax: Axes) -> Axes:
    """Draw what is known of one therapist's effect before and after their own results.

    Parameters
    ----------
    density : EffectDensity
        From `figure_data.effect_density`.
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes: the effect in log-odds along x, densities along y.
    """
    frame(ax, "Difference from the average therapist, log-odds")
    effect, prior, posterior = density.curves[["effect", "prior", "posterior"]].to_numpy(float).T
    top = 1.18 * max(prior.max(), posterior.max())
    ax.fill_between(effect, prior, color=MUTED, alpha=0.25, linewidth=0)
    ax.plot(effect, prior, color=MUTED, linewidth=1.2)
    ax.fill_between(effect, posterior, color=ACCENT, alpha=0.35, linewidth=0)
    ax.plot(effect, posterior, color=ACCENT, linewidth=1.6)
    ax.axvline(0.0, color=INK, linewidth=1.0, linestyle=DASHED)
    ax.set_ylim(0.0, top)
    ax.set_xlim(effect[0], effect[-1])
    ax.set_yticks([])
    # A legend, not names at the curves: these may lie on each other.
    for colour, name, y in ((ACCENT, "after their results", 0.97), (MUTED, "before: any therapist", 0.89)):
        ax.text(0.01, y, f"■ {name}", transform=ax.transAxes, color=colour, va="top", fontsize=8.5)
    return ax
