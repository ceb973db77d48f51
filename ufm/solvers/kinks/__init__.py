"""Minima of piecewise linear models sit on kinks, where L-BFGS stalls at gradients of 1e-2: how to finish.

1. Reduce (`compression`). One column per class, equal ridge weights, H_1 in the frame of its rank, parallel
   neurons merged, dead ones dropped.
2. Smooth (`smoothing`). max(x, slope x) becomes a parabola on |x| <= eps; L-BFGS down a ladder of eps.
   Pre-activations that stay inside are kinks, their slopes the masks: as eps -> 0 a central path to the point and its
   multipliers.
3. Newton (`pieces`). With the kinks held at zero and all other slopes frozen F is smooth: KKT steps; masks
   outside [slope, 1] leave the kinks, pre-activations of the wrong sign join them, and a direction of descent on the
   piece is followed.
4. Accept where the Clarke residual (`objectives.clarke`) is at most tol and F did not rise.

Sources: sml24 (the model); chen12 (smoothing); nocedal06 (the KKT system).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from ufm.objectives.clarke import Clarke, at, kinked, slope_of
from ufm.objectives.factors import FactorObjective
from ufm.objectives.gated import Gated
from ufm.objectives.stationary import asked
from ufm.problem import Problem
from ufm.solvers.kinks.compression import compressed, expanded, reduced
from ufm.solvers.kinks.pieces import EXACT, escape, newton_on_piece
from ufm.solvers.kinks.smoothing import descend

KINKED = 500
"""L-BFGS steps on the model itself before this takes over."""
LADDER = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7)
"""Half widths eps of the rounded kink, relative to the largest pre-activation of the layer where that is smallest."""
NEWTON_FROM = 1e-3
"""First rung at which Newton is tried."""
WIDER = (1.0, 20.0)
"""Multiples of eps within which pre-activations are tried as kinks: one whose mask is at an end of its range goes to
zero with eps, outside of it."""
ESCAPES = 5
"""Most descents along negative curvature."""


@dataclass(frozen=True, eq=False)
class KinkEnd:
    """Where the finish ended, in the coordinates of the objective it was given; lowest: least curvature on the piece
    (None without Newton)."""

    x: np.ndarray
    fun: float
    clarke: Clarke
    steps: int
    nfev: int
    lowest: float | None = None


def _zero(objective: FactorObjective, x, fun: float, tol: float) -> KinkEnd | None:
    """The point with all factors zero and its best bias, where F is no larger and stationary there."""
    factors, b = objective.unpack(x)
    nothing = [np.zeros_like(A) for A in factors]
    if b is not None:
        b, Z, penalty = np.array(b), objective.logits(objective.pack(nothing, b)), objective.problem.bias or 0.0
        for _ in range(5):
            H = objective.fit.hessians(Z, b).sum(axis=0) + penalty * np.eye(len(b))
            slope = objective.fit.value_grad(Z, b)[2]
            assert slope is not None
            b -= np.linalg.lstsq(H, slope + penalty * b, rcond=1e-12)[0]
    zero = objective.pack(nothing, b)
    value = float(objective.value(zero))
    end = at(objective, zero) if value <= fun else None
    return KinkEnd(zero, value, end, 0, 1) if end is not None and end.residual <= tol else None


def finished_on_kinks(problem: Problem, max_steps: int) -> bool:
    """Whether `minimize` ends a run of L-BFGS here: a piecewise linear model, and steps enough to come near a kink."""
    return max_steps >= KINKED and kinked(problem)


def finish_on_kinks(objective: FactorObjective, x: np.ndarray, tol: float) -> KinkEnd:
    """The Clarke-stationary point below x; if none is reached, the lowest point met, with its residual.

    Samples are seen through their class means. Needs max(x, slope x) and L >= 2. F never rises.
    """
    fun, slope = float(objective.value(x)), slope_of(objective.problem)
    assert slope is not None, "kinks are those of max(x, slope x)"
    if (zero := _zero(objective, x, fun, tol)) is not None:
        return zero
    start = at(objective, x)
    if start.residual <= asked(tol, start.ridge_norm):
        return KinkEnd(np.array(x), fun, start, 0, 1)
    small, y = reduced(objective, x)
    best, steps, nfev, escapes = (fun, small, None), 0, 1, 0
    rungs = deque(_ladder(start.relative))
    while rungs:
        eps = rungs.popleft()
        width = eps * max(min(Gated.of(small, y).sizes), 1e-300)
        y, more, evaluations = descend(small, y, width, slope)
        small, y = compressed(small, y)
        steps, nfev = steps + more, nfev + evaluations
        best = min(best, (float(small.value(y)), small, y), key=lambda found: found[0])
        found = (
            None
            if eps > NEWTON_FROM
            else next(filter(None, (newton_on_piece(small, y, width, slope, wide) for wide in WIDER)), None)
        )
        if found is None:
            continue
        here, steps = found.here, steps + found.steps
        value = float(small.value(here.x))
        end = at(small, here.x, EXACT, masks=here.gates)
        if end.residual > tol * 10 or value > fun + 1e-12 * abs(fun):
            continue
        if found.down is not None and escapes < ESCAPES and (lower := escape(found, value)) is not None:
            y, escapes, rungs = lower, escapes + 1, deque(e for e in LADDER if e <= NEWTON_FROM)
            continue
        whole, gates = expanded(objective, small, here.x, here.gates)
        end = at(objective, whole, EXACT, masks=gates)
        if end.residual <= asked(tol, end.ridge_norm):
            return KinkEnd(whole, float(objective.value(whole)), end, steps, nfev, found.lowest)
    value, o, y = best
    whole = np.array(x) if y is None else expanded(objective, o, y)[0]
    return KinkEnd(whole, float(objective.value(whole)), at(objective, whole), steps, nfev)


def _ladder(relative: float) -> list[float]:
    """The rungs from about a tenth of the relative gradient on: a start close to a minimum stays close."""
    return [eps for eps in LADDER if eps <= max(0.1 * relative, NEWTON_FROM)]
