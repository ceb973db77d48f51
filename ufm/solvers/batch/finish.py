"""From where a descent stopped to the critical point it was going to: Newton on the rank stratum for every end of a
batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm.objectives.factors import FactorObjective
from ufm.solvers import lbfgs as single
from ufm.solvers.batch import newton
from ufm.solvers.batch.result import BatchResult
from ufm.solvers.newton import FORMED

BLOCK = 2**26
HUGE = 1e8
"""Logits beyond this are those of a run that diverged."""


@dataclass(frozen=True, eq=False)
class Finished:
    """Accepted rows (mask), and for them value, gradient norm, rank, class logits with the bias (B, K, K) and b (B, K)
    or None.

    moved (B,): how far the class logits went from where the descent stopped, relative to their norm there.
    """

    accepted: np.ndarray
    fun: np.ndarray
    grad_norm: np.ndarray
    rank: np.ndarray
    logits: np.ndarray
    b: np.ndarray | None
    moved: np.ndarray


def finish(batch: BatchResult, tol: float) -> Finished:
    """Newton for every end of a linear model's batch, accepted where gradient norm `tol` is reached, F did not rise and
    no descent is left.

    Ends are seen through their class means and modes that die are cut off, as at the end of `minimize`. Raises
    ValueError for nonlinear models and batches that kept no points.
    """
    problem, K = batch.problem, batch.problem.K
    if not problem.linear:
        raise ValueError(
            f"Newton on the rank stratum needs a linear model; got activation={problem.activation.name!r}."
        )
    M, b = batch.class_logits(), batch.biases()
    Z = M if b is None else M - b[:, :, None]
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((np.max(np.abs(M), axis=(1, 2)) <= HUGE) & np.isfinite(batch.fun) & batch.done)
    count = len(M)
    accepted, logits = np.zeros(count, dtype=bool), np.full((count, K, K), np.nan)
    fun, grad_norm, rank = np.full(count, np.nan), np.full(count, np.inf), np.full(count, -1)
    biases = None if b is None else np.full((count, K), np.nan)
    for i, at, value, slope in _ends(batch, rows, Z, b, tol):
        U, s, Vt, own = at
        accepted[i], fun[i], grad_norm[i], rank[i] = True, value, slope, len(s)
        logits[i] = (U * s) @ Vt * problem.classes.scale
        if b is not None:
            logits[i] += own[:, None]
            biases[i] = own
    moved = np.full(count, np.inf)
    moved[rows] = np.linalg.norm(logits[rows] - M[rows], axis=(1, 2)) / np.maximum(
        np.linalg.norm(M[rows], axis=(1, 2)), 1e-300
    )
    return Finished(accepted, fun, grad_norm, rank, logits, biases, moved)


def _ends(batch: BatchResult, rows, Z, b, tol: float):
    """(row, (U, s, Vt, b), value, gradient norm) of accepted rows."""
    problem, K = batch.problem, batch.problem.K
    dimension = K * K + (0 if b is None else K)
    if dimension > FORMED:
        objective = FactorObjective(problem, True, tuple(min(d, K) for d in problem.widths))
        for i in rows:
            point = batch.logit_point(i)
            x = objective.lift(point)
            found, _ = single.finish(objective, x, batch.fun[i], tol)
            if found is not None:
                p = found.point
                yield i, (p.U, p.s, p.right.T, p.b), found.fun, found.grad_norm
        return
    block = max(1, BLOCK // (8 * (6 * dimension**2 + 4 * K**3)))
    ends = newton.finish(
        problem,
        Z[rows] * np.sqrt(problem.counts),
        None if b is None else b[rows],
        batch.fun[rows],
        tol,
        np.zeros(len(rows), dtype=bool),
        block,
    )
    for j in np.flatnonzero(ends.accepted):
        yield rows[j], ends.points[j], ends.fun[j], ends.grad_norm[j]
