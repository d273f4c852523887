"""Sums over therapists whose results are shown: all that is said of groups, of months and of case mix."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.models.units import CaseMixMeans, Deciles, Months, Units
from ter.ratings.options import SMALLEST_GROUP
from ter.ratings.standardise import divide, wilson

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def rates(units: Units, expected: FloatArray) -> tuple[int, float, float]:
    """Pool therapists' patients.

    Parameters
    ----------
    units : Units
        R therapists.
    expected : ndarray, shape (R,)
        Their expected recovery rates, NaN without patients.

    Returns
    -------
    n : int
        Modelled patients.
    observed, expected : float
        Recovery rates, 0 to 1; NaN where there are no patients.
    """
    n = float(units.n.sum())
    if not n:
        return 0, np.nan, np.nan
    return int(n), float(units.observed.sum()) / n, float(np.nansum(units.n * expected)) / n


def calibration(deciles: Deciles) -> pd.DataFrame:
    """Compare predicted and observed recovery.

    Parameters
    ----------
    deciles : Deciles
        Counts of the therapists whose results are shown.

    Returns
    -------
    DataFrame
        ``decile`` (1 to 10, those with patients), ``n``, ``expected``, ``observed``, ``low``, ``high``: the
        rates are from 0 to 1, the last two the 95% Wilson interval of the observed rate.
    """
    n, observed, expected = (x.sum(axis=0) for x in (deciles.n, deciles.observed, deciles.expected))
    some = n > 0
    n, observed, expected = n[some], observed[some], expected[some]
    low, high = wilson(observed, n)
    return pd.DataFrame(
        {
            "decile": np.flatnonzero(some) + 1,
            "n": n.astype(np.int64),
            "expected": expected / n,
            "observed": observed / n,
            "low": low,
            "high": high,
        }
    )


def trend(ids: tuple[str, ...], months: Months | None, completed: int) -> pd.DataFrame:
    """Cut each therapist's months into blocks that each would pass the gate, and hold 5 modelled patients.

    The blocks are made from the latest month backwards, so that the last one is as recent as can be; months
    left over at the start join the first block. So the blocks are all of a therapist's months, and taking
    them from the therapist's total leaves nothing over. Nobody is cut who has too few patients as a whole.

    Parameters
    ----------
    ids : tuple of str, length R
    months : Months or None
        Of these therapists; None without dates.
    completed : int
        Completed treatments that a block takes.

    Returns
    -------
    DataFrame
        ``therapist_id``, ``first_month``, ``last_month`` ("2026-03"), ``n_completed``, ``n_at_caseness``,
        ``observed``, ``expected`` (rates), by therapist and time.
    """
    names = [
        "therapist_id",
        "first_month",
        "last_month",
        "n_completed",
        "n_at_caseness",
        "observed",
        "expected",
    ]
    if months is None or not len(months.unit):
        return pd.DataFrame({name: [] for name in names})
    block = _blocks(months, completed)
    starts = np.flatnonzero(np.diff(block, prepend=-1))
    ends = np.append(starts[1:], len(block)) - 1
    n, observed, expected = (np.add.reduceat(x, starts) for x in (months.n, months.observed, months.expected))
    return pd.DataFrame(
        {
            "therapist_id": [ids[unit] for unit in months.unit[starts]],
            "first_month": [_month(month) for month in months.month[starts]],
            "last_month": [_month(month) for month in months.month[ends]],
            "n_completed": np.add.reduceat(months.n_completed, starts),
            "n_at_caseness": n.astype(np.int64),
            "observed": divide(observed, n),
            "expected": divide(expected, n),
        }
    )


def services(units: Units, rated: Units, shown: Units, expected: FloatArray) -> pd.DataFrame:
    """Count services, with the outcomes of their rated therapists' patients.

    Parameters
    ----------
    units : Units
        All therapists; each belongs, with all patients, to the service of most of their episodes.
    rated : Units
        Those who passed the gate.
    shown : Units
        Those of the rated whose results are shown, S of them.
    expected : ndarray, shape (S,)
        Their expected recovery rates, NaN without patients.

    Returns
    -------
    DataFrame
        ``service_id``, ``n_therapists``, ``n_rated``, ``n_completed``, ``n_at_caseness_rated``, ``observed``,
        ``expected``, by service; no rows without services.
    """
    names = sorted(set(units.service) - {""})
    position = {name: i for i, name in enumerate(names)}

    def total(of: Units, what: FloatArray) -> FloatArray:
        where = np.array([position.get(name, -1) for name in of.service], dtype=np.int64)
        known = where >= 0
        return np.bincount(where[known], what[known], len(names)).astype(np.float64)

    n = total(shown, shown.n)
    return pd.DataFrame(
        {
            "service_id": pd.Series(names, dtype="object"),
            "n_therapists": total(units, np.ones(len(units.ids))).astype(np.int64),
            "n_rated": total(rated, np.ones(len(rated.ids))).astype(np.int64),
            "n_completed": total(units, units.n_completed.astype(np.float64)).astype(np.int64),
            "n_at_caseness_rated": n.astype(np.int64),
            "observed": divide(total(shown, shown.observed), n),
            "expected": divide(total(shown, np.where(shown.n > 0, shown.n * expected, 0.0)), n),
        }
    )


def case_mix(units: Units, means: CaseMixMeans) -> pd.DataFrame:
    """Compare therapists' patients with the network's.

    Therapists with fewer than 5 modelled patients are left out: a mean over one patient is that patient. The
    network is the patients of the therapists shown, so that nobody's can be had by subtraction.

    Parameters
    ----------
    units : Units
        R rated therapists.
    means : CaseMixMeans
        Theirs.

    Returns
    -------
    DataFrame
        ``therapist_id``, ``variable``, ``level`` ("" for a mean), ``therapist``, ``network``, and ``shift``:
        what a level's share does to the expected rate (NaN of a mean).
    """
    ids, rows = _described(units)
    values = means.units[rows]
    weights = np.where(np.isnan(values), 0.0, units.n[rows][:, None])
    network = divide((weights * np.nan_to_num(values)).sum(axis=0), weights.sum(axis=0))
    K = len(means.labels)
    return pd.DataFrame(
        {
            "therapist_id": np.repeat(ids, K),
            "variable": [variable for variable, _ in means.labels] * len(rows),
            "level": [level for _, level in means.labels] * len(rows),
            "therapist": values.ravel(),
            "network": np.tile(network, len(rows)),
            "shift": means.level_shift[rows].ravel(),
        }
    )


def shift(units: Units, means: CaseMixMeans) -> pd.DataFrame:
    """Say what each variable does to therapists' expected recovery.

    Parameters
    ----------
    units : Units
        R rated therapists; those with fewer than 5 modelled patients are left out.
    means : CaseMixMeans
        Theirs.

    Returns
    -------
    DataFrame
        ``therapist_id``, ``variable``, ``shift`` (difference of rates, 0 to 1).
    """
    ids, rows = _described(units)
    return pd.DataFrame(
        {
            "therapist_id": np.repeat(ids, len(means.variables)),
            "variable": list(means.variables) * len(rows),
            "shift": means.shift[rows].ravel(),
        }
    )


def _described(units: Units) -> tuple[NDArray[np.object_], IntArray]:
    """Ids and positions of the therapists whose case mix is shown."""
    rows = np.flatnonzero(units.n >= SMALLEST_GROUP)
    return np.array([units.ids[row] for row in rows], dtype=object), rows


def _blocks(months: Months, completed: int) -> IntArray:
    """Give each month the number of its block, from 0 up; months are sorted by therapist, then time."""
    unit = months.unit
    # Completed treatments and modelled patients: by month, of a full block, and left of each therapist.
    counts = np.column_stack([months.n_completed, months.n])
    full = np.array([completed, SMALLEST_GROUP])
    left = np.column_stack([np.bincount(unit, weights=count) for count in counts.T])
    block = np.empty(len(unit), dtype=np.int64)
    current, inside = 0, np.zeros(2)
    # From the latest month backwards: a block is full before the next is begun, and what is left over
    # and would not make a block of its own joins it.
    for k in range(len(unit) - 1, -1, -1):
        new_therapist = k + 1 < len(unit) and unit[k] != unit[k + 1]
        if new_therapist or ((inside >= full).all() and (left[unit[k]] >= full).all()):
            current, inside = current + 1, np.zeros(2)
        block[k] = current
        inside += counts[k]
        left[unit[k]] -= counts[k]
    return np.subtract(current, block)


def _month(month: int) -> str:
    """Write a month: 2026-03."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"
