"""The only door to cvxpy: the plain model (L = 1) and its relatives as convex programmes, an independent witness.

convex_minimum   g(Z, b) + Lam |Z|_* + (bias/2)||b||^2          the plain model, also with other targets
margin_minimum   |Z|_*  subject to margins of at least 1        its limit as lam -> 0
gram_minimum     CE over Gram matrices with bounded diagonal    features and classifiers of bounded norm, a relaxation
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.renamed import renamed
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Columns, Problem


@renamed(tol="rel_tol")
def convex_point(problem: Problem, solver: str = "CLARABEL", rel_tol: float = 1e-10) -> LogitPoint:
    """The programme's solution as a point with its bias; rank: singular values above rel_tol times the largest.
    Raises as `convex_minimum`."""
    _, Z, b = _solve(problem, solver)
    return from_matrix(problem, Z, rel_tol=rel_tol, b=b)


def convex_minimum(
    problem: Problem, solver: str = "CLARABEL", columns: Columns | None = None
) -> tuple[float, np.ndarray]:
    """(value, class logits without bias) of min over Z, b of g(Z, b) + Lam |Z|_* + (bias/2)||b||^2, L = 1.

    One column per class, weighted, so that samples cost nothing. Cross-entropy (with smoothing) and MSE.
    columns: other targets, weights and scales than the problem's, as in `objectives.factors.FactorObjective`; then
    logits (K, M) as the loss sees them. Raises ValueError for L > 1, nonlinear models, widths below K (where the
    problem is not convex), other losses. RuntimeError when the solver does not report an optimum. Accuracy is the
    solver's, about 1e-8 relative.
    Source: zhu21 (the plain model is a nuclear-norm problem).
    """
    return _solve(problem, solver, columns)[:2]


def margin_minimum(counts: Sequence[int], solver: str = "CLARABEL") -> tuple[float, np.ndarray]:
    """(value, class logits (K, K)) of  min |Z diag(sqrt n)|_*  subject to  z_cc - z_jc >= 1 for all j != c.

    Z holds one column per class and n = `counts` its samples, so that the norm is that of all N columns. The solution
    is unique: I - 11'/K for every n (`structures.sel`). Raises ValueError for fewer than two classes, RuntimeError as
    `convex_minimum`. Source: thrampoulidis22, ji22.
    """
    import cvxpy as cp

    counts = [arguments.integer("counts", n, 1) for n in counts]
    K = arguments.integer("K", len(counts), 2, "counts holds one number per class.")
    Z = cp.Variable((K, K))
    margins: list[cp.Constraint] = [Z[c, c] - Z[j, c] >= 1 for c in range(K) for j in range(K) if j != c]
    value = _optimum(cp.Problem(cp.Minimize(cp.normNuc(Z @ np.diag(np.sqrt(counts)))), margins), solver)
    return value, _found(Z)


def gram_minimum(
    weights: Sequence[float], w: float, h: float, each: bool = False, solver: str = "CLARABEL"
) -> tuple[float, np.ndarray]:
    """(value, X (2K, 2K)) of  min sum_c weights_c CE(w_1'h_c, ..., w_K'h_c; c)  over Gram matrices X >= 0 of (w_1, ...,
    w_K, h_1, ..., h_K).

    (1/K) sum_k |w_k|^2 <= w and (1/K) sum_c |h_c|^2 <= h; with `each`, every |w_k|^2 <= w and |h_c|^2 <= h. A rank
    constraint rank X <= d is dropped, so that the value is a lower bound of the problem in R^d, and equals it for d >=
    2K. Raises ValueError for fewer than two weights or numbers that are not positive, RuntimeError as `convex_minimum`.
    Source: fang21.
    """
    import cvxpy as cp

    weights = [arguments.positive("weights", x) for x in weights]
    w, h, K = (
        arguments.positive("w", w),
        arguments.positive("h", h),
        arguments.integer("K", len(weights), 2, "weights holds one number per class."),
    )
    X = cp.Variable((2 * K, 2 * K), PSD=True)
    logits, sizes = X[:K, K:], cp.diag(X)
    bounds = [sizes[:K] <= w, sizes[K:] <= h] if each else [cp.sum(sizes[:K]) <= K * w, cp.sum(sizes[K:]) <= K * h]
    fit = sum(weight * (cp.log_sum_exp(logits[:, c]) - logits[c, c]) for c, weight in enumerate(weights))
    value = _optimum(cp.Problem(cp.Minimize(fit), cast("list[cp.Constraint]", bounds)), solver)
    return value, _found(X)


def _solve(
    problem: Problem, solver: str, columns: Columns | None = None
) -> tuple[float, np.ndarray, np.ndarray | None]:
    """(value, class logits without bias, bias)."""
    problem.needs_ridge("the convex form")
    import cvxpy as cp

    if problem.L != 1 or not problem.linear or problem.max_rank < problem.K:
        raise ValueError(
            f"the convex form needs L=1, a linear model and width at least K={problem.K}; got {problem!r}."
        )
    smoothing = problem.loss.smoothing
    if smoothing is None and not problem.loss.quadratic:
        raise ValueError(f"the convex form is written for cross-entropy and MSE; got loss={problem.loss.name!r}.")
    K, columns = problem.K, problem.classes if columns is None else columns
    if columns.Y.shape[0] != K:
        raise ValueError(f"columns.Y must have K={K} rows; got shape {columns.Y.shape}.")
    Z = cp.Variable(columns.Y.shape)
    b = None if problem.bias is None else cp.Variable(K)
    terms = [problem.Lam * cp.normNuc(Z)]
    for c in range(columns.Y.shape[1]):
        z = columns.scale[c] * Z[:, c] + (0 if b is None else b)
        target = columns.Y[:, c]
        if smoothing is None:
            fit = 0.5 * cp.sum_squares(z - target)
        else:
            fit = cp.log_sum_exp(z) - ((1 - smoothing) * target + smoothing / K) @ z
        terms.append(columns.weight[c] * fit)
    if b is not None and problem.bias:
        terms.append(0.5 * problem.bias * cp.sum_squares(b))
    value = _optimum(cp.Problem(cp.Minimize(sum(terms))), solver)
    return value, _found(Z) * columns.scale, None if b is None else b.value


def _found(variable) -> np.ndarray:
    """The value of a solved programme's variable."""
    return np.asarray(variable.value)


def _optimum(programme, solver: str) -> float:
    value = programme.solve(solver=solver)
    if programme.status not in ("optimal", "optimal_inaccurate"):
        raise RuntimeError(f"{solver} ended with status {programme.status!r}.")
    return float(value)
