"""Permutations that leave a matrix as it is, and one representative of each class of matrices under permutation.

Matrices of numbers become matrices of integer colours first (`colours`), so that everything after is exact.
Indices whose transposition changes nothing (`interchangeable`) are merged before any search; what remains has
small search trees.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import linear_sum_assignment


def colours(M: np.ndarray, tol: float) -> np.ndarray:
    """Integers that number the distinct values of M in ascending order, values closer than tol (chained) being one."""
    flat = np.sort(M, axis=None)
    starts = np.flatnonzero(np.diff(flat) > tol) + 1
    edges = 0.5 * (flat[starts - 1] + flat[starts])
    return np.searchsorted(edges, M)


def pattern(M: np.ndarray, tol: float) -> tuple[np.ndarray, float]:
    """(colours C, |M - A|/|M|), A being M averaged over each colour: the coarsest colours with that at most tol/2.

    A permutation P that keeps C keeps A, so |P M P' - M| <= 2 |M - A| <= tol |M|: what keeps the colours moves M itself
    by at most tol, however long the chains of near values are that became one colour. tol is relative and bounds the
    differences that are chained, too.
    """
    size, reach = float(np.linalg.norm(M)), float(np.max(np.abs(M), initial=0.0))
    if reach == 0.0:
        return np.zeros(np.shape(M), dtype=int), 0.0
    for level in tol * 2.0 ** -np.arange(0.0, 25.0):
        C = colours(M, level * reach)
        distance = float(np.linalg.norm(M - averaged(M, C))) / size
        if distance <= 0.5 * tol:
            return C, distance
    return colours(M, 0.0), 0.0


def evened(M: np.ndarray, rank: int) -> np.ndarray:
    """U diag((s/s_1)^(1/4)) V' of the first `rank` singular modes of M = U diag(s) V': fixed by the permutations that
    fix M, it shows faint modes beside strong ones, s = 1e-8 as 1e-2."""
    U, s, Vt = np.linalg.svd(M)
    return (U[:, :rank] * (s[:rank] / max(s[0], 1e-300)) ** 0.25) @ Vt[:rank]


def averaged(M: np.ndarray, C: np.ndarray) -> np.ndarray:
    """M with every entry replaced by the mean over its colour."""
    return (np.bincount(C.ravel(), M.ravel()) / np.maximum(np.bincount(C.ravel()), 1))[C]


def interchangeable(M: np.ndarray, labels, tol: float = 0.0) -> list[list[int]]:
    """Parts of indices whose transpositions P satisfy P M P' = M (to tol) and keep the labels."""
    parts: list[list[int]] = []
    diagonal, probe = np.diag(M), np.cos(np.arange(1.0, len(M) + 1.0) ** 2)
    rows, columns = M @ probe, probe @ M
    slack = 4 * tol * len(M) + 1e-9 * (np.max(np.abs(M), initial=0.0) + 1e-300) * len(M)
    for i in range(len(M)):
        reps = np.array([part[0] for part in parts if labels[part[0]] == labels[i]], dtype=int)
        if len(reps):  # rows (and columns) swapped by i <-> r differ along the probe by (M_ii - M_ri)(p_i - p_r)
            shift = (M[i, i] - M[reps, i]) * (probe[i] - probe[reps])
            near = np.maximum(np.abs(rows[i] - rows[reps] - shift), np.abs(columns[i] - columns[reps] - shift)) <= slack
            near &= (np.abs(diagonal[reps] - M[i, i]) <= tol) & (np.abs(M[i, reps] - M[reps, i]) <= tol)
            reps = reps[near]
        home = next((r for r in reps.tolist() if _swappable(M, i, r, tol)), None)
        if home is None:
            parts.append([i])
        else:
            next(part for part in parts if part[0] == home).append(i)
    return parts


def _swappable(M, i: int, r: int, tol: float) -> bool:
    """Whether rows and columns i and r agree to tol outside i and r."""
    others = np.ones(len(M), dtype=bool)
    others[[i, r]] = False
    return bool(np.all(np.abs(M[i] - M[r])[others] <= tol) and np.all(np.abs(M[:, i] - M[:, r])[others] <= tol))


def automorphism_count(C: np.ndarray, labels=None) -> int:
    """Number of permutations p with C[p_i, p_j] = C[i, j] that keep the labels, for an integer matrix C (n, n).

    Interchangeable indices contribute factorials and are merged; on the rest, orbits and stabilisers: the product,
    over a base of points, of the orbit of each under the permutations that fix the ones before.

    >>> automorphism_count(np.eye(4, dtype=int))
    24
    """
    labels = [0] * len(C) if labels is None else list(labels)
    parts = interchangeable(C, labels)
    if len(parts) < len(C):
        count = math.prod(math.factorial(len(part)) for part in parts)
        return count * automorphism_count(*_quotient(C, labels, parts))
    count, fixed = 1, ()
    refined = _Refined(C, labels)
    for point in range(len(C)):
        cells = refined(fixed)
        alike = np.flatnonzero(cells == cells[point])
        if len(alike) > 1:
            count *= sum(bool(q == point) or _extends(refined, (*fixed, point), (*fixed, int(q))) for q in alike)
        fixed += (point,)
        if len(set(cells.tolist())) == len(C):
            break
    return count


def automorphism_orbits(C: np.ndarray, labels=None) -> list[list[int]]:
    """The orbits of the permutations that `automorphism_count` counts: indices that some of them carries to each other.

    >>> automorphism_orbits(np.diag([1, 2, 1]))
    [[0, 2], [1]]
    """
    labels = [0] * len(C) if labels is None else list(labels)
    parts = interchangeable(C, labels)
    if len(parts) < len(C):
        quotient = automorphism_orbits(*_quotient(C, labels, parts))
        return sorted(sorted(i for part in orbit for i in parts[part]) for orbit in quotient)
    refined = _Refined(C, labels)
    cells = refined(())
    orbits: list[list[int]] = []
    for i in range(len(C)):
        home = next((o for o in orbits if cells[o[0]] == cells[i] and _extends(refined, (o[0],), (i,))), None)
        if home is None:
            orbits.append([i])
        else:
            home.append(i)
    return orbits


def canonical_order(C: np.ndarray, labels=None) -> list[int]:
    """A permutation p such that C[p][:, p] is the same for all matrices that differ by a permutation.

    C (n, n) integer, labels kept. Individualisation and refinement, branching once per orbit.

    >>> C = np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    >>> p, q = canonical_order(C), canonical_order(C[::-1, ::-1][[1, 0, 2]][:, [1, 0, 2]])
    >>> bool(np.all(C[np.ix_(p, p)] == C[::-1, ::-1][[1, 0, 2]][:, [1, 0, 2]][np.ix_(q, q)]))
    True
    """
    labels = [0] * len(C) if labels is None else list(labels)
    parts = interchangeable(C, labels)
    if len(parts) < len(C):
        return [i for part in canonical_order(*_quotient(C, labels, parts)) for i in parts[part]]
    refined = _Refined(C, labels)
    best: list[int] = []
    best_key = None
    stack: list[tuple[int, ...]] = [()]
    while stack:
        fixed = stack.pop()
        cells = refined(fixed)
        sizes = np.bincount(cells)
        if np.all(sizes <= 1):
            order = np.argsort(cells)
            key = C[np.ix_(order, order)].tolist()
            if best_key is None or key < best_key:
                best, best_key = order.tolist(), key
            continue
        cell = np.flatnonzero(cells == int(np.flatnonzero(sizes > 1)[0]))
        branches: list[int] = []
        for q in cell.tolist():
            if not any(_extends(refined, (*fixed, first), (*fixed, q)) for first in branches):
                branches.append(q)
        stack += [(*fixed, q) for q in branches]
    return best


def proposed_order(A: np.ndarray, B: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A guess at q with A = B[q][:, q]: indices of equal label matched by diagonal entry and sorted row and column."""
    size = max(1e-300, float(np.max(np.abs(A), initial=0.0)), float(np.max(np.abs(B), initial=0.0)))
    mark, weight = 1e6 * size * labels, np.sqrt(len(A))
    seen = [np.column_stack([np.sort(M, axis=1), np.sort(M.T, axis=1), weight * np.diag(M), mark]) for M in (A, B)]
    return linear_sum_assignment(np.sum((seen[0][:, None] - seen[1][None]) ** 2, axis=2))[1]


def stable_cells(C: np.ndarray) -> np.ndarray:
    """Cells (n,) of the coarsest equitable partition: indices that colour refinement cannot tell apart."""
    return _refine(C, np.zeros(len(C), dtype=int), ())


def _quotient(C, labels, parts):
    """(matrix, labels) of the parts: one index each, labelled by its old label, size and value inside."""
    first = [part[0] for part in parts]
    inside = [int(C[part[0], part[1]]) if len(part) > 1 else -1 for part in parts]
    return C[np.ix_(first, first)], [(labels[part[0]], len(part), v) for part, v in zip(parts, inside, strict=True)]


def _name(labels) -> np.ndarray:
    """Labels as integers, numbered in sorted order of their text so that the numbers do not depend on positions."""
    names = {label: k for k, label in enumerate(sorted(set(labels), key=repr))}
    return np.array([names[label] for label in labels])


class _Refined:
    """fixed points -> the cells of a labelled matrix that they leave, each refinement done once."""

    def __init__(self, C: np.ndarray, labels):
        self.C, self.start = C, _name(labels)
        self.known: dict[tuple[int, ...], np.ndarray] = {}

    def __call__(self, fixed: tuple[int, ...]) -> np.ndarray:
        if fixed not in self.known:
            self.known[fixed] = _refine(self.C, self.start, fixed)
        return self.known[fixed]


def _refine(C, start, fixed: tuple[int, ...]) -> np.ndarray:
    """Cells of the coarsest stable colouring from `start` with the fixed points alone, named canonically."""
    n, size = len(C), int(C.max()) + 1 if C.size else 1
    cells = start + 0
    for k, point in enumerate(fixed):
        cells[point] = n + k
    cells = np.unique(cells, return_inverse=True)[1]
    both = C * size + C.T
    while True:
        count = int(cells.max()) + 1
        around = np.sort(both * count + cells, axis=1)
        keys = np.column_stack([cells, np.diag(C), around])
        after = _row_ranks(keys)
        if int(after.max()) + 1 == count:
            return after
        cells = after


def _row_ranks(keys: np.ndarray) -> np.ndarray:
    """The place of each row among the different rows in lexicographic order, as `np.unique` gives it, only faster."""
    order = np.lexsort(keys.T[::-1])
    ordered = keys[order]
    ranks = np.zeros(len(keys), dtype=int)
    ranks[order[1:]] = np.cumsum(np.any(ordered[1:] != ordered[:-1], axis=1))
    return ranks


def _extends(refined: _Refined, source: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether some automorphism maps the source points, in order, to the target points."""
    C, start, a, b = refined.C, refined.start, refined(source), refined(target)
    sizes = np.bincount(a)
    if not np.array_equal(sizes, np.bincount(b)):
        return False
    if np.all(sizes <= 1):
        p = np.empty(len(C), dtype=int)
        p[np.argsort(a)] = np.argsort(b)
        return bool(np.array_equal(C[np.ix_(p, p)], C)) and bool(np.array_equal(start[p], start))
    cell = int(np.flatnonzero(sizes > 1)[0])
    point = int(np.flatnonzero(a == cell)[0])
    return any(_extends(refined, (*source, point), (*target, int(q))) for q in np.flatnonzero(b == cell))
