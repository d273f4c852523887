"""From a fit to ratings, behind the gate."""

from ter.ratings.gate import publish
from ter.ratings.publication import ModelNote, Network, Publication
from ter.ratings.rate import RatingOptions, Ratings, rate

__all__ = ["ModelNote", "Network", "Publication", "RatingOptions", "Ratings", "publish", "rate"]
