"""Columns that carry nothing of their own: constant ones, and exact combinations of those before them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ter.features.each import Each, in_turn

FloatArray = NDArray[np.float64]

#: A column is an exact combination of earlier ones when less than this share of its length is left beside
#: them. The tolerance of R's ``lm``.
TOLERANCE = 1e-7
#: Where more than this share is left of every column, products of columns say so: their rounding is far less.
CLEAR = 1e-3
#: Rows whose products are taken at a time.
ROWS_A_PART = 65_536


def redundant(X: FloatArray, names: tuple[str, ...], each: Each = in_turn) -> tuple[tuple[str, str], ...]:
    """Find the columns to drop, going from left to right, so that of two equal columns the first stays.

    Parameters
    ----------
    X : ndarray, shape (N, P)
        The intercept first; continuous columns centred and scaled, so that the tolerance means the same for
        each.
    names : tuple of str, length P
    each : callable
        How the rows' products are gone through, part by part.

    Returns
    -------
    tuple of (str, str)
        The name of each redundant column, and why it is one.
    """
    if _clearly_independent(X, each):
        return ()
    constant = np.ptp(X, axis=0) == 0
    constant[0] = False
    found = {int(j): "the same in every modelled row" for j in np.flatnonzero(constant)}
    candidates = np.flatnonzero(~constant)
    # The triangle keeps all lengths and angles of the columns, in P rows instead of N.
    R: FloatArray = np.asarray(np.linalg.qr(X[:, candidates], mode="r"))
    kept: list[int] = []
    for k, j in enumerate(candidates):
        rest, weights = _project(R[:, k], R[:, kept])
        if np.linalg.norm(rest) > TOLERANCE * np.linalg.norm(R[:, k]):
            kept.append(k)
        else:
            # A weight at rounding error is no part of the combination.
            parts = [names[candidates[i]] for i, w in zip(kept, weights, strict=True) if abs(w) > 1e-6]
            found[int(j)] = f"an exact combination of {', '.join(parts)}"
    return tuple((names[j], found[j]) for j in sorted(found))


def _clearly_independent(X: FloatArray, each: Each) -> bool:
    """Whether much is left of every column beside those before it; False where that is not certain."""
    parts = [X[start : start + ROWS_A_PART] for start in range(0, len(X), ROWS_A_PART)]
    products = np.sum(each(lambda part: part.T @ part, parts), axis=0)
    lengths = np.sqrt(np.diag(products))
    if not (lengths > 0.0).all():
        return False
    try:
        factor = np.linalg.cholesky(products / np.outer(lengths, lengths))
    except np.linalg.LinAlgError:
        return False
    return bool(np.diag(factor).min() > CLEAR)


def _project(y: FloatArray, basis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Take from y what the columns of a basis explain: what is left, and the weights of the columns."""
    if basis.shape[1] == 0:
        return y, np.empty(0)
    weights: FloatArray = np.linalg.lstsq(basis, y, rcond=None)[0].astype(np.float64)
    return y - basis @ weights, weights
