"""Roots of the scale equation of one singular mode, to machine precision.

A structure whose singular value s = c t (multiplicity aside) feels the fit's pull gamma(t) is critical iff

    gamma(t) = phi'(s) = Lam s^(2/D - 1)   <=>   log gamma(t) + (1 - 2/D) log s - log Lam = 0.

For D >= 3 the left side rises, peaks at the fold and falls: none or two roots (barrier and minimum of the
ray). For D = 2 it only falls: none or one. Worked in log t, so that roots of 1e-300 and of 400 are equally exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from ufm.numerics.roots import bracketed
from ufm.problem import Problem

SMALLEST = float(np.finfo(float).tiny)
"""The least root that is sought: below, numbers lose their digits."""


def scale_roots(pull: Callable, factor: float, problem: Problem, weight: float = 1.0) -> tuple[list[float], float]:
    """(roots t ascending, fold): t > 0 with pull(t) = weight Lam (factor t)^(2/D - 1).

    pull: vectorised, (G,) -> (G,). fold: the largest Lam at which a root exists.
    """
    problem.needs_ridge("the scale of a structure")
    D, level = problem.D, np.log(problem.Lam * weight)

    def excess(log_t):
        gamma = pull(np.exp(np.atleast_1d(log_t)))
        with np.errstate(divide="ignore", invalid="ignore"):
            result = np.where(gamma > 0, np.log(gamma), -np.inf) + (1 - 2 / D) * (log_t + np.log(factor)) - level
        return result if np.ndim(log_t) else float(result[0])

    grid = _grid(pull, factor, D, level, int(np.clip(2e5 / problem.K, 240, 800)))
    values = excess(grid)
    finite = np.clip(values, -1e6, None)  # brackets need finite ends
    peaks = 1 + np.flatnonzero((finite[:-2] < finite[1:-1]) & (finite[1:-1] >= finite[2:]))
    points, heights = list(grid), list(finite)
    for i in peaks:
        best: Any = optimize.minimize_scalar(
            lambda u: -max(excess(u), -1e6),
            bounds=(grid[i - 1], grid[i + 1]),
            method="bounded",
            options={"xatol": 1e-12},
        )
        points.append(float(best.x))
        heights.append(-float(best.fun))
    order = np.argsort(points)
    points, heights = np.array(points)[order], np.array(heights)[order]
    change = np.flatnonzero(np.sign(heights[:-1]) * np.sign(heights[1:]) < 0)
    roots = [bracketed(lambda u: max(excess(u), -1e6), points[i], points[i + 1], 1e-15, 8.9e-16) for i in change]
    roots += [points[i] for i in np.flatnonzero(heights == 0)]
    with np.errstate(over="ignore"):
        return sorted(float(np.exp(u)) for u in roots), float(problem.Lam * np.exp(np.max(heights)))


def _grid(pull, factor, D, level, size: int) -> np.ndarray:
    """log t from below the smallest possible root to where every loss has gone flat."""
    high = np.log(max(800.0, 3.0 * abs(level)))  # a pull falls like e^(-t/2) at least
    if D == 2:
        return np.linspace(np.log(1e-16), high, size)
    start = float(pull(np.array([1e-250]))[0])
    low = np.log(1e-12) if start <= 0 else D / (D - 2) * (level - np.log(start)) - np.log(factor) - 5.0
    low = min(max(low, np.log(SMALLEST)), high - 10.0)
    return np.unique(
        np.concatenate([np.linspace(low, high, size), np.linspace(max(low, np.log(1e-3)), high, size // 2)])
    )


def pick(roots: list[float], fold: float, which: str, name: str, problem: Problem) -> float:
    """The `large` or `small` root, or a ValueError saying why the structure does not exist here."""
    if not roots:
        raise ValueError(
            f"{name} does not exist at Lam={problem.Lam:.6g}: its scale equation has a positive root only up to the"
            f" fold Lam={fold:.6g}."
        )
    if which == "large":
        return roots[-1]
    if len(roots) < 2 and problem.D == 2:
        raise ValueError(f"{name} has a single scale at L={problem.L}, Lam={problem.Lam:.6g}; there is no small root.")
    if len(roots) < 2:
        raise ValueError(
            f"{name} has no small root above {SMALLEST:.3g}, the smallest number of float64, at L={problem.L},"
            f" Lam={problem.Lam:.6g}."
        )
    return roots[0]


def simplex_pull(problem: Problem, size: int, count: int) -> tuple[Callable, float]:
    """(pull, factor) of a block t (I_k - 11'/k) of k = `size` classes with `count` samples each.

    pull(t) = (sqrt(count)/N) (dl/dz_other - dl/dz_label) at a column of the block, all other logits 0; s = sqrt(count)
    t. For cross-entropy and the whole simplex (k = K): pull = (sqrt(n)/N) K / (e^t + K - 1).
    """
    K, root = problem.K, np.sqrt(count)
    Y = np.zeros((K, 1))
    Y[0] = 1.0
    shape = np.zeros((K, 1))
    shape[:size] = -1.0 / size
    shape[0] += 1.0

    def pull(t):
        grad = problem.loss.grad(shape * t, np.broadcast_to(Y, (K, len(t))))
        return (grad[1] - grad[0]) * root / problem.N

    return pull, root


def helmert(k: int) -> np.ndarray:
    """Orthonormal basis (k, k-1) of the vectors in R^k that sum to zero, exact in structure."""
    H = np.zeros((k, k - 1))
    for j in range(1, k):
        H[:j, j - 1] = 1.0
        H[j, j - 1] = -j
        H[:, j - 1] /= np.sqrt(j * (j + 1.0))
    return H


def needs_linear(problem: Problem, name: str) -> None:
    if not problem.linear:
        raise ValueError(f"{name} is a structure of the linear model; got activation={problem.activation.name!r}.")
