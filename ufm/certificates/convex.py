"""The only door to cvxpy: the plain model (L = 1) as a convex programme, an independent witness of the solvers."""

from __future__ import annotations

import numpy as np

from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem


def convex_point(problem: Problem, solver: str = "CLARABEL", tol: float = 1e-10) -> LogitPoint:
    """The programme's solution as a point with its bias; rank: singular values above tol times the largest. Raises as `convex_minimum`."""
    _, Z, b = _solve(problem, solver)
    return from_matrix(problem, Z, tol=tol, b=b)


def convex_minimum(problem: Problem, solver: str = "CLARABEL") -> tuple[float, np.ndarray]:
    """(value, class logits without bias (K, K)) of  min over Z, b of  g(Z, b) + Lam |Z|_* + (bias/2)||b||^2,  L = 1, width >= K.

    One column per class, weighted, so that samples cost nothing. Cross-entropy (with smoothing) and MSE.
    Raises ValueError for L > 1, nonlinear models, widths below K (where the problem is not convex), other losses.
    RuntimeError when the solver does not report an optimum. Accuracy is the solver's, about 1e-8 relative.
    Source: zhu21 (the plain model is a nuclear-norm problem).
    """
    return _solve(problem, solver)[:2]


def _solve(problem: Problem, solver: str) -> tuple[float, np.ndarray, np.ndarray | None]:
    """(value, class logits without bias, bias)."""
    import cvxpy as cp

    if problem.L != 1 or not problem.linear or problem.max_rank < problem.K:
        raise ValueError(f"the convex form needs L=1, a linear model and width at least K={problem.K}; got {problem!r}.")
    smoothing = getattr(problem.loss, "smoothing", None)
    if smoothing is None and problem.loss.name != "mse":
        raise ValueError(f"the convex form is written for cross-entropy and MSE; got loss={problem.loss.name!r}.")
    K, columns = problem.K, problem.classes
    Z = cp.Variable((K, K))
    b = None if problem.bias is None else cp.Variable(K)
    terms = [problem.Lam * cp.normNuc(Z)]
    for c in range(K):
        z = columns.scale[c] * Z[:, c] + (0 if b is None else b)
        target = columns.Y[:, c]
        if smoothing is None:
            fit = 0.5 * cp.sum_squares(z - target)
        else:
            fit = cp.log_sum_exp(z) - ((1 - smoothing) * target + smoothing / K) @ z
        terms.append(columns.weight[c] * fit)
    if b is not None and problem.bias > 0:
        terms.append(0.5 * problem.bias * cp.sum_squares(b))
    programme = cp.Problem(cp.Minimize(sum(terms)))
    value = programme.solve(solver=solver)
    if programme.status not in ("optimal", "optimal_inaccurate"):
        raise RuntimeError(f"{solver} ended with status {programme.status!r}.")
    return float(value), Z.value * columns.scale, None if b is None else b.value
