"""Files that appear whole or not at all, and folders that are not left empty."""

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
        `path` is a folder, below a file, or exists and `overwrite` is False.
    """
    if path.is_dir():
        raise OptionError(f"{path} is a folder; name a file.")
    refuse_in_the_way(path.parent)
    if path.exists() and not overwrite:
        raise OptionError(f"{path} exists. Name another file, or ask for it to be overwritten.")


def refuse_in_the_way(folder: Path) -> None:
    """Refuse a folder where a file is, or below a file.

    Raises
    ------
    OptionError
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise OptionError(f"{there} is a file, where a folder would be. Choose another folder.")


@contextlib.contextmanager
def folders_to(folder: Path) -> Iterator[None]:
    """Make a folder with those above it; what is still empty in the end is taken away again."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for place in made:
            with contextlib.suppress(OSError):
                place.rmdir()  # refused where there is something in it: after a success


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
    aside = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    with folders_to(path.parent):
        try:
            yield aside
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
