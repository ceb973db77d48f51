"""Groups of class permutations, their orbitals, and their association schemes: in integers, eigenvalues in balls.

Source: bannai84 (schemes).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls


def generators(name: str) -> list[list[int]]:
    """Permutations that generate a group: S_k, D_k, V_4, S_kwrS_m, S_axS_b, H(m,2), J(v,2), icosahedron, and `A+B`.

    Points are numbered as in `ufm.numerics.schemes`; A+B is the direct product, B acting on the last points.

    >>> generators("S_2+S_1")
    [[1, 0, 2]]
    """
    parts = [_generators(part) for part in str(name).split("+")]
    sizes = [size for size, _ in parts]
    result, first = [], 0
    for size, perms in parts:
        after = sum(sizes) - first - size
        result += [
            [*range(first), *(first + v for v in perm), *range(first + size, first + size + after)] for perm in perms
        ]
        first += size
    return result or [list(range(sum(sizes)))]


def _generators(name: str) -> tuple[int, list[list[int]]]:
    """(number of points, permutations)."""
    if name == "V_4":
        return 4, [[1, 0, 3, 2], [2, 3, 0, 1]]
    if name == "icosahedron":  # of its vertices: a turn of the axes, a reflection, a turn of order five about vertex 0
        turn = [0, 7, 4, 3, 8, 2, 1, 11, 10, 6, 5, 9]
        return 12, [[4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3], [1, 0, 3, 2, 6, 7, 4, 5, 8, 9, 10, 11], turn]
    for pattern, make in _FAMILIES:
        if match := re.fullmatch(pattern, name):
            return make(*map(int, match.groups()))
    raise Rejected(f"no group is called {name!r}.")


def _symmetric(k: int):
    return k, [[1, 0, *range(2, k)], [*range(1, k), 0]][: k - 1]


def _dihedral(k: int):
    return k, [[(i + 1) % k for i in range(k)], [-i % k for i in range(k)]]


def _wreath(k: int, m: int):
    inner = [[*perm, *range(k, k * m)] for perm in _symmetric(k)[1]]
    return k * m, inner + [[k * perm[i // k] + i % k for i in range(k * m)] for perm in _symmetric(m)[1]]


def _grid(a: int, b: int):
    rows = [[b * perm[i // b] + i % b for i in range(a * b)] for perm in _symmetric(a)[1]]
    return a * b, rows + [[b * (i // b) + perm[i % b] for i in range(a * b)] for perm in _symmetric(b)[1]]


def _cube(m: int):
    moves = [[sum((i >> b & 1) << perm[b] for b in range(m)) for i in range(2**m)] for perm in _symmetric(m)[1]]
    return 2**m, [[i ^ 1 for i in range(2**m)], *moves]


def _pairs(v: int):
    pairs = list(itertools.combinations(range(v), 2))
    return len(pairs), [
        [pairs.index((min(perm[a], perm[b]), max(perm[a], perm[b]))) for a, b in pairs] for perm in _symmetric(v)[1]
    ]


_N = r"([1-9]\d?)"
_FAMILIES = [
    (f"S_{_N}", _symmetric),
    (f"D_{_N}", _dihedral),
    (f"S_{_N}wrS_{_N}", _wreath),
    (f"S_{_N}xS_{_N}", _grid),
    (r"H\(([1-6]),2\)", _cube),
    (r"J\(([3-9]|1\d),2\)", _pairs),
]


def orbitals(perms: list[list[int]], K: int) -> np.ndarray:
    """The orbits of ordered pairs (a, b), numbered as they appear, those of pairs (a, a) first: integers (K, K).

    Raises Rejected unless every permutation is one of 0..K-1.
    """
    if (
        not perms
        or any(type(v) is not int for perm in perms for v in perm)
        or any(sorted(perm) != list(range(K)) for perm in perms)
    ):
        raise Rejected(f"the group must be given by permutations of 0..{K - 1}.")
    names = np.arange(K * K).reshape(K, K)
    while True:
        before = names
        for perm in perms:
            names = np.minimum(names, names[np.ix_(perm, perm)])
        if np.array_equal(before, names):
            break
    order = list(dict.fromkeys([*np.diag(names).tolist(), *names.ravel().tolist()]))
    return np.array([[order.index(v) for v in row] for row in names.tolist()])


@dataclass(frozen=True, eq=False)
class Orbit:
    """A scheme on some classes: relations (k, k), valencies, and for every idempotent its rank and entries.

    entries[j][i]: the ball of E_j on relation i, m_j u_ij/k.
    """

    points: tuple[int, ...]
    relations: np.ndarray
    valencies: tuple[int, ...]
    multiplicities: tuple[int, ...]
    entries: tuple

    @property
    def size(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False)
class Class:
    """The logits fixed by a group with one or two orbits.

    u = (sqrt(K_2) v_1 - sqrt(K_1) v_2)/sqrt(K), v_o = 1_o/sqrt(K_o). label: how a statement names the group.
    """

    label: str
    orbits: tuple[Orbit, ...]

    @property
    def K(self) -> int:
        return sum(orbit.size for orbit in self.orbits)


def symmetry_class(group, order, K: int) -> Class:
    """The class of a group: a name of `generators` or permutations. order: how each orbit's idempotents are numbered.

    Raises Rejected unless there are one or two orbits, every orbital inside an orbit is symmetric, and one joins the
    orbits.
    """
    perms = generators(group) if isinstance(group, str) else group
    names = orbitals(perms, K)
    parts = [np.flatnonzero(np.diag(names) == v) for v in range(len(set(np.diag(names).tolist())))]
    if len(parts) > 2:
        raise Rejected(f"the group must have one or two orbits; it has {len(parts)}.")
    if len(parts) == 2 and (
        len(set(names[np.ix_(*parts)].ravel())) > 1 or len(set(names[np.ix_(*parts[::-1])].ravel())) > 1
    ):
        raise Rejected("the group must not split the pairs between its two orbits.")
    order = [None] * len(parts) if order is None else order
    if len(order) != len(parts):
        raise Rejected(f"order must be one list per orbit, {len(parts)} here; got {order}.")
    orbits = tuple(
        _orbit(tuple(map(int, part)), names[np.ix_(part, part)], o) for part, o in zip(parts, order, strict=True)
    )
    return Class(group if isinstance(group, str) else _cycles(perms), orbits)


def _orbit(points, names, order) -> Orbit:
    """The scheme of one orbit, eigenvalues by exact algebra and isolated roots; idempotents as asked for."""
    used = list(dict.fromkeys([*np.diag(names).tolist(), *names.ravel().tolist()]))
    relations = np.array([[used.index(v) for v in row] for row in names.tolist()])
    if not np.array_equal(relations, relations.T):
        raise Rejected("the group must have symmetric orbitals: some pair of classes cannot be exchanged.")
    k, d = len(points), len(used) - 1
    A = [(relations == i).astype(int) for i in range(d + 1)]
    valencies = tuple(int(M[0].sum()) for M in A)
    modes = sorted(_eigenspaces(A, valencies), key=lambda mode: [-balls.to_float(v) for v in mode[1]])
    order = list(range(1, d + 1)) if order is None else order
    if sorted(order) != list(range(1, d + 1)) or any(type(v) is not int for v in order):
        raise Rejected(f"order must list 1..{d}; got {order}.")
    modes = [modes[v - 1] for v in order]
    entries = tuple(
        tuple(m * value / (valency * k) for value, valency in zip(P, valencies, strict=True)) for m, P in modes
    )
    return Orbit(points, relations, valencies, tuple(m for m, _ in modes), entries)


def _eigenspaces(A, valencies) -> list[tuple[int, list]]:
    """(m_j, eigenvalues of A_0, ..., A_d) on every common eigenspace but that of 1.

    B = sum_i a_i A_i with distinct eigenvalues theta generates the algebra: A_i = sum_s X_is B^s over the rationals.
    """
    library, d, k = balls.flint(), len(A) - 1, len(A[0])
    first = [int(np.flatnonzero(M[0])[0]) for M in A]
    for M, N in itertools.product(A, A):  # closed: a product is constant on every relation
        product = M @ N
        if not np.array_equal(product, sum(product[0, c] * R for c, R in zip(first, A, strict=True))):
            raise Rejected("the relations do not form a scheme.")
    for base in range(1, 50):
        B = sum(base**i * M for i, M in enumerate(A[1:])) if d else np.zeros_like(A[0])
        times = [(B @ M)[0, first].tolist() for M in A]  # B A_i in the basis of the A_c
        T = library.fmpz_mat(times).transpose() if d else library.fmpz_mat([[0]])
        powers, v = [], library.fmpz_mat([[int(i == 0)] for i in range(d + 1)])
        for _ in range(d + 1):
            powers.append([int(v[i, 0]) for i in range(d + 1)])
            v = T * v
        basis = library.fmpz_mat(powers)
        if basis.det() != 0:
            break
    else:
        raise Rejected("no combination of the relations separates the eigenspaces.")
    X = library.fmpq_mat(basis).inv()
    top = sum(base**i * valency for i, valency in enumerate(valencies[1:]))
    modes, trivial = [], 0
    for root, _ in T.charpoly().complex_roots():
        theta = root.real
        if theta.contains(top):
            trivial += 1
            continue
        raised = list(itertools.accumulate([theta] * d, lambda a, b: a * b, initial=balls.ball(1)))
        P = [
            sum((balls.ball(Fraction(int(X[i, s].p), int(X[i, s].q))) * raised[s] for s in range(d + 1)), balls.ball(0))
            for i in range(d + 1)
        ]
        m = (
            k / balls.total(value * value / valency for value, valency in zip(P, valencies, strict=True))
        ).unique_fmpz()
        if m is None:
            raise Rejected("a multiplicity of the scheme is not determined.")
        modes.append((int(m), P))
    if trivial != 1 or sum(m for m, _ in modes) != k - 1:
        raise Rejected("the eigenspaces of the scheme are not separated.")
    return modes


def _cycles(perms) -> str:
    """The group generated by permutations, as cycles of classes numbered from 1."""
    words = []
    for perm in perms:
        seen, word = set(), ""
        for start in range(len(perm)):
            cycle, at = [], start
            while at not in seen:
                seen.add(at)
                cycle.append(str(at + 1))
                at = perm[at]
            word += f"({' '.join(cycle)})" if len(cycle) > 1 else ""
        words.append(word or "()")
    return f"<{', '.join(words)}>"
