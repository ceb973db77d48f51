"""What the deep claims share: class counts and ridge weights drawn at random, critical points found without any
structure, dense inertia."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from ufm.landscapes.sources.search import random_point, tolerance
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.newton import newton_on_stratum

ZERO = 1e-7
"""Of Lam: an eigenvalue of that modulus counts as zero."""
EIGENVALUES = 3e-14
"""Of the largest: rounding of the eigenvalues of a dense symmetric matrix of a few hundred rows."""


def readable(case) -> bool:
    """Whether the case names a problem: a count per class, a width per hidden layer, a weight per factor."""
    try:
        case.problem()
    except ValueError:
        return False
    return True


READABLE = {"one count per class, one width per hidden layer, one weight per factor": readable}
"""A hypothesis for grids that change K or L and leave tuples as they are."""


def geometric_mean(lam) -> float:
    """Lam of one weight or of a tuple of them."""
    return float(np.exp(np.mean(np.log(lam))))


def mean_one_weights(D: int, spread: float, draw: np.random.Generator) -> np.ndarray:
    """D positive factors of product one, within e^(+-spread) before they are centred."""
    logs = draw.uniform(-spread, spread, D)
    return np.exp(logs - logs.mean())


def newton_points(problem: Problem, tries: int, rng, size: float = 1.0) -> list[LogitPoint]:
    """Ends of Newton runs on the strata of random points of random rank, those that reached a critical point;
    repetitions included."""
    seed, tol, found = seed_sequence(rng), tolerance(problem), []
    for i in range(tries):
        end, _, _ = newton_on_stratum(random_point(problem, generator(child(seed, i)), size), tol, 60, drop=False)
        if end.grad_norm <= tol and end.point.rank:
            found.append(end.point)
    return found


def dense_eigenvalues(point: LogitPoint, rng=0) -> np.ndarray:
    """Ascending eigenvalues of the Hessian in all parameters at a balanced lift in random frames: widths d and all N
    columns, nothing split off."""
    objective = FactorObjective(point.problem)
    return linalg.eigvalsh(objective.hessian(objective.lift(point, generator(seed_sequence(rng)))))


def inertia(values, level: float) -> tuple[int, int]:
    """(negative, zero) counts; zero is at most `level` in modulus."""
    values = np.asarray(values)
    return int(np.sum(values < -level)), int(np.sum(np.abs(values) <= level))


def dense_inertia(point: LogitPoint, rng=0, zero: float = ZERO) -> tuple[int, int]:
    """(index, nullity) from `dense_eigenvalues`; zero is `zero` Lam plus rounding."""
    values = dense_eigenvalues(point, rng)
    return inertia(values, zero * point.problem.Lam + EIGENVALUES * float(np.max(np.abs(values))))


def stratum_eigenvalues(point: LogitPoint) -> np.ndarray:
    """Eigenvalues of Hess F_r on the tangent space, in coordinates scaled to the size of factor motions."""
    here = Stratum(point)
    return linalg.eigvalsh(here.scale[:, None] * here.hessian() * here.scale) if here.size else np.zeros(0)
