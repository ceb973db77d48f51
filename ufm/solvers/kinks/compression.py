"""A smaller model with the same value: class means as columns, one ridge weight, H_1 in its frame, no parallel and no
dead neurons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ufm.numerics.products import padded
from ufm.objectives.factors import FactorObjective

ANGLE, DEAD = 1e-3, 1e-6
"""1 - cosine below which neurons are parallel; product of in- and outgoing size, relative to the largest, below which
one is dead."""


def reduced(objective: FactorObjective, x) -> tuple[FactorObjective, np.ndarray]:
    """(objective, x): class means as columns, every ridge weight Lam, compressed."""
    problem = objective.problem
    factors, b = objective.unpack(x)
    A = [np.sqrt(share) * F for share, F in zip(problem.shares, factors, strict=True)]
    if objective.collapsed:
        columns = objective.fit.columns
    else:
        columns = problem.classes
        A[0] = A[0] @ (problem.samples.Y.T / np.sqrt(problem.counts))
    plain = FactorObjective(replace(problem, lam=problem.Lam, n=1), False, tuple(F.shape[0] for F in A[:-1]), columns)
    return compressed(plain, plain.pack(A, b))


def compressed(objective: FactorObjective, x, angle: float = ANGLE) -> tuple[FactorObjective, np.ndarray]:
    """(objective, x) at narrower widths: H_1 in its singular frame, parallel neurons merged, dead ones dropped; each
    neuron's weights balanced."""
    factors, b = objective.unpack(x)
    A = [np.array(F) for F in factors]
    U, s, Vt = np.linalg.svd(A[0], full_matrices=False)
    keep = np.maximum(np.arange(len(s)) == 0, s > 1e-9 * s[0])
    A[0], A[1] = s[keep, None] * Vt[keep], A[1] @ U[:, keep]
    u, value = A[0], objective.problem.activation.value
    for k in range(1, len(A) - 1):
        A[k], A[k + 1] = _merged(A[k], A[k + 1], u, angle)
        u = value(A[k] @ u)
    small = FactorObjective(objective.problem, False, tuple(F.shape[0] for F in A[:-1]), objective.columns)
    return small, small.pack(A, b)


def _merged(W, V, u, angle: float):
    """(W, V) of a hidden layer with inputs u: rows of W u with parallel columns of V become one neuron."""
    into, out = np.linalg.norm(W @ u, axis=1), np.linalg.norm(V, axis=0)
    size = into * out
    left = [j for j in np.argsort(-size) if size[j] > DEAD * np.max(size)]
    if not left:
        return np.zeros((1, W.shape[1])), np.zeros((V.shape[0], 1))
    rows, columns = [], []
    while left:
        seen, sent = (W[left] @ u) / into[left, None], V[:, left] / out[left]
        same = (seen @ seen[0] > 1 - angle) & (sent.T @ sent[:, 0] > 1 - angle)
        group, left = (
            [j for j, s in zip(left, same, strict=True) if s],
            [j for j, s in zip(left, same, strict=True) if not s],
        )
        norms = np.linalg.norm(W[group], axis=1)
        w, v = (size[group] / norms) @ W[group], V[:, group] @ norms
        root = np.sqrt(np.linalg.norm(v))
        rows.append(w * root / np.linalg.norm(w))
        columns.append(v / root)
    return np.array(rows), np.array(columns).T


def expanded(objective: FactorObjective, small: FactorObjective, y, gates=None):
    """(x, masks) of the given objective from its reduction: the narrow factors among the first coordinates, neurons
    that are not there dead."""
    problem = objective.problem
    factors, b = small.unpack(y)
    if not objective.collapsed:
        factors[0] = (factors[0] * problem.classes.scale)[:, problem.labels]
    wide = padded([stretch * A for stretch, A in zip(problem.stretches, factors, strict=True)], objective.shapes)
    if gates is None:
        return objective.pack(wide, b), None
    masks = [
        np.pad(g if objective.collapsed else g[:, problem.labels], [(0, W.shape[0] - len(g)), (0, 0)])
        for g, W in zip(gates, wide[1:-1], strict=True)
    ]
    return objective.pack(wide, b), masks
