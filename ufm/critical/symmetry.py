"""The stratum Hessian by irreducible blocks of the class permutations that fix a point.

A point whose classes fall into parts of interchangeable classes (two are interchangeable when swapping
them in rows and columns changes nothing) has a Hessian that commutes with G = prod S_{k_i}, and with
swaps of equivalent parts. By Schur's lemma it is a small matrix on the copies of one fixed vector of
each irreducible representation, repeated as often as that representation's dimension. So DNC at K = 1000
needs five vectors and pairs about twenty, instead of a Hessian of 10^6 rows.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy import linalg

from ufm.numerics.groups import interchangeable
from ufm.objectives.logits import Stratum


def block_spectrum(stratum: Stratum, tol: float = 1e-9) -> list[tuple[float, int]] | None:
    """[(eigenvalue, multiplicity)] of the scaled stratum Hessian at a collapsed point, or None if it has no such symmetry.

    The multiplicities are checked to add up to the dimension of the stratum; None if they do not.
    """
    point = stratum.point
    if not point.collapsed:
        return None
    M = point.class_logits() if point.b is None else point.class_logits() - point.b[:, None]
    scale = tol * max(1e-300, float(np.max(np.abs(M), initial=0.0)))
    b = np.zeros(point.problem.K) if point.b is None else point.b
    labels = [(int(n), round(float(x), 9)) for n, x in zip(point.problem.counts, b, strict=True)]
    parts = interchangeable(M, labels, scale)
    if len(parts) > 0.8 * len(M):
        return None
    first = [part[0] for part in parts]
    quotient = M[np.ix_(first, first)]
    within = [round(float(M[part[0], part[1]]) / scale * tol, 6) if len(part) > 1 else 0.0 for part in parts]
    kinds = interchangeable(quotient, [(len(p), labels[p[0]], w) for p, w in zip(parts, within, strict=True)], scale)
    spectrum, total = [], 0
    for dimension, vectors in _representatives(parts, kinds, point.problem.K, point.b is not None):
        values = _restricted(stratum, vectors)
        spectrum += [(float(v), dimension) for v in values]
        total += dimension * len(values)
    return spectrum if total == stratum.size else None


def _restricted(stratum: Stratum, vectors) -> np.ndarray:
    """Eigenvalues of the scaled Hessian on the span of the tangent parts of (matrix, bias) vectors."""
    U, V = stratum.frames
    r = stratum.point.rank
    rows = []
    for matrix, bias in vectors:
        if isinstance(matrix, tuple):  # an outer product x y'
            T, length = np.outer(U.T @ matrix[0], V.T @ matrix[1]), np.linalg.norm(matrix[0]) * np.linalg.norm(matrix[1])
        elif matrix.ndim == 1:  # a diagonal
            T, length = (U * matrix[:, None]).T @ V, np.linalg.norm(matrix)
        else:
            T, length = U.T @ matrix @ V, np.linalg.norm(matrix)
        row = stratum.pack(T[:r, :r], T[:r, r:], T[r:, :r], None if stratum.point.b is None else bias)
        size = np.linalg.norm(row)
        if size > 1e-8 * (length + np.linalg.norm(bias)):  # else it is normal to the stratum
            rows.append(row / size)
    if not rows:
        return np.zeros(0)
    _, sizes, right = np.linalg.svd(np.array(rows), full_matrices=False)
    basis = right[sizes > 1e-7]
    image = np.array([stratum.scale * stratum.hvp(stratum.scale * y) for y in basis])
    H = basis @ image.T
    return linalg.eigvalsh(0.5 * (H + H.T))


class _Vectors:
    """Builds (matrix, bias) vectors from sums over parts; a matrix is dense, a diagonal (K,), or a pair (x, y) for x y'."""

    def __init__(self, parts, K):
        self.parts, self.K = parts, K
        self.ones = [self._indicator(part) for part in parts]

    def _indicator(self, part):
        v = np.zeros(self.K)
        v[part] = 1.0
        return v

    def std(self, i, a=0, b=1):
        """e_a - e_b inside part i."""
        v = np.zeros(self.K)
        v[self.parts[i][a]], v[self.parts[i][b]] = 1.0, -1.0
        return v

    def matrix(self, M):
        return M, np.zeros(self.K)

    def bias(self, v):
        return np.zeros(self.K), v

    def outer(self, x, y):
        return (x, y), np.zeros(self.K)


def _representatives(parts, kinds, K: int, bias: bool):
    """(dimension, [copies of one vector of the representation]) for every irreducible representation that occurs."""
    make = _Vectors(parts, K)
    one = make.ones
    yield 1, _trivial(make, kinds, bias)
    for t, kind in enumerate(kinds):
        m, k = len(kind), len(parts[kind[0]])
        if m >= 2:
            yield m - 1, _part_difference(make, kinds, t, bias)
        if m >= 4:
            yield m * (m - 3) // 2, [_between(make, kind, symmetric=True)]
        if m >= 3:
            yield (m - 1) * (m - 2) // 2, [_between(make, kind, symmetric=False)]
        if k < 2:
            continue
        i = kind[0]
        x = make.std(i)
        copies = [make.outer(x, one[i]), make.outer(one[i], x), make.matrix(x)]
        copies += [make.bias(x)] if bias else []
        for other in kinds:
            rest = [j for j in other if j != i]
            if rest:
                total = sum(one[j] for j in rest)
                copies += [make.outer(x, total), make.outer(total, x)]
            if len(rest) >= 2:
                gap = one[rest[0]] - one[rest[1]]
                yield m * (k - 1) * (len(rest) - 1), [make.outer(x, gap), make.outer(gap, x)]
        yield m * (k - 1), copies
        if k >= 4:
            y = make.std(i, 2, 3)
            yield m * k * (k - 3) // 2, [make.matrix(np.outer(x, y) + np.outer(y, x))]
        if k >= 3:
            y = make.std(i, 0, 2) + make.std(i, 1, 2)
            yield m * (k - 1) * (k - 2) // 2, [make.matrix(np.outer(x, y) - np.outer(y, x))]
        if m >= 2:
            y = make.std(kind[1])
            yield m * (m - 1) // 2 * (k - 1) ** 2, [make.outer(x, y), make.outer(y, x)]
    for t, u in combinations(range(len(kinds)), 2):
        i, j = kinds[t][0], kinds[u][0]
        if len(parts[i]) >= 2 and len(parts[j]) >= 2:
            x, y = make.std(i), make.std(j)
            dimension = len(kinds[t]) * len(kinds[u]) * (len(parts[i]) - 1) * (len(parts[j]) - 1)
            yield dimension, [make.outer(x, y), make.outer(y, x)]
        if len(kinds[t]) >= 2 and len(kinds[u]) >= 2:
            x, y = one[kinds[t][0]] - one[kinds[t][1]], one[kinds[u][0]] - one[kinds[u][1]]
            yield (len(kinds[t]) - 1) * (len(kinds[u]) - 1), [make.outer(x, y), make.outer(y, x)]


def _trivial(make: _Vectors, kinds, bias: bool):
    """Vectors fixed by everything: sums over kinds of blocks between parts, inside parts, and of diagonals."""
    totals = [sum(make.ones[i] for i in kind) for kind in kinds]
    copies = [make.outer(x, y) for x in totals for y in totals]
    for kind, total in zip(kinds, totals, strict=True):
        copies.append(make.matrix(total))
        copies.append(make.matrix(sum(np.outer(make.ones[i], make.ones[i]) for i in kind)))
        copies += [make.bias(total)] if bias else []
    return copies


def _part_difference(make: _Vectors, kinds, t: int, bias: bool):
    """Copies of the difference of the first two parts of kind t."""
    p, q = kinds[t][:2]
    gap = make.ones[p] - make.ones[q]
    copies = [make.matrix(gap)]
    copies.append(make.matrix(np.outer(make.ones[p], make.ones[p]) - np.outer(make.ones[q], make.ones[q])))
    for kind in kinds:
        total = sum(make.ones[i] for i in kind)
        copies += [make.outer(gap, total), make.outer(total, gap)]
    return copies + ([make.bias(gap)] if bias else [])


def _between(make: _Vectors, kind, symmetric: bool):
    """The (m-2, 2) vector (p1-p2)(p3-p4)' + transpose, or the antisymmetric (p1-p2) ^ (p1+p2-2p3)."""
    one = make.ones
    x = one[kind[0]] - one[kind[1]]
    if symmetric:
        y = one[kind[2]] - one[kind[3]]
        return make.matrix(np.outer(x, y) + np.outer(y, x))
    y = one[kind[0]] + one[kind[1]] - 2 * one[kind[2]]
    return make.matrix(np.outer(x, y) - np.outer(y, x))
