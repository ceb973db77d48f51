"""The class permutations that fix a point, and matrices that commute with them, at a cost that does not grow with K^2.

A point's classes fall into kinds of m alike parts of k interchangeable classes; G is the product of the wreath products
S_k wr S_m over kinds: one kind (1, K) at DNC, (K/2, 2) at pairs. A matrix that commutes with a group of this form is
constant between cells (kinds), and alpha I + beta/k J_part + const J on a cell; in an orthonormal basis adapted to it,
it is

    Q (q, q) on the normalised cell sums,  beta_t on m_t - 1 copies of part differences,  alpha_t on m_t (k_t - 1)
    copies inside parts,

so products, singular values and inverses of K x K matrices are those of q x q matrices and 2 q numbers, and its columns
are known from one column per cell. An operator that commutes with G is, by Schur's lemma, a small matrix on the copies
of one fixed vector of each irreducible representation, repeated as often as that representation's dimension
(`representations`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ufm.numerics.content import ByContent
from ufm.points import LogitPoint

EXACT = 1e-12
"""Deviation from symmetry, relative to the largest entry, that is rounding."""
MOST_KINDS = 16
"""Largest number of kinds of parts worth splitting."""


@dataclass(frozen=True, eq=False)
class Element(ByContent):
    """A matrix of a commutant: Q (..., q, q) on cell sums, c (..., 2q) = (beta, alpha) on the rest; a batch of them."""

    Q: np.ndarray
    c: np.ndarray

    def __add__(self, other: Element) -> Element:
        return Element(self.Q + other.Q, self.c + other.c)


@dataclass(frozen=True, eq=False)
class Commutant(ByContent):
    """The K x K matrices that commute with permutations inside and of parts, cells being arrays (m, k) of classes."""

    cells: tuple[np.ndarray, ...]

    @functools.cached_property
    def n(self) -> np.ndarray:
        """Classes per cell (q,)."""
        return np.array([cell.size for cell in self.cells])

    @functools.cached_property
    def first(self) -> np.ndarray:
        """One class of every cell (q,)."""
        return np.array([cell[0, 0] for cell in self.cells])

    @functools.cached_property
    def copies(self) -> np.ndarray:
        """How often beta_t and alpha_t are repeated, (2q,)."""
        m, k = np.array([cell.shape for cell in self.cells]).T
        return np.concatenate([m - 1, m * (k - 1)])

    @functools.cached_property
    def cell_of(self) -> np.ndarray:
        result = np.empty(int(np.sum(self.n)), dtype=int)
        for t, cell in enumerate(self.cells):
            result[cell] = t
        return result

    @functools.cached_property
    def _neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """(mate, other): a class of the same part as `first`, one of another part; itself or a mate where none is."""
        mate = np.array([cell[0, min(1, cell.shape[1] - 1)] for cell in self.cells])
        other = np.array([cell[1, 0] if len(cell) > 1 else m for cell, m in zip(self.cells, mate, strict=True)])
        return mate, other

    def element(self, columns) -> Element:
        """The matrix whose columns at `first` are the given ones (..., K, q)."""
        t, k = np.arange(len(self.n)), np.array([cell.shape[1] for cell in self.cells])
        mate, other = (columns[..., rows, t] for rows in self._neighbours)
        alpha = columns[..., self.first, t] - mate
        beta = np.where(k > 1, alpha, columns[..., self.first, t] - other) + np.where(k > 1, k * (mate - other), 0.0)
        Q = columns[..., self.first, :] * np.sqrt(self.n[:, None] * self.n)
        Q[..., t, t] = beta + self.n * other
        return Element(Q, np.concatenate([beta, alpha], axis=-1) * (self.copies > 0))

    def columns(self, E: Element) -> np.ndarray:
        """Its columns at `first`, (..., K, q)."""
        const, alpha, inside = self._entries(E)
        result = const[..., self.cell_of, :]
        for t, cell in enumerate(self.cells):
            result[..., cell[0], t] += inside[..., t, None]
            result[..., cell[0, 0], t] += alpha[..., t]
        return result

    def matrix(self, E: Element) -> np.ndarray:
        """The whole K x K matrix."""
        const, alpha, inside = self._entries(E)
        result = const[np.ix_(self.cell_of, self.cell_of)]
        for t, cell in enumerate(self.cells):
            if len(cell) > 1:
                result[cell[:, :, None], cell[:, None, :]] += inside[t]
        np.einsum("ii->i", result)[...] += alpha[self.cell_of]
        return result

    def _entries(self, E: Element):
        """(constants between cells, alpha, what a part adds)."""
        q = len(self.n)
        beta, alpha, t = E.c[..., :q], E.c[..., q:], np.arange(q)
        const = E.Q / np.sqrt(self.n[:, None] * self.n)
        m, k = np.array([cell.shape for cell in self.cells]).T
        alone = m == 1  # no part differences: what is constant on the part is constant on the cell
        inside = np.where(alone, 0.0, (beta - alpha) / k)
        const[..., t, t] = (E.Q[..., t, t] - np.where(alone, alpha, beta)) / self.n
        return const, alpha, inside

    def vector(self, x) -> np.ndarray:
        """Coordinates (q,) of x (K,), constant on cells, along the normalised cell sums."""
        return x[self.first] * np.sqrt(self.n)

    def term(self, term) -> Element:
        """x y' for ("outer", x, y), diag(x) for ("diagonal", x), sum of x_part 1_part 1_part' for ("parts", x)."""
        kind, x, *y = term
        q = len(self.n)
        if kind == "outer":
            return Element(np.outer(self.vector(x), self.vector(y[0])), np.zeros(2 * q))
        size = 1 if kind == "diagonal" else np.array([cell.shape[1] for cell in self.cells])
        on_parts = x[self.first] * size
        inside = on_parts if kind == "diagonal" else np.zeros(q)
        return Element(np.diag(on_parts), np.concatenate([on_parts, inside]) * (self.copies > 0))

    def flat(self, E: Element) -> np.ndarray:
        """(..., q^2 + 2q) with the Euclidean inner product of the whole matrices."""
        return np.concatenate([E.Q.reshape(*E.Q.shape[:-2], -1), E.c * np.sqrt(self.copies)], axis=-1)

    def unflat(self, flat) -> Element:
        q = len(self.n)
        Q, c = flat[..., : q * q].reshape(*flat.shape[:-1], q, q), flat[..., q * q :]
        return Element(Q, c / np.sqrt(np.maximum(self.copies, 1)))


def kinds_of(point: LogitPoint, M, tol: float = 1e-9) -> tuple[tuple[np.ndarray, ...], float] | None:
    """(kinds of alike parts, arrays (m, k) of classes; deviation from that symmetry) of a collapsed point, or None.

    M: the point's matrix. tol: entries closer than this times the largest are equal. The deviation is relative to the
    largest.
    """
    b = np.zeros(len(M)) if point.b is None else np.round(point.b, 9)
    size = max(1e-300, float(np.max(np.abs(M), initial=0.0)))
    labels = np.column_stack([point.problem.counts, b])
    parts = _swappable(M / size, labels, tol)
    if len(parts) > 0.8 * len(M):
        return None
    first = np.array([part[0] for part in parts])
    inside = np.array([np.round(M[part[0], part[1]] / size, 6) if len(part) > 1 else 0.0 for part in parts])
    seen = np.column_stack([labels[first], list(map(len, parts)), inside])
    alike = _swappable(M[np.ix_(first, first)] / size, seen, tol)
    if len(alike) > MOST_KINDS:
        return None
    kinds = tuple(np.array([parts[i] for i in kind]) for kind in alike)
    commutant = Commutant(kinds)
    gap = float(np.max(np.abs(M - commutant.matrix(commutant.element(M[:, commutant.first])))))
    return (kinds, gap / size) if gap <= 10 * tol * size else None


def _swappable(M, labels, tol: float) -> list[np.ndarray]:
    """Parts of indices of equal labels whose transpositions seem to leave M alone, along two probes: to be checked."""
    probe = np.cos(np.outer(np.arange(1.0, len(M) + 1.0) ** 2, [1.0, np.sqrt(2.0)]))
    along, diagonal = np.hstack([M @ probe, M.T @ probe]), np.diag(M)
    parts, left = [], np.arange(len(M))
    while len(left):
        i = left[0]  # rows (and columns) of i and j differ along a probe by (M_ii - M_ji)(p_i - p_j)
        shift = (diagonal[i] - M[left, i])[:, None] * (probe[i] - probe[left])
        off = np.max(np.abs(along[i] - along[left] - np.hstack([shift, shift])), axis=1) / len(M)
        off = np.maximum(off, np.maximum(np.abs(diagonal[left] - diagonal[i]), np.abs(M[i, left] - M[left, i])))
        same = (off <= tol) & np.all(labels[left] == labels[i], axis=1)
        parts.append(left[same])
        left = left[~same]
    return parts


def refined(kinds, vectors) -> Commutant:
    """The commutant of the permutations that also fix every given vector (K,)."""
    cells = []
    for kind in kinds:
        values = np.array([v[kind] for v in vectors]).reshape(len(vectors), *kind.shape)
        even = np.all(values == values[..., :1], axis=(0, 2))
        for part, seen in zip(kind[~even], np.moveaxis(values, 1, 0)[~even], strict=True):
            cells += [part[group][None] for group in _groups(seen.T)]
        cells += [kind[even][group] for group in _groups(values[:, even, 0].T)]
    return Commutant(tuple(cells))


def _groups(rows) -> list[np.ndarray]:
    """Indices of equal rows."""
    if not len(rows):
        return []
    order = np.lexsort(rows.T) if rows.size else np.arange(len(rows))
    changes = np.flatnonzero(np.any(np.diff(rows[order], axis=0) != 0, axis=1)) + 1
    return np.split(order, changes)


def representations(kinds, K: int):
    """(dimension, copies of one vector among K x K matrices, among vectors (K,)) of every irreducible representation.

    A copy is a list of terms (see `Commutant.term`) to be added.
    """
    one = [[_indicator(K, part) for part in kind] for kind in kinds]
    total = [sum(parts) for parts in one]
    pairs = [[("outer", x, y)] for x in total for y in total]
    yield 1, pairs + [[(name, x)] for x in total for name in ("diagonal", "parts")], total
    for t, (kind, parts) in enumerate(zip(kinds, one, strict=True)):
        yield from _of_parts(len(kind), parts, total)
        if kind.shape[1] > 1:
            yield from _inside_parts(t, kinds, one, total, K)
    for t, u in combinations(range(len(kinds)), 2):
        (m, k), (n, l) = kinds[t].shape, kinds[u].shape
        if k > 1 and l > 1:
            yield m * n * (k - 1) * (l - 1), _both_ways(_gap(K, kinds[t][0]), _gap(K, kinds[u][0])), []
        if m > 1 and n > 1:
            yield (m - 1) * (n - 1), _both_ways(one[t][0] - one[t][1], one[u][0] - one[u][1]), []


def _of_parts(m: int, one, total):
    """Representations that see parts as a whole: differences of two parts, and matrices between parts."""
    if m > 1:
        gap = one[0] - one[1]
        copies = [[("diagonal", gap)], [("parts", gap)]]
        yield m - 1, copies + [copy for x in total for copy in _both_ways(gap, x)], [gap]
    if m > 2:
        yield (m - 1) * (m - 2) // 2, [_mixed(gap, one[0] + one[1] - 2 * one[2], -1.0)], []
    if m > 3:
        yield m * (m - 3) // 2, [_mixed(gap, one[2] - one[3], 1.0)], []


def _inside_parts(t: int, kinds, one, total, K: int):
    """Representations that see differences x = e_a - e_b inside the parts of kind t."""
    m, k = kinds[t].shape
    part = kinds[t][0]
    x = _gap(K, part)
    copies = [[("diagonal", x)], *_both_ways(x, one[t][0])]
    for u, other in enumerate(one):
        rest = other[1:] if u == t else other
        if rest:
            copies += _both_ways(x, total[u] - one[t][0] if u == t else total[u])
        if len(rest) > 1:
            yield m * (k - 1) * (len(rest) - 1), _both_ways(x, rest[0] - rest[1]), []
    yield m * (k - 1), copies, [x]
    if k > 2:
        yield m * (k - 1) * (k - 2) // 2, [_mixed(x, _gap(K, part, 0, 2) + _gap(K, part, 1, 2), -1.0)], []
    if k > 3:
        yield m * k * (k - 3) // 2, [_mixed(x, _gap(K, part, 2, 3), 1.0)], []
    if m > 1:
        y = _gap(K, kinds[t][1])
        yield m * (m - 1) // 2 * (k - 1) ** 2, _both_ways(x, y), []


def _both_ways(x, y):
    return [[("outer", x, y)], [("outer", y, x)]]


def _mixed(x, y, sign: float):
    return [("outer", x, y), ("outer", sign * y, x)]


def _indicator(K: int, part) -> np.ndarray:
    v = np.zeros(K)
    v[part] = 1.0
    return v


def _gap(K: int, part, a: int = 0, b: int = 1) -> np.ndarray:
    """e_a - e_b inside a part."""
    v = np.zeros(K)
    v[part[a]], v[part[b]] = 1.0, -1.0
    return v
