"""lme4 and glmmTMB, where Rscript finds them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from benchmarks.problems import FloatArray, Network

Method = Literal["glmer", "glmer_9", "glmmTMB"]
PACKAGES: Final[dict[Method, str]] = {"glmer": "lme4", "glmer_9": "lme4", "glmmTMB": "glmmTMB"}
SCRIPT: Final = Path(__file__).with_name("fit.R")
#: R's linear algebra on one thread, as ours.
ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, eq=False)
class PeerFit:
    """What a peer found.

    Attributes
    ----------
    version : str
    beta, se : ndarray, shape (P,)
        On the scale of the columns.
    sd : ndarray, shape (2,)
        Therapists, services; NaN where there is no such effect.
    log_likelihood : float
    wall, cpu : float
        Seconds, without reading the table and loading the package.
    """

    version: str
    beta: FloatArray
    se: FloatArray
    sd: FloatArray
    log_likelihood: float
    wall: float
    cpu: float


def available(method: Method) -> bool:
    """Whether Rscript is there and has the package."""
    if shutil.which("Rscript") is None:
        return False
    asked = f'quit(status = !requireNamespace("{PACKAGES[method]}", quietly = TRUE))'
    return subprocess.run(["Rscript", "-e", asked], capture_output=True, check=False).returncode == 0


def write_table(network: Network, path: Path) -> None:
    """The rows as a peer reads them."""
    columns = {f"x{k:02d}": column for k, column in enumerate(network.X.T[1:])}
    pd.DataFrame(
        {"y": network.y.astype(int), "therapist": network.therapist, "service": network.service} | columns
    ).to_csv(path, index=False)


def run(method: Method, table: Path) -> PeerFit:
    """Fit with a peer.

    Raises
    ------
    CalledProcessError
        If the peer fails.
    """
    out = table.with_name(f"{method}.csv")
    subprocess.run(
        ["Rscript", str(SCRIPT), str(table), method, str(out)],
        check=True,
        capture_output=True,
        env={**os.environ, **ONE_THREAD},
    )
    answer = pd.read_csv(out).set_index("name")
    value = answer["value"]
    fixed = answer["se"].notna().to_numpy()
    return PeerFit(
        version=str(answer["version"].iloc[0]),
        beta=value[fixed].to_numpy(),
        se=answer["se"][fixed].to_numpy(),
        sd=np.array([value["sd_therapist"], value["sd_service"]]),
        log_likelihood=float(value["loglik"]),
        wall=float(value["wall"]),
        cpu=float(value["cpu"]),
    )
