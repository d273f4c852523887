"""From a design to a fit: the engines, and the one result that they share."""

from ter.models.fit import fit
from ter.models.records import NutsOptions
from ter.models.result import Fit
from ter.models.store import load_fit

__all__ = ["Fit", "NutsOptions", "fit", "load_fit"]
