"""Simple graphs as edge lists: named families, incidence matrices, and all graphs of so many edges up to isomorphism.

`simple_graphs` grows graphs edge by edge and keeps one of each kind, told apart by `fingerprint`, a number that
isomorphic graphs share. Two kinds with one fingerprint would be merged; that this does not happen follows from the
known numbers of graphs, which come out: with up to 9 edges, and all 12346 on 8 vertices. Feasible: any number of edges
on up to 7 vertices (half a second) or 8 (10 s), 9 edges on any number (2 s).
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.groups import canonical_order

LARGEST_ENUMERATION = 8
"""Vertices up to which graphs with more than `MANY_EDGES` edges are enumerated."""
MANY_EDGES = 10
"""Edges up to which graphs are enumerated whatever the number of vertices."""


@dataclass(frozen=True)
class Graph:
    """A simple graph without isolated vertices: r vertices 0, ..., r-1 and its edges (i, j), i < j, in order.

    >>> Graph(((0, 1), (1, 2), (0, 2)))
    K3: 3 vertices, 3 edges

    Raises ValueError for loops, repeated edges and vertices without an edge.
    """

    edges: tuple[tuple[int, int], ...]

    def __post_init__(self):
        edges = [tuple(sorted(arguments.integer("vertex", v, 0) for v in edge)) for edge in self.edges]
        if not edges or any(len(e) != 2 or e[0] == e[1] for e in edges) or len(set(edges)) < len(edges):
            raise ValueError(f"edges must be distinct pairs of two vertices, at least one; got {self.edges!r}.")
        missing = set(range(max(j for _, j in edges) + 1)) - {v for e in edges for v in e}
        if missing:
            none = f"vertices {sorted(missing)} have none in {self.edges!r}"
            raise ValueError(f"edges must cover every vertex from 0 on; {none}.")
        object.__setattr__(self, "edges", tuple(sorted(edges)))

    @property
    def vertices(self) -> int:
        return max(j for _, j in self.edges) + 1

    @property
    def name(self) -> str:
        """`K5`, `K3,3`, `C5`, ...; parts joined by `+`; else `G(6; 443322)`, vertices and degrees."""
        return graph_name(self)

    def __len__(self) -> int:
        return len(self.edges)

    def __repr__(self) -> str:
        return f"{self.name}: {self.vertices} vertices, {len(self)} edges"


def incidence(graph: Graph) -> np.ndarray:
    """B (r, K): column e has ones at the ends of edge e; BB' = degrees + adjacency, B'B = 2 I + the line graph's."""
    B = np.zeros((graph.vertices, len(graph)))
    for e, ends in enumerate(graph.edges):
        B[list(ends), e] = 1.0
    return B


def adjacency(graph: Graph) -> np.ndarray:
    """A (r, r) of zeros and ones."""
    A = np.zeros((graph.vertices, graph.vertices), dtype=int)
    for i, j in graph.edges:
        A[i, j] = A[j, i] = 1
    return A


def disjointness(graph: Graph) -> np.ndarray:
    """C (K, K) = max(11' - B'B, 0): 1 where two edges share no vertex. For K_r the Kneser graph KG(r, 2)."""
    B = incidence(graph)
    return np.maximum(1.0 - B.T @ B, 0.0)


def complete(r: int) -> Graph:
    """K_r, r >= 2, whose line graph is the triangular graph T(r), strongly regular for r >= 4."""
    return Graph(tuple(itertools.combinations(range(arguments.integer("r", r, 2)), 2)))


def complete_multipartite(*parts: int) -> Graph:
    """K_{p,q,...}: vertices of different parts are joined. The line graph of K_{p,q} is the p x q rook graph."""
    label = np.repeat(np.arange(len(parts)), [arguments.integer("part", p, 1) for p in parts])
    return Graph(tuple((i, j) for i, j in itertools.combinations(range(len(label)), 2) if label[i] != label[j]))


def cycle(m: int) -> Graph:
    """C_m, m >= 3."""
    m = arguments.integer("m", m, 3)
    return Graph(tuple((i, (i + 1) % m) for i in range(m)))


def path(m: int) -> Graph:
    """P_m: m >= 2 vertices in a row, m - 1 edges."""
    return Graph(tuple((i, i + 1) for i in range(arguments.integer("m", m, 2) - 1)))


def wheel(m: int) -> Graph:
    """W_m: a hub joined to a cycle of m - 1 >= 3 vertices."""
    rim = cycle(arguments.integer("m", m, 4) - 1)
    return Graph((*rim.edges, *((i, m - 1) for i in range(m - 1))))


def petersen() -> Graph:
    """Pairs of five things, joined when disjoint: 10 vertices, 15 edges."""
    pairs = list(itertools.combinations(range(5), 2))
    return Graph(tuple((i, j) for i, j in itertools.combinations(range(10), 2) if not set(pairs[i]) & set(pairs[j])))


def prism(m: int) -> Graph:
    """Two copies of C_m joined by a matching: 3m edges; m = 4 is the cube."""
    ring = cycle(m).edges
    return Graph((*ring, *((i + m, j + m) for i, j in ring), *((i, i + m) for i in range(m))))


def without_edge(graph: Graph) -> Graph:
    """The graph less its first edge."""
    return Graph(graph.edges[1:])


def union(*graphs: Graph) -> Graph:
    """Disjoint union, edges in the order of the graphs."""
    starts = np.cumsum([0, *(g.vertices for g in graphs)])
    return Graph(tuple((int(i + s), int(j + s)) for g, s in zip(graphs, starts[:-1], strict=True) for i, j in g.edges))


def components(graph: Graph) -> list[Graph]:
    """The connected parts, by number of edges, most first."""
    label = list(range(graph.vertices))
    for i, j in graph.edges:
        a, b = label[i], label[j]
        label = [a if v == b else v for v in label]
    found = []
    for part in dict.fromkeys(label):
        number = {v: k for k, v in enumerate(v for v in range(graph.vertices) if label[v] == part)}
        found.append(Graph(tuple((number[i], number[j]) for i, j in graph.edges if label[i] == part)))
    return sorted(found, key=lambda g: -len(g))


def canonical_form(graph: Graph) -> Graph:
    """The same graph for all that are isomorphic to it, exactly."""
    A = adjacency(graph)
    place = {v: k for k, v in enumerate(canonical_order(A))}
    return Graph(tuple((place[i], place[j]) for i, j in graph.edges))


def is_isomorphic(a: Graph, b: Graph) -> bool:
    """Exactly, by canonical forms."""
    return _degrees(a) == _degrees(b) and canonical_form(a) == canonical_form(b)


def simple_graphs(edges: int, vertices: int | None = None) -> tuple[Graph, ...]:
    """All simple graphs of so many edges on at most `vertices` vertices, none isolated, one of each isomorphism class.

    >>> [len(simple_graphs(k)) for k in (1, 2, 3, 4, 5)]
    [1, 2, 5, 11, 26]

    vertices None: no limit. Raises ValueError where the list would be too long to make.
    """
    edges = arguments.integer("edges", edges, 1)
    limit = 2 * edges if vertices is None else min(arguments.integer("vertices", vertices, 2), 2 * edges)
    if edges > MANY_EDGES and limit > LARGEST_ENUMERATION:
        most = f"{LARGEST_ENUMERATION} for more than {MANY_EDGES} edges"
        raise ValueError(f"vertices must be at most {most}; got edges={edges}, vertices={vertices!r}.")
    return grown(edges, limit)


@functools.lru_cache(maxsize=64)
def grown(edges: int, limit: int) -> tuple[Graph, ...]:
    """All graphs of so many edges on at most `limit` vertices, each edge list grown from one with an edge less."""
    if edges > limit * (limit - 1) // 2:
        return ()
    if edges == 1:
        return (Graph(((0, 1),)),)
    found: dict[int, tuple] = {}
    for graph in grown(edges - 1, limit):
        children = _children(graph, limit)
        fresh = zip(fingerprints(children) if children else (), children, strict=True)
        found |= {key: child for key, child in fresh if key not in found}
    graphs = (Graph(e) for e in found.values())
    return tuple(sorted(graphs, key=lambda g: (g.vertices, [-k for k in _degrees(g)], g.edges)))


def _children(graph: Graph, limit: int) -> list[tuple]:
    """Edge lists with one edge more: between vertices, to a new one, or apart."""
    r, have = graph.vertices, set(graph.edges)
    new = [e for e in itertools.combinations(range(r), 2) if e not in have]
    new += [(i, r) for i in range(r)] if r < limit else []
    new += [(r, r + 1)] if r + 1 < limit else []
    return [(*graph.edges, e) for e in new]


def fingerprint(graph: Graph) -> int:
    """A 64-bit number that isomorphic graphs share."""
    return fingerprints([graph.edges])[0]


def fingerprints(edge_lists: list[tuple]) -> list[int]:
    """Colour refinement in 64-bit arithmetic, from each vertex in turn made special; sums do not depend on labels."""
    pairs = np.array(edge_lists)
    r = int(pairs.max()) + 1
    A = np.zeros((len(pairs), r, r), dtype=np.uint64)
    rows = np.arange(len(pairs))[:, None]
    A[rows, pairs[..., 0], pairs[..., 1]] = A[rows, pairs[..., 1], pairs[..., 0]] = 1
    degree = A.sum(axis=2)
    special = np.eye(r, dtype=np.uint64)
    colour = _mix(degree[:, None, :] + np.uint64(1000) * special)  # (graphs, special vertex, vertex)
    colour = np.where(degree[:, None, :] > 0, colour, np.uint64(0))
    for _ in range(4):
        colour = np.where(degree[:, None, :] > 0, _mix(np.uint64(3) * colour + colour @ A), np.uint64(0))
    seen = _mix(colour.sum(axis=2))
    return np.where(degree > 0, seen, np.uint64(0)).sum(axis=1).tolist()


def _mix(x: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit integers without structure (the finaliser of splitmix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def graph_name(graph: Graph) -> str:
    """See `Graph.name`."""
    counted = Counter(_connected_name(g) for g in components(graph))
    return "+".join(name if k == 1 else f"{k}{name}" for name, k in counted.items())


def _connected_name(graph: Graph) -> str:
    for name, known in _known(graph.vertices, len(graph)):
        if is_isomorphic(graph, known):
            return name
    degrees = _degrees(graph)
    return f"G({graph.vertices}; {('' if max(degrees) < 10 else ',').join(map(str, degrees))})"


@functools.cache
def _known(r: int, K: int) -> tuple[tuple[str, Graph], ...]:
    """Named connected graphs with r vertices and K edges, the best known name first."""
    found = [(f"K{r}", complete(r))]
    for sizes in _partitions(r):
        if len(sizes) > 1 and (r * r - sum(k * k for k in sizes)) // 2 == K:
            found.append((f"K{','.join(map(str, sizes))}", complete_multipartite(*sizes)))
    found += [(f"C{r}", cycle(r))] if r >= 3 else []
    found += [(f"P{r}", path(r))]
    found += [(f"W{r}", wheel(r))] if r >= 4 else []
    found += [("petersen", petersen())] if r == 10 else []
    found += [("cube" if r == 8 else f"prism{r // 2}", prism(r // 2))] if r % 2 == 0 and r >= 6 else []
    found += [(f"K{r}-e", without_edge(complete(r)))] if r >= 4 else []
    return tuple((name, g) for name, g in found if g.vertices == r and len(g) == K)


def _partitions(total: int, most: int | None = None):
    if total == 0:
        yield ()
    for k in range(min(total, most or total), 0, -1):
        for rest in _partitions(total - k, k):
            yield (k, *rest)


def _degrees(graph: Graph) -> list[int]:
    return sorted(adjacency(graph).sum(axis=0).tolist(), reverse=True)
