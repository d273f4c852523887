"""Reading the stored answers of lme4, glmmTMB and exact maximum likelihood."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

#: Reference programs by number of nodes: glmmTMB and glmer(nAGQ = 1) are Laplace, glmer(nAGQ = 25) is
#: quadrature.
PROGRAMS = {1: "glmmTMB", 25: "glmer_nAGQ25"}


@dataclass(frozen=True)
class Answer:
    log_likelihood: float
    terms: list[str]
    estimate: np.ndarray
    se: np.ndarray
    sd: dict[str, float]


def read_answer(folder: Path, dataset: str, model: str, program: str) -> Answer:
    fit = json.loads((folder / dataset / f"ref_{model}.json").read_text())["fits"][program]
    return Answer(
        log_likelihood=fit["logLik"],
        terms=[term["term"] for term in fit["fixef"]],
        estimate=np.array([term["estimate"] for term in fit["fixef"]]),
        se=np.array([term["se"] for term in fit["fixef"]]),
        sd={random["group"]: random["sd"][0] for random in fit["random"]},
    )


def read_modes(folder: Path, dataset: str, model: str, program: str) -> pd.DataFrame:
    """Conditional modes and SDs by grouping and group; SDs hold the parameters at their estimates."""
    modes = pd.read_csv(folder / dataset / f"modes_{model}_{program}.csv", dtype={"group": str})
    if "sd_noparm" in modes:
        modes["sd"] = modes["sd_noparm"]
    return modes.set_index(["grouping", "group"])[["mode", "sd"]]
