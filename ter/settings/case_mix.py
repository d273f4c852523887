"""A case mix from a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ter.errors import OptionError
from ter.features import CaseMix, factor, interaction, linear, spline
from ter.features.terms import Factor, Interaction, Linear, Spline
from ter.settings.toml import read_toml, refuse_unknown

#: The kinds of terms, and the keys that each takes besides the one that names it.
_KINDS = {"spline": {"df"}, "linear": set[str](), "factor": {"levels"}, "interaction": set[str]()}


def read_case_mix(path: str | Path) -> CaseMix:
    """Read a case mix: a list of tables ``[[term]]``, each naming its kind and its column.

    ::

        [[term]]
        spline = "phq9_first"
        df = 4

        [[term]]
        factor = "employment"

        [[term]]
        interaction = [{ linear = "age" }, { factor = "gender" }]

    Parameters
    ----------
    path : path-like

    Returns
    -------
    CaseMix

    Raises
    ------
    OptionError
        The file cannot be read, names a key that is not known, or makes no case mix.
    """
    path = Path(path)
    content = read_toml(path)
    refuse_unknown(content, {"term"}, str(path))
    terms = content.get("term", [])
    if not isinstance(terms, list) or not terms or not all(isinstance(term, dict) for term in terms):
        raise OptionError(f"{path} has no terms: write each as a table [[term]].")
    return CaseMix([_term(keys, f"{path}, term {number}") for number, keys in enumerate(terms, 1)])


def _term(keys: dict[str, Any], where: str) -> Spline | Linear | Factor | Interaction:
    kinds = [kind for kind in _KINDS if kind in keys]
    if len(kinds) != 1:
        refuse_unknown(keys, set(_KINDS).union(*_KINDS.values()), where)
        raise OptionError(f"{where} must have exactly one of the keys {', '.join(_KINDS)}.")
    (kind,) = kinds
    refuse_unknown(keys, {kind} | _KINDS[kind], where)
    named = keys[kind]
    if kind == "interaction":
        if (
            not isinstance(named, list)
            or len(named) != 2
            or not all(isinstance(part, dict) for part in named)
        ):
            raise OptionError(
                f"{where}: an interaction is of two terms, [{{ linear = … }}, {{ factor = … }}]."
            )
        first, second = (_term(part, where) for part in named)
        if isinstance(first, Interaction) or isinstance(second, Interaction):
            raise OptionError(f"{where}: an interaction is of two terms, neither an interaction itself.")
        return interaction(first, second)
    if kind == "spline":
        return spline(named, **{"df": keys["df"]} if "df" in keys else {})
    return linear(named) if kind == "linear" else factor(named, keys.get("levels"))
