"""Saving and loading fits: a zip of JSON and plain arrays, checked by sha256. Nothing in it is executed.

The hashes tell damage and careless edits. They are no signature: who can write the file can write them as
well.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from ter.errors import ModelFileError, OptionError
from ter.features import LearnedCaseMix
from ter.models.certificate import Certificate
from ter.models.diagnostics import Diagnostics
from ter.models.ml import Estimates
from ter.models.posterior import Posterior
from ter.models.priors import Priors
from ter.models.records import FitSettings, NutsOptions, Record
from ter.models.result import Columns, Fit, Services
from ter.models.slope_result import SeverityScale, SlopeEstimates, SlopePosterior
from ter.models.units import CaseMixMeans, Deciles, Months, Units

FORMAT: Final = 1
STATE, HASHES = "fit.json", "sha256.json"
#: The only types that a file can hold.
TYPES: Final = {
    t.__name__: t
    for t in (
        Fit,
        FitSettings,
        NutsOptions,
        Priors,
        Record,
        Certificate,
        Diagnostics,
        Columns,
        Services,
        Posterior,
        Estimates,
        Units,
        Months,
        Deciles,
        CaseMixMeans,
        SeverityScale,
        SlopeEstimates,
        SlopePosterior,
    )
}
#: Zip entries carry a date: a fixed one, so that the same fit gives the same bytes.
EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def save_fit(fit: Fit, path: str | Path) -> None:
    """Write a fit to a file.

    Parameters
    ----------
    fit : Fit
    path : str or Path
    """
    members: dict[str, bytes] = {}
    state = _encode(fit, "fit", members)
    members[STATE] = json.dumps({"format": FORMAT, "state": state}, indent=1).encode()
    members[HASHES] = json.dumps(
        {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}, indent=1
    ).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED, 6)
    # Written aside and renamed, so that a crash leaves the old file or the new one; readable by its owner
    # alone, since it holds ungated effects.
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    partial.touch(mode=0o600)
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)


def load_fit(path: str | Path) -> Fit:
    """Read a fit that `Fit.save` wrote. Nothing in the file is executed.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Fit

    Raises
    ------
    OptionError
        If there is no such file.
    ModelFileError
        If the file is not a saved fit, is truncated or was changed, or was written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise OptionError(f"There is no model file {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        hashes = json.loads(members.pop(HASHES))
        if hashes != {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}:
            raise ModelFileError(
                f"{path} was changed after it was written: its checksums do not match. Fit the model again."
            )
        content = json.loads(members.pop(STATE))
        if content["format"] > FORMAT:
            raise ModelFileError(
                f"{path} was written by a newer version of ter (its format is {content['format']}, and this "
                f"version reads {FORMAT}): update ter."
            )
        fit = _decode(content["state"], members)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        UnicodeDecodeError,
        NotImplementedError,
    ) as error:
        raise ModelFileError(
            f"{path} is not a whole model file of ter ({error}). Fit the model again."
        ) from error
    if not isinstance(fit, Fit):
        raise ModelFileError(f"{path} holds no fit.")
    return fit


def _encode(value: Any, name: str, members: dict[str, bytes]) -> Any:
    """Plain JSON of a value; arrays become members of the archive."""
    if isinstance(value, LearnedCaseMix):
        return {"case_mix": value.to_json()}
    if dataclasses.is_dataclass(value):
        fields = {
            f.name: _encode(getattr(value, f.name), f"{name}.{f.name}", members)
            for f in dataclasses.fields(value)
        }
        return {"type": type(value).__name__, "fields": fields}
    if isinstance(value, np.ndarray):
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
        return {"array": f"{name}.npy"}
    if isinstance(value, tuple):
        return [_encode(item, name, members) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise AssertionError(f"no plain form for {name}: {type(value)}")


def _decode(value: Any, members: dict[str, bytes]) -> Any:
    """The value that `_encode` was given."""
    if isinstance(value, list):
        return tuple(_decode(item, members) for item in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.load(io.BytesIO(members[value["array"]]), allow_pickle=False)
    if "case_mix" in value:
        return LearnedCaseMix.from_json(value["case_mix"])
    kind: Any = TYPES[value["type"]]
    return kind(**{name: _decode(item, members) for name, item in value["fields"].items()})
