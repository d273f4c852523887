"""Pandera contracts, built from the column registry, and what they find as faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.measures import MEASURES
from ter.schema.columns import Column
from ter.schema.faults import Fault, in_rows

FIRST_DAY = pd.Timestamp("2000-01-01")
LAST_DAY = pd.Timestamp("2099-12-31 23:59:59")


@dataclass(frozen=True)
class Rule:
    """What must hold in every row of a table.

    Attributes
    ----------
    column : str
        The column that is blamed.
    needs : tuple of str
        The columns that the rule looks at; without one of them it is not asked.
    holds : callable
        DataFrame of canonical values -> boolean array, one per row.
    problem, mend : str
    """

    column: str
    needs: tuple[str, ...]
    holds: Callable[[pd.DataFrame], Any]
    problem: str
    mend: str


def column_rules(column: Column) -> list[Rule]:
    """Rules that a single column's registry entry states."""
    name = column.name
    rules = []

    def rule(holds: Callable[[pd.Series[Any]], Any], problem: str, mend: str) -> None:
        rules.append(Rule(name, (name,), lambda df: df[name].isna() | holds(df[name]), problem, mend))

    if not column.nullable:
        rules.append(Rule(name, (name,), lambda df: df[name].notna(), "is empty", "fill it in every row"))
    if column.unique:
        rule(lambda s: ~s.duplicated(keep=False), "is not unique", "keep one row of each id")
    if column.kind == "date":
        rule(lambda s: s.between(FIRST_DAY, LAST_DAY), "is not between 2000 and 2099", "correct the year")
    if column.kind in ("integer", "count"):
        rule(lambda s: s == s.round(), "is not a whole number", "correct it, or leave the field empty")
    if column.low is not None and column.high is not None:
        low, high = column.low, column.high
        rule(
            lambda s: s.between(low, high), f"is outside {low:g} to {high:g}", "correct it, or leave it empty"
        )
    if column.levels:
        words = ", ".join(column.levels)
        rule(lambda s: s.isin(column.levels), f"is none of {words}", "use one of these words")
    return rules


def anxiety_rules(score: str) -> list[Rule]:
    """Rules of a score on the row's ``anxiety_measure``, in the column `score`."""
    needs = (score, "anxiety_measure")

    def within(df: pd.DataFrame) -> Any:
        codes, keys = pd.factorize(df["anxiety_measure"])
        low = np.array([*(MEASURES[key].low for key in keys), np.nan])[codes]
        high = np.array([*(MEASURES[key].high for key in keys), np.nan])[codes]
        fits = (df[score] >= low) & (df[score] <= high)
        return fits | df[score].isna() | np.isnan(low)

    def whole(df: pd.DataFrame) -> Any:
        means = [key for key, m in MEASURES.items() if not m.integer]
        return df[score].isna() | (df[score] == df[score].round()) | df["anxiety_measure"].isin(means)

    def named(df: pd.DataFrame) -> Any:
        return df[score].isna() | df["anxiety_measure"].notna()

    return [
        Rule(score, needs, named, "has no known anxiety_measure", "name the measure that the score is on"),
        Rule(score, needs, within, "is outside the range of its anxiety_measure", "correct score or measure"),
        Rule(score, needs, whole, "is not a whole number", "correct it: only item means have decimals"),
    ]


#: Rules of the table of episodes that look at several columns.
EPISODE_RULES: tuple[Rule, ...] = (
    Rule(
        "end_date",
        ("start_date", "end_date"),
        lambda df: df["start_date"].isna() | df["end_date"].isna() | (df["end_date"] >= df["start_date"]),
        "is before start_date",
        "correct one of the two dates",
    ),
    Rule(
        "n_sessions",
        ("end_date", "n_sessions"),
        lambda df: df["end_date"].isna() | df["n_sessions"].notna(),
        "is empty although the episode has ended",
        "count the attended treatment sessions",
    ),
    *anxiety_rules("anxiety_first"),
    *anxiety_rules("anxiety_last"),
)


def check(
    df: pd.DataFrame,
    unreadable: Mapping[str, NDArray[np.bool_]],
    columns: Iterable[Column],
    rules: Iterable[Rule],
) -> list[Fault]:
    """Check a table of canonical values against the registry's rules and those across columns.

    Parameters
    ----------
    df : DataFrame, shape (N, C)
        Parsed columns, with index 0 to N - 1.
    unreadable : mapping of str to ndarray of bool, shape (N,)
        By column, the cells that could not be read. They are missing in `df`, and no rule that looks at them
        blames them a second time.
    columns : iterable of Column
    rules : iterable of Rule

    Returns
    -------
    list of Fault
        One per rule that does not hold, in the order of the rules.
    """
    # Imported here because `import ter` should not wait for pandera.
    import pandera.pandas as pa
    from pandera.errors import SchemaErrorReason, SchemaErrors

    asked = [rule for column in columns for rule in column_rules(column)]
    asked = [rule for rule in (*asked, *rules) if set(rule.needs) <= set(df.columns)]
    # One failure case each: pandera would reshape all of them, and a million faulty rows take it minutes. The
    # check's own output still marks every row.
    checks = [
        pa.Check(rule.holds, name=str(number), error=rule.problem, ignore_na=False, n_failure_cases=1)
        for number, rule in enumerate(asked)
    ]
    try:
        pa.DataFrameSchema(checks=checks).validate(df, lazy=True)
    except SchemaErrors as errors:
        if any(error.reason_code != SchemaErrorReason.DATAFRAME_CHECK for error in errors.schema_errors):
            raise  # a rule that could not be asked is a bug of ours, not a fault of the table
        broken = {int(error.check.name): ~error.check_output.to_numpy(bool) for error in errors.schema_errors}
    else:
        return []
    faults = []
    for number, faulty in sorted(broken.items()):
        rule = asked[number]
        readable = ~np.logical_or.reduce([unreadable[name] for name in rule.needs])
        if (faulty & readable).any():
            faults.append(in_rows(rule.column, rule.problem, rule.mend, faulty & readable))
    return faults
