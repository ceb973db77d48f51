"""Commutative association schemes as data: symmetric matrices that commute, with common eigenspaces.

A symmetric association scheme on K points splits the pairs of points into d + 1 relations (the first is equality)
so that the span of their 0/1 matrices is closed under the matrix product and under the entrywise product. That
algebra (Bose-Mesner) has one orthogonal projection per common eigenspace,

    11'/K = E_0, E_1, ..., E_d,   E_i E_j = delta_ij E_i,   E_0 + ... + E_d = I,   E_i o E_j in span(E_0, ..., E_d).

Every row of E_j is a rearrangement of the first one with (E_j)_cc = m_j/K on the diagonal, so a function of the columns
that respects permutations maps the algebra to itself. Source: bannai84.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.records import own


@dataclass(frozen=True, eq=False)
class Scheme(ByContent):
    """Projections E_1, ..., E_d (K, K) onto the common eigenspaces orthogonal to 1, and their ranks m_1, ..., m_d.

    Raises ValueError when an idempotent has the wrong shape or its trace is not the stated multiplicity.
    """

    name: str
    K: int
    idempotents: tuple[np.ndarray, ...]
    multiplicities: tuple[int, ...]

    def __post_init__(self):
        put = functools.partial(object.__setattr__, self)
        put("K", arguments.integer("K", self.K, 1))
        shape, count = (self.K, self.K), len(self.idempotents)
        put("idempotents", tuple(arguments.array("idempotents", E, shape=shape) for E in self.idempotents))
        own(self, "idempotents")
        if len(self.multiplicities) != count:
            got = len(self.multiplicities)
            raise ValueError(f"multiplicities must be one per idempotent, {count} here; got {got}.")
        for E, m in zip(self.idempotents, self.multiplicities, strict=True):
            if abs(np.trace(E) - m) > 1e-8 * self.K:
                where = f"got {m} where the trace is {np.trace(E):.6g}"
                raise ValueError(f"multiplicities must be the traces of the idempotents; {where}.")

    @functools.cached_property
    def bases(self) -> tuple[np.ndarray, ...]:
        """Orthonormal columns (K, m_j) that span the range of each E_j."""
        pairs = zip(self.idempotents, self.multiplicities, strict=True)
        return tuple(np.linalg.eigh(E)[1][:, self.K - m :] for E, m in pairs)

    @functools.cached_property
    def profile(self) -> tuple:
        """The first columns K E_j e_1, their order forgotten (of points and idempotents): equal for copies of a scheme.

        The columns are the dual eigenvalues of the scheme; functions of the coefficients see nothing else.
        """
        rows = np.array([E[0] for E in self.idempotents]).reshape(-1, self.K)
        rows = np.round(self.K * rows, 6) + 0.0  # + 0.0 turns -0.0 into 0.0
        every = itertools.permutations(range(len(rows)))
        orders = every if len(rows) <= 6 else [np.argsort(self.multiplicities, kind="stable")]
        return min(tuple(sorted(map(tuple, rows[list(order)].T))) for order in orders)

    def __repr__(self) -> str:
        return f"Scheme({self.name}, K={self.K}, multiplicities {self.multiplicities})"


def schemes(K: int, max_idempotents: int = 4) -> list[Scheme]:
    """The schemes of this module on K points with at most `max_idempotents` nontrivial idempotents, each once.

    S_K; S_k wr S_m for every K = k m; the dihedral D_K; the grids S_a x S_b; V_4 (K = 4) and the Hamming schemes H(m,
    2) (K = 2^m); the Johnson schemes J(v, 2) (K = v(v-1)/2; J(5, 2) is Petersen's); the icosahedron (K = 12). Copies of
    one scheme under two names, such as S_2 x S_3 = D_6, are listed once, under the first. One class alone (K = 1) has
    the scheme S_1 without idempotents.

    Skipped: schemes with more idempotents than asked for; all 2^m - 1 characters of an elementary abelian group with m
    >= 3; wreath products of three levels or of other schemes; fusions of a grid S_a x S_a; non-symmetric and sporadic
    schemes. It is a list of families, not of all schemes on K points.

    >>> [scheme.name for scheme in schemes(6)]
    ['S_6', 'S_2wrS_3', 'S_3wrS_2', 'D_6']
    """
    K = arguments.integer("K", K, 1)
    limit = arguments.integer("max_idempotents", max_idempotents, 1)
    found = []
    for make in _families(K, limit):
        scheme = make()
        if len(scheme.idempotents) <= limit and scheme.profile not in [known.profile for known in found]:
            found.append(scheme)
    return found


def _families(K: int, limit: int):
    yield lambda: symmetric(K)
    divisors = [k for k in range(2, K) if K % k == 0]
    for k in divisors:
        yield lambda k=k: wreath(k, K // k)
    if K >= 3 and K // 2 <= limit:
        yield lambda: dihedral(K)
    if K == 4:
        yield lambda: klein()
    m = K.bit_length() - 1
    if K >= 4 and K == 2**m and m <= limit:
        yield lambda: hamming(m)
    v = round((1 + (1 + 8 * K) ** 0.5) / 2)
    if v >= 4 and v * (v - 1) // 2 == K:
        yield lambda: johnson(v)
    for a in divisors:
        if a * a <= K:
            yield lambda a=a: grid(a, K // a)
    if K == 12:
        yield lambda: icosahedron()


def symmetric(K: int) -> Scheme:
    """S_K: E_1 = I - 11'/K."""
    K = arguments.integer("K", K, 1)
    return Scheme(f"S_{K}", K, (_centre(K),) if K > 1 else (), (K - 1,) if K > 1 else ())


def wreath(k: int, m: int) -> Scheme:
    """S_k wr S_m, m groups of k points: within groups I_m (x) (I_k - 11'/k), between them (I_m - 11'/m) (x) 11'/k."""
    k, m = arguments.integer("k", k, 2), arguments.integer("m", m, 2)
    within, between = np.kron(np.eye(m), _centre(k)), np.kron(_centre(m), _mean(k))
    return Scheme(f"S_{k}wrS_{m}", k * m, (within, between), (m * (k - 1), m - 1))


def dihedral(K: int) -> Scheme:
    """D_K, the K-gon: (E_j)_ab = (2/K) cos(2 pi j (a - b)/K) for j < K/2, and (1/K) (-1)^(a-b) for j = K/2."""
    K = arguments.integer("K", K, 3)
    steps = np.subtract.outer(np.arange(K), np.arange(K)) % K
    idempotents, multiplicities = [], []
    for j in range(1, K // 2 + 1):
        m = 1 if 2 * j == K else 2
        turn = np.cos(2 * np.pi * np.minimum(j * np.arange(K) % K, -j * np.arange(K) % K) / K)
        idempotents.append(m / K * turn[steps])
        multiplicities.append(m)
    return Scheme(f"D_{K}", K, tuple(idempotents), tuple(multiplicities))


def grid(a: int, b: int) -> Scheme:
    """S_a x S_b on an a x b grid: rows, columns, and what is neither."""
    a, b = arguments.integer("a", a, 2), arguments.integer("b", b, 2)
    idempotents = np.kron(_centre(a), _mean(b)), np.kron(_mean(a), _centre(b)), np.kron(_centre(a), _centre(b))
    return Scheme(f"S_{a}xS_{b}", a * b, idempotents, (a - 1, b - 1, (a - 1) * (b - 1)))


def klein() -> Scheme:
    """V_4 = Z_2 x Z_2 on four points: its three nontrivial characters, E_j = x_j x_j'/4."""
    return Scheme("V_4", 4, grid(2, 2).idempotents, (1, 1, 1))


def hamming(m: int) -> Scheme:
    """H(m, 2), the m-cube on K = 2^m points: E_j sums x x'/K over the characters x of weight j; m_j = C(m, j)."""
    m = arguments.integer("m", m, 1)
    points = np.arange(2**m)
    weights = np.array([int(p).bit_count() for p in points])
    characters = (-1.0) ** weights[points[:, None] & points[None, :]]
    parts = [characters[:, weights == j] for j in range(1, m + 1)]
    return Scheme(f"H({m},2)", 2**m, tuple(X @ X.T / 2**m for X in parts), tuple(X.shape[1] for X in parts))


def johnson(v: int) -> Scheme:
    """J(v, 2), the pairs from v things: B (pairs x things) spans E_0 + E_1, m_1 = v - 1; the rest is E_2."""
    v = arguments.integer("v", v, 4)
    pairs = list(itertools.combinations(range(v), 2))
    K = len(pairs)
    B = np.array([[float(i in pair) for i in range(v)] for pair in pairs])
    first = (B @ B.T - 4.0 / v) / (v - 2)
    return Scheme(f"J({v},2)", K, (first, _centre(K) - first), (v - 1, v * (v - 3) // 2))


def icosahedron() -> Scheme:
    """The twelve vertices x_c of the icosahedron on the unit sphere: E_1 = X X'/4, its conjugate under sqrt 5 -> -sqrt
    5, and the rest; m = (3, 3, 5)."""
    golden = (1 + np.sqrt(5)) / 2
    X = np.array([np.roll([0.0, a, b * golden], shift) for shift in range(3) for a in (1, -1) for b in (1, -1)])
    inner = X @ X.T
    same, opposite = np.eye(12), (inner < -1.5 * golden).astype(float)
    near, far = (inner > 0) - same, (inner < 0) - opposite
    odd = (same - opposite) / 4.0
    bend = (near - far) / (4.0 * np.sqrt(5))
    even = 0.5 * (same + opposite) - 1.0 / 12.0
    return Scheme("icosahedron", 12, (odd + bend, odd - bend, even), (3, 3, 5))


def _mean(k: int) -> np.ndarray:
    return np.full((k, k), 1.0 / k)


def _centre(k: int) -> np.ndarray:
    return np.eye(k) - 1.0 / k
