"""What a fit keeps of the table it saw: sums by therapist, never rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Units:
    """The therapists of the table, sorted by id, with their counts.

    Attributes
    ----------
    ids : tuple of str, length J
    service : tuple of str, length J
        The service of most of the therapist's episodes (the first in order at a tie); empty without services.
    n_episodes, n_completed, n_at_caseness : ndarray of int64, shape (J,)
        Episodes; completed treatments; completed treatments at caseness (recovery's denominator).
    n : ndarray of float64, shape (J,)
        Patients in the model.
    observed : ndarray of float64, shape (J,)
        The sum of their outcomes.
    """

    ids: tuple[str, ...]
    service: tuple[str, ...]
    n_episodes: IntArray
    n_completed: IntArray
    n_at_caseness: IntArray
    n: FloatArray
    observed: FloatArray


@dataclass(frozen=True, eq=False)
class Months:
    """Counts by therapist and month of ending; K pairs, sorted by therapist, then month.

    Attributes
    ----------
    unit : ndarray of int64, shape (K,)
        Index into `Units`.
    month : ndarray of int64, shape (K,)
        ``12 * year + month - 1``.
    n_completed : ndarray of int64, shape (K,)
    n, observed, expected : ndarray of float64, shape (K,)
        Modelled patients, their recoveries, and the recoveries expected of them (a sum of probabilities).
    """

    unit: IntArray
    month: IntArray
    n_completed: IntArray
    n: FloatArray
    observed: FloatArray
    expected: FloatArray


@dataclass(frozen=True, eq=False)
class Deciles:
    """Counts by therapist and decile of the expected recovery; 10 bins with the edges of the whole network.

    Attributes
    ----------
    edges : ndarray of float64, shape (11,)
    n, observed, expected : ndarray of float64, shape (J, 10)
        Modelled patients, their recoveries, and the recoveries predicted for them.
    """

    edges: FloatArray
    n: FloatArray
    observed: FloatArray
    expected: FloatArray


@dataclass(frozen=True, eq=False)
class CaseMixMeans:
    """How each therapist's patients differ from the network's.

    Attributes
    ----------
    labels : tuple of (str, str), length K
        Variable and level: ``("phq9_first", "")`` is a mean, ``("employment", "student")`` a share (0 to 1).
    units : ndarray of float64, shape (J, K)
        Means and shares by therapist; NaN without patients.
    network : ndarray of float64, shape (K,)
        The same over all modelled patients.
    level_shift : ndarray of float64, shape (J, K)
        Of a level: how far the therapist's share of it moves their expected recovery rate from the
        network's (a difference of rates); NaN of a mean, and without patients.
    variables : tuple of str, length V
        The terms of the case mix.
    shift : ndarray of float64, shape (J, V)
        How far each variable moves the therapist's expected recovery rate from the network's (0 to 1,
        difference of rates, linear in the log-odds); NaN without patients.
    """

    labels: tuple[tuple[str, str], ...]
    units: FloatArray
    network: FloatArray
    level_shift: FloatArray
    variables: tuple[str, ...]
    shift: FloatArray
