"""Single files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from ter.errors import OptionError


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file unless asked to.

    Raises
    ------
    OptionError
        `path` is a folder, or exists and `overwrite` is False.
    """
    if path.is_dir():
        raise OptionError(f"{path} is a folder; name a file.")
    if path.exists() and not overwrite:
        raise OptionError(f"{path} exists. Name another file, or ask for it to be overwritten.")


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a hidden place to write to, which becomes `path` when the block ends well.

    Parameters
    ----------
    path : Path
        Its folder is made where it is missing.

    Yields
    ------
    Path
        Beside `path`, with the same ending.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
