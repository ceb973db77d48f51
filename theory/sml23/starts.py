"""Many cheap descents of a small ReLU model: how low they come."""

from __future__ import annotations

import numpy as np
from scipy import optimize

from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint
from ufm.problem import Problem

KINDS = ((0.0, 1.6), (1.0, 0.4), (0.0, 0.4))
"""Starts in turn: (size of one neuron a class, size of Gaussian noise in units of 1/sqrt(d)), in factors scaled to
equal ridge weights."""
RESTARTS = 3


def lowest(problem: Problem, starts: int, rng: int, steps: int = 150) -> tuple[float, FactorPoint]:
    """(F, point) of the lowest end of L-BFGS from `starts` random starts, on all N samples at full width.

    Deep ReLU models fall to zero from most Gaussian starts, so every third one begins near padded identities. The
    variables are sqrt(lam_l/Lam) A_l.
    """
    objective, best = FactorObjective(problem), (np.inf, None)
    scale = objective.pack(
        [np.full(shape, np.sqrt(problem.Lam / lam)) for shape, lam in zip(objective.shapes, problem.lams, strict=True)]
    )
    shapes = problem.shapes()
    matched = objective.pack(
        [
            np.eye(shapes[0][0], problem.K)[:, problem.labels] / np.sqrt(np.mean(problem.counts)),
            *(np.eye(*s) for s in shapes[1:]),
        ]
    )

    def scaled(y):
        fun, grad = objective.value_grad(scale * y)
        return fun, scale * grad

    for i in range(starts):
        draw = generator(child(seed_sequence(rng), i))
        size, noise = KINDS[i % len(KINDS)]
        y = size * matched + noise / np.sqrt(max(problem.widths)) * draw.standard_normal(objective.size)
        end = restarted(scaled, y, RESTARTS, maxiter=steps, ftol=1e-15, gtol=1e-9)
        best = min(best, (float(end.fun), scale * end.x), key=lambda pair: pair[0])
    return best[0], objective.point(best[1])


def restarted(value_grad, x, times: int, **options) -> optimize.OptimizeResult:
    """L-BFGS run so many times from where it ended: it stalls on kinks, and a fresh memory goes on."""
    for _ in range(times):
        end = optimize.minimize(value_grad, x, jac=True, method="L-BFGS-B", options=options)
        x = end.x
    return end
