"""Collapse under a loss that sees shifts: the simplex and the constant are two modes with scales of their own.

    Z = (a S + c 11'/K) (x) 1_n',  S = I - 11'/K,  with g the gradient of l at a class's column a (e_y - 1/K) + (c/K) 1:

    -<e_y - 1/K, g> = (K - 1) w a^(2/D - 1),    -<1, g>/K = sign(c) w |c|^(2/D - 1),    w = Lam n^(1/D).

Under MSE both have one solution, a = c, and Z is a multiple of the labels; a sum of logistic losses over the classes
has c < 0.
"""

from __future__ import annotations

import numpy as np

from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import scales

GRID = 96
"""Scales on a side of the grid that brackets solutions, from SMALLEST to LARGEST."""
SMALLEST, LARGEST = 1e-6, 800.0


def two_scales(problem: Problem) -> tuple[float, float] | None:
    """(a, c), both nonzero, of least F among the solutions of the two equations; None where there is none.

    The solutions are bracketed on a grid of (log a, log |c|) for both signs of c and finished by Newton's method.
    """
    u = np.linspace(np.log(SMALLEST), np.log(LARGEST), GRID)
    ends = []
    for sign in (1.0, -1.0):
        a, c = np.meshgrid(u, u, indexing="ij")
        first, second = _excess(problem, a.ravel(), c.ravel(), sign)
        cells = _changes(first.reshape(GRID, GRID)) & _changes(second.reshape(GRID, GRID))
        for i, j in np.argwhere(cells):
            end = _newton(problem, np.array([u[i] + u[i + 1], u[j] + u[j + 1]]) / 2, sign)
            ends += [] if end is None else [end]
    return min(ends, key=lambda end: _value(problem, *end), default=None)


def simplex_and_constant(problem: Problem, a: float, c: float) -> LogitPoint:
    """The LogitPoint of Z = (a S + c 11'/K) (x) 1', rank K."""
    K = problem.K
    U = np.hstack([scales.helmert(K), np.full((K, 1), 1 / np.sqrt(K))])
    right, s = U.copy(), np.sqrt(problem.n) * np.append(np.full(K - 1, a), abs(c))
    right[:, -1] *= np.sign(c)
    order = np.argsort(-s, kind="stable")
    return LogitPoint(problem, U[:, order], s[order], right[:, order], None, "dnc", (a, c))


def _excess(problem: Problem, u, v, sign: float):
    """Logarithms of pull over ridge in both modes at a = e^u, c = sign e^v; -inf where the pull has the other sign."""
    K, p, level = problem.K, 2 / problem.D, np.log(problem.Lam) + np.log(problem.n) / problem.D
    e, Y = _column(K)
    g = problem.loss.grad(e * np.exp(u) + sign * np.exp(v) / K, np.broadcast_to(Y, (K, len(u))))
    pulls = -np.sum(e * g, axis=0) / (K - 1), -sign * np.sum(g, axis=0) / K
    with np.errstate(divide="ignore", invalid="ignore"):
        return [
            np.where(pull > 0, np.log(pull), -np.inf) - level - (p - 1) * w
            for pull, w in zip(pulls, (u, v), strict=True)
        ]


def _changes(values: np.ndarray) -> np.ndarray:
    """Cells (i, j) at whose corners both signs occur."""
    up = values > 0
    corners = np.stack([up[:-1, :-1], up[1:, :-1], up[:-1, 1:], up[1:, 1:]])
    return np.any(corners, axis=0) & ~np.all(corners, axis=0)


def _newton(problem: Problem, at: np.ndarray, sign: float, most: int = 80) -> tuple[float, float] | None:
    """The solution near (log a, log |c|), to rounding; None where Newton does not settle or leaves the grid."""
    K, p, w = problem.K, 2 / problem.D, problem.Lam * problem.per_class ** (1 / problem.D)
    e, Y = _column(K)
    directions = np.hstack([e, np.full((K, 1), sign / K)])
    weight = np.array([K - 1.0, 1.0]) * w
    for _ in range(most):
        scale = np.exp(at)
        z = directions @ scale[:, None]
        ridge = weight * scale ** (p - 1)
        residual = -directions.T @ problem.loss.grad(z, Y)[:, 0] - ridge
        curve = np.hstack([problem.loss.hvp(z, Y, directions[:, i : i + 1]) for i in (0, 1)])
        slope = -directions.T @ curve * scale - np.diag((p - 1) * ridge)
        try:
            step = np.linalg.solve(slope / ridge[:, None], -residual / ridge)
        except np.linalg.LinAlgError:
            return None
        length = float(np.max(np.abs(step)))
        at = at + step * min(1.0, 0.5 / length) if length else at
        if not np.all(np.isfinite(at)) or np.any(np.abs(at) > 2 * np.log(1 / SMALLEST)):
            return None
        if length <= 4e-16 * max(1.0, float(np.max(np.abs(at)))):
            break
    a, c = np.exp(at)
    return (float(a), float(sign * c)) if length <= 1e-9 else None


def _value(problem: Problem, a: float, c: float) -> float:
    K, p, w = problem.K, 2 / problem.D, problem.Lam * problem.per_class ** (1 / problem.D)
    e, Y = _column(K)
    return float(problem.loss.value(e * a + c / K, Y)[0] + 0.5 * problem.D * w * ((K - 1) * a**p + abs(c) ** p))


def _column(K: int) -> tuple[np.ndarray, np.ndarray]:
    """(e_y - 1/K, e_y) of the first class, (K, 1) each."""
    Y = np.zeros((K, 1))
    Y[0] = 1.0
    return Y - 1.0 / K, Y
