"""Pairs: the low-rank competitor of collapse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import optimize

from ufm.numerics.state import own_numpy_state
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.block_fits import blocks_fit
from ufm.structures.blocks import blocks
from ufm.structures.fits import Fit, Seen, least_squares, on_small_root
from ufm.structures.structure import Structure


@own_numpy_state
def pairs(problem: Problem, root: str = "large") -> LogitPoint:
    """K = 2m: Z = blockdiag(b [[1, -1], [-1, 1]], ...) (x) 1_n', rank m, singular values 2 b sqrt(n).

    At K = 2 this is dnc (under MSE blocks(2)), and called so.

    Critical iff gamma = Lam (2 b sqrt n)^((1-L)/(1+L)) with gamma = sqrt(n) (K-2+2e^-b) / (N (e^b + e^-b + K - 2)).
    K = 2m+1: m pairs and a lone class with diagonal b, all of one scale: the paper's comparison point, with
    b the stationary point of F along it (the minimum for root `large`). It is not critical in general;
    `pairs_apex` lets the lone class have its own scale and direction, and is.

    Returns LogitPoint of exact rank ceil(K/2); scales (b,). Raises ValueError where it does not exist.
    Source: gk25 (proof of Theorem 1).
    """
    if problem.K % 2 == 0:
        return blocks(problem, (2,) * (problem.K // 2), root)
    _odd_only(problem, "pairs")
    K, m, n = problem.K, problem.K // 2, problem.n
    p = 2.0 / problem.D
    paired, lone = _column(K, 0, 1), _column(K, K - 1)
    labels = np.eye(K)[:, [0, K - 1]]

    def pull(b):
        Z = np.stack([paired, lone], axis=1)[:, None, :] * b[None, :, None]
        grad = problem.loss.grad(Z.reshape(K, -1), np.tile(labels, len(b))).reshape(Z.shape)
        return -(2 * m * np.einsum("k,kg->g", paired, grad[:, :, 0]) + np.einsum("k,kg->g", lone, grad[:, :, 1])) / K

    weight = np.sqrt(n) ** p * (m * 2.0**p + 1.0)
    b = scales.pick(*scales.scale_roots(pull, 1.0, problem, weight), root, "pairs", problem)
    U = _pair_frame(K, m)
    U = np.hstack([U, np.eye(K)[:, -1:]])
    s = np.sqrt(n) * b * np.append(np.full(m, 2.0), 1.0)
    return LogitPoint(problem, U, s, U, None, "pairs" if root == "large" else "pairs(small)", (float(b),))


@own_numpy_state
def pairs_apex(problem: Problem) -> LogitPoint:
    """K = 2m+1: m pairs of scale b and an apex, Z = pairs(b) + u (t_0 e_K + t_1 1_{2m}/sqrt(2m))', critical.

    For MSE the lone class is a mode of its own, Z = blockdiag(pairs(b), c); scales (b, c).
    Otherwise u is the unit vector in span(e_K, 1) orthogonal to 1. (b, t_0, t_1) is the lowest stationary point found
    of F on this symmetric family (a 3-variable problem, solved to rounding from several starts), hence critical for F
    by symmetric criticality. Rank m + 1; scales (b, t_0, t_1).
    Raises ValueError for even K, K = 3 (where the family contains dnc), unequal counts, too small widths, or where only
    degenerate points are found.
    Source: the lone class wants a scale of its own; a critical form of gk25's odd pairs.
    """
    _odd_only(problem, "pairs+apex")
    K, m, root_n = problem.K, problem.K // 2, np.sqrt(problem.n)
    if K == 3:
        raise ValueError("pairs+apex needs K >= 5: at K=3 its family contains dnc.")
    if problem.loss.quadratic:
        return _pairs_and_own_mode(problem)
    if not problem.loss.shift_invariant:
        raise ValueError(f"pairs+apex needs a shift-invariant loss or MSE; got loss={problem.loss.name!r}.")
    p, Lam = 2.0 / problem.D, problem.Lam
    u = np.append(np.full(2 * m, -1 / np.sqrt(K * (K - 1.0))), np.sqrt((K - 1.0) / K))
    directions = np.zeros((3, K, 2))  # dZ/d(b, t_0, t_1) on a paired column and on the lone one
    directions[0, :, 0], directions[1, :, 1], directions[2, :, 0] = _column(K, 0, 1), u, u / np.sqrt(2 * m)
    labels, share = np.eye(K)[:, [0, K - 1]], np.array([2 * m, 1.0]) / K

    def terms(v):  # F / Lam, so that small lam does not flatten it
        Z = np.tensordot(v, directions, 1)
        value, grad = problem.loss.value_grad(Z, labels)
        curve = np.stack([problem.loss.hvp(Z, labels, d) for d in directions])
        f = value @ share
        g = np.einsum("ikc,kc,c->i", directions, grad, share)
        H = np.einsum("ikc,jkc,c->ij", directions, curve, share)
        b, t = v[0], v[1:]
        tau2 = t @ t
        pair, apex = m * (2 * root_n) ** p * b**p, (root_n**2 * tau2) ** (p / 2)
        f = f / Lam + (pair + apex) / p
        g = g / Lam + np.append(pair / b, apex / tau2 * t)
        H = H / Lam
        H[0, 0] += (p - 1) * pair / b**2
        H[1:, 1:] += apex / tau2 * (np.eye(2) + (p - 2) * np.outer(t, t) / tau2)
        return f, g, H

    ends = []
    guess = pairs(problem).scales[0]
    for start in ((1, 1, 0), (1, 2, 0), (1, 1.5, -0.5), (1, 1.5, 0.5), (0.7, 1, -1)):
        v = _stationary(terms, guess * np.array(start, dtype=float))
        if v is not None:
            ends.append((terms(v)[0], tuple(v)))
    if not ends:
        raise ValueError(f"pairs+apex was not found at Lam={Lam:.6g}: every start ended at a lower rank.")
    v = np.array(min(ends)[1])
    tau = np.hypot(v[1], v[2])
    U = np.hstack([_pair_frame(K, m), u[:, None]])
    w = np.append(np.full(2 * m, v[2] / np.sqrt(2 * m)), v[1]) / tau
    right = np.hstack([U[:, :m], w[:, None]])
    s = root_n * np.append(np.full(m, 2 * v[0]), tau)
    order = np.argsort(-s, kind="stable")
    return LogitPoint(problem, U[:, order], s[order], right[:, order], None, "pairs+apex", tuple(float(x) for x in v))


def _pairs_and_own_mode(problem: Problem) -> LogitPoint:
    roots = scales.scale_roots(*scales.simplex_pull(problem, 2, int(problem.counts[0])), problem)
    a = scales.pick(*roots, "large", "pairs+apex", problem)
    U = np.hstack([_pair_frame(problem.K, problem.K // 2), np.eye(problem.K)[:, -1:]])
    return LogitPoint(problem, U, np.full(U.shape[1], a * np.sqrt(problem.n)), U, None, "pairs+apex", (a / 2, a))


def _stationary(terms, v):
    """Descend, then Newton to rounding; None where b or the apex vanishes."""

    def fun(v):
        if v[0] <= 0:
            return np.inf, np.zeros(3)
        f, g, _ = terms(v)
        return f, g

    v = optimize.minimize(fun, v, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    size = np.linalg.norm(v)
    for _ in range(30):
        if not (v[0] > 1e-6 * size and np.hypot(v[1], v[2]) > 1e-6 * size):
            return None
        _, g, H = terms(v)
        step = np.linalg.lstsq(H, -g, rcond=None)[0]
        v = v + step
        if np.linalg.norm(step) <= 1e-14 * np.linalg.norm(v):
            return v
    return v if np.linalg.norm(terms(v)[1]) < 1e-11 else None


def _column(K: int, plus: int, minus: int | None = None) -> np.ndarray:
    z = np.zeros(K)
    z[plus] = 1.0
    if minus is not None:
        z[minus] = -1.0
    return z


def _pair_frame(K: int, m: int) -> np.ndarray:
    U = np.zeros((K, m))
    for i in range(m):
        U[2 * i, i], U[2 * i + 1, i] = np.sqrt(0.5), -np.sqrt(0.5)
    return U


def _odd_only(problem: Problem, name: str) -> None:
    scales.needs_linear(problem, name)
    problem.needs_ridge(name)
    if problem.K % 2 == 0:
        raise ValueError(f"{name} with a lone class needs odd K; got K={problem.K}.")
    if not problem.balanced:
        raise ValueError(f"{name} with a lone class needs equal class counts; got n={problem.n}.")
    if problem.bias is not None:
        raise ValueError(f"{name} with a lone class is not critical with a bias; got bias={problem.bias}.")
    if problem.K // 2 + 1 > min(problem.widths):
        raise ValueError(f"{name} needs widths of at least its rank {problem.K // 2 + 1}; got d={problem.d}.")


def _pairs_variants(problem: Problem):
    if problem.K > 2:
        yield "pairs", lambda: pairs(problem)


def _apex_variants(problem: Problem):
    if problem.K % 2 and problem.K > 3:
        yield "pairs+apex", lambda: pairs_apex(problem)


def _pairs_matches(seen: Seen) -> Iterator[Fit]:
    """Pairs with a lone class, of one scale; without one they are blocks. Two classes are one pair, and called dnc."""
    if seen.K == 2 and not seen.shifts:
        yield replace(blocks_fit(seen.M, [[0, 1]], seen.counts, False), name="pairs", proper=False)
    for P, lone, members in _odd_pairs(seen):
        own = np.zeros(seen.K)
        own[lone] = 1.0
        up = own if seen.shifts else own - 1.0 / seen.K
        distance, (b,) = least_squares(seen.M, [P + np.outer(up, own)])
        yield on_small_root(Fit.ray("pairs", distance, (b,), members, seen.K // 2 + 1), pairs, seen)


def _apex_matches(seen: Seen) -> Iterator[Fit]:
    """Pairs and a lone class with a scale (and, centred, a direction) of its own."""
    for P, lone, members in _odd_pairs(seen) if seen.K > 3 else ():
        own, others = np.zeros(seen.K), np.ones(seen.K)
        own[lone], others[lone] = 1.0, 0.0
        up = own if seen.shifts else own - 1.0 / seen.K
        u = up / np.linalg.norm(up)
        more = [] if seen.shifts else [np.outer(u, others) / np.sqrt(seen.K - 1)]
        distance, found = least_squares(seen.M, [P, np.outer(u, own), *more])
        if min(found[:2]) > 0:
            yield Fit("pairs+apex", distance, tuple(map(float, found)), members, seen.K // 2 + 1, True)


def _odd_pairs(seen: Seen):
    """(matrix of the pairs, the lone class, parts) of every proposed partition into pairs and one class."""
    for parts in seen.partitions:
        if [len(p) for p in parts].count(1) != 1 or {len(p) for p in parts} != {1, 2}:
            continue
        parts, P = sorted(parts, key=len, reverse=True), np.zeros((seen.K, seen.K))
        for i, j in parts[:-1]:
            P[i, i] = P[j, j] = 1.0
            P[i, j] = P[j, i] = -1.0
        yield P, parts[-1][0], tuple(map(tuple, parts))


PAIRS = Structure(
    "pairs",
    "Z = blockdiag(b [[1, -1], [-1, 1]], ...) (x) 1', rank K/2; a lone class of odd K at b",
    pairs,
    variants=_pairs_variants,
    matches=_pairs_matches,
    colour="#D55E00",
)
APEX = Structure(
    "pairs+apex",
    "pairs of scale b and a lone class of odd K with a scale and a direction of its own, rank (K+1)/2, critical",
    pairs_apex,
    variants=_apex_variants,
    matches=_apex_matches,
    colour="#E69F00",
)
