"""The objective F_r in logit space (`objectives.logits`) to second order, at points of one rank.

A tangent vector at Z = U diag(s) V' has coordinates

    A (r, r) on U x V,   B (r, M - r) on U x V_perp,   C (K - r, r) on U_perp x V,   db (K,)

and F_r's second derivative is that of the fit g plus, with phi(s) = (D/2) Lam s^(2/D),

    (phi'_i -+ phi'_j)/(s_i -+ s_j) on the symmetric / antisymmetric part of A,   phi'_i/s_i on B_i and C_i,
    (2/s_i) C_i' G_perp B_i  with  G_perp = U_perp' G V_perp  (the curvature of the stratum).

The formulas hold over any leading axes: none for `logits.Stratum`, one for `Strata`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.numerics.spectra import SpectralFunction, complement, divided_differences, leaving
from ufm.objectives.fit import Fit
from ufm.points import LogitPoint
from ufm.problem import Problem

TINY = 1e-70
"""Singular values below which powers are taken relative to the largest."""
SQUARES = 1e-250
"""Sums of squares above which nothing has underflowed that counts."""
ROUNDED = 1e-14
"""Singular values up to this times the largest are rounding."""
DENSE = 4000
"""Largest stratum whose Hessian is formed."""


def schatten(problem: Problem) -> SpectralFunction:
    """phi(s) = (D/2) Lam s^(2/D): the least penalty of D factors whose product has singular value s."""
    D, Lam = problem.D, problem.Lam
    if problem.ridgeless:
        return SpectralFunction(np.zeros_like, np.zeros_like, np.zeros_like)
    return SpectralFunction(
        lambda s: 0.5 * D * Lam * s ** (2.0 / D),
        lambda s: Lam * s ** (2.0 / D - 1.0),
        lambda s: (2.0 / D - 1.0) * Lam * s ** (2.0 / D - 2.0),
    )


class SecondOrder:
    """F_r to second order at points U diag(s) V' of one rank, over leading axes (...): gradient and Hessian in tangent
    coordinates.

    Flat coordinates are (A, B, C, db), each row-major. `scaled` coordinates divide each by the norm of
    the factor motion that moves it, so that the gradient's length is that in factor space and one
    tolerance serves tiny and large singular values alike.
    """

    problem: Problem
    U: np.ndarray
    """(..., K, r)."""
    s: np.ndarray
    """(..., r)."""
    V: np.ndarray
    """(..., M, r)."""
    b: np.ndarray | None
    """(..., K)."""
    fit: Fit

    @property
    def rank(self) -> int:
        return self.s.shape[-1]

    @property
    def lead(self) -> tuple[int, ...]:
        """The leading axes."""
        return self.s.shape[:-1]

    @property
    def _bias(self) -> float:
        return self.problem.bias or 0.0

    @functools.cached_property
    def shape(self) -> tuple[int, int, int]:
        """(r, K, M)."""
        return self.rank, self.problem.K, self.V.shape[-2]

    @functools.cached_property
    def size(self) -> int:
        """Dimension r (K + M - r) of the tangent space, plus K with a bias."""
        r, K, M = self.shape
        return r * (K + M - r) + (0 if self.b is None else K)

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """U diag(s) V', (..., K, M)."""
        return (self.U * self.s[..., None, :]) @ _t(self.V)

    # value and gradient

    @functools.cached_property
    def _fit_grad(self) -> Any:
        return self.fit.value_grad(self.matrix, self.b)

    @property
    def G(self) -> np.ndarray:
        """Gradient of the fit in Z, (..., K, M)."""
        return self._fit_grad[1]

    @functools.cached_property
    def fun(self) -> Any:
        """F_r, (...)."""
        ridge = 0.0 if self.b is None else 0.5 * self._bias * np.vecdot(self.b, self.b)
        return _number(self._fit_grad[0] + np.sum(schatten(self.problem).phi(self.s), axis=-1) + ridge)

    @functools.cached_property
    def blocks(self):
        """(A, B, C, db): the gradient of F_r in tangent coordinates, with B and C in ambient coordinates."""
        UG, GV = _t(self.U) @ self.G, self.G @ self.V
        X = UG @ self.V
        A, r = X.copy(), np.arange(self.rank)
        A[..., r, r] += schatten(self.problem).derivative(self.s)
        db = None if self.b is None else self._fit_grad[2] + self._bias * self.b
        return A, UG - X @ _t(self.V), GV - self.U @ X, db

    @functools.cached_property
    def grad_norm(self) -> Any:
        """Norm of the full gradient at the balanced lift, in the problem's own factor space, at any width; (...)."""
        D, root = self.problem.D, np.sqrt(self.problem.shares)
        A, B, C, db = self.blocks
        edge = self.s ** ((D - 1.0) / D)
        parts = [(root[0] * edge)[..., :, None] * B, C * (root[-1] * edge)[..., None, :]]
        for l in range(D):
            left, right = root[l] * self.s ** ((D - 1.0 - l) / D), self.s ** (l / D)
            parts.append(left[..., :, None] * A * right[..., None, :])
        return _length(parts if db is None else [*parts, db], self.lead)

    @functools.cached_property
    def ridge_norm(self) -> Any:
        """Norm of the ridge's own gradient (lam_l A_l)_l at the balanced lift: what the fit's gradient must cancel."""
        p = self.problem
        return _length([np.sqrt(np.sum(p.lams)) * np.sqrt(p.Lam) * self.s ** (1.0 / p.D)], self.lead)

    @functools.cached_property
    def living(self) -> np.ndarray:
        """Modes (..., r) whose pull to zero does not exceed half the penalty's own."""
        pull = np.diagonal(self.blocks[0], axis1=-2, axis2=-1)
        return pull / (self.problem.Lam * self.s ** (2.0 / self.problem.D - 1.0)) < 0.5

    # coordinates

    @functools.cached_property
    def complements(self) -> tuple[np.ndarray, np.ndarray]:
        """(U_perp, V_perp)."""
        left = complement(self.U)
        return left, left if self.V is self.U else complement(self.V)

    @functools.cached_property
    def frames(self) -> tuple[np.ndarray, np.ndarray]:
        """(U, U_perp) and (V, V_perp) as orthogonal matrices (..., K, K) and (..., M, M)."""
        left, right = self.complements
        U = np.concatenate([self.U, left], axis=-1)
        return U, U if self.V is self.U else np.concatenate([self.V, right], axis=-1)

    @functools.cached_property
    def scale(self) -> np.ndarray:
        """Norm of dZ (and db) produced by unit factor motion, per coordinate."""
        return self._scale(self.s)

    def _scale(self, s) -> np.ndarray:
        r, K, M = self.shape
        D = self.problem.D
        squares = (s[..., :, None] ** (np.arange(D) / D)) ** 2
        inner = np.sqrt(squares[..., ::-1] @ _t(squares))
        edge = s ** ((D - 1.0) / D)
        parts = [inner.reshape(*self.lead, r * r), np.repeat(edge, M - r, axis=-1), np.tile(edge, K - r)]
        return np.concatenate(parts if self.b is None else [*parts, np.ones((*self.lead, K))], axis=-1)

    def pack(self, A, B, C, db) -> np.ndarray:
        """Flat coordinates (..., size)."""
        parts = [part.reshape(*self.lead, part.shape[-2] * part.shape[-1]) for part in (A, B, C)]
        return np.concatenate(parts if db is None else [*parts, db], axis=-1)

    def _parts(self, vector):
        """(A, B, C, db) of flat coordinates."""
        r, K, M = self.shape
        a, b, c = _ends(r, K, M)
        A, B = vector[..., :a].reshape(*self.lead, r, r), vector[..., a:b].reshape(*self.lead, r, M - r)
        C = vector[..., b:c].reshape(*self.lead, K - r, r)
        return A, B, C, None if self.b is None else vector[..., c:]

    def ambient(self, vector) -> tuple[np.ndarray, np.ndarray | None]:
        """(dZ (..., K, M), db) of flat coordinates."""
        A, B, C, db = self._parts(vector)
        return self._ambient(A, B, C), db

    def _ambient(self, A, B, C) -> np.ndarray:
        U_perp, V_perp = self.complements
        return self.U @ (A @ _t(self.V) + B @ _t(V_perp)) + (U_perp @ C) @ _t(self.V)

    def gradient(self) -> np.ndarray:
        """Gradient of F_r in flat tangent coordinates."""
        A, B, C, db = self.blocks
        U_perp, V_perp = self.complements
        return self.pack(A, B @ V_perp, _t(U_perp) @ C, db)

    # second derivatives

    @functools.cached_property
    def G_perp(self) -> np.ndarray:
        """U_perp' G V_perp, (..., K - r, M - r)."""
        U_perp, V_perp = self.complements
        return _t(U_perp) @ self.G @ V_perp

    def hvp(self, vector) -> np.ndarray:
        """Hessian of F_r times vectors of flat coordinates, without forming the Hessian: O(K M r)."""
        A, B, C, db = self._parts(vector)
        dG, dGb = self.fit.hvp(self.matrix, self.b, self._ambient(A, B, C), db)
        U_perp, V_perp = self.complements
        rows, columns = _t(self.U) @ dG, _t(U_perp) @ (dG @ self.V)
        (plus, minus, edge), s = self._spectral, self.s
        HA = rows @ self.V + 0.5 * (minus * (A + _t(A)) + plus * (A - _t(A)))
        HB = rows @ V_perp + edge[..., :, None] * B + _t(C / s[..., None, :]) @ self.G_perp
        HC = columns + C * edge[..., None, :] + self.G_perp @ _t(B / s[..., :, None])
        return self.pack(HA, HB, HC, None if db is None else dGb + self._bias * db)

    @functools.cached_property
    def _spectral(self):
        return self._spectral_at(self.s)

    def _spectral_at(self, s):
        phi = schatten(self.problem)
        d1, d2 = phi.derivative(s), phi.second(s)
        return *divided_differences(s, d1, d2), leaving(s, d1, d2)

    def hessian(self, limit: int = DENSE) -> np.ndarray:
        """Dense Hessian of F_r in flat coordinates (..., size, size), up to size `limit`."""
        H = self._fit_hessian(limit)
        self._add_spectral(H, self.s, self._spectral, 1.0)
        return _mirrored(H)

    def scaled_hessian(self, whole: bool = True) -> np.ndarray:
        """The Hessian in scaled coordinates: inertia unchanged, eigenvalues of the size of factor-space ones.

        Powers of tiny singular values, which would overflow one by one, are taken relative to the largest of them.
        Only its lower triangle counts unless whole.
        """
        H, s, scale = self._fit_hessian(), self.s, self.scale
        if self.rank and np.min(s) < TINY:
            unit = np.where(s[..., -1:] < TINY, s[..., :1], 1.0)
            s, D, end = s / unit, self.problem.D, _ends(*self.shape)[-1]
            scale = self._scale(s)
            power = np.where(np.arange(self.size) < end, unit ** (1.0 - 1.0 / D), 1.0)
            H *= power[..., None, :]
            H *= power[..., :, None]
            self._add_spectral(H, s, self._spectral_at(s), unit[..., None, None] ** (1.0 - 2.0 / D))
        else:
            self._add_spectral(H, s, self._spectral, 1.0)
        H *= scale[..., None, :]
        H *= scale[..., :, None]
        return _mirrored(H) if whole else H

    def _fit_hessian(self, limit: int = DENSE) -> np.ndarray:
        """The fit's share of the Hessian, on and below the diagonal."""
        if self.size > limit:
            raise ValueError(f"a dense Hessian needs size <= limit={limit}; this stratum has {self.size} dimensions.")
        (r, K, M), lead = self.shape, self.lead
        H = np.zeros((*lead, self.size, self.size))
        if not self.size:
            return H
        U, V = self.frames
        scaled = V * self.fit.columns.scale[:, None]
        column = self.fit.hessians(self.matrix, self.b)
        half = _t(U)[..., None, :, :] @ column
        inner, outer = half @ U[..., None, :, :], scaled[..., :, None] * scaled[..., None, :]
        low, up = np.tril_indices(K, -1)
        inner[..., low, up] = inner[..., up, low]
        a, b, c = _ends(r, K, M)
        # the rows of A and of B: where in H, which of V's columns, how many
        head, tail = (slice(a), slice(r), r), (slice(a, b), slice(r, M), M - r)
        own = _outer_sums(inner[..., :r, :r], outer)
        for (i, rows, p), (j, columns, q) in ((head, head), (tail, head), (tail, tail)):
            H[..., i, j].reshape(*lead, r, p, r, q)[...] = np.swapaxes(own[..., rows, columns], -3, -2)
        cross = _outer_sums(inner[..., :r, r:], outer[..., :r])
        for i, rows, p in (head, tail):
            H[..., b:c, i].reshape(*lead, K - r, r, r, p)[...] = np.einsum("...acbd->...cdab", cross[..., rows, :])
        corner = _outer_sums(inner[..., r:, r:], outer[..., :r, :r])
        H[..., b:c, b:c].reshape(*lead, K - r, r, K - r, r)[...] = np.swapaxes(corner, -3, -2)
        if self.b is not None:
            bias = np.einsum("...jak,...jb->...abk", half, scaled)
            for i, part in (
                (slice(a), bias[..., :r, :r, :]),
                (slice(a, b), bias[..., :r, r:, :]),
                (slice(b, c), bias[..., r:, :r, :]),
            ):
                H[..., c:, i] = _t(part.reshape(*lead, part.shape[-3] * part.shape[-2], K))
            H[..., c:, c:] = column.sum(axis=-3) + self._bias * np.eye(K)
        return H

    def _add_spectral(self, H, s, spectral, bend) -> None:
        """The penalty's share at singular values s, and the stratum's curvature times `bend`, below the diagonal."""
        if not self.rank:
            return
        plus, minus, edge = spectral
        A, B, C = _places(*self.shape)
        H[..., A, A] += 0.5 * (minus + plus)
        H[..., A, A.T] += 0.5 * (minus - plus)
        H[..., B, B] += edge[..., :, None]
        H[..., C, C] += edge[..., None, :]
        H[..., C[:, :, None], B] += bend * (self.G_perp[..., :, None, :] / s[..., None, :, None])


@dataclass(frozen=True, eq=False)
class Strata(SecondOrder):
    """F_r to second order at B points of rank r: U (B, K, r), s (B, r), Vt (B, r, M), b (B, K) or None."""

    problem: Problem
    U: np.ndarray
    s: np.ndarray
    Vt: np.ndarray
    b: np.ndarray | None
    fit: Fit

    @staticmethod
    def of(problem: Problem, Z, b) -> list[tuple[Strata, np.ndarray]]:
        """[(points of one rank, which rows they are)] of matrices Z (B, K, M) of numerical rank, b (B, K) or None."""
        left, s, right = np.linalg.svd(Z, full_matrices=False)
        rank = np.sum((s > ROUNDED * s[:, :1]) & (s[:, :1] > 0), axis=1)
        fit, groups = Fit.of(problem, Z.shape[-1] == problem.K), []
        for r in np.unique(rank):
            rows = np.flatnonzero(rank == r)
            own = None if b is None else b[rows]
            groups.append((Strata(problem, left[rows, :, :r], s[rows, :r], right[rows, :r], own, fit), rows))
        return groups

    def __len__(self) -> int:
        return len(self.s)

    @functools.cached_property
    def V(self) -> np.ndarray:
        return _t(self.Vt)

    def point(self, i: int) -> LogitPoint:
        return LogitPoint(self.problem, self.U[i], self.s[i], self.V[i], None if self.b is None else self.b[i])

    def take(self, rows) -> Strata:
        b = None if self.b is None else self.b[rows]
        return Strata(self.problem, self.U[rows], self.s[rows], self.Vt[rows], b, self.fit)

    def moved(self, rows, dZ, db) -> tuple[Strata, np.ndarray]:
        """(Strata, mask): the nearest points of rank r to Z + dZ for some rows; the mask tells which have that rank."""
        r, Z = self.rank, self.matrix[rows] + dZ
        fine = np.isfinite(Z).all(axis=(1, 2))
        left, s, right = np.linalg.svd(np.where(fine[:, None, None], Z, 1.0), full_matrices=False)
        fine &= s[:, r - 1] > 0 if r else True
        s = np.where(fine[:, None], s, 1.0)
        b = None if self.b is None else self.b[rows] + db
        return Strata(self.problem, left[:, :, :r], s[:, :r], right[:, :r], b, self.fit), fine


def _t(a):
    return np.swapaxes(a, -1, -2)


def _number(a):
    return float(a) if np.ndim(a) == 0 else a


def _length(parts, lead):
    """Euclidean norms (*lead) of arrays (*lead, ...) taken together, without underflow of squares."""
    flat = [part.reshape(*lead, math.prod(part.shape[len(lead) :])) for part in parts]
    total = sum(np.vecdot(part, part) for part in flat)
    if np.min(total) > SQUARES:
        return _number(np.sqrt(total))
    unit = functools.reduce(np.maximum, (np.max(np.abs(part), axis=-1, initial=0.0) for part in flat))
    unit = np.where((total > SQUARES) | (unit == 0.0) | np.isinf(unit), 1.0, unit)
    return _number(unit * np.sqrt(sum(np.vecdot(part, part) for part in (part / unit[..., None] for part in flat))))


def _ends(r: int, K: int, M: int) -> tuple[int, int, int]:
    """Where A, B and C end among flat coordinates."""
    return r * r, r * M, r * (M + K - r)


@functools.lru_cache(maxsize=64)
def _places(r: int, K: int, M: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the entries of A, B and C are among flat coordinates."""
    at = np.arange(r * (M + K - r))
    a, b, _ = _ends(r, K, M)
    return at[:a].reshape(r, r), at[a:b].reshape(r, M - r), at[b:].reshape(K - r, r)


def _mirrored(H) -> np.ndarray:
    return np.tril(H) + _t(np.tril(H, -1))


def _outer_sums(inner, outer):
    """sum_j inner_j[a, c] outer_j[b, d] as (..., a, c, b, d)."""
    *lead, M, a, c = inner.shape
    b, d = outer.shape[-2:]
    full = _t(inner.reshape(*lead, M, a * c)) @ outer.reshape(*lead, M, b * d)
    return full.reshape(*lead, a, c, b, d)
