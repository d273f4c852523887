"""From a fit to ratings, behind the gate."""

from ter.ratings.exceedance import exceedance
from ter.ratings.funnel import Funnel, FunnelOptions, funnel, funnel_adjusted, funnel_ratio
from ter.ratings.gate import publish
from ter.ratings.model_card import Check, ModelCard
from ter.ratings.outliers import OutlierOptions, Outliers, find_outliers
from ter.ratings.publication import ModelNote, Network, Publication
from ter.ratings.rate import RatingOptions, Ratings, rate

__all__ = [
    "Check",
    "Funnel",
    "FunnelOptions",
    "ModelCard",
    "ModelNote",
    "Network",
    "OutlierOptions",
    "Outliers",
    "Publication",
    "RatingOptions",
    "Ratings",
    "exceedance",
    "find_outliers",
    "funnel",
    "funnel_adjusted",
    "funnel_ratio",
    "publish",
    "rate",
]
