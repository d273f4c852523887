"""Directories that appear whole or not at all: built aside, synced, renamed, with a manifest of hashes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ter.errors import AlreadyPublishedError, DataError, OptionError
from ter.reports.exchange import exchange

MANIFEST: Final = "manifest.json"


@contextlib.contextmanager
def published(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty directory to build in, which becomes `target` when the block ends well.

    Whatever instant the process dies at, `target` is the old directory or the new one, each whole. Where the
    system cannot exchange two directories (Linux can), an overwrite takes two renames, and between them the
    old one is under a hidden name; the next run puts it back.

    Parameters
    ----------
    target : Path
        The directory to publish. Its parent is made where it is missing.
    overwrite : bool
        Whether an existing `target` is replaced.

    Yields
    ------
    Path
        A hidden directory beside `target`, on the same file system.

    Raises
    ------
    AlreadyPublishedError
        `target` exists, is not empty and not to be overwritten, or another run is publishing it now.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target):
        _recover(target)
        if not overwrite:
            refuse_published(target)
        partial = _partial(target)
        partial.mkdir()
        try:
            yield partial
            _sync(partial)
            _replace(partial, target)
        finally:
            # After a success there is nothing left here; after an error nothing half-made stays.
            shutil.rmtree(partial, ignore_errors=True)


def refuse_published(target: Path) -> None:
    """Raise if something is published already: early, before work is done in vain.

    Parameters
    ----------
    target : Path

    Raises
    ------
    AlreadyPublishedError
    """
    if _occupied(target):
        raise AlreadyPublishedError(
            f"{target} is published already. Nothing was changed. "
            "To replace it, ask for overwriting (--overwrite, or overwrite=True)."
        )


def refuse_inside(models: Path, out: Path) -> None:
    """Raise if fitted models would lie among the reports: early, before work is done in vain.

    Parameters
    ----------
    models, out : Path
        The folders of all models and of all reports.

    Raises
    ------
    OptionError
    """
    if models.resolve().is_relative_to(out.resolve()):
        raise OptionError(
            f"The model holds figures of therapists behind the gate, so it may not be kept in {out}, "
            f"among the reports. Choose another directory for models than {models}."
        )


def write_manifest(directory: Path, content: Mapping[str, Any]) -> None:
    """Write ``manifest.json``: `content`, and the sha256 of every other file of `directory`.

    Parameters
    ----------
    directory : Path
    content : mapping
        JSON values, without the key ``"files"``.
    """
    manifest = {**content, "files": _hashes(directory)}
    text = json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8", newline="\n")


def verify(directory: str | Path) -> None:
    """Check that a published directory is whole: every file of its manifest, unchanged, and no other.

    Parameters
    ----------
    directory : str or Path
        For example ``reports/2026-10``.

    Raises
    ------
    DataError
        The manifest cannot be read, or files are missing, changed or not in it.
    """
    directory = Path(directory)
    path = directory / MANIFEST
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no readable manifest, so this report is not whole. Publish it again."
        ) from error
    found = _hashes(directory)
    faults = {
        "missing": sorted(listed.keys() - found.keys()),
        "not in the manifest": sorted(found.keys() - listed.keys()),
        "changed": sorted(name for name in listed.keys() & found.keys() if listed[name] != found[name]),
    }
    text = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names)
    if text:
        raise DataError(f"{directory} is not as it was published. Files {text}. Publish it again.")


def _hashes(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / MANIFEST
    }


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the lock of `target`. The system drops it when the process dies: no stale lock can stay."""
    path = target.parent / f".{target.name}.lock"
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another run may have removed the file between our opening and locking it: that lock is void.
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                break
        except BlockingIOError:
            os.close(handle)
            raise AlreadyPublishedError(
                f"Another run is publishing {target} at this moment. Nothing was changed. Wait for its end."
            ) from None
        os.close(handle)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _occupied(target: Path) -> bool:
    return target.exists() and not (target.is_dir() and not any(target.iterdir()))


def _aside(target: Path) -> Path:
    return target.parent / f".{target.name}.aside"


def _partial_prefix(target: Path) -> str:
    return f".{target.name}.partial-"


def _partial(target: Path) -> Path:
    return target.parent / f"{_partial_prefix(target)}{secrets.token_hex(8)}"


def _recover(target: Path) -> None:
    """Put right what a run that died has left: restore the old month, clear away what was half-made."""
    aside = _aside(target)
    if aside.exists() and target.exists():
        _discard(aside, target)
    elif aside.exists():
        aside.rename(target)
    for path in target.parent.iterdir():
        if path.name.startswith(_partial_prefix(target)):
            shutil.rmtree(path)


def _replace(partial: Path, target: Path) -> None:
    if target.exists() and exchange(partial, target):
        # The old month is now under the partial's name, which no recovery takes for a whole one.
        _sync_path(target.parent)
        return
    if target.exists():
        target.rename(_aside(target))
    partial.rename(target)
    _sync_path(target.parent)
    if _aside(target).exists():
        _discard(_aside(target), target)


def _discard(aside: Path, target: Path) -> None:
    """Remove the old month under a name that no recovery takes for a whole one, if this is interrupted."""
    trash = _partial(target)
    aside.rename(trash)
    shutil.rmtree(trash)


def _sync(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        _sync_path(path)
    _sync_path(directory)


def _sync_path(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
