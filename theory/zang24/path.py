"""A path inside the fibre {F_D ... F_1 = Y} from anywhere to the balanced factors, along which the weighted norm never
rises.

1. The part of F_1 that the others kill, then of F_2, F_3, ... what those before them never reach, is deleted along
   straight lines: the product does not notice, the norm falls.
2. What is left lives on spaces of dimension r = rank Y between the factors. On one of them, F_i <- e^(tX/2) F_i,
   F_(i+1) <- F_(i+1) e^(-tX/2) keeps the product, and |F_i|^2 + |F_(i+1)|^2 = tr(e^(tX) A) + tr(e^(-tX) B) with A = F_i
   F_i', B = F_(i+1)' F_(i+1) is convex in t; with e^X = A^(-1/2) (A^(1/2) B A^(1/2))^(1/2) A^(-1/2) its minimum is at t
   = 1, so it falls on [0, 1]. Going round the spaces ends where all are balanced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of the path, `at(t)` the factors for t in [0, 1]; kind `delete` or `balance`."""

    kind: str
    start: tuple
    i: int
    move: object

    def at(self, t: float) -> list[np.ndarray]:
        factors = list(self.start)
        if self.kind == "delete":
            factors[self.i] = (1 - t) * factors[self.i] + t * self.move
        else:
            w, Q = self.move
            factors[self.i] = (Q * np.exp(0.5 * t * w)) @ (Q.T @ factors[self.i])
            factors[self.i + 1] = ((factors[self.i + 1] @ Q) * np.exp(-0.5 * t * w)) @ Q.T
        return factors


def product(factors) -> np.ndarray:
    """F_D ... F_1."""
    result = factors[0]
    for F in factors[1:]:
        result = F @ result
    return result


def energy(factors) -> float:
    """sum_i |F_i|^2."""
    return float(sum(np.sum(F**2) for F in factors))


def path(factors, rank: int, tol: float = 1e-13, rounds: int = 2000) -> Iterator[Piece]:
    """Pieces of the path from `factors` [F_1, ..., F_D] with a product of the given rank, until a round lowers the
    energy by at most tol of it.

    Between the two kinds of pieces the factors are written in bases of the spaces of dimension `rank`, which changes
    neither norms nor the product: an isometry of the rest of the path.
    """
    factors, D = [np.array(F) for F in factors], len(factors)
    bases: list[np.ndarray] = []
    for i in range(D):
        target = _seen(factors) if i == 0 else (factors[i] @ bases[-1]) @ bases[-1].T
        yield (piece := Piece("delete", tuple(factors), i, target))
        factors = piece.at(1.0)
        bases.append(_range(factors[i] if i == 0 else factors[i] @ bases[-1], rank))
    factors = _compressed(factors, bases)
    for _ in range(rounds):
        before = energy(factors)
        for i in range(D - 1):
            yield (piece := Piece("balance", tuple(factors), i, _balancing(factors[i], factors[i + 1])))
            factors = piece.at(1.0)
        if before - energy(factors) <= tol * before:
            return


def _seen(factors) -> np.ndarray:
    """F_1 without what the product of the other factors kills."""
    A = product(factors[1:])
    _, s, Vt = np.linalg.svd(A, full_matrices=False)
    V = Vt[s > max(A.shape) * np.finfo(float).eps * s[0]]
    return V.T @ (V @ factors[0])


def _range(F, rank: int) -> np.ndarray:
    """An orthonormal basis of the column space of a matrix of the given rank."""
    return np.linalg.svd(F, full_matrices=False)[0][:, :rank]


def _compressed(factors, bases) -> list[np.ndarray]:
    """The factors in orthonormal bases of the spaces between them; their product in the original outer coordinates."""
    inner = [B.T @ F @ A for F, A, B in zip(factors[1:-1], bases[:-2], bases[1:-1], strict=True)]
    return [bases[0].T @ factors[0], *inner, factors[-1] @ bases[-2]]


def _balancing(F, G) -> tuple[np.ndarray, np.ndarray]:
    """X = Q diag(w) Q' for which e^(X/2) F and G e^(-X/2) are balanced."""
    a, U = np.linalg.eigh(F @ F.T)
    half = (U * np.sqrt(a)) @ U.T
    inverse = (U / np.sqrt(a)) @ U.T
    m, V = np.linalg.eigh(half @ (G.T @ G) @ half)
    P = inverse @ ((V * np.sqrt(np.maximum(m, 0.0))) @ V.T) @ inverse
    p, Q = np.linalg.eigh(0.5 * (P + P.T))
    return np.log(p), Q
