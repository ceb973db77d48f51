"""Zero: all factors vanish."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from ufm.numerics.state import own_numpy_state
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.structure import Structure


@own_numpy_state
def zero(problem: Problem) -> LogitPoint:
    """Z = 0, rank 0: critical for every lam; for L >= 2 a strict local minimum.

    With a bias, b minimises g(0, b) + (bias/2)||b||^2 (Newton with conjugate gradients, to rounding).
    Source: gk25; related to sml23 (zero wins for large lam).
    """
    scales.needs_linear(problem, "zero")
    empty = np.zeros((problem.K, 0))
    point = LogitPoint(problem, empty, np.zeros(0), empty, name="zero")
    if problem.bias is None:
        return point
    b = np.zeros(problem.K)
    free = float(problem.bias == 0 and problem.loss.shift_invariant)  # fixes the constant that nothing else does
    for _ in range(100):
        here = Stratum(LogitPoint(problem, empty, np.zeros(0), empty, b))
        if here.grad_norm <= 1e-16 * problem.K:
            break
        hessian = LinearOperator(
            shape=(problem.K, problem.K),
            matvec=lambda v, here=here: here.hvp(np.ravel(v)) + free * np.mean(v),  # pyright: ignore[reportCallIssue] stubs lack the constructor
            dtype=float,
        )
        step, _ = cg(hessian, -here.gradient(), rtol=1e-15, maxiter=200)
        b = b + step / max(1.0, np.max(np.abs(step)))
        if np.max(np.abs(step)) <= 1e-15 * max(1.0, np.max(np.abs(b))):
            break
    return LogitPoint(problem, empty, np.zeros(0), empty, b, "zero")


ZERO = Structure("zero", "Z = 0, rank 0: critical for every lam, a minimum for L >= 2", zero, colour="#7f7f7f")
