"""Linear algebra with balls: matrices of arbs (python-flint), and what can be proved about them.

Inertia: for an approximate eigenvector matrix V of H and W = V' H V, Sylvester's law gives n_-(H) = n_-(W) for
invertible V, and Gershgorin's discs of W, none of which may touch 0, count its negative eigenvalues. That no disc
touches 0 also proves that W, hence V, is invertible.

>>> with balls.precision(128):
...     print(inertia(matrix([[2.0, 1.0], [1.0, -1.0]])), inertia(matrix([[1.0, 1.0], [1.0, 1.0]])))
1 None
"""

from __future__ import annotations

import numpy as np

from ufm.numerics import balls


def matrix(rows, columns: int | None = None):
    """An arb_mat from nested sequences of numbers or arbs; `columns` is needed only where there are no rows."""
    rows = rows.tolist() if isinstance(rows, np.ndarray) else [list(row) for row in rows]
    made = balls.flint().arb_mat
    return made(rows) if rows and rows[0] else made(len(rows), 0 if rows else columns or 0)


def eye(size: int):
    """The identity."""
    return matrix([[int(i == j) for j in range(size)] for i in range(size)])


def floats(A) -> np.ndarray:
    """The middles of a matrix of balls, float64 of its shape."""
    return np.array([[float(entry.mid()) for entry in row] for row in A.tolist()]).reshape(A.nrows(), A.ncols())


def magnitudes(A) -> list[list]:
    """Upper bounds of |A_ij|, exact arbs."""
    return [[entry.abs_upper() for entry in row] for row in A.tolist()]


def largest(values):
    """An upper bound of the largest of some arbs, 0 of none."""
    best = balls.ball(0)
    for value in values:
        best = value.upper() if value.upper() > best or not value.is_finite() else best
    return best


def row_sums(A) -> list:
    """sum_j |A_ij| for every row, balls that contain an upper bound."""
    return [sum(row, balls.ball(0)) for row in magnitudes(A)]


def inertia(H, turns: int = 3) -> int | None:
    """The number of negative eigenvalues of every symmetric matrix in H; None where it is not proved that all have
    the same number and none is singular. turns: congruences to try; each resolves what the floats of the last could
    not.
    """
    count = _discs(H)
    if count is not None or not turns:
        return count
    middle = floats(H)
    if not np.all(np.isfinite(middle)):
        return None
    values, vectors = np.linalg.eigh(0.5 * (middle + middle.T))
    size = np.maximum(np.abs(values), 1e-17 * np.max(np.abs(values)))
    if not np.all(size):
        return None
    V = matrix(vectors / np.sqrt(size))
    return inertia(V.transpose() * H * V, turns - 1)


def _discs(W) -> int | None:
    """How many of Gershgorin's discs lie left of 0; None if one touches it."""
    negative = 0
    for i, row in enumerate(W.tolist()):
        radius = sum((entry.abs_upper() for j, entry in enumerate(row) if j != i), balls.ball(0))
        if row[i] + radius < 0:
            negative += 1
        elif not row[i] - radius > 0:
            return None
    return negative
