"""Finished replicates on disk, so that a study goes on where it stopped.

One file of JSON lines: the study's identity, then a line for each replicate, in the order in which they were
finished. A line that a crash cut off is dropped when the file is opened again. Two runs cannot write to it at
once.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from ter.errors import DataError, OptionError
from ter.files import refuse_in_the_way
from ter.simulation.studies.study import Replicate, fingerprint_of, is_same

REPLICATES: Final = "replicates.jsonl"
#: So many differing settings are named, each value with so many letters.
_SHOWN: Final = 4
_LONGEST: Final = 40


class ReplicateStore:
    """The replicates that a study has finished: those read from its file, and those added to it."""

    def __init__(self, file: TextIO, kept: dict[int, Replicate]) -> None:
        self._file = file
        self.kept = kept

    def keep(self, number: int, replicate: Replicate) -> None:
        """Add a replicate to the file, at once."""
        # Sums of a fit that did not converge enter no table, and need not even be finite.
        sums = replicate.sums if replicate.converged else np.zeros_like(replicate.sums)
        line = {"replicate": number, "converged": replicate.converged, "sums": sums.tolist()}
        # A float is written with all the digits that give it back.
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()
        self.kept[number] = replicate


@contextlib.contextmanager
def open_store(folder: Path, identity: dict[str, Any]) -> Iterator[ReplicateStore]:
    """Open the store of a study in a folder, which is made where it is missing.

    Parameters
    ----------
    folder : Path
    identity : dict
        From `identity_of`. Replicates of another study, other settings, another seed or other versions are
        not mixed.

    Raises
    ------
    OptionError
        If the folder holds replicates of something else, another run is writing there, or a file is in its
        place.
    DataError
        If the file is damaged.
    """
    refuse_in_the_way(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPLICATES
    with _locked(path) as file:
        kept = _read(file, path, identity)
        store = ReplicateStore(file, kept)
        try:
            yield store
        finally:
            file.flush()
            os.fsync(file.fileno())


def empty_store(folder: Path) -> None:
    """Drop the replicates that a folder holds.

    Raises
    ------
    OptionError
        If another run is writing there.
    """
    path = folder / REPLICATES
    if path.is_file():
        with _locked(path) as file:
            file.truncate(0)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[TextIO]:
    with path.open("a+", encoding="utf-8", newline="\n") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OptionError(
                f"Another run is writing to {path}: wait for it, or name another folder."
            ) from error
        yield file


def _read(file: TextIO, path: Path, identity: dict[str, Any]) -> dict[int, Replicate]:
    """Read what is whole, cut off what is not, and write the identity to an empty file."""
    file.seek(0)
    try:
        lines = file.read().splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged ({error}): delete it, and the study begins anew.") from error
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
        file.truncate(sum(len(line.encode()) for line in lines))
    if not lines:
        file.write(json.dumps({"fingerprint": fingerprint_of(identity), **identity}) + "\n")
        file.flush()
        return {}
    kept: dict[int, Replicate] = {}
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
            if number == 1:
                _refuse_other(path, content, identity)
            else:
                kept[int(content["replicate"])] = _replicate_of(content, kept.values())
        except OptionError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            again = "delete the file, and the study begins anew"
            if number > 1:
                again = f"delete that line, and its replicate is run again; or {again}"
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise DataError(f"{path} is damaged in line {number} ({reason}): {again}.") from error
    return kept


def _replicate_of(content: dict[str, Any], others: Iterable[Replicate]) -> Replicate:
    """Read a replicate, whose sums have the shape of the others'; those of a fit astray do not matter."""
    if not content["converged"]:
        return Replicate(np.zeros(0), converged=False)
    try:
        sums = np.array(content["sums"], np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError("its sums are no table of numbers") from error
    if not np.isfinite(sums).all():
        raise ValueError("a sum is not finite")
    shape = next((other.sums.shape for other in others if other.converged), sums.shape)
    if sums.shape != shape:
        raise ValueError(f"its sums have shape {sums.shape}, those before {shape}")
    return Replicate(sums)


def _refuse_other(path: Path, head: dict[str, Any], identity: dict[str, Any]) -> None:
    if is_same(head, identity):
        return
    raise OptionError(
        f"{path} holds replicates of another run: they differ in {differences(head, identity)}. "
        "Name another folder, delete this file, or replace it with `ter study ... --overwrite`."
    )


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Say in what a run that is on disk differs from the one that is asked for.

    Parameters
    ----------
    there, here : mapping
        Identities, from `identity_of`; what is stored beside one is not compared.

    Returns
    -------
    str
        Each setting by its name, with both values: ``"seed (there 1, here 2)"``; the first few of many.
    """
    old, new = _flat({key: there.get(key, {}) for key in here}), _flat(here)
    # Studies of different kinds have different settings: that they differ says it all.
    if there.get("study") != here.get("study"):
        names = ["study"]
    else:
        names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    shown = [f"{k} (there {_brief(old.get(k))}, here {_brief(new.get(k))})" for k in names[:_SHOWN]]
    more = [f"{len(names) - _SHOWN} more settings"] if len(names) > _SHOWN else []
    return ", ".join(shown + more)


def _flat(value: Mapping[str, Any], inside: str = "") -> dict[str, Any]:
    """Settings by name: those of the study by their own, those of a scenario or of versions behind it."""
    out: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{inside}{key}"
        if isinstance(item, Mapping):
            out |= _flat(item, "" if name == "settings" else f"{name}.")
        else:
            out[name] = item
    return out


def _brief(value: Any) -> str:
    """Write a value as JSON does, cut where it is long."""
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
