"""Points to compare with: diagonally superior codes, the lowest point found on a ray and by descent, class sizes,
schedules of lam."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import optimize

from ufm import structures
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.logits import value
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem
from ufm.solvers.minimize import minimize

DESCENTS = 6
"""Random descents join the search up to this depth; they become slow and end at zero in deeper models."""


def spread_counts(K: int, n: int, R: float):
    """n where R = 1; else K class sizes from round(n R) down to n in equal steps."""
    return n if R == 1 else tuple(round(n * (R + (1 - R) * c / (K - 1))) for c in range(K))


def step_counts(K: int, n: int, R: float, rho: float):
    """Step imbalance (R, rho): round(rho K) majority classes of round(R n) samples, the others of n."""
    majority = round(rho * K)
    return (round(R * n),) * majority + (n,) * (K - majority)


def schedule(L: int, c: float, alpha: float) -> float:
    """lam_L = c L^-alpha."""
    return c * float(L) ** -alpha


def code(K: int, r: int, draw: np.random.Generator | None = None) -> np.ndarray:
    """K distinct unit vectors in R^r as columns (r, K), r >= 2; their Gram matrix is diagonally superior of rank min(r,
    K).

    Without a generator the regular polygon; with one its angles are moved by at most a tenth of their distance, and the
    other coordinates are random.
    """
    move = 0.0 if draw is None else draw.uniform(-0.1, 0.1, K)
    angle = 2 * np.pi * (np.arange(K) + move) / K
    X = np.zeros((r, K))
    X[0], X[1] = np.cos(angle), np.sin(angle)
    if draw is not None:
        X[2:] = 0.7 * draw.standard_normal((r - 2, K))
    return X / np.linalg.norm(X, axis=0)


def superiority(Z: np.ndarray, labels: np.ndarray) -> float:
    """min over columns j and rows k != label of (Z_label,j - Z_kj): positive iff Z is diagonally superior."""
    columns = np.arange(Z.shape[1])
    rest = Z.copy()
    rest[labels, columns] = -np.inf
    return float(np.min(Z[labels, columns] - rest.max(axis=0)))


def ray_minimum(problem: Problem, Z: np.ndarray, rank: int) -> tuple[float, float]:
    """(F, a) least over a >= 0 of F(a Z) = g(a Z) + (D/2) Lam a^(2/D) sum_{i <= rank} s_i^(2/D), Z (K, N) of declared
    rank.

    Every local minimum of a grid of 600 scales over 14 decades is refined; a = 0 is one of the candidates.
    """
    Y, D = problem.samples.Y, problem.D
    s = np.linalg.svd(Z, compute_uv=False)[:rank]
    weight = 0.5 * D * problem.Lam * np.sum(s ** (2.0 / D))
    Z = Z / np.max(np.abs(Z))
    weight *= (s[0] / np.linalg.norm(Z, 2)) ** (-2.0 / D)
    labels = problem.labels

    def along(u):
        a = np.exp(np.atleast_1d(u))
        logits = a[:, None, None] * Z
        own = logits[:, labels, np.arange(problem.N)]
        top = logits.max(axis=1)
        fit = np.mean(np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - own, axis=1)
        return fit + weight * a ** (2.0 / D)

    grid = np.linspace(np.log(1e-6), np.log(1e8), 600)
    values = along(grid)
    dips = [i for i in range(1, len(grid) - 1) if values[i - 1] >= values[i] < values[i + 1]]
    ends = [
        optimize.minimize_scalar(
            lambda u: float(along(u)[0]), bounds=(grid[i - 1], grid[i + 1]), method="bounded", options={"xatol": 1e-9}
        )
        for i in dips
    ]
    size = s[0] / np.linalg.norm(Z, 2)
    found = [(float(end.fun), float(np.exp(end.x) / size)) for end in ends]
    zero = float(problem.loss.value(np.zeros_like(Y), Y) @ problem.samples.weight)
    return min([(zero, 0.0), *found])


def ends(problem: Problem, rng=0, below: int | None = None) -> list[LogitPoint]:
    """Ends of descents from codes of every rank below `below` (default K), and of random descents where L is small: no
    closed form among them."""
    seed, K = seed_sequence(rng), problem.K
    below = K if below is None else below
    codes = (
        []
        if K == 2
        else [code(K, r, generator(child(seed, i)) if i else None) for i, r in enumerate([2, *range(2, min(below, 9))])]
    )
    two = [np.array([[1.0, -1.0]])] if K == 2 and below > 1 else []
    runs = [
        minimize(problem, start=from_matrix(problem, 8.0 * X.T @ X, rank=len(X)))
        for X in two + [X for X in codes if len(X) < below]
    ]
    if problem.L <= DESCENTS and below >= K:
        runs += [minimize(problem, rng=child(seed, 100 + i)) for i in range(2)]
    return [p for p in (run.logit_point() for run in runs) if p.rank < below]


def candidates(problem: Problem, rng=0, below: int | None = None) -> list[LogitPoint]:
    """Critical points found: closed forms of rank below `below` (default K), and `ends`."""
    points, _ = structures.existing(problem)
    return [p for p in points.values() if p.rank < (below or problem.K)] + ends(problem, rng, below)


def descended(problem: Problem, rng=0) -> LogitPoint:
    """The lowest of `ends`."""
    return min(ends(problem, rng), key=value)


def lowest(problem: Problem, rng=0, below: int | None = None) -> LogitPoint:
    """The lowest of `candidates`: an upper bound on the minimum over rank < below, and no more than that."""
    return min(candidates(problem, rng, below), key=value)


def at_zero_bias(point: LogitPoint, problem: Problem) -> LogitPoint:
    """The same Z as a point of another problem of its shape, with b = 0 where that has a bias."""
    return replace(point, problem=problem, b=None if problem.bias is None else np.zeros(problem.K))
