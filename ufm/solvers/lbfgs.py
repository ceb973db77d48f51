"""L-BFGS on factors, finished by Newton on the rank stratum.

Quasi-Newton steps stall near 1e-8 where values no longer tell points apart. When the run comes close,
its product is cut to the modes that live, Newton takes that to `tol` on the stratum, and the result is
lifted back in the frames where L-BFGS stood. The finish is accepted only if the value did not rise
and no direction of descent is left on the stratum; otherwise L-BFGS goes on to a smaller gradient.

For D >= 3 a mode of zero stays at zero (its curvature is the ridge's own), so once a large problem's product has shown
its rank r << K, descent goes on in balanced factors of width r: the same critical points and minima at r/K of the cost.

Two-loop recursion with a weak Wolfe line search (nocedal06) and the approximate Wolfe test near
rounding (hager05); at these sizes a third of the time of scipy's bound-constrained code, see benchmarks/.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from scipy import linalg

from ufm.numerics.products import padded
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import asked, converged
from ufm.points import LogitPoint
from ufm.solvers.newton import (
    FORMED,
    extreme_curvatures,
    living_modes,
    newton_on_factors,
    newton_on_stratum,
    scaled_hessian,
)

STAGES = (1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
"""Gradients (sup norm, in units of Lam) at which L-BFGS offers its point to Newton, one after another."""
LATE_STAGE = 1e-4
"""The first of them that is tried where Newton has to do without a dense Hessian."""
WIDE = 20_000
"""Coordinates above which the width follows the rank."""
LOOK = 25
"""Steps between two looks at the rank."""
DEAD = 1e-6
"""Singular value, relative to the largest, of a mode that is dead."""


def lbfgs(objective: FactorObjective, x, tol: float, max_steps: int = 10_000, memory: int = 10, watch=None):
    """(x, stratum or None, steps, evaluations, sentence) from a start x.

    `watch(nit, fun, grad, x)` sees every iterate and may end the run by an exception.
    """
    problem, whole = objective.problem, objective
    stages = deque(np.array(STAGES) * problem.Lam if problem.linear else ())
    pairs, nfev, sentence = deque(maxlen=memory), 1, f"L-BFGS used its {max_steps} steps"
    fun, grad = objective.value_grad(x)
    for nit in range(max_steps + 1):
        if watch is not None:
            watch(nit, fun, grad, _widened(whole, objective, x))
        if not np.isfinite(fun):
            return x, None, nit, nfev, "the objective overflowed: the start is too large"
        if grad @ grad <= tol * tol and converged(objective, x, grad, tol):
            return _widened(whole, objective, x), None, nit, nfev, "converged"
        if nit and nit % LOOK == 0 and objective.size > WIDE and (narrow := _narrowed(objective, x, fun)) is not None:
            objective, x = narrow
            fun, grad = objective.value_grad(x)
            pairs.clear()
        size, tried = np.max(np.abs(grad)), False
        while stages and size <= stages[0]:
            stages.popleft()
            tried = True
        if tried:
            stratum, steps = finish(objective, x, fun, tol, accept_saddle=not stages)
            if stratum is not None:
                return (
                    lift_near(whole, _widened(whole, objective, x), stratum.point),
                    stratum,
                    nit + steps,
                    nfev,
                    "converged",
                )
        if nit == max_steps:
            break
        found, more = next_iterate(objective, x, fun, grad, pairs)
        nfev += more
        if found is None:
            sentence = f"L-BFGS found no lower point after {nit} steps"
            break
        x, fun, grad = found
    if not problem.linear and problem.activation.smooth:
        x, steps, said = newton_on_factors(objective, x, tol)
        return x, None, nit + steps, nfev, said if said == "converged" else f"{sentence}; {said}"
    if problem.linear:
        stratum, steps = finish(objective, x, fun, tol, accept_saddle=True)
        if stratum is not None:
            return (
                lift_near(whole, _widened(whole, objective, x), stratum.point),
                stratum,
                nit + steps,
                nfev,
                "converged",
            )
    return _widened(whole, objective, x), None, nit, nfev, sentence


def _narrowed(objective: FactorObjective, x, fun: float) -> tuple[FactorObjective, np.ndarray] | None:
    """(objective, x) at widths of the living rank, where that is at most half the width and F does not rise; None
    otherwise."""
    problem = objective.problem
    if not problem.linear or problem.D < 3 or not objective.collapsed:
        return None
    point = objective.to_logits(x, collapse=True, tol=DEAD)
    if not 0 < point.rank <= 0.5 * max(A for A, _ in objective.shapes[:-1]):
        return None
    narrow = FactorObjective(problem, True, (point.rank,) * problem.L)
    start = narrow.lift(point)
    return (narrow, start) if narrow.value(start) <= fun else None


def _widened(whole: FactorObjective, objective: FactorObjective, x) -> np.ndarray:
    """x of a narrow objective among the first coordinates of every hidden layer of the whole one."""
    if objective is whole:
        return x
    factors, b = objective.unpack(x)
    return whole.pack(padded(factors, whole.shapes), b)


def next_iterate(objective, x, fun, grad, pairs):
    """((x, fun, grad) after one step or None, evaluations); falls back to steepest descent once."""
    evaluations = 0
    for attempt in range(2 if pairs else 1):
        if attempt:
            pairs.clear()
        direction = -_two_loop(grad, pairs)
        t = 1.0 if pairs else min(1.0, 1.0 / np.linalg.norm(grad))
        found, more = _weak_wolfe(objective, x, fun, grad, direction, t)
        evaluations += more
        if found is not None:
            step, change = found[0] - x, found[2] - grad
            curvature = step @ change
            if curvature > 1e-14 * np.sqrt((step @ step) * (change @ change)):
                pairs.append((step, change, curvature))
            return found, evaluations
    return None, evaluations


def _two_loop(grad, pairs) -> np.ndarray:
    """The inverse quasi-Newton matrix of the stored (step, gradient change, curvature) times grad."""
    q, coefficients = grad.copy(), []
    for step, change, curvature in reversed(pairs):
        coefficients.append((step @ q) / curvature)
        q -= coefficients[-1] * change
    if pairs:
        _, change, curvature = pairs[-1]
        q *= curvature / (change @ change)
    for (step, change, curvature), a in zip(pairs, reversed(coefficients), strict=True):
        q += (a - (change @ q) / curvature) * step
    return q


def _weak_wolfe(objective, x, fun, grad, direction, t, armijo=1e-4, wolfe=0.9, most=40):
    """((x, fun, grad) or None, evaluations): bisection for a step that descends and flattens the slope."""
    slope, low, high = grad @ direction, 0.0, np.inf
    if not slope < 0:
        return None, 0
    noise = 1e-14 * max(1.0, abs(fun))
    for evaluations in range(1, most + 1):
        trial = x + t * direction
        value, gradient = objective.value_grad(trial)
        new_slope = gradient @ direction
        descends = value <= fun + armijo * t * slope
        flat = value <= fun + noise and new_slope <= (2 * armijo - 1) * slope
        if not (descends or flat) or not np.isfinite(value):
            high = t
        elif new_slope < wolfe * slope:
            low = t
        else:
            return (trial, value, gradient), evaluations
        t = 0.5 * (low + high) if np.isfinite(high) else 2.0 * t
    return None, most


def finish(objective: FactorObjective, x, fun: float, tol: float, accept_saddle: bool = False):
    """(Stratum, Newton steps) of the critical point that x is close to, or (None, 0) if the finish is not accepted."""
    problem = objective.problem
    convex = problem.loss.convex
    point = objective.to_logits(x, collapse=True if convex or objective.collapsed else None, tol=1e-14)
    start = living_modes(Stratum(point))
    if (
        Stratum(start).size > FORMED
        and not accept_saddle
        and np.max(np.abs(objective.grad(x))) > LATE_STAGE * problem.Lam
    ):
        return None, 0
    sharp = min(tol, 1e-9 * Stratum(start).ridge_norm)  # for tiny lam the stated tol alone would say little
    end, steps, _ = newton_on_stratum(start, sharp, to_minimum=not accept_saddle)
    slack = 1e-9 * max(1.0, abs(fun))
    if end.grad_norm > asked(tol, end.ridge_norm) or end.fun > fun + slack:
        return None, 0
    if not accept_saddle and not _stable(end):
        return None, 0
    return end, steps


def _stable(stratum: Stratum, tol: float = 1e-8) -> bool:
    """No direction of descent: none on the stratum, and at D = 2 none leaving it."""
    problem = stratum.point.problem
    if stratum.size > FORMED:
        lowest, highest = extreme_curvatures(stratum)
        if lowest < -tol * highest:
            return False
    elif stratum.size and linalg.eigvalsh(H := scaled_hessian(stratum), subset_by_index=[0, 0])[0] < -tol * np.max(
        np.abs(H)
    ):
        return False
    if problem.D == 2 and stratum.point.rank < problem.max_rank and stratum.G_perp.size:
        return bool(np.linalg.norm(stratum.G_perp, 2) <= problem.Lam * (1 + 1e-7))
    return True


def lift_near(objective: FactorObjective, x, point: LogitPoint) -> np.ndarray:
    """Balanced factors of the point in the frames nearest to those of x."""
    factors, _ = objective.unpack(x)
    right = point.right if objective.collapsed else point.V
    frames, carried, root = [], right, point.s ** (-1.0 / objective.problem.D)
    for A in factors[:-1]:
        carried = (A @ carried) * root
        U, _, Vt = np.linalg.svd(carried, full_matrices=False)
        frames.append(U @ Vt)
    return objective.lift(point, frames=frames)
