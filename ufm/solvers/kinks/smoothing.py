"""Descent with the kink rounded off: L-BFGS, then Newton with the moduli of the curvatures.

Source: chen12.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import linalg

from ufm.activations import smoothed
from ufm.objectives.factors import FactorObjective
from ufm.solvers.lbfgs import Walk

STEPS, PAIRS = 1500, 20
"""L-BFGS steps on every rung, and its pairs."""
CURVED, NEWTON = 700, 150
"""Coordinates up to which Newton takes over from L-BFGS on a rung, and most of its steps, fewer above 200
coordinates."""
NEAR, FLAT = 1e-3, 1e-9
"""Gradients, relative to the ridge's own, at which Newton takes over and that end a rung."""


def descend(objective: FactorObjective, x, width: float, slope: float):
    """(x, steps, evaluations) of L-BFGS, then Newton, on the smoothed model."""
    soft = softened(objective, width, slope)
    walk, steps = Walk(soft.value_grad, x, PAIRS), 0
    enough = NEAR if objective.size <= CURVED else FLAT
    while steps < STEPS and np.linalg.norm(walk.grad) > enough * np.linalg.norm(soft.ridge * walk.x):
        if not walk.step():
            break
        steps += 1
    if objective.size > CURVED:
        return walk.x, steps, walk.nfev
    x, more = _newton_descent(soft, walk.x)
    return x, steps + more, walk.nfev + more


def softened(objective: FactorObjective, width: float, slope: float) -> FactorObjective:
    """The objective with max(x, slope x) a parabola on |x| <= width."""
    problem = replace(objective.problem, activation=smoothed(slope, width))
    return FactorObjective(problem, False, objective.widths, objective.columns)


def _newton_descent(soft: FactorObjective, x) -> tuple[np.ndarray, int]:
    """(x, steps) of damped Newton with the moduli of the Hessian's eigenvalues: downhill, and away from saddles."""
    fun, grad = soft.value_grad(x)
    most = min(NEWTON, 30_000 // len(x))
    for step in range(most):
        if np.linalg.norm(grad) <= FLAT * np.linalg.norm(soft.ridge * x):
            return x, step
        try:
            values, vectors = linalg.eigh(soft.hessian(x))
        except (linalg.LinAlgError, ValueError):  # overflowed, or LAPACK gave up
            return x, step
        size = np.maximum(np.abs(values), 1e-9 * np.max(np.abs(values)))
        direction = -vectors @ ((vectors.T @ grad) / size)
        slope = grad @ direction
        for halvings in range(25):
            trial = x + 0.5**halvings * direction
            value, after = soft.value_grad(trial)
            if value <= fun + 1e-4 * 0.5**halvings * slope or (
                value <= fun * (1 + 1e-15) and np.linalg.norm(after) < 0.5 * np.linalg.norm(grad)
            ):
                break
        else:
            return x, step
        x, fun, grad = trial, value, after
    return x, most
