"""Clinical measures and the outcome rules of NHS Talking Therapies, on arrays.

Sources
-------
- The outcome rules: NHS England measure metadata M076 (not at caseness), M186 (recovery), M192 (reliable
  improvement and deterioration), M195 (reliable recovery).
- PHQ-9 and GAD-7: BMC Psychiatry s12888-018-1987-1, table 1.
- All other measures: the NHS Talking Therapies Manual, from memory, and so marked as not confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ter.errors import DataError, OptionError
from ter.options import MISSING_OUTCOMES, MissingOutcome

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Changes whenever a figure or a rule changes, so that a result can say what it was computed with.
MEASURES_VERSION: Final = "2026.1"

#: Attended treatment sessions from which a discharged episode counts as a completed treatment.
MIN_SESSIONS: Final = 2

# Scores and their differences are rounded to this many decimals before they meet a threshold: 3.00 - 2.27 is
# 0.7299999999999998 in binary and 2.3 stored as float32 is 2.2999999523, while an item mean of 26 items moves
# in steps of 0.04. Whole scores are not touched by it.
_DECIMALS: Final = 6

# What pandas calls a column of objects that are all numbers or missing.
_NUMBERS: Final = ("integer", "floating", "mixed-integer-float", "empty")

_PHQ_GAD_SOURCE: Final = "BMC Psychiatry s12888-018-1987-1, table 1"
_MANUAL_SOURCE: Final = "NHS Talking Therapies Manual, from memory"


@dataclass(frozen=True)
class Measure:
    """One clinical questionnaire.

    Attributes
    ----------
    key : str
        The word that a table uses for it.
    name : str
        The name that people use for it.
    low, high : float
        The lowest and the highest possible score.
    caseness : float or None
        At caseness from this score on; None where there is no threshold.
    reliable_change : float or None
        A change of at least this much is reliable; None where there is no such figure.
    integer : bool
        Whether scores are whole numbers; otherwise they are item means.
    used_for : str
    source : str
        Where `caseness` and `reliable_change` come from.
    confirmed : bool
        Whether they were compared with that source.
    """

    key: str
    name: str
    low: float
    high: float
    caseness: float | None
    reliable_change: float | None
    integer: bool
    used_for: str
    source: str
    confirmed: bool


def _manual(
    key: str,
    name: str,
    low: float,
    high: float,
    caseness: float,
    change: float,
    used_for: str,
    *,
    integer: bool = True,
) -> Measure:
    return Measure(key, name, low, high, caseness, change, integer, used_for, _MANUAL_SOURCE, confirmed=False)


_TABLE: Final = (
    Measure("phq9", "PHQ-9", 0, 27, 10, 6, True, "depression", _PHQ_GAD_SOURCE, True),
    Measure("gad7", "GAD-7", 0, 21, 8, 4, True, "anxiety, and where no specific measure applies",
            _PHQ_GAD_SOURCE, True),
    _manual("spin", "SPIN", 0, 68, 19, 10, "social anxiety"),
    _manual("pdss", "PDSS", 0, 28, 8, 5, "panic disorder"),
    _manual("oci", "OCI", 0, 168, 40, 32, "obsessive-compulsive disorder"),
    _manual("pcl5", "PCL-5", 0, 80, 32, 10, "post-traumatic stress disorder"),
    _manual("ies_r", "IES-R", 0, 88, 33, 9, "post-traumatic stress disorder (before data set v2.0)"),
    _manual("mobility_inventory", "Mobility Inventory", 1, 5, 2.3, 0.73, "agoraphobia (alone, item mean)",
            integer=False),
    _manual("hai", "HAI", 0, 54, 18, 4, "health anxiety (short form, week)"),
    _manual("pswq", "PSWQ", 16, 80, 45, 10, "generalised anxiety"),
    Measure("wsas", "WSAS", 0, 40, None, None, True, "functioning; a covariate, never an outcome",
            _MANUAL_SOURCE, False),
)  # fmt: skip

#: Every measure by its key.
MEASURES: Final[Mapping[str, Measure]] = MappingProxyType({measure.key: measure for measure in _TABLE})

#: Keys of the measures that may stand in the anxiety measure's place, GAD-7 first.
ANXIETY_MEASURES: Final = tuple(m.key for m in _TABLE if m.caseness is not None and m.key != "phq9")

#: What `add_outcomes` adds.
OUTCOME_COLUMNS: Final = (
    "completed",
    "at_caseness",
    "recovered",
    "reliable_improvement",
    "reliable_recovery",
    "reliable_deterioration",
)

#: The columns that must all hold for an episode to count in an outcome's denominator.
DENOMINATORS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "recovered": ("completed", "at_caseness"),
        "reliable_recovery": ("completed", "at_caseness"),
        "reliable_improvement": ("completed",),
        "reliable_deterioration": ("completed",),
    }
)

_SPELLINGS: Final = {m.name.casefold(): m.key for m in _TABLE} | {m.key: m.key for m in _TABLE}


def anxiety_measure_key(text: object) -> str | None:
    """Key of the anxiety measure that a text names, by key or name in any case; None if it names none.

    Examples
    --------
    >>> anxiety_measure_key("PCL-5")
    'pcl5'
    >>> anxiety_measure_key("WSAS") is None
    True
    """
    key = _SPELLINGS.get(str(text).casefold())
    return key if key in ANXIETY_MEASURES else None


@dataclass(frozen=True, eq=False)
class Scores:
    """First and last scores of N episodes, with the thresholds of the measure that each was made with.

    Attributes
    ----------
    first, last : ndarray of float64, shape (N,)
        NaN where missing.
    caseness, reliable_change : ndarray of float64, shape (N,) or ()
    """

    first: FloatArray
    last: FloatArray
    caseness: FloatArray
    reliable_change: FloatArray

    @classmethod
    def of(cls, key: str, first: FloatArray, last: FloatArray) -> Scores:
        """Scores that were all made with the measure `key`, which has thresholds."""
        measure = MEASURES[key]
        return cls(
            first, last, np.asarray(measure.caseness, float), np.asarray(measure.reliable_change, float)
        )


def anxiety_scores(gad7: Scores, code: IntArray, first: FloatArray, last: FloatArray) -> Scores:
    """Anxiety score of each episode: its disorder-specific measure where both its scores exist, else GAD-7.

    Parameters
    ----------
    gad7 : Scores, shape (N,)
    code : ndarray of int64, shape (N,)
        Position of the episode's measure in `ANXIETY_MEASURES`; -1 where it has none.
    first, last : ndarray of float64, shape (N,)
        Scores on that measure; NaN where missing.

    Returns
    -------
    Scores
    """
    specific = (code >= 0) & ~np.isnan(first) & ~np.isnan(last)
    measures = [MEASURES[key] for key in ANXIETY_MEASURES]
    caseness = np.array([m.caseness for m in measures], float)
    change = np.array([m.reliable_change for m in measures], float)
    return Scores(
        np.where(specific, first, gad7.first),
        np.where(specific, last, gad7.last),
        np.where(specific, caseness[code], gad7.caseness),
        np.where(specific, change[code], gad7.reliable_change),
    )


def _reaches(value: FloatArray, threshold: FloatArray) -> BoolArray:
    """Whether `value` is at or above `threshold`; a missing value is not."""
    return np.round(value, _DECIMALS) >= np.round(threshold, _DECIMALS)


def at_caseness(depression: Scores, anxiety: Scores) -> BoolArray:
    """Whether an available first score is at or above its threshold (M076); without one, not at caseness."""
    return _reaches(depression.first, depression.caseness) | _reaches(anxiety.first, anxiety.caseness)


def below_caseness(depression: Scores, anxiety: Scores) -> tuple[BoolArray, BoolArray]:
    """Whether both last scores are below their thresholds (M186), and where a missing one leaves that open.

    Returns
    -------
    below, open : ndarray of bool, shape (N,)
        `below` needs both scores. `open`: a score is missing, and no other is at or above its threshold.
    """
    above = _reaches(depression.last, depression.caseness) | _reaches(anxiety.last, anxiety.caseness)
    missing = np.isnan(depression.last) | np.isnan(anxiety.last)
    return ~above & ~missing, ~above & missing


def reliable_change(depression: Scores, anxiety: Scores) -> tuple[BoolArray, BoolArray, BoolArray, BoolArray]:
    """Reliable improvement and deterioration (M192), and where a missing last score leaves them open.

    Improved: at least one measure fell by its reliable change and neither rose by it; deteriorated is the
    mirror. A change that a missing score hides counts as neither fall nor rise.

    Returns
    -------
    improved, deteriorated : ndarray of bool, shape (N,)
    improved_open, deteriorated_open : ndarray of bool, shape (N,)
        A last score is missing whose first is there, and what is known does not rule the outcome out.
    """
    both = (depression, anxiety)
    fell = np.logical_or.reduce([_reaches(s.first - s.last, s.reliable_change) for s in both])
    rose = np.logical_or.reduce([_reaches(s.last - s.first, s.reliable_change) for s in both])
    hidden = np.logical_or.reduce([np.isnan(s.last) & ~np.isnan(s.first) for s in both])
    return fell & ~rose, rose & ~fell, hidden & ~rose, hidden & ~fell


def add_outcomes(df: pd.DataFrame, *, missing_outcome: MissingOutcome = "not_recovered") -> pd.DataFrame:
    """Add the outcomes of each episode to a table of episodes.

    Parameters
    ----------
    df : DataFrame
        Episodes with ``end_date``, ``n_sessions``, ``phq9_first``, ``phq9_last``, ``gad7_first``,
        ``gad7_last`` and, where there are disorder-specific measures, ``anxiety_measure``, ``anxiety_first``,
        ``anxiety_last``. Scores are numbers, missing ones null. Columns named as an outcome are replaced.
    missing_outcome : {"not_recovered", "exclude"}
        What a missing last score means. The national rule counts the patient as not recovered, and a change
        that cannot be seen as none; "exclude" leaves the outcome missing wherever that score could decide it.

    Returns
    -------
    DataFrame
        A new table with ``completed``, ``at_caseness`` (bool), ``recovered``, ``reliable_improvement``,
        ``reliable_recovery``, ``reliable_deterioration`` (nullable boolean). An outcome is False outside its
        denominator (`DENOMINATORS`).

    Raises
    ------
    DataError
        A column is missing or holds no numbers, or an anxiety measure is unknown.
    OptionError
        `missing_outcome` is neither word.
    """
    if missing_outcome not in get_args(MissingOutcome):
        words = " or ".join(repr(word) for word in MISSING_OUTCOMES)
        raise OptionError(f"missing_outcome is {missing_outcome!r}; it must be {words}")
    needed = ("end_date", "n_sessions", "phq9_first", "phq9_last", "gad7_first", "gad7_last")
    absent = [column for column in needed if column not in df.columns]
    if absent:
        raise DataError(f"outcomes cannot be computed without the columns {', '.join(absent)}; add them")

    depression = Scores.of("phq9", _floats(df, "phq9_first"), _floats(df, "phq9_last"))
    gad7 = Scores.of("gad7", _floats(df, "gad7_first"), _floats(df, "gad7_last"))
    anxiety = anxiety_scores(
        gad7, _measure_codes(df), _floats(df, "anxiety_first"), _floats(df, "anxiety_last")
    )

    completed = df["end_date"].notna().to_numpy(bool) & (_floats(df, "n_sessions") >= MIN_SESSIONS)
    case = at_caseness(depression, anxiety)
    below, below_open = below_caseness(depression, anxiety)
    improved, deteriorated, improved_open, deteriorated_open = reliable_change(depression, anxiety)
    counted = completed & case
    recovered_open = counted & below_open
    recovery_and_change_open = counted & (below | below_open) & (improved | improved_open)
    recovery_and_change_open &= below_open | improved_open

    def outcome(value: BoolArray, undecided: BoolArray) -> pd.arrays.BooleanArray:
        mask = undecided if missing_outcome == "exclude" else np.zeros(len(df), bool)
        return pd.arrays.BooleanArray(value & ~mask, mask)

    return df.assign(
        completed=completed,
        at_caseness=case,
        recovered=outcome(counted & below, recovered_open),
        reliable_improvement=outcome(completed & improved, completed & improved_open),
        reliable_recovery=outcome(counted & below & improved, recovery_and_change_open),
        reliable_deterioration=outcome(completed & deteriorated, completed & deteriorated_open),
    )


def _floats(df: pd.DataFrame, column: str) -> FloatArray:
    """One column as float64, NaN where missing; all NaN where the table has no such column."""
    if column not in df.columns:
        return np.full(len(df), np.nan)
    values = df[column]
    if not pd.api.types.is_numeric_dtype(values) and pd.api.types.infer_dtype(values) not in _NUMBERS:
        raise DataError(
            f"column {column} holds no numbers ({values.dtype}); read and validate the table first"
        )
    return cast(FloatArray, values.to_numpy(dtype=np.float64, na_value=np.nan))


def _measure_codes(df: pd.DataFrame) -> IntArray:
    """Position of each episode's measure in `ANXIETY_MEASURES`; -1 where it has none."""
    if "anxiety_measure" not in df.columns:
        return np.full(len(df), -1)
    codes, named = pd.factorize(df["anxiety_measure"].astype(object))
    keys = [anxiety_measure_key(name) for name in named]
    unknown = [str(name)[:40] for name, key in zip(named, keys, strict=True) if key is None]
    if unknown:
        raise DataError(
            f"column anxiety_measure names {', '.join(map(repr, unknown[:3]))}, which ter does not know; it "
            f"must be one of {', '.join(ANXIETY_MEASURES)}, or empty where GAD-7 alone was used"
        )
    position = np.array([*(ANXIETY_MEASURES.index(key) for key in keys if key is not None), -1], np.int64)
    return position[codes]
