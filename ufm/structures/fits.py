"""How class logits are recognised as a structure's: the nearest matrix of its shape, up to the order of the classes.

A structure's `matches` takes what is `Seen` and yields a `Fit` for every shape of its own. Under a loss of differences
of logits matrices are centred (columns sum to zero); under one that sees shifts they are as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csgraph

from ufm.numerics.content import ByContent
from ufm.numerics.groups import canonical_order, colours
from ufm.points import LogitPoint
from ufm.problem import Problem

MOST_PAIRED = 64
"""Classes up to which pairs are proposed one by one; beyond, by thresholds alone."""
MOST_ORDERED = 20
"""Classes up to which orders are found by a canonical form too."""
LEVELS = (1e-7, 1e-4)
"""Differences of logits, relative to the largest, up to which they are one in a canonical form."""


@dataclass(frozen=True)
class Fit:
    """The nearest matrix of a shape: its relative distance, scales, parts (or cyclic order) of the classes, and rank.

    proper: whether its scales are positive, so that it is that shape and not a smaller one. free: of blocks, the
    distance where every part may have a scale of its own, and those scales (larger parts first); else None.
    """

    name: str
    distance: float
    scales: tuple[float, ...]
    members: tuple[tuple[int, ...], ...]
    rank: int
    proper: bool
    free: tuple[float, tuple[float, ...]] | None = None

    @staticmethod
    def ray(name: str, distance: float, scales: Iterable[float], members: tuple, rank: int) -> Fit:
        """A shape of one positive scale, the first; where it would be negative, zero is the nearest member."""
        scales = tuple(map(float, scales))
        return Fit(name, distance if scales[0] > 0 else 1.0, scales, members, rank, scales[0] > 0)


@dataclass(frozen=True, eq=False)
class Seen(ByContent):
    """What is to be named: class logits M (K, K) without the bias, centred unless shifts count; counts (K,), samples
    per class as far as they are known; the linear problem that M belongs to, if it is known.

    tol: relative distance within which a name is given; reach: the same for this M, whose faintest mode counts where
    its rank is exact.
    """

    M: np.ndarray
    counts: np.ndarray
    shifts: bool
    problem: Problem | None = None
    tol: float = 0.02
    reach: float = 0.02

    @property
    def K(self) -> int:
        return len(self.M)

    @functools.cached_property
    def partitions(self) -> tuple[list[list[int]], ...]:
        """Groups of classes that M opposes to each other, in every way that its entries propose."""
        return tuple(partitions(self.M))


def least_squares(M: np.ndarray, basis) -> tuple[float, np.ndarray]:
    """(relative distance, coefficients) of M from the span of orthogonal basis matrices."""
    coefficients = np.array([np.vdot(B, M) / np.vdot(B, B) for B in basis])
    rest = M - sum(c * B for c, B in zip(coefficients, basis, strict=True))
    return float(np.linalg.norm(rest) / np.linalg.norm(M)), coefficients


def on_small_root(fit: Fit, make: Callable[[Problem, str], LogitPoint], seen: Seen) -> Fit:
    """`name(small)` where the scales are those of the small root of the structure that `make` makes; else the fit."""
    if seen.problem is None or fit.distance > seen.tol:
        return fit
    try:
        small = make(seen.problem, "small")
    except ValueError:
        return fit
    near = len(small.scales) == len(fit.scales) and np.allclose(fit.scales, small.scales, rtol=seen.tol, atol=0)
    return replace(fit, name=f"{fit.name}(small)") if near else fit


def partitions(M: np.ndarray, most: int = 12) -> Iterator[list[list[int]]]:
    """All classes together, then pairs of those that like each other least, then the connected parts of the graph of
    strongly negative logits over its clearest thresholds."""
    K, seen = len(M), set()
    S = -0.5 * (M + M.T)
    values = np.sort(S[np.triu_indices(K, 1)])
    values = values[values > 0][::-1]
    found = [[list(range(K))], *([_paired(S)] if K <= MOST_PAIRED else [])]
    if len(values):
        gaps = values - np.append(values[1:], 0.0)
        for i in np.argsort(-gaps / values)[:most]:
            graph = values[i] - 0.5 * gaps[i] < S
            np.fill_diagonal(graph, False)
            _, part = csgraph.connected_components(graph, directed=False)
            found.append([np.flatnonzero(part == p).tolist() for p in range(part.max() + 1)])
    for parts in found:
        key = tuple(sorted(map(tuple, parts)))
        if key not in seen and any(len(p) > 1 for p in parts):
            seen.add(key)
            yield parts


def _paired(S: np.ndarray) -> list[list[int]]:
    """Pairs, most opposed first, and what is left."""
    K, parts, free = len(S), [], set(range(len(S)))
    for flat in np.argsort(-np.triu(S, 1) + np.tril(np.full((K, K), np.inf)), axis=None, kind="stable"):
        i, j = divmod(int(flat), K)
        if i < j and i in free and j in free:
            parts.append([i, j])
            free -= {i, j}
    return parts + [[i] for i in sorted(free)]


def point_fit(name: str, point: LogitPoint, seen: Seen) -> Fit:
    """How far M is from one point of its own problem, up to the order of the classes of one count."""
    A = replace(point, b=None).class_logits()
    A = A if seen.shifts else A - A.mean(axis=0)
    return Fit(
        name, permuted_distance(seen.M, A, seen.counts, seen.reach), point.scales, (), point.rank, point.rank > 0
    )


def permuted_distance(M: np.ndarray, A: np.ndarray, counts, reach: float) -> float:
    """|M - P A P'|/|M| at the best order of the classes found, counts kept: exact for equal matrices up to K = 20, else
    an upper bound of the least. Beyond `reach`, which singular values tell, only a quick bound is looked for."""
    size, labels = float(np.linalg.norm(M)), list(counts)
    s, t = (np.linalg.svd(X, compute_uv=False) for X in (M, A))
    orders = [_assigned(M, A, labels)]
    if len(M) <= MOST_ORDERED and np.linalg.norm(s - t) <= max(reach, LEVELS[-1]) * size:
        for level in LEVELS:
            p, q = (canonical_order(colours(X, level * np.max(np.abs(X), initial=0.0)), labels) for X in (M, A))
            order = np.empty(len(M), dtype=int)
            order[p] = q
            orders.append(order)
    return min(float(np.linalg.norm(M - A[np.ix_(q, q)])) / size for q in orders)


def _assigned(M: np.ndarray, A: np.ndarray, labels) -> np.ndarray:
    """The order of A's classes whose rows, columns and diagonals, sorted, are nearest to M's."""
    size = 1e6 * (np.max(np.abs(M), initial=0.0) + np.max(np.abs(A), initial=0.0))
    features = [
        np.column_stack([np.sort(X, axis=1), np.sort(X.T, axis=1), 10 * np.diag(X), size * np.array(labels)])
        for X in (M, A)
    ]
    return linear_sum_assignment(np.linalg.norm(features[0][:, None] - features[1][None], axis=2))[1]
