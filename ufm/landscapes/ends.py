"""Ends of many runs sorted into distinct ones modulo class permutation, all at once.

Two ends are one when rank and loss agree and a permutation of the classes carries the class logits of one to those of the other,
M' = P M P', entry by entry. Permutations are found for all ends together: classes get features by refinement (what a class is, what it sees
of the others), the one of largest feature is singled out, and again until all are; the order in which they were singled out makes
M[p][:, p] comparable. That order is only a proposal: a match is checked on the entries, and an end without one goes to `same_point`.
Under MSE ends may form a continuum, a Grassmannian of projections say; it is one end, known by rank, loss and spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ufm.critical.signature import classify, gauge_nullity
from ufm.landscapes.merge import same_point
from ufm.numerics.content import ByContent
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem

SAME_LOSS = 1e-9
"""Chained differences of F, relative to 1 + |F|, below which two ends may be one."""
SAME_LOGITS = 1e-5
"""Largest difference of class logits, relative to the largest of them, between two copies of one end."""


@dataclass(frozen=True, eq=False)
class End(ByContent):
    """One end and who went there: class-mean logits with the bias (K, K), and the lowest number of its starts.

    continuum: it stands for others of its rank, loss and spectrum that no permutation joins, the Hessian having zeros along them.
    """

    fun: float
    rank: int
    logits: np.ndarray
    b: np.ndarray | None
    count: int
    first: int
    continuum: bool = False

    def point(self, problem: Problem) -> LogitPoint:
        """The end as a LogitPoint of its rank (linear models)."""
        M = self.logits if self.b is None else self.logits - self.b[:, None]
        return from_matrix(problem, M, self.rank, collapse=True, b=self.b)


def distinct(problem: Problem, ends: list[End], loss: float = SAME_LOSS, logits: float = SAME_LOGITS) -> tuple[list[End], np.ndarray]:
    """(distinct ends in ascending F, for each given end the number of its own): counts are added, the representative is that of the lowest start."""
    place = np.full(len(ends), -1)
    if not ends:
        return [], place
    M = np.stack([end.logits for end in ends])
    order = orders(M, problem.counts)
    forms = M[np.arange(len(M))[:, None, None], order[:, :, None], order[:, None, :]]
    sizes = problem.counts[order]
    fun, rank = np.array([end.fun for end in ends]), np.array([end.rank for end in ends])
    reach = np.maximum(np.max(np.abs(M), axis=(1, 2)), 1e-300)
    groups: list[tuple[list[int], bool]] = []
    for level in _levels(fun, rank, loss):
        groups += _split(problem, ends, forms, sizes, reach, level, logits)
    found = []
    for members, continuum in groups:
        best = min(members, key=lambda i: ends[i].first)
        found.append((replace(ends[best], count=sum(ends[i].count for i in members), continuum=continuum), members))
    found.sort(key=lambda pair: (pair[0].fun, pair[0].first))
    for number, (_, members) in enumerate(found):
        place[members] = number
    return [end for end, _ in found], place


def _levels(fun, rank, tol: float) -> list[np.ndarray]:
    """Indices of equal rank and of values closer than tol (chained)."""
    order = np.lexsort((fun, rank))
    far = (np.diff(rank[order]) != 0) | (np.diff(fun[order]) > tol * (1 + np.abs(fun[order][1:])))
    return np.split(order, np.flatnonzero(far) + 1)


def _split(problem, ends, forms, sizes, reach, level, tol: float) -> list[tuple[list[int], bool]]:
    """(members, whether they are a continuum) of every end of a level."""
    flagged = [i for i in level if ends[i].continuum]
    groups, seen, left = [], [], np.sort(level)
    while len(left):
        i = left[0]
        near = (np.max(np.abs(forms[left] - forms[i]), axis=(1, 2)) <= tol * reach[i]) & np.all(sizes[left] == sizes[i], axis=1)
        near[0] = True
        home = next((g for g, rep in enumerate(seen) if _same(problem, ends[rep], ends[i], tol)), None)
        if flagged or (home is None and seen and all(_degenerate(problem, ends[j]) for j in (i, seen[0]))):
            s = np.linalg.svd(forms[level], compute_uv=False)  # a continuum: the spectrum alone tells its ends apart
            alike = np.max(np.abs(s - s[level == (flagged or [i])[0]]), axis=1) <= tol * reach[i]
            return [(level[alike].tolist(), True), *(_split(problem, ends, forms, sizes, reach, level[~alike], tol) if not alike.all() else [])]
        if home is None:
            groups.append(left[near].tolist())
            seen.append(i)
        else:
            groups[home] += left[near].tolist()
        left = left[~near]
    return [(group, False) for group in groups]


def _same(problem: Problem, a: End, b: End, tol: float) -> bool:
    if not problem.linear:
        return False
    return not a.rank or same_point(a.point(problem), b.point(problem), tol)


def _degenerate(problem: Problem, end: End) -> bool:
    """Whether the Hessian has zeros beyond the rotations of hidden frames, as along a continuum of ends."""
    if not problem.linear or not end.rank:
        return False
    point = end.point(problem)
    what = classify(point, extremes=False)
    return what.nullity is not None and what.nullity > gauge_nullity(point)


def orders(M: np.ndarray, counts, rounds: int = 2) -> np.ndarray:
    """Permutations p (B, K) of the classes such that M[p][:, p] is nearly always the same for P M P' as for M, M (B, K, K)."""
    B, K, _ = M.shape
    reach = np.max(np.abs(M), axis=(1, 2), keepdims=True)
    A = M / np.where(reach > 0, reach, 1.0)
    At = np.ascontiguousarray(np.swapaxes(A, 1, 2))
    own = np.einsum("bii->bi", A)
    base = own + 0.37 * np.asarray(counts) / np.max(counts) + np.sum(np.sin(3.0 * A + 1.7 * At), axis=2) / K
    mark, free = np.zeros((B, K)), np.ones((B, K), dtype=bool)
    order, rows = np.empty((B, K), dtype=int), np.arange(B)
    for step in range(K):
        w = base + mark
        for _ in range(rounds):
            seen = A @ np.cos(2.3 * w)[:, :, None] + At @ np.sin(1.9 * w)[:, :, None]
            w = base + mark + seen[:, :, 0] / np.sqrt(K)
        chosen = np.argmax(np.where(free, w, -np.inf), axis=1)
        order[:, step] = chosen
        free[rows, chosen] = False
        mark[rows, chosen] = 1.0 + 0.61 * step
    return order
