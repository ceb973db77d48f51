"""Factors compared: hidden frames of one set turned towards those of another, class logits of many at once."""

from __future__ import annotations

import numpy as np

from ufm.objectives.factors import FactorObjective
from ufm.points import LogitPoint


def align_gauge(objective: FactorObjective, x, reference, sweeps: int = 1, fresh: bool = False):
    """x in the hidden frames nearest to the reference: rotations Q_l lower sum_l |Q_l A_l Q_{l-1}' - R_l|^2 by layers.

    fresh: the first sweep looks at one factor only, from the features up, and so finds equal frames wherever the
    products agree.
    """
    factors, b = objective.unpack(x)
    factors, target = list(factors), objective.unpack(reference)[0]
    for sweep in range(sweeps):
        for l in range(len(factors) - 1):
            overlap = factors[l] @ target[l].T
            if sweep or not fresh:
                overlap = overlap + factors[l + 1].T @ target[l + 1]
            U, _, Vt = np.linalg.svd(overlap)
            Q = Vt.T @ U.T
            factors[l], factors[l + 1] = Q @ factors[l], factors[l + 1] @ Q.T
    return objective.pack(factors, b)


def aligned_lifts(objective: FactorObjective, a: LogitPoint, b: LogitPoint):
    """(x_a, x_b): balanced factors with frames of b turned towards those of a, from the better of two starts."""
    pairs = []
    starts: list[tuple[list[np.ndarray] | None, list[np.ndarray] | None]] = [(None, None)]
    if all(shape[0] == a.problem.K for shape in objective.shapes[:-1]):
        starts.append(([a.right] * a.problem.L, [b.right] * a.problem.L))  # all factors are roots of Z where U = V
    for f, g in starts:
        x, y = objective.lift(a, frames=f), objective.lift(b, frames=g)
        for fresh in (True, False):
            z = align_gauge(objective, y, x, 50, fresh)
            pairs.append((float(np.linalg.norm(z - x)), x, z))
    return min(pairs, key=lambda pair: pair[0])[1:]


def class_logits_along(objective: FactorObjective, X) -> np.ndarray:
    """Mean logits of every class, with the bias, at flat vectors X (P, size)."""
    problem = objective.problem
    Z = objective.logits(X) * objective.fit.columns.scale
    if not objective.collapsed:
        Z = Z @ (problem.samples.Y.T / problem.counts)
    b = objective.unpack(X)[1]
    return Z if b is None else Z + b[..., :, None]
