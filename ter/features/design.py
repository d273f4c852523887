"""From a table to the arrays that a model takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError, OptionError
from ter.features.case_mix import CaseMix, LearnedCaseMix
from ter.features.columns import Table, TableView, numbers, require
from ter.features.each import Each, in_turn
from ter.features.rows import modelled_rows
from ter.schema import COLUMNS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Grouping:
    """A grouping factor: which level each modelled row belongs to.

    Attributes
    ----------
    name : str
        The factor's word in results: ``"therapist"`` or ``"service"``.
    column : str
        The column it was read from.
    levels : tuple of str
        Every level in the table, sorted, with or without modelled rows.
    index : ndarray of int64, shape (N,)
        The level of each modelled row.
    """

    name: str
    column: str
    levels: tuple[str, ...]
    index: IntArray

    @property
    def runs(self) -> IntArray:
        """Where the rows of each level begin, and where the last end, of rows sorted by level."""
        return np.searchsorted(self.index, np.arange(len(self.levels) + 1)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Severity:
    """What therapist effects may grow with, standardised over the modelled rows.

    Attributes
    ----------
    column : str
    values : ndarray of float64, shape (N,)
        ``(column - centre) / scale``; 0 where it is missing.
    centre, scale : float
        Mean and standard deviation (divisor n) of the known values.
    missing : int
        Modelled rows without it.
    """

    column: str
    values: FloatArray
    centre: float
    scale: float
    missing: int


@dataclass(frozen=True, eq=False)
class Design:
    """What a model is fitted to: arrays only, one row per modelled row of the table.

    Attributes
    ----------
    X : ndarray of float64, shape (N, P)
        Model columns, the intercept first. Continuous columns are standardised, dummies are 0/1.
    columns : tuple of str
        Their names: ``"intercept"``, ``"age"``, ``"urban[Y]"``.
    centre, scale : ndarray of float64, shape (P,)
        ``X = (column - centre) / scale``; 0 and 1 for the intercept and for dummies.
    successes, trials : ndarray of float64, shape (N,)
        Recovered and treated patients a row; ``trials`` is 1 where a row is a patient.
    therapist : Grouping
    service : Grouping or None
    rows : ndarray of int64, shape (N,)
        Positions of the modelled rows in the table.
    n_rows : int
        Rows of the table.
    left_out : tuple of (str, int)
        Why rows were left out, and how many for each reason.
    severity : Severity or None
        With a severity slope.
    further : Grouping or None
        A third factor.
    case_mix : LearnedCaseMix or None
        What encoded the rows.
    ordered : bool
        Whether rows stand in the order of therapist, service, and content.
    """

    X: FloatArray
    columns: tuple[str, ...]
    centre: FloatArray
    scale: FloatArray
    successes: FloatArray
    trials: FloatArray
    therapist: Grouping
    service: Grouping | None
    rows: IntArray
    n_rows: int
    left_out: tuple[tuple[str, int], ...]
    severity: Severity | None = None
    further: Grouping | None = None
    case_mix: LearnedCaseMix | None = None
    ordered: bool = False


def build_design(
    df: Table,
    *,
    case_mix: CaseMix | LearnedCaseMix | None,
    outcome: str,
    trials: str | None = None,
    therapist: str,
    service: str | None = None,
    severity: str | None = None,
    further: str | None = None,
    by_content: bool = False,
    each: Each = in_turn,
) -> Design:
    """Turn a table into the arrays that a model is fitted to.

    Parameters
    ----------
    df : DataFrame, or TableView of all of its rows
    case_mix : CaseMix, LearnedCaseMix or None
        One that is not learned is learned on the modelled rows; None for the intercept alone.
    outcome : str
        A column of 0/1, or with `trials` a column of counts.
    trials : str, optional
        A column of counts: the patients that a row stands for.
    therapist : str
        The column of therapists' ids, or of whatever units stand in their place.
    service : str, optional
        The column of services' ids.
    severity : str, optional
        The column of numbers that therapist effects may grow with.
    further : str, optional
        The column of a third factor's ids.
    by_content : bool
        Whether rows are put in the order of therapist, service and content, so that nothing depends on their
        order in the table; else they keep it.
    each : callable
        How columns and parts of rows are gone through.

    Returns
    -------
    Design

    Raises
    ------
    OptionError
        If one column is asked to play two roles.
    DataError
        If a column is absent, an id is missing, no row can be modelled, there is a single therapist, or fewer
        than two therapists have modelled patients; see also `modelled_rows`.
    """
    view = df if isinstance(df, TableView) else TableView(df)
    table = view.table
    roles = {"outcome": outcome, "trials": trials, "therapist": therapist, "service": service}
    _check_roles(case_mix, {**roles, "further factor": further})
    _check_asked(table, severity, further, roles)
    chosen = modelled_rows(table, outcome=outcome, trials=trials)
    # Rows that are all there, as they stand, are not picked again and again.
    modelled = view if len(chosen.rows) == len(table) else view.pick(chosen.rows)
    therapists = _group(modelled, "therapist", therapist)
    if np.ptp(therapists.index) == 0:
        raise DataError(
            f'One of the {len(therapists.levels)} therapists in the column "{therapist}" has patients in the '
            "model: there is nobody to compare with."
        )
    services = None if service is None else _group(modelled, "service", service)
    asked: CaseMix | LearnedCaseMix = CaseMix(()) if case_mix is None else case_mix
    notes: tuple[str, ...] = ()
    if isinstance(asked, CaseMix):
        asked, notes = asked.carried_by(modelled)
    require(modelled, asked.reads, "the case mix")
    rows, successes, treated = chosen.rows, chosen.successes, chosen.trials
    if by_content:
        # Kernels take a while to load, and `ter --help` shall not wait for them.
        from ter.features.ordering import in_order, keys_of

        numeric = [c for c in (outcome, trials, severity) if c is not None]
        levels = [] if further is None else [further]
        sorting = in_order(
            therapists.index,
            len(therapists.levels),
            None if services is None else services.index,
            0 if services is None else len(services.levels),
            lambda: keys_of(modelled, asked, numeric, levels, each),
            each,
        )
        order = sorting.order
        rows = order if modelled.rows is None else rows.take(order)
        successes, treated = each(lambda values: values.take(order), (successes, treated))
        therapists = replace(therapists, index=sorting.inner)
        services = None if services is None else replace(services, index=sorting.outer)
        modelled = view.pick(rows)
    if isinstance(asked, CaseMix):
        learned, X = asked.learn_and_encode(modelled, notes, each)
    else:
        learned, X = asked, asked.columns_of(modelled, each)
    return Design(
        X=X,
        columns=learned.columns,
        centre=learned.centre,
        scale=learned.scale,
        successes=successes,
        trials=treated,
        therapist=therapists,
        service=services,
        rows=rows,
        n_rows=len(table),
        left_out=chosen.left_out,
        severity=None if severity is None else read_severity(modelled, severity),
        further=None if further is None else _group(modelled, "further", further),
        case_mix=None if case_mix is None else learned,
        ordered=by_content,
    )


def read_severity(df: Table, column: str) -> Severity:
    """Read and standardise what therapist effects may grow with, in the rows of a view.

    Raises
    ------
    DataError
        If it does not vary.
    """
    raw = numbers(df, column)
    known = ~np.isnan(raw)
    if not known.any() or raw[known].min() == raw[known].max():
        raise DataError(
            f'The column "{column}" does not vary among the modelled patients: effects cannot grow with it. '
            "Use severity_slope=None."
        )
    centre, scale = float(raw[known].mean()), float(raw[known].std())
    values = np.where(known, (raw - centre) / scale, 0.0)
    return Severity(column, values, centre, scale, int((~known).sum()))


def _check_asked(
    table: pd.DataFrame, severity: str | None, further: str | None, roles: dict[str, str | None]
) -> None:
    """Refuse a severity or a further factor that the table lacks, or that the therapist had a hand in.

    Raises
    ------
    OptionError
        If a column was measured after allocation: what is partly the therapist's own work can neither explain
        their effect nor be adjusted for. If the severity has another role.
    DataError
        If a column is absent, or the severity holds no numbers.
    """
    if further is not None:
        require(table, (further,), "the further factor")
        if further in COLUMNS and COLUMNS[further].measured == "after_allocation":
            raise OptionError(
                f'further names "{further}", measured after the patient was allocated to a therapist. It is '
                "partly the therapist's own work: name a group that was there before, such as a region."
            )
    if severity is None:
        return
    for role, other in roles.items():
        if other == severity:
            raise OptionError(
                f'The column "{severity}" is both the severity and the {role}: it can be only one.'
            )
    if severity in COLUMNS and COLUMNS[severity].measured in ("after_allocation", "id"):
        raise OptionError(
            f'severity_slope names "{severity}", which was not measured before the patient was allocated to '
            "a therapist: name a score at the start, such as phq9_first."
        )
    require(table, (severity,), "severity_slope")
    held = table[severity].dtype
    if held.kind not in "biuf":
        raise DataError(
            f'severity_slope names "{severity}", which holds {held}, not numbers: name a score, such as '
            "phq9_first."
        )


def _check_roles(case_mix: CaseMix | LearnedCaseMix | None, roles: dict[str, str | None]) -> None:
    """Refuse a column that plays two roles."""
    seen = {} if case_mix is None else dict.fromkeys(case_mix.reads, "case mix")
    for role, column in roles.items():
        if column is None:
            continue
        if column in seen:
            raise OptionError(
                f'The column "{column}" is both the {seen[column]} and the {role}: it can be only one.'
            )
        seen[column] = role


def _group(view: TableView, name: str, column: str) -> Grouping:
    """Read a grouping factor: levels from all rows of the table, the index of those of the view."""
    what = "further factor" if name == "further" else name
    require(view, (column,), f"the {what}")
    codes, levels = view.of_table(column)
    missing = np.flatnonzero(codes < 0)
    if missing.size:
        shown = ", ".join(str(row) for row in missing[:3])
        raise DataError(
            f'The column "{column}" is empty in {missing.size} rows (first: {shown}): give each a {what}.'
        )
    return Grouping(name, column, levels, view.gather(codes))
