"""A name for anybody's end point: any logit matrix, array of factors, or (features, classifier) pair.

The class-mean logits M (K, K), with their column means removed, are compared with every structure this
package can name, each a linear family of matrices up to class permutation. The name is that of the
nearest family within `tol` (relative Frobenius distance) whose rank agrees. What is in none of them may still be
a known code by its pattern of equal logits (`geometry`); nothing is named beyond that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csgraph

from ufm import metrics
from ufm.critical.geometry import LARGEST, code_name
from ufm.critical.relu_names import hidden_rank, name_of
from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.groups import automorphism_count, colours
from ufm.numerics.words import named_arguments
from ufm.points import FactorPoint, LogitPoint
from ufm.solvers.result import Result
from ufm.structures.blocks import block_name
from ufm.structures.relu_collapse import keeps_positive


@dataclass(frozen=True, eq=False)
class Identity(ByContent):
    """A name with what supports it.

    name: a structure, or `unnamed(rank=r, group order=g)` with g the class permutations that fix it to `tol`.
    distance: relative Frobenius distance of the class-mean logits from the named family (None if unnamed, and where all layers were read).
    rank: of the class-mean logits as given (declared, or singular values above tol of the largest); of a ReLU model's last pre-activations.
    scales: of the fitted structure. within_class: |Z - class means|_F / |Z|_F. collapse: NC metrics.
    members: classes of every block, or in cyclic order for the circle.
    """

    name: str
    rank: int
    distance: float | None
    scales: tuple[float, ...]
    within_class: float
    collapse: dict
    members: tuple[tuple[int, ...], ...]
    tol: float

    def __repr__(self) -> str:
        unnamed = self.name.startswith("unnamed")
        near = f"distance {self.distance:.2e}" if self.distance is not None else f"{'no name' if unnamed else 'layers'} within {self.tol:g}"
        return f"{self.name}: rank {self.rank}, {near}, within-class variation {self.within_class:.1e}"


@named_arguments
def identify(Z=None, *, features=None, weights=None, labels=None, tol: float = 0.02) -> Identity:
    """Name a point, a Result, a logit matrix Z (K, N) or (K, K), or features X (N, d) with a classifier W (K, d).

    labels: class of every sample, 0..K-1 (default: equal blocks in order). The answer is the same after
    class permutations, changes of basis, positive scaling and a shift of all logits of a class. Logits below
    1e-9 in norm are `zero`; of a FactorPoint under a loss that sees shifts, as mse does, only without one. tol: as in the module.

    >>> identify(np.kron(np.eye(3), [[1.0, -1.0], [-1.0, 1.0]])).name
    'pairs'

    Raises ValueError for arrays of wrong shape, labels that miss a class, and when nothing or too much is given.
    """
    tol = arguments.positive("tol", tol)
    Z = Z.point if isinstance(Z, Result) else Z
    if isinstance(Z, FactorPoint) and not Z.problem.linear and keeps_positive(Z.problem):
        return _through_layers(Z, tol)
    shifts_count = isinstance(Z, FactorPoint) and not Z.problem.loss.shift_invariant
    Z, labels, declared, collapse = _read(Z, features, weights, labels)
    K = len(Z)
    means = metrics.class_means(Z.T, labels, K).T
    size = np.linalg.norm(Z)
    within = float(np.linalg.norm(Z - means[:, labels]) / size) if size else 0.0
    if collapse is None:
        collapse = metrics.summary(Z.T, labels)
    M = means - means.mean(axis=0)
    s = np.linalg.svd(means, compute_uv=False)
    rank = declared if declared is not None else int(np.sum(s > tol * s[0])) if s[0] > 0 else 0
    common = {"within_class": within, "collapse": collapse, "tol": tol}
    norm = np.linalg.norm(M)
    if norm <= 1e-9 and shifts_count and size > 1e-9:  # equal logits for all classes, which mse sees
        return Identity(f"unnamed(rank={rank})", rank, None, (), members=(), **common)
    if declared == 0 or (declared is None and norm <= 1e-9):
        return Identity("zero", 0, float(norm), (), members=(), **common)
    centred_rank = int(np.sum(np.linalg.svd(M, compute_uv=False) > tol * np.linalg.norm(M, 2)))
    fits = [fit for fit in _candidates(M) if fit[1] <= tol and fit[4] == centred_rank]
    if not fits:
        fine = 1e-6 if declared is not None else tol
        for level in (1e-6,) if declared is not None else sorted({min(level, tol) for level in (1e-6, 1e-4, 2e-3, tol)}):
            code = code_name(M, level)
            if code is not None and code[1] <= tol:
                return Identity(code[0], rank, code[1], (), members=(), **common)
        order = automorphism_count(colours(M, fine * np.max(np.abs(M)))) if K <= LARGEST else None
        group = "" if order is None else f", group order={order}"
        return Identity(f"unnamed(rank={rank}{group})", rank, None, (), members=(), **common)
    name, distance, scales, members, _ = min(fits, key=lambda fit: fit[1] + 0.05 * tol * len(fit[2]))
    return Identity(name, rank, float(distance), tuple(map(float, scales)), members=members, **common)


def _through_layers(point: FactorPoint, tol: float) -> Identity:
    """The name of a point of a ReLU model, read from all its layers."""
    Z, labels = point.logits(), point.problem.labels
    means, size = metrics.class_means(Z.T, labels, len(Z)).T, np.linalg.norm(Z)
    within = float(np.linalg.norm(Z - means[:, labels]) / size) if size else 0.0
    collapse = metrics.summary(point.layers()[-1].T, labels, point.factors[-1])
    return Identity(name_of(point, tol), hidden_rank(point), None, (), within, collapse, (), tol)


def _read(Z, features, weights, labels):
    """(Z (K, N), labels, declared rank or None, metrics or None) from whatever was given."""
    if (Z is None) == (features is None):
        raise ValueError("identify needs either a point or logits Z, or features together with weights.")
    if isinstance(Z, LogitPoint):
        if Z.collapsed:
            return Z.class_logits(), np.arange(Z.problem.K), Z.rank, None
        return Z.logits(), Z.problem.labels, Z.rank, None
    if isinstance(Z, FactorPoint):
        collapse = metrics.summary(Z.layers()[-1].T, Z.problem.labels, Z.factors[-1])
        return Z.logits(), Z.problem.labels, None, collapse
    if features is not None:
        if weights is None:
            raise ValueError("features need weights: the classifier W (K, d).")
        X, W = arguments.array("features", features, ndim=2), arguments.array("weights", weights, ndim=2)
        if X.shape[1] != W.shape[1]:
            raise ValueError(f"features (N, d) and weights (K, d) must share d; got {X.shape} and {W.shape}.")
        labels = _labels(labels, len(W), len(X))
        return W @ X.T, labels, None, metrics.summary(X, labels, W)
    Z = arguments.array("Z", Z, ndim=2)
    if len(Z) < 2:
        raise ValueError(f"Z must have shape (K, N) with K >= 2 classes; got {Z.shape}.")
    return Z, _labels(labels, *Z.shape), None, None


def _labels(labels, K: int, N: int) -> np.ndarray:
    if labels is None:
        if N % K:
            raise ValueError(f"labels are needed: {N} samples do not split into {K} equal classes.")
        return np.repeat(np.arange(K), N // K)
    labels = arguments.array("labels", labels, shape=(N,))
    if np.any(labels != np.floor(labels)) or set(labels.astype(int).tolist()) != set(range(K)):
        raise ValueError(f"labels must be integers 0..{K - 1} with every class present.")
    return labels.astype(int)


def _candidates(M: np.ndarray):
    """(name, relative distance, scales, members, rank) of every family fitted to the row-centred M."""
    yield from _block_fits(M)
    if len(M) >= 5:
        yield from _circle_fit(M)
    if len(M) == 10:
        yield from _petersen_fit(M)


def _fit(M, basis) -> tuple[float, np.ndarray]:
    """(relative distance, coefficients) of M from the span of orthogonal basis matrices."""
    coefficients = np.array([np.vdot(B, M) / np.vdot(B, B) for B in basis])
    rest = M - sum(c * B for c, B in zip(coefficients, basis, strict=True))
    return float(np.linalg.norm(rest) / np.linalg.norm(M)), coefficients


def _block_fits(M):
    """Simplices on the connected parts of the graph of strongly negative logits, over its clearest thresholds."""
    seen = set()
    for parts in _partitions(M):
        key = tuple(sorted(map(tuple, parts)))
        if key in seen or all(len(p) == 1 for p in parts):
            continue
        seen.add(key)
        parts = sorted(parts, key=len, reverse=True)
        yield _simplices(M, parts)
        if len(M) > 3 and [len(p) for p in parts].count(1) == 1 and {len(p) for p in parts} == {1, 2}:
            yield from _odd_pairs(M, parts)


def _partitions(M, most: int = 12):
    K = len(M)
    upper = -0.5 * (M + M.T)[np.triu_indices(K, 1)]
    values = np.sort(upper[upper > 0])[::-1]
    if not len(values):
        return
    gaps = values - np.append(values[1:], 0.0)
    for i in np.argsort(-gaps / values)[:most]:
        cut = values[i] - 0.5 * gaps[i]
        graph = -0.5 * (M + M.T) > cut
        np.fill_diagonal(graph, False)
        _, part = csgraph.connected_components(graph, directed=False)
        yield [np.flatnonzero(part == p).tolist() for p in range(part.max() + 1)]


def _simplices(M, parts):
    rest, scales = M.copy(), []
    for part in (p for p in parts if len(p) > 1):
        at, k = np.ix_(part, part), len(part)
        S = np.eye(k) - 1.0 / k
        scales.append(float(np.vdot(S, M[at]) / (k - 1)))
        rest[at] -= scales[-1] * S
    name = block_name([len(p) for p in parts])
    distance = float(np.linalg.norm(rest) / np.linalg.norm(M)) if min(scales) > 0 else np.inf
    scales = [float(np.mean(scales)) / 2] if name == "pairs" else scales
    return name, distance, scales, tuple(map(tuple, parts)), len(M) - len(parts)


def _odd_pairs(M, parts):
    """Pairs with a lone class: the fixed shape of one scale, and the apex with a scale and direction of its own."""
    K, lone = len(M), parts[-1][0]
    m = K // 2
    P = np.zeros((K, K))
    for i, j in parts[:-1]:
        P[i, i] = P[j, j] = 1.0
        P[i, j] = P[j, i] = -1.0
    own, others = np.zeros(K), np.ones(K)
    own[lone], others[lone] = 1.0, 0.0
    centred = P + np.outer(own - 1.0 / K, own)
    members = tuple(map(tuple, parts))
    distance, (b,) = _fit(M, [centred])
    if b > 0:
        yield "pairs", distance, (b,), members, m + 1
    u = (own - 1.0 / K) / np.linalg.norm(own - 1.0 / K)
    distance, (b, t0, t1) = _fit(M, [P, np.outer(u, own), np.outer(u, others) / np.sqrt(2 * m)])
    if b > 0 and t0 > 0:
        yield "pairs+apex", distance, (b, t0, t1), members, m + 1


def _circle_fit(M):
    """K points equally spaced on a circle: M_ij = a cos(2 pi (i - j)/K) (2/K) in the order of their angles."""
    K = len(M)
    values, vectors = np.linalg.eigh(0.5 * (M + M.T))
    angles = np.arctan2(vectors[:, -1] * np.sqrt(abs(values[-1])), vectors[:, -2] * np.sqrt(abs(values[-2])))
    order = np.argsort(angles)
    turn = 2 * np.pi * np.subtract.outer(np.arange(K), np.arange(K)) / K
    distance, (a,) = _fit(M[np.ix_(order, order)], [2.0 / K * np.cos(turn)])
    if a > 0:
        yield "circle", distance, (a,), (tuple(order.tolist()),), 2


def _petersen_fit(M):
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
    if a > 0:
        yield "petersen", distance, (a,), (), 4
