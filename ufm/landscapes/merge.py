"""Points that are one point up to gauge, class permutation and, where it is a symmetry, transposition."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from ufm.numerics.groups import automorphism_count, canonical_order, colours, evened, pattern
from ufm.points import LogitPoint
from ufm.problem import Problem

EXACT_LIMIT = 20
"""Largest K for which permutations are settled by a canonical form; beyond, by spectra and matching."""


def same_point(a: LogitPoint, b: LogitPoint, tol: float = 1e-5) -> bool:
    """Whether b's class logits are a permutation P M P' of a's to tol (relative, entrywise), counts respected.

    Under MSE with equal counts M and M' count as one. Up to K = 20 by canonical forms (exact at the tolerance);
    beyond, True only if an assignment found from sorted rows, columns and diagonals aligns the two, so that a
    False there may be wrong.
    """
    if a.rank != b.rank or not np.allclose(np.sort(a.s), np.sort(b.s), rtol=tol, atol=tol * np.max(a.s, initial=0.0)):
        return False
    A, B, labels = _matrix(a), _matrix(b), a.problem.counts.tolist()
    if _aligned(A, B, labels, tol):
        return True
    return transposable(a.problem) and _aligned(A, B.T, labels, tol)


def transposable(problem: Problem) -> bool:
    """Whether Z -> Z' preserves F: MSE without bias and with equal counts."""
    return problem.loss.quadratic and problem.balanced and problem.bias is None


def group_order(point: LogitPoint, tol: float = 1e-6) -> int | None:
    """Number of class permutations P of one group with |P M P' - M| <= tol |M|, also with all modes made visible, counts kept; None beyond K = 20.

    See `numerics.groups`: `pattern`, `evened`.
    """
    if point.problem.K > EXACT_LIMIT:
        return None
    M = _matrix(point)
    C, faint = pattern(M, tol)[0], pattern(evened(M, point.rank), tol)[0]
    return automorphism_count(C * (1 + faint.max(initial=0)) + faint, point.problem.counts.tolist())


def free_name(name: str, taken: set[str]) -> str:
    """The name, or name#2, name#3, ... when other points already carry it."""
    if name not in taken:
        return name
    k = 2
    while f"{name}#{k}" in taken:
        k += 1
    return f"{name}#{k}"


def _matrix(point: LogitPoint) -> np.ndarray:
    M = point.class_logits()
    return M if point.b is None else M - point.b[:, None]


def _aligned(A, B, labels, tol: float) -> bool:
    reach = np.max(np.abs(A), initial=0.0)
    if reach == 0.0:
        return np.max(np.abs(B), initial=0.0) == 0.0
    limit = tol * reach
    if abs(np.max(np.abs(B)) - reach) > limit or np.max(np.abs(np.sort(A, axis=None) - np.sort(B, axis=None))) > limit:
        return False
    if len(A) <= EXACT_LIMIT:
        p, q = (canonical_order(colours(M, 0.1 * limit), labels) for M in (A, B))
        if np.max(np.abs(A[np.ix_(p, p)] - B[np.ix_(q, q)])) <= limit:
            return True
    features = [np.column_stack([np.sort(M, axis=1), np.sort(M.T, axis=1), 10 * np.diag(M), 1e6 * reach * np.array(labels)]) for M in (A, B)]
    cost = np.linalg.norm(features[0][:, None] - features[1][None], axis=2)
    _, q = linear_sum_assignment(cost)
    return bool(np.max(np.abs(A - B[np.ix_(q, q)])) <= limit)
