"""The figure of the preset shows what was published and what was simulated."""

import pytest

from ter.reports.preset_figures import ENGLAND_2024_25, calibration_figure, simulated_rates
from ter.simulation import Scenario


@pytest.fixture(scope="module")
def simulated():
    scenario = Scenario.preset("england_2024_25", n_therapists=3000, n_services=1000, mean_caseload=60)
    return simulated_rates(scenario, 3)


def test_simulated_is_near_what_was_published(simulated):
    for panel, rates in ENGLAND_2024_25.items():
        for label, rate in rates.items():
            # The smallest groups have some 500 patients, whose rate has an SE of 2.2 points: three of them.
            assert simulated[panel][label] == pytest.approx(rate, abs=7), (panel, label)
    deciles = simulated["Deprivation decile (1 = most deprived)"]
    for label, rate in ENGLAND_2024_25["Deprivation decile (1 = most deprived)"].items():
        assert deciles[label] == pytest.approx(rate, abs=3)  # 10,000 patients: 4 SE are 2 points


def test_the_figure_shows_both(simulated):
    figure = calibration_figure(ENGLAND_2024_25, simulated)
    assert [axes.get_title() for axes in figure.axes] == list(ENGLAND_2024_25)
    for axes, panel in zip(figure.axes, ENGLAND_2024_25, strict=True):
        published, drawn = (list(line.get_ydata()) for line in axes.get_lines())
        assert published == list(ENGLAND_2024_25[panel].values())
        assert drawn == list(simulated[panel].values())
