"""The objective in logit space, on matrices of one rank.

    F_r(Z, b) = g(Z, b) + (D/2) Lam sum_i s_i(Z)^(2/D) + (bias/2)||b||^2   on {Z : rank Z = r}

is the least value of F over factors with product Z (gk25, Lemma 1), and a point is critical for F iff
its Z is critical for F_r at its own rank. A tangent vector at Z = U diag(s) V' has coordinates

    A (r, r) on U x V,   B (r, M - r) on U x V_perp,   C (K - r, r) on U_perp x V,   db (K,)

and F_r's second derivative is that of g plus, with phi(s) = (D/2) Lam s^(2/D),

    (phi'_i -+ phi'_j)/(s_i -+ s_j) on the symmetric / antisymmetric part of A,   phi'_i/s_i on B_i and C_i,
    (2/s_i) C_i' G_perp B_i  with  G_perp = U_perp' G V_perp  (the curvature of the stratum).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ufm.numerics.spectra import SpectralFunction, complement, divided_differences, leaving, length, thin_svd
from ufm.objectives.fit import Fit
from ufm.points import LogitPoint
from ufm.problem import Problem

TINY = 1e-70
"""Singular values below which powers are taken relative to the largest."""
SQUARES = 1e-250
"""Sums of squares above which nothing has underflowed that counts."""


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


def value(point: LogitPoint) -> float:
    """F_r at a LogitPoint: the objective at its balanced lift."""
    _linear_only(point.problem)
    fit = Fit.of(point.problem, point.collapsed)
    ridge = 0.0 if point.b is None else 0.5 * point.problem.bias * float(point.b @ point.b)
    return float(fit.value(point.matrix(), point.b)) + float(np.sum(schatten(point.problem).phi(point.s))) + ridge


@dataclass(frozen=True, eq=False)
class Stratum:
    """F_r to second order at a LogitPoint: gradient, Hessian and retraction in tangent coordinates.

    Flat coordinates are (A, B, C, db), each row-major. `scaled` coordinates divide each by the norm of
    the factor motion that moves it, so that the gradient's length is that in factor space and one
    tolerance serves tiny and large singular values alike.
    """

    point: LogitPoint

    def __post_init__(self):
        _linear_only(self.point.problem)

    @functools.cached_property
    def fit(self) -> Fit:
        return Fit.of(self.point.problem, self.point.collapsed)

    @functools.cached_property
    def _fit_grad(self):
        return self.fit.value_grad(self._matrix, self.point.b)

    @property
    def G(self) -> np.ndarray:
        """Gradient of the fit in Z, (K, M)."""
        return self._fit_grad[1]

    @functools.cached_property
    def fun(self) -> float:
        p = self.point
        ridge = 0.0 if p.b is None else 0.5 * p.problem.bias * float(p.b @ p.b)
        return float(self._fit_grad[0]) + float(np.sum(schatten(p.problem).phi(p.s))) + ridge

    @functools.cached_property
    def frames(self) -> tuple[np.ndarray, np.ndarray]:
        """(U, U_perp) and (V, V_perp) as orthogonal matrices (K, K) and (M, M)."""
        p = self.point
        left = np.hstack([p.U, complement(p.U)])
        return left, left if p.right is p.U else np.hstack([p.right, complement(p.right)])

    @functools.cached_property
    def blocks(self):
        """(A, B, C, db): the gradient of F_r in tangent coordinates, with B and C in ambient coordinates."""
        p = self.point
        UG, GV = p.U.T @ self.G, self.G @ p.right
        X = UG @ p.right
        db = None if p.b is None else self._fit_grad[2] + p.problem.bias * p.b
        return X + np.diag(schatten(p.problem).derivative(p.s)), UG - X @ p.right.T, GV - p.U @ X, db

    @functools.cached_property
    def grad_norm(self) -> float:
        """Norm of the full gradient at the balanced lift, in the problem's own factor space, at any width."""
        p, D = self.point, self.point.problem.D
        A, B, C, db = self.blocks
        s, share = p.s, p.problem.shares
        edge = s ** ((D - 1.0) / D)
        total = share[0] * np.sum((edge[:, None] * B) ** 2) + share[-1] * np.sum((C * edge) ** 2)
        for l in range(D):
            total += share[l] * np.sum((s[:, None] ** ((D - 1.0 - l) / D) * A * s ** (l / D)) ** 2)
        total = total + (0.0 if db is None else db @ db)
        if total > SQUARES:
            return float(np.sqrt(total))
        inner = [np.sqrt(share[l]) * s[:, None] ** ((D - 1.0 - l) / D) * A * s ** (l / D) for l in range(D)]
        ends = [np.sqrt(share[0]) * edge[:, None] * B, np.sqrt(share[-1]) * C * edge]
        return length([*inner, *ends, *([] if db is None else [db])])

    @functools.cached_property
    def logits(self) -> np.ndarray:
        """The columns the loss sees, (K, M): unscaled and with the bias."""
        return self.fit.logits(self._matrix, self.point.b)

    @functools.cached_property
    def ridge_norm(self) -> float:
        """Norm of the ridge's own gradient (lam_l A_l)_l at the balanced lift: what the fit's gradient must cancel."""
        p = self.point
        size = np.sum(p.problem.lams) * p.problem.Lam * np.sum(p.s ** (2.0 / p.problem.D))
        if size > SQUARES or not p.rank:
            return float(np.sqrt(size))
        return float(np.sqrt(np.sum(p.problem.lams)) * np.sqrt(p.problem.Lam)) * length([p.s ** (1.0 / p.problem.D)])

    @property
    def rounding(self) -> float:
        """Rounding of `grad_norm`: eps (|G| + |H dZ|) s_1^((D-1)/D) (sum_l lam_l/Lam)^(1/2), G being larger than what
        of it a saddle's modes see, and H dZ what the fit's Hessian makes of logits that are each off by eps of the
        largest, with signs that alternate at random."""
        p, s = self.point.problem, np.max(self.point.s, initial=0.0)
        Z = self.point.matrix()
        off = np.where(np.cos(np.arange(1.0, Z.size + 1.0) ** 2).reshape(Z.shape) > 0, 1.0, -1.0)
        off = off * np.max(np.abs(Z), initial=0.0)
        felt, _ = self.fit.hvp(Z, self.point.b, off, None if self.point.b is None else np.zeros(p.K))
        size = np.linalg.norm(self.G) + np.linalg.norm(felt)
        return float(np.finfo(float).eps * size * s ** ((p.D - 1.0) / p.D) * np.sqrt(np.sum(p.shares)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(r, K, M)."""
        return self.point.rank, self.point.problem.K, len(self.point.right)

    @property
    def size(self) -> int:
        """Dimension r (K + M - r) of the tangent space, plus K with a bias."""
        r, K, M = self.shape
        return r * (K + M - r) + (0 if self.point.b is None else K)

    @functools.cached_property
    def scale(self) -> np.ndarray:
        """Norm of dZ (and db) produced by unit factor motion, per coordinate."""
        return self._scale(self.point.s)

    def _scale(self, s) -> np.ndarray:
        r, K, M = self.shape
        D = self.point.problem.D
        powers = s[:, None] ** (np.arange(D) / D)
        inner = np.sqrt((powers**2)[:, ::-1] @ (powers**2).T)
        edge = s ** ((D - 1.0) / D)
        parts = [inner.ravel(), np.repeat(edge, M - r), np.tile(edge, K - r)]
        return np.concatenate(parts if self.point.b is None else [*parts, np.ones(K)])

    def pack(self, A, B, C, db) -> np.ndarray:
        parts = [A.ravel(), B.ravel(), C.ravel()]
        return np.concatenate(parts if db is None else [*parts, db])

    def gradient(self) -> np.ndarray:
        """Gradient of F_r in flat tangent coordinates."""
        r = self.point.rank
        A, B, C, db = self.blocks
        U, V = self.frames
        return self.pack(A, B @ V[:, r:], U[:, r:].T @ C, db)

    def ambient(self, vector) -> tuple[np.ndarray, np.ndarray | None]:
        """(dZ (K, M), db) of flat coordinates."""
        A, B, C, db = self._parts(vector)
        return self._ambient(A, B, C), db

    def _ambient(self, A, B, C) -> np.ndarray:
        (U, U_perp), (V, V_perp) = self._split_frames
        return U @ (A @ V.T + B @ V_perp.T) + (U_perp @ C) @ V.T

    def _parts(self, vector):
        """(A, B, C, db) of flat coordinates."""
        r, K, M = self.shape
        i, j = r * r, r * r + r * (M - r)
        k = j + (K - r) * r
        A, B, C = vector[:i].reshape(r, r), vector[i:j].reshape(r, M - r), vector[j:k].reshape(K - r, r)
        return A, B, C, None if self.point.b is None else vector[k:]

    @functools.cached_property
    def _split_frames(self):
        """((U, U_perp), (V, V_perp)), each with its memory in a row."""
        r = self.point.rank
        return tuple((np.ascontiguousarray(X[:, :r]), np.ascontiguousarray(X[:, r:])) for X in self.frames)

    @functools.cached_property
    def _matrix(self) -> np.ndarray:
        return self.point.matrix()

    def hvp(self, vector) -> np.ndarray:
        """Hessian of F_r times a vector of flat coordinates, without forming the Hessian: O(K M r)."""
        A, B, C, db = self._parts(vector)
        dG, dGb = self.fit.hvp(self._matrix, self.point.b, self._ambient(A, B, C), db)
        (U, U_perp), (V, V_perp) = self._split_frames
        rows, columns = U.T @ dG, U_perp.T @ (dG @ V)
        plus, minus, edge = self._spectral
        HA = rows @ V + 0.5 * (minus * (A + A.T) + plus * (A - A.T))
        HB = rows @ V_perp + edge[:, None] * B + (C / self.point.s).T @ self.G_perp
        HC = columns + C * edge + self.G_perp @ (B / self.point.s[:, None]).T
        return self.pack(HA, HB, HC, None if db is None else dGb + self.point.problem.bias * db)

    @functools.cached_property
    def G_perp(self) -> np.ndarray:
        """U_perp' G V_perp, (K - r, M - r)."""
        r = self.point.rank
        U, V = self.frames
        return U[:, r:].T @ self.G @ V[:, r:]

    @functools.cached_property
    def _spectral(self):
        return self._spectral_at(self.point.s)

    def _spectral_at(self, s):
        phi = schatten(self.point.problem)
        plus, minus = divided_differences(s, phi.derivative(s), phi.second(s))
        return plus, minus, leaving(s, phi.derivative(s), phi.second(s))

    def scaled_hessian(self) -> np.ndarray:
        """The Hessian in scaled coordinates: inertia unchanged, eigenvalues of the size of factor-space ones.

        Powers of tiny singular values, which would overflow one by one, are taken relative to the largest of them.
        """
        unit = float(self.point.s[0]) if self.point.rank and self.point.s[-1] < TINY else 1.0
        scale = self._scale(self.point.s / unit)
        return scale[:, None] * self.hessian(unit=unit) * scale

    def hessian(self, limit: int = 4000, unit: float = 1.0) -> np.ndarray:
        """Dense Hessian of F_r in flat coordinates, up to size `limit`; unit: of singular values."""
        if self.size > limit:
            raise ValueError(f"a dense Hessian needs size <= limit={limit}; this stratum has {self.size} dimensions.")
        r, K, M = self.shape
        if not self.size:
            return np.zeros((0, 0))
        U, V = self.frames
        scaled = V * self.fit.columns.scale[:, None]
        column = self.fit.hessians(self._matrix, self.point.b)
        if not r:
            return column.sum(axis=0) + self.point.problem.bias * np.eye(K)
        inner, outer = U.T @ column @ U, scaled[:, :, None] * scaled[:, None, :]
        H = np.empty((self.size, self.size))
        upper, lower = r * M, r * (K - r)  # entries of the rows of U (A and B), of the rows of U_perp (C)
        H[:upper, :upper] = _sum_of_products(inner[:, :r, :r], outer)
        H[upper : upper + lower, upper : upper + lower] = _sum_of_products(inner[:, r:, r:], outer[:, :r, :r])
        H[:upper, upper : upper + lower] = _sum_of_products(inner[:, :r, r:], outer[:, :, :r])
        if self.point.b is not None:
            cross = np.einsum("jak,jb->abk", U.T @ column, scaled)
            H[:upper, upper + lower :] = cross[:r].reshape(upper, K)
            H[upper : upper + lower, upper + lower :] = cross[r:, :r].reshape(lower, K)
            H[upper + lower :, upper + lower :] = column.sum(axis=0) + self.point.problem.bias * np.eye(K)
        if unit != 1.0:
            power = np.where(np.arange(self.size) < upper + lower, unit ** (1.0 - 1.0 / self.point.problem.D), 1.0)
            H = power[:, None] * H * power
        H = np.triu(H) + np.triu(H, 1).T
        rows = np.arange(upper).reshape(r, M)  # from (row, column) order to A, then B
        order = np.concatenate([rows[:, :r].ravel(), rows[:, r:].ravel(), np.arange(upper, self.size)])
        H = H[np.ix_(order, order)]
        self._add_spectral(H, unit)
        return H

    def _add_spectral(self, H, unit: float) -> None:
        r, K, M = self.shape
        plus, minus, edge = self._spectral if unit == 1.0 else self._spectral_at(self.point.s / unit)
        A = np.arange(r * r).reshape(r, r)
        B = r * r + np.arange(r * (M - r)).reshape(r, M - r)
        C = r * r + r * (M - r) + np.arange((K - r) * r).reshape(K - r, r)
        H[A, A] += 0.5 * (minus + plus)
        H[A, A.T] += 0.5 * (minus - plus)
        H[B, B] += edge[:, None]
        H[C, C] += edge
        bend = self.G_perp[:, None, :] / (self.point.s / unit)[:, None] * unit ** (1.0 - 2.0 / self.point.problem.D)
        H[C[:, :, None], B[None, :, :]] += bend
        H[B[None, :, :], C[:, :, None]] += bend

    def retract(self, vector) -> LogitPoint:
        """The nearest point of rank r to Z + dZ, with the bias moved by db."""
        dZ, db = self.ambient(vector)
        p = self.point
        svd = thin_svd(p.matrix() + dZ, p.rank)
        return LogitPoint(p.problem, svd.U, svd.s, svd.V, None if db is None else p.b + db)


def _sum_of_products(inner, outer) -> np.ndarray:
    """sum_j inner_j (x) outer_j as a matrix with rows (a, b) and columns (c, d)."""
    M, a, c = inner.shape
    _, b, d = outer.shape
    full = inner.reshape(M, -1).T @ outer.reshape(M, -1)
    return full.reshape(a, c, b, d).transpose(0, 2, 1, 3).reshape(a * b, c * d)


def _linear_only(problem: Problem) -> None:
    if not problem.linear:
        model = f"activation={problem.activation.name!r}"
        raise ValueError(f"logit space needs a linear model: the stratum theorem does not hold for {model}.")
