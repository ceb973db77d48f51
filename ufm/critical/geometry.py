"""Names of codes from their pattern: which logits are equal, up to class permutation, and their rank.

The classes split into parts whose logits on each other vanish; each part is recognised as a simplex, or its matrix of
equal entries is compared, in canonical form, with those of known configurations: polygons, antiprisms, prisms, cubes,
the icosahedron's family, triangular codes, products of simplices, the 24-cell and the Clebsch code; pyramids and what
has caps, by angles. Shape parameters (heights, radii) only decide which entries agree and in which order they come, so
each configuration is drawn once for every such order. A name says "the same pattern and rank", not the same shape. What
has no name but some symmetry is `code(1+3+3)`, by the sizes of its orbits.
"""

from __future__ import annotations

import functools
from itertools import combinations, product

import numpy as np
from scipy.optimize import linear_sum_assignment, quadratic_assignment
from scipy.sparse import csgraph

from ufm.numerics.groups import automorphism_orbits, averaged, canonical_order, colours, pattern, stable_cells

LARGEST = 24
"""Largest K for which patterns are compared."""


def orbit_name(M: np.ndarray, tol: float) -> tuple[str, float] | None:
    """(`code(1+3+3)`, relative distance of M from its pattern): orbit sizes of the class permutations that fix M.

    Their common pattern is within tol/2 of M, so that every one of them moves M by at most tol
    (`numerics.groups.pattern`). None where only the identity does, where all entries are one, and beyond `LARGEST`
    classes.

    >>> orbit_name(np.diag([1.0, 2.0, 2.0, 2.0]), 1e-6)
    ('code(1+3)', 0.0)
    """
    if len(M) > LARGEST:
        return None
    C, distance = pattern(M, tol)
    sizes = sorted(map(len, automorphism_orbits(C)))
    return (f"code({'+'.join(map(str, sizes))})", distance) if sizes[-1] > 1 and C.any() else None


def code_name(M: np.ndarray, tol: float) -> tuple[str, float, int] | None:
    """(`code(...)`, relative distance of M from its own pattern, rank) for row-centred class logits M (K, K), or None.

    tol: entries closer than tol times the largest are equal; singular values below it are zero.
    """
    if len(M) > LARGEST:
        return None
    reach = float(np.max(np.abs(M)))
    graph = (np.abs(M) > tol * reach) | (np.abs(M.T) > tol * reach)
    _, part = csgraph.connected_components(graph, directed=False)
    parts = [np.flatnonzero(part == p) for p in range(part.max() + 1)]
    names, rest, rank = [], 0.0, 0
    for members in sorted(parts, key=len, reverse=True):
        block = M[np.ix_(members, members)]
        s = np.linalg.svd(block, compute_uv=False)
        rank += (part_rank := int(np.sum(s > tol * reach)))
        name = _part_name(block, part_rank, tol * reach)
        if name is None:
            return None
        names.append(name)
        rest += float(np.sum((block - averaged(block, colours(block, tol * reach))) ** 2))
    rest += float(np.sum(M[part[:, None] != part[None, :]] ** 2))
    return f"code({_joined(names)})", float(np.sqrt(rest)) / float(np.linalg.norm(M)), rank


def _joined(names: list[str]) -> str:
    """Sums of parts; a polygon and a pair together are a bipyramid."""
    polygons = [n for n in names if n.startswith("polygon(")]
    if len(names) == 2 and polygons and "pair" in names:
        return polygons[0].replace("polygon", "bipyramid")
    return "+".join(names)


def _part_name(block: np.ndarray, rank: int, tol: float) -> str | None:
    k, C = len(block), colours(block, tol)
    if k == 1:
        return "undecided" if abs(block[0, 0]) <= tol else None
    if rank == k - 1 and np.ptp(np.diag(C)) == 0 and np.ptp(C[~np.eye(k, dtype=bool)]) == 0:
        return "pair" if k == 2 else f"simplex({k})"
    return _known(rank, C) or (_around_axis(block, C) if rank == 3 else None)


def _around_axis(block: np.ndarray, C: np.ndarray, tol: float = 1e-3) -> str | None:
    """Caps on an axis in space, or a flat triangle of them, and one or two regular rings around it: pyramids, the
    icosahedron minus a vertex, bicapped antiprisms and the tricapped prism, told by heights and angles of the
    classes."""
    cells = stable_cells(C)
    caps, *rings = (np.flatnonzero(cells == c) for c in np.argsort(np.bincount(cells), kind="stable"))
    if len(caps) > 3 or len(rings) not in (1, 2):
        return None
    _, s, Vt = np.linalg.svd(block)
    X = Vt[:3].T * np.sqrt(s[:3])
    axis = X[caps[0]] if len(caps) == 1 else X[caps[0]] - X[caps[1]]
    axis = np.cross(axis, X[caps[2]] - X[caps[0]]) if len(caps) == 3 else axis
    turns, near = np.linalg.svd(axis[None])[2], tol * np.max(np.abs(X))
    height, plane = X @ turns[0], X @ turns[1:].T
    if len(rings) == 1 and len(caps) > 1:
        rings = [rings[0][height[rings[0]] > 0], rings[0][height[rings[0]] <= 0]]
        if max(abs(np.sum(height[caps])), np.ptp(np.abs(height[np.concatenate(rings)]))) > near:
            return None
    m = len(rings[0])
    if m < 3 or any(len(ring) != m or np.ptp(height[ring]) > near for ring in rings):
        return None
    angles = [np.sort(np.mod(np.arctan2(*plane[ring].T), 2 * np.pi)) for ring in rings]
    if any(np.ptp(np.diff(np.append(a, a[0] + 2 * np.pi))) > tol for a in angles):
        return None
    # 0 or 1: one above the other, 1/2: staggered
    turn = np.mod(angles[-1][0] - angles[0][0], 2 * np.pi / m) * m / (2 * np.pi)
    twist = next((twist for twist in (0.0, 0.5, 1.0) if abs(turn - twist) < tol * m), None)
    return None if twist is None else _ring_names(len(caps), len(rings), m).get(twist % 1)


def _ring_names(caps: int, rings: int, m: int) -> dict[float, str]:
    """Name by the twist of the rings, in units of a step."""
    if rings == 1:
        return {0.0: f"pyramid({m})"} if caps == 1 else {}
    if caps == 2:
        return {0.5: f"bicapped antiprism({m})"}
    known = {(1, 5): {0.5: "icosahedron minus a vertex"}, (3, 3): {0.0: "tricapped prism(3)"}}
    return known.get((caps, m), {})


@functools.lru_cache(maxsize=256)
def _canonical(k: int, C: bytes) -> bytes:
    return _key(np.frombuffer(C, dtype=np.int64).reshape(k, k))


def _key(C: np.ndarray) -> bytes:
    order = canonical_order(C)
    return C[np.ix_(order, order)].tobytes()


def _known(rank: int, C: np.ndarray) -> str | None:
    """The name of the known configuration with this rank and pattern; earlier ones win."""
    for name, other in _patterns(len(C)).get((rank, _census(C)), ()):
        if _canonical(len(C), C.tobytes()) == _canonical(len(C), other.tobytes()):
            return name
    return None


def _census(C: np.ndarray) -> bytes:
    """How often each class sees each colour, classes in order of what they see: equal up to a permutation."""
    rows = np.sort(C, axis=1)
    return rows[np.lexsort(rows.T)].tobytes()


@functools.cache
def _patterns(k: int) -> dict[tuple[int, bytes], list[tuple[str, np.ndarray]]]:
    """(rank, census) -> names and patterns of the known configurations of k points."""
    found: dict[tuple[int, bytes], list[tuple[str, np.ndarray]]] = {}
    drawn = set()
    for name, X in _point_sets(k):
        X = X - X.mean(axis=0)
        M = X @ X.T
        s = np.linalg.svd(M, compute_uv=False)
        rank, C = int(np.sum(s > 1e-9 * s[0])), colours(M, 1e-9 * s[0])
        if (rank, C.tobytes()) not in drawn:
            drawn.add((rank, C.tobytes()))
            found.setdefault((rank, _census(C)), []).append((name, C))
    return found


def _point_sets(k: int, uniform: bool = False):
    """(name, points (k, r)) of known configurations, at every order of their distances, or in their uniform shape."""
    yield f"polygon({k})", _ring(k)
    if k % 2 == 0 and k >= 6:
        m = k // 2
        even = np.sin(np.pi / m) ** 2
        for h in [np.sqrt(even - np.sin(np.pi / (2 * m)) ** 2)] if uniform else _heights(m, 0.5):
            yield f"antiprism({m})", _stack([(_ring(m), h), (_ring(m, np.pi / m), -h)])
        for h in [np.sqrt(even)] if uniform else _heights(m, 0.0):
            cube = m == 4 and abs(h - np.sqrt(0.5)) < 1e-9
            yield "cube(3)" if cube else f"prism({m})", _stack([(_ring(m), h), (_ring(m), -h)])
    m = k.bit_length() - 1
    if k == 2**m and m >= 4:
        yield f"cube({m})", np.array(list(product([-1.0, 1.0], repeat=m)))
    for a in range(3, k):
        if k % a == 0 and 2 <= k // a <= a:
            b = k // a
            for t in (1.0,) if uniform else (0.5, 1.0, 2.0):
                X = [np.r_[np.eye(a)[i], t * np.eye(b)[j]] for i in range(a) for j in range(b)]
                yield f"simplex({a})xsimplex({b})", np.array(X)
    v = int((1 + np.sqrt(1 + 8 * k)) / 2)
    if v * (v - 1) // 2 == k and v >= 5:
        yield f"triangular({v})", np.array([np.eye(v)[i] + np.eye(v)[j] for i, j in combinations(range(v), 2)])
    phi = (1 + np.sqrt(5)) / 2
    if k == 12:
        yield "icosahedron", _cyclic([(0.0, a, b * phi) for a in (-1, 1) for b in (-1, 1)])
        yield "cuboctahedron", _cyclic([(0.0, a, b) for a in (-1, 1) for b in (-1, 1)])
    if k == 16:  # one half of the corners of the 5-cube
        yield "clebsch", np.array([x for x in product([-1.0, 1.0], repeat=5) if np.prod(x) > 0])
    if k == 20:
        cube = np.array(list(product([-1.0, 1.0], repeat=3)))
        yield "dodecahedron", np.vstack([cube, _cyclic([(0.0, a / phi, b * phi) for a in (-1, 1) for b in (-1, 1)])])
    if k == 24:
        yield "24-cell", np.array([x for x in product([-1.0, 0.0, 1.0], repeat=4) if np.abs(x).sum() == 2])


def _heights(m: int, twist: float) -> list[float]:
    """Half heights of two rings of m points of radius 1, turned by `twist` steps, that give every order of distances.

    Inside a ring squared distances are 4 sin^2(i pi/m), across 4 h^2 + 4 sin^2((j + twist) pi/m): they agree at the
    heights listed first, among them the uniform one (all edges equal); between two of these, and above the last,
    nothing changes.
    """
    i, j = np.arange(1, m // 2 + 1), np.arange(0, m // 2 + 1) + twist
    square = np.subtract.outer(np.sin(i * np.pi / m) ** 2, np.sin(np.minimum(j, m - j) * np.pi / m) ** 2).ravel()
    equal = np.unique(np.round(np.sqrt(square[square > 1e-9]), 12))
    steps = np.concatenate([[0.0], equal, [equal[-1] + 1.0]])
    exact = np.sqrt(square[[int(np.argmin(np.abs(square - h * h))) for h in equal]])
    return [*exact.tolist(), *(0.5 * (steps[1:] + steps[:-1])).tolist()]


def uniform_distances(M: np.ndarray):
    """(`code(...)`, relative distance of M from multiples of that code's Gram matrix) for known uniform codes.

    Classes are matched by a local search (scipy's quadratic assignment), so that a distance is an upper bound of the
    least over all orders.
    """
    if len(M) <= LARGEST:
        for name, G in _uniform(len(M)):
            yield f"code({name})", _matched_distance(M, G)


@functools.cache
def _uniform(k: int) -> list[tuple[str, np.ndarray]]:
    """(name, Gram matrix of norm 1) of every known code of k points, the first of each name: the uniform shape."""
    found: dict[str, np.ndarray] = {}
    for name, X in _point_sets(k, uniform=True):
        X = X - X.mean(axis=0)
        found.setdefault(name, X @ X.T / np.linalg.norm(X @ X.T))
    for name in (f"polygon({k})", "antiprism(3)"):  # the circle and pairs, which `identify` fits itself
        found.pop(name, None)
    return list(found.items())


def _matched_distance(M: np.ndarray, G: np.ndarray) -> float:
    """min over the orders p found and a >= 0 of |M - a G[p][:, p]|/|M|."""
    S, best = 0.5 * (M + M.T), 0.0
    if np.linalg.norm(S) <= 1e-12 * np.linalg.norm(M):
        return 1.0
    seen = [np.column_stack([np.sort(A, axis=1), 2 * np.diag(A)]) / np.linalg.norm(A) for A in (S, G)]
    _, start = linear_sum_assignment(np.linalg.norm(seen[0][:, None] - seen[1][None], axis=2))
    draw = np.random.Generator(np.random.PCG64(0))
    for first in (np.eye(len(M))[start], *(np.eye(len(M))[draw.permutation(len(M))] for _ in range(3))):
        P0 = 0.5 * first + 0.5 / len(M)
        p = quadratic_assignment(S, G, options={"maximize": True, "P0": P0, "rng": draw})["col_ind"]
        best = max(best, float(np.vdot(M, G[np.ix_(p, p)])) / float(np.linalg.norm(M)))
    return float(np.sqrt(max(0.0, 1.0 - best**2)))


def _ring(m: int, turn: float = 0.0) -> np.ndarray:
    angles = 2 * np.pi * np.arange(m) / m + turn
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _stack(layers) -> np.ndarray:
    return np.vstack([np.column_stack([ring, np.full(len(ring), h)]) for ring, h in layers])


def _cyclic(points) -> np.ndarray:
    return np.array([np.roll(p, shift) for p in points for shift in range(3)])
