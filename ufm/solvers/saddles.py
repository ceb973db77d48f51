"""Eigenvector following: saddles of a chosen index on the rank stratum.

Up along the k lowest modes of the Hessian, down along all others, with a bounded step; where the Hessian has
index k and the gradient is small, Newton takes over. A singular value that dies lowers the rank.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import asked
from ufm.points import LogitPoint
from ufm.solvers.newton import newton_on_stratum, scaled_hessian
from ufm.solvers.result import Reason, Status


def find_saddle(
    point: LogitPoint,
    index: int,
    tol: float = 1e-12,
    max_steps: int = 150,
    radius: float = 0.3,
    ceiling: float = np.inf,
) -> tuple[Stratum, int, Reason]:
    """(Stratum at the end, steps, Reason) of a search for a critical point of F_r of the given index from a
    LogitPoint.

    index 0 goes down to a minimum of the stratum. radius: longest step, relative to the length of the balanced factors.
    ceiling: give up above this value of F.
    The end may have another index than asked for; the caller classifies.
    """
    point.problem.needs_ridge("find_saddle")
    here = Stratum(point)
    for steps in range(max_steps):
        if not here.point.rank:
            return here, steps, Reason(Status.STALLED, "ended at zero")
        if here.fun > ceiling:
            return here, steps, Reason(Status.STALLED, f"left the region below {ceiling:.6g}")
        if here.size < index:
            return here, steps, Reason(Status.DECLINED, f"the stratum has fewer than {index} dimensions")
        values, vectors = linalg.eigh(scaled_hessian(here), check_finite=False)
        g = vectors.T @ (here.scale * here.gradient())
        size = np.max(np.abs(values))
        if here.grad_norm <= 1e-3 * here.ridge_norm and np.sum(values < -1e-8 * size) == index:
            end, more, said = newton_on_stratum(here.point, tol)
            if end.grad_norm <= asked(tol, end.ridge_norm):
                return end, steps + more, said
        curve = np.maximum(np.abs(values), 1e-3 * size)
        step = -g / curve
        step[:index] *= -1.0
        length = np.linalg.norm(step)
        longest = radius * np.sqrt(np.sum(here.point.s ** (2.0 / here.point.problem.D)))
        step *= min(1.0, longest / length) if length else 1.0
        after = _move(here, here.scale * (vectors @ step))
        if after is None:
            return here, steps, Reason(Status.STALLED, "the step left the stratum")
        here = after
    said = f"used its {max_steps} steps; gradient norm {here.grad_norm:.2e}"
    return here, max_steps, Reason(Status.STEPS, said)


def _move(here: Stratum, step) -> Stratum | None:
    """The point after a step; singular values that fall below 1e-3 of the largest, in factor scale, are dropped."""
    for halvings in range(5):
        try:
            p = here.retract(step * 0.5**halvings)
        except ValueError:
            continue
        root = p.s ** (1.0 / p.problem.D)
        alive = root > 1e-3 * root[0]
        return Stratum(LogitPoint(p.problem, p.U[:, alive], p.s[alive], p.right[:, alive], p.b))
    return None
