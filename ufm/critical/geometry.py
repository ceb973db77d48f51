"""Names of codes from their pattern: which logits are equal, up to class permutation, and their rank.

The classes split into parts whose logits on each other vanish; each part is recognised as a simplex, or its matrix of
equal entries is compared, in canonical form, with those of known configurations: polygons, antiprisms, prisms,
pyramids, cubes, the icosahedron's family, triangular codes, products of simplices, capped antiprisms and prisms. Shape parameters (heights, radii)
only decide in which order the equal entries come, so each configuration is drawn at many of them. A name says
"the same pattern and rank", not the same shape.
"""

from __future__ import annotations

import functools
from itertools import combinations, product

import numpy as np
from scipy.sparse import csgraph

from ufm.numerics.groups import canonical_order, colours, stable_cells

LARGEST = 20
"""Largest K for which patterns are compared."""


def code_name(M: np.ndarray, tol: float) -> tuple[str, float] | None:
    """(`code(...)`, relative distance of M from its own pattern) for row-centred class logits M (K, K), or None.

    tol: entries closer than tol times the largest are equal; singular values below it are zero.
    """
    if len(M) > LARGEST:
        return None
    reach = float(np.max(np.abs(M)))
    graph = (np.abs(M) > tol * reach) | (np.abs(M.T) > tol * reach)
    _, part = csgraph.connected_components(graph, directed=False)
    parts = [np.flatnonzero(part == p) for p in range(part.max() + 1)]
    names, rest = [], 0.0
    for members in sorted(parts, key=len, reverse=True):
        block = M[np.ix_(members, members)]
        name = _part_name(block, tol * reach)
        if name is None:
            return None
        names.append(name)
        rest += float(np.sum((block - _averaged(block, tol * reach)) ** 2))
    rest += float(np.sum(M[part[:, None] != part[None, :]] ** 2))
    return f"code({_joined(names)})", float(np.sqrt(rest)) / float(np.linalg.norm(M))


def _joined(names: list[str]) -> str:
    """Sums of parts; a polygon and a pair together are a bipyramid."""
    polygons = [n for n in names if n.startswith("polygon(")]
    if len(names) == 2 and polygons and "pair" in names:
        return polygons[0].replace("polygon", "bipyramid")
    return "+".join(names)


def _part_name(block: np.ndarray, tol: float) -> str | None:
    k = len(block)
    if k == 1:
        return "undecided" if abs(block[0, 0]) <= tol else None
    s = np.linalg.svd(block, compute_uv=False)
    rank = int(np.sum(s > tol))
    C = colours(block, tol)
    if rank == k - 1 and np.ptp(np.diag(C)) == 0 and np.ptp(C[~np.eye(k, dtype=bool)]) == 0:
        return "pair" if k == 2 else f"simplex({k})"
    return _patterns(k).get((rank, _key(C))) or (_capped(block, C) if rank == 3 else None)


def _capped(block: np.ndarray, C: np.ndarray, tol: float = 1e-3) -> str | None:
    """`bicapped antiprism(m)` or `tricapped prism(3)`: two cells of classes in space, caps and rings, checked by angles."""
    cells = stable_cells(C)
    sizes = np.bincount(cells)
    if len(sizes) != 2 or len(block) < 8:
        return None
    caps, ring = (np.flatnonzero(cells == c) for c in np.argsort(sizes, kind="stable"))
    _, s, Vt = np.linalg.svd(block)
    X = Vt[:3].T * np.sqrt(s[:3])
    if len(caps) == 2 and len(ring) % 2 == 0:
        axis, name = X[caps[0]] - X[caps[1]], f"bicapped antiprism({len(ring) // 2})"
        flat = np.linalg.norm(X[caps[0]] + X[caps[1]])
    elif len(caps) == 3 and len(ring) == 6:
        axis, name = np.cross(X[caps[1]] - X[caps[0]], X[caps[2]] - X[caps[0]]), "tricapped prism(3)"
        flat = np.ptp(X[caps] @ axis / np.linalg.norm(axis))
    else:
        return None
    frame = np.linalg.svd(axis[None])[2]
    height, plane = X[ring] @ frame[0], X[ring] @ frame[1:].T
    angles = np.arctan2(plane[:, 1], plane[:, 0])
    upper, lower = (np.sort(np.mod(angles[side], 2 * np.pi)) for side in (height > 0, height < 0))
    if len(upper) != len(lower) or max(np.ptp(np.abs(height)), flat) > tol * np.max(np.abs(X)):
        return None
    m = len(upper)
    steps = [np.diff(np.append(a, a[0] + 2 * np.pi)) for a in (upper, lower)]
    turn = np.mod(lower[0] - upper[0], 2 * np.pi / m) * m / (2 * np.pi)  # 0 or 1: prism, 1/2: antiprism
    regular = max(np.ptp(step) for step in steps) < tol
    wanted = 0.5 if len(caps) == 2 else 0.0
    return name if regular and min(abs(turn - wanted), abs(turn - wanted - 1)) < tol * m else None


def _key(C: np.ndarray) -> bytes:
    order = canonical_order(C)
    C = C[np.ix_(order, order)]
    return np.unique(C, return_inverse=True)[1].astype(np.uint16).tobytes()


def _averaged(block, tol: float) -> np.ndarray:
    C = colours(block, tol)
    return (np.bincount(C.ravel(), block.ravel()) / np.maximum(np.bincount(C.ravel()), 1))[C]


@functools.cache
def _patterns(k: int) -> dict[tuple[int, bytes], str]:
    """(rank, canonical pattern) -> name for every known configuration of k points; earlier names win."""
    found: dict[tuple[int, bytes], str] = {}
    drawn = set()
    for name, matrix in _configurations(k):
        s = np.linalg.svd(matrix, compute_uv=False)
        rank, C = int(np.sum(s > 1e-9 * s[0])), colours(matrix, 1e-9 * s[0])
        if (rank, C.tobytes()) not in drawn:
            drawn.add((rank, C.tobytes()))
            found.setdefault((rank, _key(C)), name)
    return found


def _configurations(k: int):
    """(name, row-centred Gram or logit matrix) at many shape parameters."""
    for name, X in _point_sets(k):
        X = X - X.mean(axis=0)
        yield name, X @ X.T
    if k >= 5:
        yield from _pyramids(k)


def _point_sets(k: int):
    yield f"polygon({k})", _ring(k)
    heights = np.linspace(0.05, 2.5, 40)
    if k % 2 == 0 and k >= 6:
        m = k // 2
        for h in heights:
            yield f"antiprism({m})", _stack([(_ring(m), h), (_ring(m, np.pi / m), -h)])
            yield f"prism({m})" if m != 4 or abs(h - np.sqrt(0.5)) > 1e-9 else "cube(3)", _stack([(_ring(m), h), (_ring(m), -h)])
    m = k.bit_length() - 1
    if k == 2**m and m >= 3:
        yield f"cube({m})", np.array(list(product([-1.0, 1.0], repeat=m)))
    for a in range(3, k):
        if k % a == 0 and 2 <= k // a <= a:
            b = k // a
            for t in np.linspace(0.2, 3.0, 15):
                yield f"simplex({a})xsimplex({b})", np.array([np.r_[np.eye(a)[i], t * np.eye(b)[j]] for i in range(a) for j in range(b)])
    v = int((1 + np.sqrt(1 + 8 * k)) / 2)
    if v * (v - 1) // 2 == k and v >= 5:
        yield f"triangular({v})", np.array([np.eye(v)[i] + np.eye(v)[j] for i, j in combinations(range(v), 2)])
    phi = (1 + np.sqrt(5)) / 2
    if k == 12:
        yield "icosahedron", _cyclic([(0.0, a, b * phi) for a in (-1, 1) for b in (-1, 1)])
        yield "cuboctahedron", _cyclic([(0.0, a, b) for a in (-1, 1) for b in (-1, 1)])
    if k == 20:
        cube = np.array(list(product([-1.0, 1.0], repeat=3)))
        yield "dodecahedron", np.vstack([cube, _cyclic([(0.0, a / phi, b * phi) for a in (-1, 1) for b in (-1, 1)])])


def _pyramids(k: int, draws: int = 300):
    """An apex over a polygon: the trivial part is u (t_0 e_apex + t_1 1_ring)' with u the centred apex direction."""
    m, draw = k - 1, np.random.Generator(np.random.PCG64(0))
    ring = np.zeros((k, k))
    ring[:m, :m] = _ring(m) @ _ring(m).T
    own = np.r_[np.zeros(m), 1.0]
    for _ in range(draws):
        t0, t1 = draw.uniform(0.1, 3.0), draw.uniform(-1.5, 0.5)
        yield f"pyramid({m})", ring + np.outer(own - 1 / k, t0 * own + t1 * (1 - own) / m)


def _ring(m: int, turn: float = 0.0) -> np.ndarray:
    angles = 2 * np.pi * np.arange(m) / m + turn
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _stack(layers) -> np.ndarray:
    return np.vstack([np.column_stack([ring, np.full(len(ring), h)]) for ring, h in layers])


def _cyclic(points) -> np.ndarray:
    return np.array([np.roll(p, shift) for p in points for shift in range(3)])
