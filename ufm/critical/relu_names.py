"""Names of points of deep ReLU models, from the Gram matrices of their layers.

Neurons may be split and permuted without changing anything, so layers are compared through the Gram matrices of class
means, s(M_l)'s(M_l) after and M_l'M_l before the ReLU. W_1 H_1 before its ReLU is left out: at DNC the loss does not
determine it (`ufm.structures.relu_collapse`).
"""

from __future__ import annotations

import functools

import numpy as np

from ufm import structures
from ufm.critical.same import same_value
from ufm.numerics import arguments, graphs
from ufm.numerics.graphs import Graph, incidence
from ufm.numerics.groups import canonical_order
from ufm.objectives.clarke import merged
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import relu_collapse
from ufm.structures.code_splits import code_label
from ufm.structures.structure import Structure, everyone

LARGEST_PART = 12
"""Classes up to which the parts of a graph code are looked up among all graphs on at most 6 vertices; beyond, among K_r
and K_{p,q}."""


RANK = 1e-2
"""Singular value, relative to the largest, below which it does not count: ends of descents stall at 1e-4 to 1e-2 beside
a kink."""
TOL = 0.02
"""Relative distance within which `identify` and every verb give a name."""
ZERO = 1e-9
"""Largest entry or singular value that is zero."""


def class_layers(point: FactorPoint) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(before, after): class means M_2, ..., M_L of the pre-activations (d_l, K), and of what the activation makes of
    them; ([H_1], [H_1]) for L = 1."""
    mean = point.problem.samples.Y.T / point.problem.counts
    if point.problem.L == 1:
        return [point.factors[0] @ mean], [point.factors[0] @ mean]
    inputs = point.layers()
    return [W @ u @ mean for W, u in zip(point.factors[1:-1], inputs, strict=False)], [u @ mean for u in inputs[1:]]


def hidden_rank(point: FactorPoint, tol: float = RANK) -> int:
    """Rank of the last pre-activations M_L; after the ReLU at L = 2, where M_2 is not determined."""
    before, after = class_layers(point)
    M = after[-1] if point.problem.L <= 2 else before[-1]
    return rank_of(M, tol)


def hidden_values(point: FactorPoint) -> list[float]:
    """Singular values of the class means of the last hidden pre-activations, descending, zeros left out."""
    s = np.linalg.svd(class_layers(point)[0][-1], compute_uv=False)
    return s[s > 1e-10 * max(s[0], 1e-300)].tolist()


def rank_of(M: np.ndarray, tol: float = RANK) -> int:
    """How many singular values lie above tol of the largest; 0 where that is at most ZERO."""
    s = np.linalg.svd(M, compute_uv=False)
    return int(np.sum(s > tol * s[0])) if len(s) and s[0] > ZERO else 0


def name_of(point: FactorPoint, tol: float = TOL) -> str:
    """`zero`, `dnc`, `dnc(small)`, `partial(m)`, `srg(r=5)`, `code(K3,3)+dnc(2)`, ..., or `unnamed(rank=r)`.

    DNC: Gram matrices diagonal over the fitted classes, for all layers after the ReLU and for l >= 3 before it, with
    equal entries where class counts are equal. Graph codes: s(M_{L-1}) has the Gram matrix of B and M_L that of 11' -
    B'B, component by component. tol: relative, entrywise.
    """
    before, after = class_layers(point)
    if np.max(np.abs(point.product()), initial=0.0) <= ZERO:
        return "zero"
    size = np.linalg.norm(after[-1], axis=0)
    fitted = np.flatnonzero(size > tol * np.max(size))
    grams = [M[:, fitted].T @ M[:, fitted] for M in (*after, *before[1:])]
    if all(_is_frame(G, point.problem.counts[fitted], tol) for G in grams):
        if len(fitted) < point.problem.K:
            return f"partial({len(fitted)})"
        means = point.product() @ (point.problem.samples.Y.T / point.problem.counts)
        return "dnc(small)" if relu_collapse.on_small_root(point.problem, means) else "dnc"
    name = _code_name(point, before, after, fitted, tol) if point.problem.L >= 3 else None
    return name or f"unnamed(rank={hidden_rank(point)})"


def nonlinear_name(point: FactorPoint, tol: float = TOL) -> str:
    """`name_of`; where the layers show no name, that of a structure with the same value and rank, which is then the
    same point (`critical.same`): under MSE classes that share neurons turn freely against each other."""
    name = name_of(point, tol)
    if not name.startswith("unnamed"):
        return name
    objective, x = merged(point)
    fun, rank = float(objective.value(x)), hidden_rank(point)
    known = _structure_values(point.problem, everyone())
    return next((other for other, value, r in known if r == rank and same_value(fun, value)), name)


@functools.lru_cache(maxsize=32)
def _structure_values(problem: Problem, _: tuple[Structure, ...]) -> tuple[tuple[str, float, int], ...]:
    """(name, F, rank) of the structures of a nonlinear model; known anew where the structures are others."""
    found = []
    for name, point in structures.existing(problem)[0].items():
        point = arguments.instance(name, point, FactorPoint)
        objective, x = merged(point)
        found.append((name, float(objective.value(x)), hidden_rank(point)))
    return tuple(found)


def _is_frame(G: np.ndarray, counts, tol: float) -> bool:
    """Diagonal, with equal entries for classes of equal counts."""
    d = np.diag(G)
    level = np.array([np.mean(d[counts == c]) for c in counts])
    return bool(np.all(np.abs(G - np.diag(level)) <= tol * np.sqrt(np.outer(level, level))))


def _code_name(point, before, after, fitted, tol: float) -> str | None:
    G = _normalised(after[-2][:, fitted])
    overlap = np.rint(2 * G)
    if np.max(np.abs(2 * G - overlap)) > 2 * tol or not np.all(np.isin(overlap, (0, 1, 2))):
        return None
    parts, lone = [], point.problem.K - len(fitted)
    if lone:
        return None  # codes beside classes at 0 are not named
    for part in _parts(overlap > 0):
        if len(part) == 1:
            lone += 1
            continue
        graph = _root(overlap[np.ix_(part, part)].astype(int))
        if graph is None or not _same_frame(before[-1][:, fitted[part]], graph, tol):
            return None
        parts.append(graph)
    return code_label(sorted(parts, key=lambda g: -len(g)), lone) if parts else None


def _normalised(M: np.ndarray) -> np.ndarray:
    size = np.linalg.norm(M, axis=0)
    size[size == 0] = 1.0
    return (M / size).T @ (M / size)


def _parts(joined: np.ndarray) -> list[np.ndarray]:
    from scipy.sparse import csgraph

    _, label = csgraph.connected_components(joined, directed=False)
    return [np.flatnonzero(label == k) for k in range(label.max() + 1)]


def _root(overlap: np.ndarray) -> Graph | None:
    """The connected graph whose edges overlap so (2 on the diagonal, 1 for edges that meet), or None if unknown."""
    K = len(overlap)
    degrees = sorted(overlap.sum(axis=0).tolist())
    order = None
    for graph in _candidates(K):
        C = np.rint(incidence(graph).T @ incidence(graph)).astype(int)
        if sorted(C.sum(axis=0).tolist()) != degrees:
            continue
        order = canonical_order(overlap) if order is None else order
        other = canonical_order(C)
        if np.array_equal(overlap[np.ix_(order, order)], C[np.ix_(other, other)]):
            return graph
    return None


def _candidates(K: int):
    named = [graphs.complete(r) for r in range(4, K) if r * (r - 1) // 2 == K]
    named += [graphs.complete_multipartite(p, K // p) for p in range(2, int(np.sqrt(K)) + 1) if K % p == 0]
    yield from named
    if K <= LARGEST_PART:
        small = graphs.simple_graphs(K, 6)
        yield from (g for g in small if len(graphs.components(g)) == 1 and graphs.disjointness(g).any())


def _same_frame(M: np.ndarray, graph: Graph, tol: float) -> bool:
    """Whether M'M has, up to a factor and the order of classes, the entries of (11' - B'B)^2."""
    B = incidence(graph)
    target = np.sort(((1.0 - B.T @ B) @ (1.0 - B.T @ B)).ravel())
    found = np.sort((M.T @ M).ravel())
    return bool(np.max(np.abs(found / np.linalg.norm(found) - target / np.linalg.norm(target))) <= tol)
