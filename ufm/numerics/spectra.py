"""Thin singular value decompositions with a declared rank, and functions of singular values.

For f(Z) = sum_i phi(s_i(Z)) the derivatives are written with divided differences, which stay exact
at repeated and at zero singular values (where differentiating through an SVD gives NaN):

    grad f = U diag(phi'(s)) V',
    D^2 f[E, E]: with E in singular frames, the symmetric part of (i, j) carries
        (phi'_i - phi'_j)/(s_i - s_j), the antisymmetric part (phi'_i + phi'_j)/(s_i + s_j),
        and a direction leaving the row or column space of mode i carries phi'_i / s_i.

Source: the second derivative of spectral functions as in lewis01; the declared rank in related notes of gk25.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ufm.numerics.content import ByContent


@dataclass(frozen=True, eq=False)
class ThinSVD(ByContent):
    """Z = U diag(s) V' with U (m, r), s (r,) > 0 descending, V (n, r); the rank r is a declaration."""

    U: np.ndarray
    s: np.ndarray
    V: np.ndarray

    @property
    def rank(self) -> int:
        return len(self.s)

    def matrix(self) -> np.ndarray:
        return (self.U * self.s) @ self.V.T


def thin_svd(Z: np.ndarray, rank: int | None = None, tol: float = 1e-10) -> ThinSVD:
    """Thin SVD of Z (m, n) cut at a declared rank, or at singular values below tol * s_max if rank is None.

    Raises ValueError when the declared rank exceeds the number of nonzero singular values.
    """
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    if rank is None:
        rank = int(np.sum(s > tol * s[0])) if len(s) and s[0] > 0 else 0
    if rank < 0 or rank > len(s) or (rank and s[rank - 1] == 0):
        raise ValueError(f"rank must lie between 0 and the number of nonzero singular values; got rank={rank}.")
    return ThinSVD(U[:, :rank], s[:rank], Vt[:rank].T)


def length(parts) -> float:
    """Euclidean norm of arrays taken together, without under- or overflow of squares."""
    largest = max((float(np.max(np.abs(a), initial=0.0)) for a in parts), default=0.0)
    if not 0.0 < largest < np.inf:
        return largest
    return largest * float(np.sqrt(sum(np.sum((a / largest) ** 2) for a in parts)))


def complement(U: np.ndarray) -> np.ndarray:
    """An orthonormal basis (..., m, m - r) of the orthogonal complement of the columns of U (..., m, r)."""
    m, r = U.shape[-2:]
    if r == 0:
        return np.broadcast_to(np.eye(m), (*U.shape[:-2], m, m))
    return np.linalg.qr(U, mode="complete")[0][..., r:]


@dataclass(frozen=True)
class SpectralFunction:
    """f(Z) = sum_i phi(s_i(Z)), given phi, phi' and phi'' as functions of an array of singular values.

    Where phi is smooth and even (phi'(0) = 0), all singular values may enter, zeros included, and `hvp`
    is the Euclidean one. Where phi is not smooth at 0 (Schatten quasi-norms), only declared singular
    values enter; `hvp` is then the second derivative on the matrices of that rank, without the
    curvature of the stratum itself.
    """

    phi: Callable
    derivative: Callable
    second: Callable

    def value(self, svd: ThinSVD) -> float:
        return float(np.sum(self.phi(svd.s)))

    def gradient(self, svd: ThinSVD) -> np.ndarray:
        return (svd.U * self.derivative(svd.s)) @ svd.V.T

    def hvp(self, svd: ThinSVD, E: np.ndarray) -> np.ndarray:
        """D^2 f(Z)[E] (m, n), ignoring the block of E outside both singular spaces unless phi'(0) = 0."""
        U, s, V = svd.U, svd.s, svd.V
        EV, UE = E @ V, U.T @ E
        X = U.T @ EV
        plus, minus = divided_differences(s, self.derivative(s), self.second(s))
        inner = 0.5 * (minus * (X + X.T) + plus * (X - X.T))
        edge = leaving(s, self.derivative(s), self.second(s))
        rows, columns = edge[:, None] * (UE - X @ V.T), (EV - U @ X) * edge
        result = U @ (inner @ V.T + rows) + columns @ V.T
        zero = float(np.asarray(self.second(np.zeros(1)))[0]) if self._smooth_at_zero() else 0.0
        if zero:
            result = result + zero * (E - U @ UE - (EV - U @ X) @ V.T)
        return result

    def _smooth_at_zero(self) -> bool:
        with np.errstate(all="ignore"):
            at_zero = np.asarray(self.derivative(np.zeros(1)))[0]
        return bool(at_zero == 0)


def divided_differences(s, d1, d2) -> tuple[np.ndarray, np.ndarray]:
    """(plus, minus): (d1_i + d1_j)/(s_i + s_j) and (d1_i - d1_j)/(s_i - s_j), with limits at ties and zeros.

    s, d1 = phi'(s), d2 = phi''(s) are (..., r), the results (..., r, r). At s_i = s_j the difference quotient is phi'';
    at s_i = s_j = 0 so is the sum. Closer than a relative 1e-6 the quotient is replaced by the mean of the second
    derivatives, whose error is O(gap^2).
    """
    gap, total = s[..., :, None] - s[..., None, :], s[..., :, None] + s[..., None, :]
    mean2 = 0.5 * (d2[..., :, None] + d2[..., None, :])
    near = np.abs(gap) <= 1e-6 * total
    minus = np.where(near, mean2, (d1[..., :, None] - d1[..., None, :]) / np.where(near, 1.0, gap))
    added = d1[..., :, None] + d1[..., None, :]
    if np.all(s > 0):
        return added / total, minus
    zero = total == 0
    return np.where(zero, mean2, added / np.where(zero, 1.0, total)), minus


def leaving(s, d1, d2) -> np.ndarray:
    """phi'(s_i)/s_i, with its limit phi''(0) at s_i = 0: the curvature of leaving mode i's singular space."""
    return np.where(s > 0, d1 / np.where(s > 0, s, 1.0), d2)
