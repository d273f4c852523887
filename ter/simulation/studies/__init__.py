"""Studies: simulate, fit and rate, many times, with Monte Carlo standard errors."""

from typing import Final

from ter.simulation.studies.calibration import CalibrationStudy
from ter.simulation.studies.coverage import CoverageStudy
from ter.simulation.studies.gate import GateStudy
from ter.simulation.studies.power import PowerStudy
from ter.simulation.studies.raw_versus_ter import RawVersusTerStudy
from ter.simulation.studies.reliability import ReliabilityStudy, closed_form, patients_needed
from ter.simulation.studies.run import StudyResult, run_study
from ter.simulation.studies.study import Replicate, Study

#: Studies by name.
STUDIES: Final = {
    study.NAME: study
    for study in (
        ReliabilityStudy,
        GateStudy,
        PowerStudy,
        CoverageStudy,
        CalibrationStudy,
        RawVersusTerStudy,
    )
}

__all__ = [
    "STUDIES",
    "CalibrationStudy",
    "CoverageStudy",
    "GateStudy",
    "PowerStudy",
    "RawVersusTerStudy",
    "ReliabilityStudy",
    "Replicate",
    "Study",
    "StudyResult",
    "closed_form",
    "patients_needed",
    "run_study",
]
