"""TOML files, read so that nothing in them is overlooked."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ter.errors import OptionError


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        Its keys, unchecked.

    Raises
    ------
    OptionError
        There is no such file, or it is not TOML in UTF-8.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} is not a TOML file: {error}.") from error


def refuse_unknown(given: Collection[str], known: Collection[str], where: str) -> None:
    """Refuse keys that are not known, and name the nearest that is.

    Parameters
    ----------
    given, known : collection of str
    where : str
        What the keys belong to, as a message begins: ``"ter.toml"``.

    Raises
    ------
    OptionError
        If a key is not known.
    """
    for key in given:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise OptionError(
                f'{where}: there is no key "{key}"; did you mean "{nearest[0]}"? '
                f"The keys are {', '.join(sorted(known))}."
            )
