"""Pairs through ReLU layers: explicit nonnegative features whose last weight turns them into the logits of pairs."""

from __future__ import annotations

import numpy as np
from scipy.linalg import hadamard

from ufm.numerics import arguments
from ufm.numerics.state import own_numpy_state
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.relu_collapse import embedded, keeps_positive, rectified
from ufm.structures.structure import Structure

FEATURES = ("plain", "hadamard")


@own_numpy_state
def relu_pairs(problem: Problem, root: str = "large", features: str = "plain") -> FactorPoint:
    """Factors with W_L s(... s(W_1 H_1)) = b blockdiag([[1, -1], [-1, 1]], ...) (x) 1_n', a lone class (odd K) at b,
    every ReLU idle.

    Hidden features F >= 0 (rows x K, repeated n times) with F'F = x P_X + y P_Y, P_X the pairs' projection and P_Y that
    of 1:

        plain      F = X + 11' / 1, X = blockdiag([[1, -1], [-1, 1]], ...); sqrt(y/x) = m = K // 2
        hadamard  columns (1 + B_i)/2, (1 - B_i)/2 with B_i the columns after the first of a Hadamard matrix of order
            the
                   first power of 2 above m; sqrt(y/x) = sqrt(m), the least that keeps F >= 0, since partners are then
                   orthogonal

    The lone class of odd K has a row of its own, at its best share of every layer. W_1 H_1 = F splits at the root of
    its singular values, 2 <= l < L is a multiple of the projection on the columns of F, W_L reads the pairs. All lam_l
    ||A_l||^2 are equal, so that

        penalty = (D/2) Lam (4 n b^2 B)^(1/D),   even K: B = (m + sqrt(y/x))^2 (m+1)^(L-2) m,
        odd K:    (4 B)^(1/D) is that of its 2m paired classes plus 1.

    b is the stationary scale of F on this ray, the `large` root (a minimum along it) or the `small` one. Not critical
    in general: an upper bound and a start. Needs L >= 2, equal class counts, no bias, an activation that keeps
    nonnegative numbers, and widths of at least K.

    Returns FactorPoint of the problem's own width. Raises ValueError where it does not exist, with the reason.
    Source: gk25 (proof of Theorem 7) for `plain`.
    """
    arguments.choice("root", root, ("large", "small"))
    arguments.choice("features", features, FEATURES)
    _refuse(problem)
    K, L, n, D = problem.K, problem.L, problem.per_class, problem.D
    m = K // 2
    F, lone = normalised_features(K, L, features)
    U, s, Vt = np.linalg.svd(F, full_matrices=False)
    keep = s > 1e-12 * s[0]
    U, s, Vt = U[:, keep], s[keep], Vt[keep]
    hidden, last = U @ U.T, _pair_frame(K, m) @ _pair_frame(K, m).T @ np.linalg.pinv(F)
    if K % 2:
        hidden[-1, -1], last[-1, -1] = lone[1], lone[2]
    units = [np.sqrt(s)[:, None] * np.repeat(Vt, n, axis=1) / np.sqrt(n), U * np.sqrt(s), *[hidden] * (L - 2), last]
    B = np.array([np.sum(A**2) for A in units])
    b = _scale(problem, root, float(np.exp(np.mean(np.log(B))) * (4.0 * n) ** (1 / D)))
    share = problem.Lam * (4.0 * n * b * b) ** (1 / D) * np.exp(np.mean(np.log(B)))
    grown = [np.sqrt(share / (lam * norm)) * A for lam, norm, A in zip(problem.lams, B, units, strict=True)]
    return embedded(problem, grown)


def normalised_features(K: int, L: int, features: str) -> tuple[np.ndarray, tuple[float, float, float]]:
    """(F (rows, K) with sqrt(x) = 1, shares of the lone class in F, in hidden weights and in W_L, of product 1/2; ones
    for even K)."""
    m = K // 2
    if features == "plain":
        F = 0.5 * (_pair_matrix(2 * m) + 1.0)
    else:
        order = 2 ** int(m).bit_length()
        signs = hadamard(order)[:, 1 : m + 1] / np.sqrt(0.5 * order)
        F = np.empty((order, 2 * m))
        F[:, 0::2], F[:, 1::2] = 0.5 * (np.abs(signs) + signs), 0.5 * (np.abs(signs) - signs)
    if K % 2 == 0:
        return F, (1.0, 1.0, 1.0)
    nuclear = m + (m if features == "plain" else np.sqrt(m))
    u = (4.0 * nuclear**2 * (m + 1.0) ** (L - 2) * m) ** (-1.0 / (L + 1))
    lone = (nuclear * u, float(np.sqrt((m + 1) * u)), float(np.sqrt(m * u)))
    wider = np.zeros((len(F) + 1, K))
    wider[:-1, :-1], wider[-1, -1] = F, lone[0]
    return wider, lone


def _scale(problem: Problem, root: str, weight: float) -> float:
    """b with -d fit/db = Lam weight b^(2/D - 1)."""
    K, m = problem.K, problem.K // 2
    kinds = [(0, 1, 2 * m)] + ([(K - 1, None, 1)] if K % 2 else [])
    columns = np.zeros((K, len(kinds)))
    for j, (own, partner, _) in enumerate(kinds):
        columns[own, j] = 1.0
        if partner is not None:
            columns[partner, j] = -1.0
    labels, count = np.eye(K)[:, [own for own, _, _ in kinds]], np.array([c for _, _, c in kinds]) / K

    def pull(b):
        Z = columns[:, None, :] * b[None, :, None]
        grad = problem.loss.grad(Z.reshape(K, -1), np.tile(labels, len(b))).reshape(Z.shape)
        return -np.einsum("kc,kgc,c->g", columns, grad, count)

    return scales.pick(*scales.scale_roots(pull, 1.0, problem, weight), root, "relu_pairs", problem)


def _pair_matrix(size: int) -> np.ndarray:
    return np.kron(np.eye(size // 2), np.array([[1.0, -1.0], [-1.0, 1.0]]))


def _pair_frame(K: int, m: int) -> np.ndarray:
    frame = np.zeros((K, m))
    frame[np.arange(0, 2 * m, 2), np.arange(m)], frame[np.arange(1, 2 * m, 2), np.arange(m)] = (
        np.sqrt(0.5),
        -np.sqrt(0.5),
    )
    return frame


def _refuse(problem: Problem) -> None:
    arguments.instance("problem", problem, Problem)
    problem.needs_ridge("relu_pairs")
    name = problem.activation.name
    if problem.L < 2:
        raise ValueError(f"relu_pairs needs a hidden activation, L >= 2; got L={problem.L}.")
    if not keeps_positive(problem):
        raise ValueError(
            f"relu_pairs needs an activation that keeps nonnegative numbers, as relu does; got activation={name!r}."
        )
    if not problem.balanced:
        raise ValueError(f"relu_pairs needs equal class counts; got n={problem.n}.")
    if problem.bias is not None:
        raise ValueError(f"relu_pairs has no bias; got bias={problem.bias}.")
    if min(problem.widths) < problem.K:
        raise ValueError(f"relu_pairs needs widths of at least K={problem.K}; got d={problem.d}.")


def variants(problem: Problem):
    if problem.loss.shift_invariant and problem.K >= 4:
        yield "relu_pairs", lambda: relu_pairs(problem)
        yield "relu_pairs(hadamard)", lambda: relu_pairs(problem, features="hadamard")


RELU_PAIRS = Structure(
    "relu_pairs",
    "the logits of pairs through ReLU layers, by nonnegative features; an upper bound, not critical in general",
    relu_pairs,
    variants=variants,
    models=rectified,
    colour="#D55E00",
)
