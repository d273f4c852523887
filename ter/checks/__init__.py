"""Is the model right, and how far do the ratings depend on its choices."""

from ter.checks.calibration import Calibration, calibrate
from ter.checks.card import model_card
from ter.checks.counts_card import counts_card
from ter.checks.cross_validation import CrossValidation, over_therapists, over_time
from ter.checks.influence import Influence, influence
from ter.checks.predictive import PredictiveCheck, replicate, sd_draws, spread
from ter.checks.residuals import Normality, SeveritySlope, normality, severity_slope
from ter.checks.sensitivity import Sensitivity, sensitivity

__all__ = [
    "Calibration",
    "CrossValidation",
    "Influence",
    "Normality",
    "PredictiveCheck",
    "Sensitivity",
    "SeveritySlope",
    "calibrate",
    "counts_card",
    "influence",
    "model_card",
    "normality",
    "over_therapists",
    "over_time",
    "replicate",
    "sd_draws",
    "sensitivity",
    "severity_slope",
    "spread",
]
