"""A figure of how well a preset meets the published figures that it is calibrated to.

Made with ``python -m ter.reports.preset_figures FOLDER``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ter.simulation import Scenario
from ter.simulation.modelled import Modelled, draw_modelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BoolArray = NDArray[np.bool_]

#: Recovery of those at caseness, percent: NHS Talking Therapies, annual statistics for England, 2024-25 (NHS
#: England, Open Government Licence).
ENGLAND_2024_25: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "Deprivation decile (1 = most deprived)": {
            str(k): share
            for k, share in enumerate((42.8, 46.4, 48.3, 49.8, 51.1, 52.4, 53.4, 54.7, 55.6, 56.3), start=1)
        },
        "Age (years)": {"16-17": 42.3, "18-25": 44.0, "26-64": 51.1, "65-74": 61.9, "75-89": 65.0},
        "Problem": {
            "depression": 49.6,
            "generalised_anxiety": 57.7,
            "mixed_anxiety_depression": 47.7,
            "obsessive_compulsive": 44.7,
            "panic": 50.8,
            "post_traumatic_stress": 41.7,
            "social_anxiety": 35.6,
            "agoraphobia": 35.2,
        },
        "Long-term condition": {"yes": 47.1, "no": 51.8},
    }
)


def _members(drawn: Modelled, scenario: Scenario, panel: str, label: str) -> BoolArray:
    """Say which of the modelled patients belong to a label of a panel."""
    if panel.startswith("Deprivation"):
        return np.asarray(drawn.codes["imd_decile"] == int(label))
    if panel.startswith("Age"):
        low, high = map(int, label.split("-"))
        return np.asarray((drawn.codes["age"] >= low) & (drawn.codes["age"] <= high))
    if panel == "Problem":
        names = [problem.name for problem in scenario.population.problems]
        return np.asarray(drawn.codes["problem"] == names.index(label))
    (factor,) = (f for f in scenario.population.factors if f.column == "long_term_condition")
    return np.asarray(
        drawn.codes["long_term_condition"] == [level.name for level in factor.levels].index(label)
    )


def simulated_rates(scenario: Scenario, seed: int) -> dict[str, dict[str, float]]:
    """Give recovery, percent, by the labels of `ENGLAND_2024_25`, of a simulated network."""
    drawn = draw_modelled(scenario, seed)
    return {
        panel: {
            label: 100.0 * float(drawn.recovered[_members(drawn, scenario, panel, label)].mean())
            for label in rates
        }
        for panel, rates in ENGLAND_2024_25.items()
    }


def calibration_figure(
    published: Mapping[str, Mapping[str, float]], simulated: Mapping[str, Mapping[str, float]]
) -> Figure:
    """Draw published and simulated recovery side by side, a panel for each variable."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 6.4), layout="constrained")
    for axes, (panel, rates) in zip(figure.subplots(2, 2).ravel(), published.items(), strict=True):
        places = np.arange(len(rates))
        axes.plot(places, list(rates.values()), "o", mfc="none", ms=9, color="#1f4e79", label="published")
        axes.plot(places, list(simulated[panel].values()), "x", color="#b3541e", label="simulated")
        labels = [label.replace("_", " ") for label in rates]
        upright = max(map(len, labels)) <= 6
        axes.set_xticks(places, labels, rotation=0 if upright else 35, ha="center" if upright else "right")
        axes.set_title(panel)
        axes.set_ylabel("recovered, %")
        axes.set_ylim(30, 70)
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].legend(frameon=False)
    return figure


def write_calibration(folder: Path) -> Path:
    """Write the figure of the preset ``england_2024_25`` as ``preset_england_2024_25.png``."""
    scenario = Scenario.preset("england_2024_25", n_therapists=8000, n_services=2000, mean_caseload=60)
    path = folder / "preset_england_2024_25.png"
    calibration_figure(ENGLAND_2024_25, simulated_rates(scenario, 17)).savefig(
        path, dpi=110, metadata={"Software": None}
    )
    return path


if __name__ == "__main__":
    write_calibration(Path(sys.argv[1]))
