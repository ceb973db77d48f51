"""Ends of many runs sorted into distinct ones modulo class permutation, all at once.

The rule is that of `critical.same`. Permutations are found for all ends together: classes get features by refinement
(what a class is, what it sees of the others), the one of largest feature is singled out, and again until all are; the
order in which they were singled out makes M[p][:, p] comparable. That order is only a proposal: a match is checked on
the entries, and an end without one goes to `same_point`. Ends that no permutation joins while the Hessian has zeros
along them, or rotations are symmetries, are one continuum, known by rank, loss and spectrum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ufm.critical.classify import classify
from ufm.critical.same import SAME, SAME_LOGITS, rotates, same_point
from ufm.critical.signature import gauge_nullity
from ufm.numerics.content import ByContent
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem


@dataclass(frozen=True, eq=False)
class Ends(ByContent):
    """Ends of runs as arrays: F and rank (B,), class-mean logits with the bias (B, K, K), the bias (B, K) or None, how
    many runs ended there and the lowest number of these (B,), and whether an end stands for a continuum (B,)."""

    fun: np.ndarray
    rank: np.ndarray
    logits: np.ndarray
    b: np.ndarray | None
    count: np.ndarray
    first: np.ndarray
    continuum: np.ndarray

    @staticmethod
    def of(fun, rank, logits, b, first) -> Ends:
        """Single runs."""
        ones, none = np.ones(len(fun), dtype=int), np.zeros(len(fun), dtype=bool)
        return Ends(np.asarray(fun), np.asarray(rank), np.asarray(logits), b, ones, np.asarray(first), none)

    @staticmethod
    def joined(parts: Iterable[Ends], K: int) -> Ends:
        """All ends of the parts, in their order."""
        parts = [part for part in parts if len(part)]
        if not parts:
            return Ends.of(np.zeros(0), np.zeros(0, dtype=int), np.zeros((0, K, K)), None, np.zeros(0, dtype=int))
        columns = zip(*(part._columns() for part in parts), strict=True)
        joined: list[Any] = [None if column[0] is None else np.concatenate(column) for column in columns]
        return Ends(*joined)

    def take(self, which) -> Ends:
        kept: list[Any] = [None if column is None else column[which] for column in self._columns()]
        return Ends(*kept)

    def _columns(self) -> list[Any]:
        return [getattr(self, f.name) for f in fields(Ends)]

    def __len__(self) -> int:
        return len(self.fun)

    def point(self, problem: Problem, i: int) -> LogitPoint:
        """End i as a LogitPoint of its rank (linear models)."""
        b = None if self.b is None else self.b[i]
        M = self.logits[i] if b is None else self.logits[i] - b[:, None]
        return from_matrix(problem, M, int(self.rank[i]), collapse=True, b=b)


def kinds(problem: Problem, ends: Ends, value: float = SAME, logits: float = SAME_LOGITS) -> tuple[Ends, np.ndarray]:
    """(distinct ends in ascending F, the number of each given end): counts add up, the lowest start represents.

    value: chained differences of F, relative to 1 + |F|, below which two ends may be one; logits: as `same_point`'s
    tol.
    """
    place = np.full(len(ends), -1)
    if not len(ends):
        return ends, place
    M, order = ends.logits, orders(ends.logits, problem.counts)
    forms = M[np.arange(len(M))[:, None, None], order[:, :, None], order[:, None, :]]
    sizes, reach = problem.counts[order], np.maximum(np.max(np.abs(M), axis=(1, 2)), 1e-300)
    groups: list[tuple[list[int], bool]] = []
    for level in _levels(ends.fun, ends.rank, value):
        groups += _split(problem, ends, forms, sizes, reach, level, logits)
    best = np.array([min(members, key=lambda i: ends.first[i]) for members, _ in groups])
    ranked = np.lexsort((ends.first[best], ends.fun[best]))
    found = ends.take(best[ranked])
    count, continuum = np.zeros(len(ranked), dtype=int), np.zeros(len(ranked), dtype=bool)
    for number, (members, one) in enumerate(groups[k] for k in ranked):
        place[members], count[number], continuum[number] = number, ends.count[members].sum(), one
    return Ends(found.fun, found.rank, found.logits, found.b, count, found.first, continuum), place


def _levels(fun, rank, tol: float) -> list[np.ndarray]:
    """Indices of equal rank and of values closer than tol (chained)."""
    order = np.lexsort((fun, rank))
    far = (np.diff(rank[order]) != 0) | (np.diff(fun[order]) > tol * (1 + np.abs(fun[order][1:])))
    return np.split(order, np.flatnonzero(far) + 1)


def _split(problem, ends, forms, sizes, reach, level, tol: float) -> list[tuple[list[int], bool]]:
    """(members, whether they are a continuum) of every end of a level."""
    flagged = level[ends.continuum[level]].tolist()
    groups, seen, left = [], [], np.sort(level)
    while len(left):
        i = left[0]
        near = np.max(np.abs(forms[left] - forms[i]), axis=(1, 2)) <= tol * reach[i]
        near &= np.all(sizes[left] == sizes[i], axis=1)
        near[0] = True
        home = next((g for g, rep in enumerate(seen) if _same(problem, ends, rep, i, tol)), None)
        open_ = home is None and bool(seen)
        if flagged or (open_ and (rotates(problem) or all(_degenerate(problem, ends, j) for j in (i, seen[0])))):
            s = np.linalg.svd(forms[level], compute_uv=False)  # a continuum: the spectrum alone tells its ends apart
            alike = np.max(np.abs(s - s[level == (flagged or [i])[0]]), axis=1) <= tol * reach[i]
            rest = [] if alike.all() else _split(problem, ends, forms, sizes, reach, level[~alike], tol)
            return [(level[alike].tolist(), True), *rest]
        if home is None:
            groups.append(left[near].tolist())
            seen.append(i)
        else:
            groups[home] += left[near].tolist()
        left = left[~near]
    return [(group, False) for group in groups]


def _same(problem: Problem, ends: Ends, i: int, j: int, tol: float) -> bool:
    if not problem.linear:
        return False
    return not ends.rank[i] or same_point(ends.point(problem, i), ends.point(problem, j), tol)


def _degenerate(problem: Problem, ends: Ends, i: int) -> bool:
    """Whether the Hessian has zeros beyond the rotations of hidden frames, as along a continuum of ends."""
    if not problem.linear or problem.ridgeless or not ends.rank[i]:
        return False
    point = ends.point(problem, i)
    what = classify(point, extremes=False)
    return what.nullity is not None and what.nullity > gauge_nullity(point)


def orders(M: np.ndarray, counts, rounds: int = 2) -> np.ndarray:
    """Permutations p (B, K) of the classes with M[p][:, p] nearly always the same for P M P' as for M, M (B, K, K)."""
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
