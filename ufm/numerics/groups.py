"""Permutations that leave a matrix as it is."""

from __future__ import annotations

import numpy as np


def colours(M: np.ndarray, tol: float) -> np.ndarray:
    """Integers that number the distinct values of M, values closer than tol (chained) being one."""
    flat = np.sort(M, axis=None)
    starts = np.flatnonzero(np.diff(flat) > tol) + 1
    edges = 0.5 * (flat[starts - 1] + flat[starts])
    return np.searchsorted(edges, M)


def automorphism_count(C: np.ndarray) -> int:
    """Number of permutations p with C[p_i, p_j] = C[i, j], for an integer matrix C (n, n).

    By orbits and stabilisers: the product, over a base of points, of the orbit of each under the
    permutations that fix the ones before; orbits by search with colour refinement.

    >>> automorphism_count(np.eye(4, dtype=int))
    24
    """
    n, count = len(C), 1
    fixed: list[int] = []
    for point in range(n):
        cells = _refine(C, fixed)
        alike = [q for q in range(n) if cells[q] == cells[point]]
        if len(alike) > 1:
            count *= sum(q == point or _extends(C, [*fixed, point], [*fixed, q]) for q in alike)
        fixed.append(point)
    return count


def _refine(C, fixed) -> np.ndarray:
    """Cells of the coarsest stable colouring in which the fixed points are alone, named canonically."""
    n = len(C)
    cells = np.zeros(n, dtype=int)
    for k, point in enumerate(fixed):
        cells[point] = k + 1
    while True:
        keys = [(cells[i], C[i, i], tuple(sorted(zip(cells.tolist(), C[i].tolist(), C[:, i].tolist(), strict=True)))) for i in range(n)]
        names = {key: k for k, key in enumerate(sorted(set(keys)))}
        after = np.array([names[key] for key in keys])
        if len(names) == len(set(cells.tolist())):
            return after
        cells = after


def _extends(C, source: list[int], target: list[int]) -> bool:
    """Whether some automorphism maps the source points, in order, to the target points."""
    a, b = _refine(C, source), _refine(C, target)
    if sorted(a.tolist()) != sorted(b.tolist()):
        return False
    sizes = np.bincount(a)
    if np.all(sizes <= 1):
        p = np.empty(len(C), dtype=int)
        p[np.argsort(a)] = np.argsort(b)
        return bool(np.array_equal(C[np.ix_(p, p)], C))
    cell = int(np.flatnonzero(sizes > 1)[0])
    point = int(np.flatnonzero(a == cell)[0])
    return any(_extends(C, [*source, point], [*target, int(q)]) for q in np.flatnonzero(b == cell))
