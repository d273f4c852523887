"""What a fit to a part of the data says of the fit to the whole."""

from __future__ import annotations

import numpy as np

from ter.features.design import FloatArray
from ter.models.laplace import TINY_INFORMATION, LaplaceLikelihood

#: Least eigenvalue of the parameters' correlations above which a part of the data determines them all.
COLLINEAR = 1e-6


def is_determined(information: FloatArray) -> bool:
    """Whether no parameter, nor any sum of them, is left open: every correlation is well below one."""
    diagonal = np.diag(information)
    if not (diagonal > 0.0).all():
        return False
    scale = np.sqrt(diagonal)
    return bool(np.linalg.eigvalsh(information / np.outer(scale, scale))[0] > COLLINEAR)


def scaled_information(
    part: LaplaceLikelihood, x: FloatArray, information: FloatArray, times: float
) -> FloatArray:
    """About the information of data in which inner levels alike stood `times` as often.

    The outer factor's levels are the same, so that what they leave unknown does not shrink: v is put back
    beside the parameters, and eliminated again where all the data speak of it.

    Parameters
    ----------
    part : LaplaceLikelihood
    x : ndarray, shape (n,)
        Where its Hessian was evaluated last.
    information : ndarray, shape (n, n)
        What came of it.
    times : float
    """
    scaled = times * information
    v_move = part.outer_move
    if not part.n_outer or v_move is None:
        return scaled
    factor = part.modes_at(x).factor
    variance = float(part.split(x)[1][1])
    schur = factor @ factor.T
    with_v = v_move.T @ schur
    alone = information + with_v @ v_move
    prior = np.eye(part.n_outer) / variance
    inverse = np.linalg.inv(times * (schur - prior) + prior)
    scaled = times * alone - times**2 * with_v @ inverse @ with_v.T
    # Of the outer factor's SD its own levels tell, by Fisher scoring.
    scaled[-1], scaled[:, -1] = 0.0, 0.0
    scaled[-1, -1] = 2.0 * float(((1.0 - np.diag(inverse) / variance) ** 2).sum()) + TINY_INFORMATION
    return scaled
