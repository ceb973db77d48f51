"""The whole Hessian spectrum at a critical point of a linear model, with multiplicities, at any width and any n.

The Hessian in all parameters splits, at the balanced lift of a critical point of rank r, into

    core      the Hessian at widths r on class columns (sample columns where the point is not collapsed), and b
    frames    per hidden layer l and unused direction (d_l - r of them), r pairs of eigenvalues 0 and lam_{l-1} + lam_l
    corners   lam_l on (d_{l+1} - r)(d_l - r) entries of every middle factor, lam_0 and lam_L on what the first and last
              layers' frames leave: (d_1 - r)(N - r) and (d_L - r)(K - r) entries
    D = 2     there instead, per unused direction, [[lam_0, -sigma], [-sigma, lam_1]] for each sigma of G_perp
    classes   n_c - 1 copies per class of (1/N) P'H_c P + lam_0 on r rows, P = W_L ... W_1

because a product through an unused direction of layer l needs the factors on both of its sides and, for D >= 3, meets
only U'G V = -diag(phi') between them. So the size is that of the core, r M + (L - 1) r^2 + K r, whatever the width
(`Dense`).

Where class permutations fix the point, all three parts split further by their irreducible representations (`Split`):
the hidden layers carry the permutations in the frame U, so that factors that commute with a subgroup are a few numbers
(`critical.symmetry`), and the whole spectrum of DNC or pairs costs O(K) whatever K, once the symmetry is known.

Sources: gk25 (Lemma 1, Theorem 6), garrod24 (the spectrum at deep neural collapse under MSE).
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ufm.critical.symmetry import Commutant, Element, kinds_of, refined, representations
from ufm.numerics import products
from ufm.numerics.content import ByContent
from ufm.numerics.spectra import length
from ufm.objectives.factors import FactorObjective
from ufm.objectives.fit import Fit
from ufm.objectives.logits import Stratum
from ufm.objectives.strata import schatten
from ufm.points import LogitPoint
from ufm.problem import Columns, Problem

CORE_LIMIT = 3000
"""Largest core whose Hessian is formed."""
MERGE = 1e-12
"""Eigenvalues closer than this times the largest are one."""
AT_ONCE = 2_000_000
"""Numbers in a batch of Hessian-vector products."""


def spectrum_of(parts: Dense | Split, merge: float = MERGE) -> list[tuple[float, int]]:
    """[(eigenvalue, multiplicity)], ascending, of the whole Hessian; closer than merge times the largest are one."""
    found = [*parts.core(), *_unused(parts.point, parts.leaving()), *parts.within()]
    return merged([(float(v), int(m)) for v, m in found if m], merge)


def core_size(point: LogitPoint) -> int:
    """r M + (L - 1) r^2 + K r, and K with a bias: coordinates of the Hessian at widths r."""
    problem, r = point.problem, point.rank
    return r * (len(point.right) + (problem.L - 1) * r + problem.K) + (0 if problem.bias is None else problem.K)


@dataclass(frozen=True, eq=False)
class Dense:
    """The parts of the spectrum from dense Hessians."""

    stratum: Stratum

    @property
    def point(self) -> LogitPoint:
        return self.stratum.point

    def core(self) -> list[tuple[float, int]]:
        H = core_hessian(self.stratum)
        return [(v, 1) for v in linalg.eigvalsh(H)] if len(H) else []

    def leaving(self) -> list[tuple[float, int]]:
        """(singular value of G_perp, multiplicity) at D = 2, where they couple; none for D >= 3."""
        if self.point.problem.D > 2 or not self.stratum.G_perp.size:
            return []
        return [(s, 1) for s in np.linalg.svd(self.stratum.G_perp, compute_uv=False)]

    def within(self) -> list[tuple[float, int]]:
        counts, blocks = self.point.problem.counts, within_blocks(self.stratum)
        return [(v, counts[c] - 1) for c, block in blocks for v in linalg.eigvalsh(block)]


def core_objective(point: LogitPoint) -> FactorObjective:
    """F at widths r, on class columns where the point is collapsed."""
    return FactorObjective(point.problem, point.collapsed, (point.rank,) * point.problem.L)


def core_hessian(stratum: Stratum, limit: int = CORE_LIMIT) -> np.ndarray:
    """Dense Hessian at widths r; at rank 0 that of the bias alone."""
    if not stratum.point.rank:
        return stratum.hessian()
    core = core_objective(stratum.point)
    return core.hessian(core.lift(stratum.point), limit)


def within_blocks(stratum: Stratum):
    """(class, (r, r) block) for every class of a collapsed point with n_c > 1."""
    point = stratum.point
    if not point.collapsed or not point.rank:
        return
    for c in np.flatnonzero(point.problem.counts > 1):
        yield int(c), within_class_block(stratum, int(c))


def within_class_block(stratum: Stratum, c: int) -> np.ndarray:
    """(1/N) P'H_c P + lam_0 I (r, r), P = W_L ... W_1 in the frame of H_1: the Hessian along variation in class c."""
    problem, point = stratum.point.problem, stratum.point
    H = problem.loss.hessians(stratum.logits[:, [c]], stratum.fit.columns.Y[:, [c]])[0] / problem.N
    P = point.U * _gain(problem, point.s)
    return P.T @ H @ P + problem.lams[0] * np.eye(point.rank)


def _gain(problem: Problem, s):
    """Singular values of P = W_L ... W_1."""
    return s ** ((problem.D - 1.0) / problem.D) * np.sqrt(problem.lams[0] / problem.Lam)


@dataclass(frozen=True, eq=False)
class Split(ByContent):
    """The parts of the spectrum by irreducible representations of the permutations of alike parts; F, its gradient.

    deviation: how far the point is from that symmetry, relative to its largest logit.
    """

    point: LogitPoint
    M: np.ndarray
    """The point's matrix."""
    kinds: tuple[np.ndarray, ...]
    deviation: float

    @staticmethod
    def of(point: LogitPoint, tol: float = 1e-9) -> Split | None:
        """The splitting of a collapsed point, or None where too few classes are interchangeable."""
        M = point.matrix() if point.collapsed else None
        found = None if M is None else kinds_of(point, M, tol)
        split = None if M is None or found is None else Split(point, M, *found)
        return split if split and split.whole.rank == point.rank else None

    def _invariant(self, vectors) -> Invariant:
        """F on what the permutations that fix the given vectors (K,) fix."""
        commutant = refined(self.kinds, vectors)
        return Invariant(self.point, commutant, self.M[:, commutant.first])

    @functools.cached_property
    def whole(self) -> Invariant:
        """F on what all the permutations fix."""
        return self._invariant([np.ones(self.point.problem.K)])

    @property
    def fun(self) -> float:
        return self.whole.fun

    @functools.cached_property
    def grad_norm(self) -> float:
        """Norm of the gradient, which every symmetry of the point fixes, at the balanced lift."""
        return length([self.whole.gradient()])

    def core(self) -> list[tuple[float, int]]:
        found = []
        for dimension, matrices, vectors in representations(self.kinds, self.point.problem.K):
            vectors = vectors if self.point.b is not None else []
            marks = [x for copy in matrices for _, *xs in copy for x in xs] + vectors
            here = self._invariant(marks)
            copies = [sum_of_terms(here.commutant, copy) for copy in matrices]
            found += [(v, dimension) for v in here.restricted(copies, vectors)]
        missing = core_size(self.point) - sum(m for _, m in found)
        if missing:
            size = core_size(self.point)
            raise ArithmeticError(f"the irreducible blocks miss {missing} of the {size} coordinates of the core.")
        return found

    def leaving(self) -> list[tuple[float, int]]:
        """As `Dense.leaving`."""
        return self.whole.leaving() if self.point.problem.D == 2 else []

    def within(self) -> list[tuple[float, int]]:
        problem, found = self.point.problem, []
        for kind in self.kinds if self.point.rank else ():
            c = int(kind[0, 0])
            copies = kind.size * (int(problem.counts[c]) - 1)
            if copies:
                mark = np.zeros(problem.K)
                mark[c] = 1.0
                found += [(v, m * copies) for v, m in self._invariant([mark]).within_class(c)]
        return found


def sum_of_terms(commutant: Commutant, copy) -> Element:
    return functools.reduce(Element.__add__, map(commutant.term, copy))


@dataclass(frozen=True, eq=False)
class Invariant(ByContent):
    """F to second order at a point's balanced lift, on factors that commute with class permutations that fix it.

    Hidden layers are the column space of Z inside R^K, so that every factor is a K x K matrix of the commutant. Flat
    coordinates are those of (H_1, W_1, ..., W_L), then of the bias along the cell sums; their inner product is that of
    the whole factors.
    """

    point: LogitPoint
    commutant: Commutant
    Z: np.ndarray
    """Stored columns at the cells' first classes, (K, q)."""

    @functools.cached_property
    def fit(self) -> Fit:
        """The fit on one column per cell."""
        all_, first = self.point.problem.classes, self.commutant.first
        columns = Columns(all_.Y[:, first], all_.weight[first], all_.scale[first], all_.copies[first])
        return Fit(self.point.problem.loss, columns)

    @functools.cached_property
    def G(self) -> Element:
        return self.commutant.element(self.fit.value_grad(self.Z, self.point.b)[1])

    @functools.cached_property
    def frames(self):
        """(U, s, V, sign, t), Z = U diag(s) V' on the cell sums, sign t on the rest; dead modes of U, V, t are zero."""
        E = self.commutant.element(self.Z)
        U, s, Vt = np.linalg.svd(E.Q)
        floor = 0.5 * np.min(self.point.s, initial=np.inf)
        alive = s > floor
        return U[:, alive], s[alive], Vt[alive].T, np.sign(E.c), np.where(np.abs(E.c) > floor, np.abs(E.c), 0.0)

    @property
    def rank(self) -> int:
        _, s, _, _, t = self.frames
        return len(s) + int(np.sum(self.commutant.copies[t > 0]))

    @functools.cached_property
    def fun(self) -> float:
        point, columns = self.point, self.fit.columns
        ridge = 0.0 if point.b is None else 0.5 * (point.problem.bias or 0.0) * float(point.b @ point.b)
        loss = self.fit.loss.value(self.fit.logits(self.Z, point.b), columns.Y) @ (columns.weight * self.commutant.n)
        return float(loss) + float(np.sum(schatten(point.problem).phi(point.s))) + ridge

    @functools.cached_property
    def chains(self):
        """(factors, suffixes) on the cell sums (q, q), and on the rest as 1 x 1 matrices (2q, 1, 1)."""
        U, s, V, sign, t = self.frames
        problem = self.point.problem
        c = problem.stretches
        root, rest = s ** (1 / problem.D), (t ** (1 / problem.D))[:, None, None]
        sums = [c[0] * (U * root) @ V.T] + [a * (U * root) @ U.T for a in c[1:]]
        rests = [c[0] * sign[:, None, None] * rest] + [a * rest for a in c[1:]]
        return (sums, products.suffixes(sums)), (rests, products.suffixes(rests))

    def gradient(self) -> np.ndarray:
        problem, flat = self.point.problem, self.commutant.flat
        (sums, P), (rests, R) = self.chains
        onsums = products.gradient(sums, P, self.G.Q)
        onrest = products.gradient(rests, R, self.G.c[:, None, None])
        parts = zip(onsums, onrest, sums, rests, problem.lams, strict=True)
        rows = [flat(Element(X + lam * A, (x + lam * a)[:, 0, 0])) for X, x, A, a, lam in parts]
        if self.point.b is not None:
            rows.append(self._bias_part(self.G) + problem.bias * self.commutant.vector(self.point.b))
        return np.concatenate(rows)

    def _bias_part(self, G: Element) -> np.ndarray:
        """Sum over columns of dg/d(logits), from dg/dZ."""
        return (G.Q / self.fit.columns.scale) @ np.sqrt(self.commutant.n)

    def hvp(self, flat) -> np.ndarray:
        """The Hessian of F times flat vectors (..., size): O(K q + q^3)."""
        problem, commutant = self.point.problem, self.commutant
        q = len(commutant.n)
        size = q * q + 2 * q
        tangents = [commutant.unflat(flat[..., l * size : (l + 1) * size]) for l in range(problem.D)]
        dsums, drests = [E.Q for E in tangents], [E.c[..., None, None] for E in tangents]
        (sums, P), (rests, R) = self.chains
        dZ, dP = products.directional(sums, P, dsums)
        dz, dR = products.directional(rests, R, drests)
        db = flat[..., problem.D * size :]
        db = None if self.point.b is None else (db / np.sqrt(commutant.n))[..., commutant.cell_of]
        dG = commutant.element(self.fit.hvp(self.Z, self.point.b, commutant.columns(Element(dZ, dz[..., 0, 0])), db)[0])
        onsums = products.gradient_directional(sums, P, self.G.Q, dsums, dP, dG.Q)
        onrest = products.gradient_directional(rests, R, self.G.c[:, None, None], drests, dR, dG.c[..., None, None])
        rows = [
            commutant.flat(Element(X, x[..., 0, 0])) + lam * commutant.flat(E)
            for X, x, lam, E in zip(onsums, onrest, problem.lams, tangents, strict=True)
        ]
        if db is not None:
            rows.append(self._bias_part(dG) + problem.bias * flat[..., problem.D * size :])
        return np.concatenate(rows, axis=-1)

    def restricted(self, matrices: list[Element], vectors) -> np.ndarray:
        """Eigenvalues of the Hessian on the span of the given copies, in every factor, and of the bias vectors."""
        D, commutant = self.point.problem.D, self.commutant
        q = len(commutant.n)
        size = q * q + 2 * q
        bases = [_basis([self._hidden(E, l > 0, l < D - 1) for E in matrices], matrices, commutant) for l in range(D)]
        bases += [_orthonormal(np.array([commutant.vector(x) / np.linalg.norm(x) for x in vectors]))] if vectors else []
        total = D * size + (0 if self.point.b is None else q)
        B = np.zeros((sum(map(len, bases)), total))
        row = 0
        for l, basis in enumerate(bases):
            B[row : row + len(basis), l * size : l * size + basis.shape[1]] = basis
            row += len(basis)
        if not len(B):
            return np.zeros(0)
        pieces = max(1, len(B) * self.point.problem.K * q // AT_ONCE)
        H = np.concatenate([self.hvp(rows) for rows in np.array_split(B, pieces)]) @ B.T
        return linalg.eigvalsh(0.5 * (H + H.T))

    def _hidden(self, E: Element, right: bool, left: bool) -> Element:
        """E with its rows (left) and columns (right) brought into the hidden space."""
        U, _, _, _, t = self.frames
        Q = E.Q
        Q = U @ (U.T @ Q) if left else Q
        return Element((Q @ U) @ U.T if right else Q, E.c * (t > 0) if left or right else E.c)

    def leaving(self) -> list[tuple[float, int]]:
        """(singular value of G_perp, multiplicity)."""
        U, s, V, _, t = self.frames
        X = self.G.Q - U @ (U.T @ self.G.Q)
        sigma = np.linalg.svd(X - (X @ V) @ V.T, compute_uv=False)[: len(X) - len(s)]
        rest = zip(self.G.c, self.commutant.copies, t, strict=True)
        return [(v, 1) for v in sigma] + [(abs(g), int(m)) for g, m, a in rest if m and not a]

    def within_class(self, c: int) -> list[tuple[float, int]]:
        """(eigenvalue, multiplicity) of (1/N) P'H_c P + lam_0; class c must be a cell of its own."""
        problem, commutant = self.point.problem, self.commutant
        at = int(np.flatnonzero(commutant.first == c)[0])
        z, Y = self.fit.logits(self.Z, self.point.b)[:, [at]], self.fit.columns.Y[:, [at]]
        units = np.eye(problem.K)[commutant.first][:, :, None]
        H = commutant.element(problem.loss.hvp(np.broadcast_to(z, units.shape), Y, units)[:, :, 0].T / problem.N)
        U, s, _, _, t = self.frames
        P = U * _gain(problem, s)
        found = [(v, 1) for v in linalg.eigvalsh(P.T @ H.Q @ P + problem.lams[0] * np.eye(len(s)))] if len(s) else []
        values = H.c * _gain(problem, t) ** 2 + problem.lams[0]
        return found + [(v, int(m)) for v, m, a in zip(values, commutant.copies, t, strict=True) if m and a]


def _basis(elements: list[Element], raw: list[Element], commutant: Commutant) -> np.ndarray:
    """Orthonormal rows spanning the elements, leaving out those that the projection of `raw` has made zero."""
    q = len(commutant.n)
    rows = []
    for E, before in zip(elements, raw, strict=True):
        row = commutant.flat(E) / np.linalg.norm(commutant.flat(before))
        if np.linalg.norm(row) > 1e-8:
            rows.append(row / np.linalg.norm(row))
    return _orthonormal(np.array(rows)) if rows else np.zeros((0, q * q + 2 * q))


def _orthonormal(rows) -> np.ndarray:
    _, sizes, right = np.linalg.svd(rows, full_matrices=False)
    return right[sizes > 1e-7]


# What does not depend on the fit


def _unused(point: LogitPoint, sigma) -> list[tuple[float, int]]:
    """Eigenvalues of every entry that touches an unused hidden direction."""
    problem, r = point.problem, point.rank
    lams, spare = problem.lams, [d - r for d in problem.widths]
    parts = [(0.0, r * e) for e in spare]
    parts += [(a + b, r * e) for a, b, e in zip(lams[:-1], lams[1:], spare, strict=True)]
    parts += [(lam, e * f) for lam, (e, f) in zip(lams[1:-1], itertools.pairwise(spare), strict=True)]
    parts += [(v, spare[0] * m) for s, m in sigma for v in linalg.eigvalsh(coupling(problem, s))]
    coupled = sum(m for _, m in sigma)
    parts.append((lams[0], spare[0] * (problem.N - r - coupled)))
    parts.append((lams[-1], spare[-1] * (problem.K - r - coupled)))
    return parts


def coupling(problem: Problem, sigma: float) -> np.ndarray:
    """The Hessian of a direction that raises the rank at D = 2."""
    return np.array([[problem.lams[0], -sigma], [-sigma, problem.lams[-1]]])


def merged(parts, merge: float = MERGE) -> list[tuple[float, int]]:
    """Ascending; runs of eigenvalues that start within the tolerance of each other become their mean."""
    gap = merge * max(abs(v) for v, _ in parts)
    runs: list[list[tuple[float, int]]] = []
    for v, m in sorted(parts):
        if runs and v - runs[-1][0][0] <= gap:
            runs[-1].append((v, m))
        else:
            runs.append([(v, m)])
    return [(_mean(run), sum(m for _, m in run)) for run in runs]


def _mean(run) -> float:
    first = run[0][0]
    return first + sum(m * (v - first) for v, m in run) / sum(m for _, m in run)
