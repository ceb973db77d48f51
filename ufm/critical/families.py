"""Families of class logits that have a name: linear sets of matrices (K, K), up to the order of the classes, fitted by
least squares.

Under a loss of differences of logits matrices are centred (columns sum to zero); one that sees shifts tells the
simplex, `blocks(K)`, from collapse, of rank K. Parts of equal size and class count have one scale. Nothing here knows a
problem.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csgraph

from ufm.structures.blocks import block_name, described

MOST_PAIRED = 64
"""Classes up to which pairs are proposed one by one; beyond, by thresholds alone."""


@dataclass(frozen=True)
class Fit:
    """The nearest member of a family: its relative Frobenius distance, scales, parts (or cyclic order) of the classes,
    and rank.

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
    def ray(name: str, distance: float, scales, members, rank: int) -> Fit:
        """A family of one positive scale, the first; where it would be negative, zero is the nearest member."""
        scales = tuple(map(float, scales))
        return Fit(name, distance if scales[0] > 0 else 1.0, scales, members, rank, scales[0] > 0)


def families(M: np.ndarray, counts: np.ndarray, shifts: bool) -> Iterator[Fit]:
    """Every family fitted to M (K, K), centred unless shifts count; counts (K,): samples per class, as far as they are
    known."""
    K = len(M)
    for parts in _partitions(M):
        yield blocks_fit(M, parts, counts, shifts)
        if [len(p) for p in parts].count(1) == 1 and {len(p) for p in parts} == {1, 2}:
            yield from _odd_pairs(M, parts, shifts)
    if shifts:
        yield _collapse(M, counts)
    if K >= 5:
        yield from _circle(M)
    if K == 10:
        yield from _petersen(M)


def blocks_fit(M: np.ndarray, parts, counts: np.ndarray, shifts: bool) -> Fit:
    """Simplices on the parts of two classes or more, nothing elsewhere; a negative scale is set to zero."""
    K = len(M)
    big = [part for part in parts if len(part) > 1]
    found, rest = [], M.copy()
    for part in big:
        at, k = np.ix_(part, part), len(part)
        S = np.eye(k) - 1.0 / k
        found.append(float(np.vdot(S, M[at]) / (k - 1)))
        rest[at] -= max(found[-1], 0.0) * S
    keys = [(len(part), tuple(sorted(counts[list(part)]))) for part in big]
    common = [float(np.mean([a for a, other in zip(found, keys, strict=True) if other == key])) for key in keys]
    size = np.linalg.norm(M)
    free = float(np.linalg.norm(rest) / size)
    spread = sum(
        (len(part) - 1) * (max(a, 0.0) - max(c, 0.0)) ** 2 for part, a, c in zip(big, found, common, strict=True)
    )
    order = sorted(range(len(big)), key=lambda i: (-len(big[i]), big[i][0]))
    name = f"blocks({K})" if shifts and len(parts) == 1 else block_name([len(p) for p in parts])
    scales = described(name, [common[i] for i in order], ["large"], len(set(keys)) == 1)[1]
    members = (*(tuple(big[i]) for i in order), *(tuple(part) for part in parts if len(part) == 1))
    distance, chosen = float(np.hypot(free, np.sqrt(spread) / size)), tuple(found[i] for i in order)
    return Fit(name, distance, scales, members, K - len(parts), min(chosen) > 0, (free, chosen))


def _partitions(M: np.ndarray, most: int = 12) -> Iterator[list[list[int]]]:
    """All classes together, then the connected parts of the graph of strongly negative logits over its clearest
    thresholds; pairs of those that like each other least."""
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


def _fit(M, basis) -> tuple[float, np.ndarray]:
    """(relative distance, coefficients) of M from the span of orthogonal basis matrices."""
    coefficients = np.array([np.vdot(B, M) / np.vdot(B, B) for B in basis])
    rest = M - sum(c * B for c, B in zip(coefficients, basis, strict=True))
    return float(np.linalg.norm(rest) / np.linalg.norm(M)), coefficients


def _odd_pairs(M, parts, shifts: bool) -> Iterator[Fit]:
    """Pairs with a lone class: the fixed shape of one scale, and the apex with a scale (and, centred, a direction) of
    its own."""
    parts = sorted(parts, key=len, reverse=True)
    K, lone = len(M), parts[-1][0]
    m = K // 2
    P = np.zeros((K, K))
    for i, j in parts[:-1]:
        P[i, i] = P[j, j] = 1.0
        P[i, j] = P[j, i] = -1.0
    own, others = np.zeros(K), np.ones(K)
    own[lone], others[lone] = 1.0, 0.0
    members = tuple(map(tuple, parts))
    up = own if shifts else own - 1.0 / K
    distance, (b,) = _fit(M, [P + np.outer(up, own)])
    yield Fit.ray("pairs", distance, (b,), members, m + 1)
    if K == 3:
        return
    u = up / np.linalg.norm(up)
    more = [] if shifts else [np.outer(u, others) / np.sqrt(2 * m)]
    distance, scales = _fit(M, [P, np.outer(u, own), *more])
    if min(scales[:2]) > 0:
        yield Fit("pairs+apex", distance, tuple(map(float, scales)), members, m + 1, True)


def _collapse(M, counts) -> Fit:
    """Collapse under a loss that sees shifts: a (I - 11'/K) + c 11'/K, of one scale where a = c; for unequal counts a_c
    e_c (one a per count)."""
    K, J, everyone = len(M), np.full((len(M), len(M)), 1.0 / len(M)), (tuple(range(len(M))),)
    if len(set(counts.tolist())) == 1:
        distance, (a, c) = _fit(M, [np.eye(K) - J, J])
        return Fit.ray("dnc", distance, (a, c) if abs(a - c) > 1e-9 * abs(a) else (a,), everyone, K)
    distance, scales = _fit(M, [np.diag((counts == count).astype(float)) for count in sorted(set(counts.tolist()))])
    return Fit("dnc", distance, tuple(map(float, scales)), everyone, K, min(scales) > 0)


def _circle(M) -> Iterator[Fit]:
    """K points equally spaced on a circle: M_ij = a cos(2 pi (i - j)/K) (2/K) in the order of their angles."""
    K = len(M)
    values, vectors = np.linalg.eigh(0.5 * (M + M.T))
    angles = np.arctan2(vectors[:, -1] * np.sqrt(abs(values[-1])), vectors[:, -2] * np.sqrt(abs(values[-2])))
    order = np.argsort(angles)
    turn = 2 * np.pi * np.subtract.outer(np.arange(K), np.arange(K)) / K
    distance, (a,) = _fit(M[np.ix_(order, order)], [2.0 / K * np.cos(turn)])
    yield Fit.ray("circle", distance, (a,), (tuple(order.tolist()),), 2)


def _petersen(M) -> Iterator[Fit]:
    """The rank-4 code of the Petersen graph: a times the projection on its eigenspace of eigenvalue -2."""
    off = 0.5 * (M + M.T)
    order = np.argsort(off + 1e9 * np.eye(10), axis=1)
    A = np.zeros((10, 10))
    for i in range(10):
        A[i, order[i, :3]] = 1.0
    if not np.array_equal(A, A.T) or not np.array_equal(A @ A + A - 2 * np.eye(10), np.ones((10, 10))):
        return
    # E = (A - 3)(A - 1)/15 projects on the eigenvalue -2
    E = (A - 3 * np.eye(10)) @ (A - np.eye(10)) / 15.0
    distance, (a,) = _fit(M, [E])
    yield Fit.ray("petersen", distance, (a,), (), 4)
