"""Newton's finish: from where a descent stands to the critical point it is going to, for one row or for many.

The product is cut to the modes that live, Newton takes that to `tol` on the rank stratum. Accepted only if the value
did not rise and no direction of descent is left on the stratum; otherwise the descent goes on to a smaller gradient. In
factor space the point is lifted back in the frames where the descent stood.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import asked
from ufm.objectives.strata import ROUNDED, Strata
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers import curvature, lbfgs
from ufm.solvers.curvature import stable
from ufm.solvers.kinks import KINKED, finish_on_kinks, finished_on_kinks
from ufm.solvers.newton import Group, Newton, cut_to_living, newton_on_factors
from ufm.solvers.result import CONVERGED, BatchResult, Reason, Status

LATE_STAGE = 1e-4
"""Gradient (sup norm, in units of Lam) up to which Newton is tried where it has to do without a dense Hessian."""
BLOCK = 2**26
"""Bytes of dense Hessians at a time."""
HUGE = 1e8
"""Logits beyond this are those of a run that diverged."""


@dataclass(frozen=True, eq=False)
class Found:
    """An accepted end: row `at` of `here`, and Newton's steps."""

    here: Strata
    at: int
    steps: int

    @functools.cached_property
    def point(self) -> LogitPoint:
        return self.here.point(self.at)

    @property
    def fun(self) -> float:
        return float(self.here.fun[self.at])

    @property
    def grad_norm(self) -> float:
        return float(self.here.grad_norm[self.at])

    @property
    def ridge_norm(self) -> float:
        """Norm of the ridge's own gradient."""
        return float(self.here.ridge_norm[self.at])


def found_from(objective: FactorObjective, X, fun, saddles, tol: float, memory: float) -> Iterator[tuple[int, Found]]:
    """(row, where Newton ended) for the rows of X (B, size) that are accepted, on the host.

    fun (B,): values; saddles (B,): take a saddle too. memory: bytes for dense Hessians.
    """
    problem = objective.problem
    if not (objective.collapsed or problem.loss.convex) or _columns_size(problem) > curvature.FORMED:
        for i, x in enumerate(X):
            found = finish(objective, x, fun[i], tol, bool(saddles[i]))
            if found is not None:
                yield i, found
        return
    Z, b = class_columns(objective, X), objective.unpack(X)[1]
    yield from finish_columns(problem, Z, b, np.asarray(fun), tol, saddles, memory)


def class_columns(objective: FactorObjective, X) -> np.ndarray:
    """Class means of the logits without the bias times sqrt(n_c), (B, K, K), as in points.from_matrix."""
    problem, Z = objective.problem, objective.logits(X) * objective.fit.columns.scale
    if not objective.collapsed and problem.N != problem.K:
        Z = Z @ (problem.samples.Y.T / problem.counts)
    return Z * np.sqrt(problem.counts)


def finish(objective: FactorObjective, x, fun: float, tol: float, accept_saddle: bool = False) -> Found | None:
    """The critical point that x is close to, or None if it is not accepted; late, where no Hessian is formed."""
    problem = objective.problem
    collapse = True if problem.loss.convex or objective.collapsed else None
    point = objective.to_logits(x, collapse=collapse, tol=ROUNDED)
    groups = cut_to_living(Stratum(point).row())
    late = accept_saddle or np.max(np.abs(objective.grad(x))) <= LATE_STAGE * problem.Lam
    if groups[0][0].size > curvature.FORMED and not late:
        return None
    return next((found for _, found in _accepted(groups, np.array([fun]), tol, np.array([accept_saddle]))), None)


def finish_columns(problem: Problem, Z, b, fun, tol: float, saddles, memory: float) -> Iterator[tuple[int, Found]]:
    """(row, where Newton ended) from every collapsed Z (B, K, K), accepted where the value did not rise and no descent
    is left.

    b (B, K) or None; fun (B,): value of the point each comes from; saddles (B,): take a saddle too. memory: bytes for
    dense Hessians, which changes no number.
    """
    dimension, K = _columns_size(problem), problem.K
    block = max(1, int(min(memory, BLOCK) // (8 * (6 * dimension**2 + 4 * K**3))))
    for i in range(0, len(Z), block):
        part = slice(i, i + block)
        groups = [
            (living, rows[j])
            for here, rows in Strata.of(problem, Z[part], None if b is None else b[part])
            for living, j in cut_to_living(here)
        ]
        for j, found in _accepted(groups, fun[part], tol, saddles[part]):
            yield i + j, found


def _columns_size(problem: Problem) -> int:
    """Largest dimension of a stratum of class columns."""
    return problem.K**2 + (0 if problem.bias is None else problem.K)


def _accepted(groups: list[Group], fun, tol: float, saddles) -> list[tuple[int, Found]]:
    """Newton's ends (row, Found), in order, that reach the gradient norm asked for, do not rise above `fun` and have no
    direction of descent (or may be saddles)."""
    found, sharp = [], np.empty(len(fun))
    for here, rows in groups:
        sharp[rows] = np.minimum(tol, 1e-9 * here.ridge_norm)  # for tiny lam the stated tol alone would say little

    def ended(here, rows, steps, given_up, stopped):
        slack = 1e-9 * np.maximum(1.0, np.abs(fun[rows]))
        good = (here.grad_norm <= asked(tol, here.ridge_norm)) & (here.fun <= fun[rows] + slack)
        ask = np.flatnonzero(good & ~saddles[rows])
        if len(ask):
            good[ask] = stable(here.take(ask))
        found.extend((int(rows[i]), Found(here, int(i), int(steps[i]))) for i in np.flatnonzero(good))

    Newton(sharp, ~saddles, ended).run(groups)
    return sorted(found, key=lambda one: one[0])


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


# L-BFGS and what finishes it


def run_lbfgs(way, chunk) -> None:
    """Every row of a chunk by L-BFGS (`way`: its settings), finished on the way and at the end by Newton on the stratum
    (linear models), on kinks (relu, leaky_relu) or at the end by Newton in factors (smooth activations)."""
    host = chunk.objective.on.host
    if host and finished_on_kinks(chunk.problem, way.max_steps) and not chunk.problem.ridgeless:
        for part in chunk.alone():
            _to_kinks(way, part)
    elif host and chunk.job.reduced and chunk.objective.size > lbfgs.WIDE:
        for part in chunk.alone():  # widths follow ranks, so that shapes differ
            _down(way, part)
    else:
        _down(way, chunk)


def _down(way, chunk) -> None:
    on, problem = chunk.objective.on, chunk.problem
    offer = chunk.offer if problem.linear and not problem.ridgeless else None

    def ended(labels, x, nit, nfev, reason):
        if reason.status in (Status.STEPS, Status.STALLED):
            _last_chance(chunk, labels, on.take_out(x), nit, nfev, reason)
        else:
            chunk.ended(labels, x, nit, nfev, reason)

    X = on.put_in(chunk.X)
    lbfgs.lbfgs(chunk.objective, X, chunk.tol, way.max_steps, way.pairs, ended, offer, chunk.tick, chunk.watch)


def _last_chance(chunk, labels, x, nit, nfev, reason: Reason) -> None:
    """Newton for rows that L-BFGS left: on the stratum, or in factors of a smooth nonlinear model."""
    problem, host = chunk.problem, chunk.objective.host
    if problem.ridgeless:
        said = Reason(reason.status, f"{reason}; without a ridge Newton cannot finish it")
        chunk.ended(labels, x, nit, nfev, said)
    elif problem.linear:
        fun = host.value_grad(np.ascontiguousarray(x))[0]
        left = np.flatnonzero(~chunk.offer(labels, x, fun, np.ones(len(labels), dtype=bool), nit, nfev))
        if len(left):
            chunk.ended(labels[left], x[left], nit[left], nfev[left], reason)
    elif problem.activation.smooth:
        for i in range(len(labels)):
            end, steps, said = newton_on_factors(host, x[i], chunk.tol)
            if said.status is not Status.CONVERGED:
                said = Reason(reason.status, f"{reason}; {said}")
            chunk.ended(labels[[i]], end[None], nit[[i]] + steps, nfev[[i]], said)
    else:
        chunk.ended(labels, x, nit, nfev, reason)


def _to_kinks(way, chunk) -> None:
    """One row: L-BFGS until it is near a kink, then the finish on kinks."""
    objective, ends = chunk.objective, []

    def ended(labels, x, nit, nfev, reason):
        ends.append((np.array(x), nit, nfev, reason))

    lbfgs.lbfgs(objective, chunk.X, chunk.tol, KINKED, way.pairs, ended, None, chunk.tick, chunk.watch)
    x, nit, nfev, reason = ends[0]
    if reason.status is Status.STOPPED or not np.isfinite(objective.value(x[0])):
        chunk.ended(np.zeros(1, dtype=int), x, nit, nfev, reason)
        return
    end = finish_on_kinks(objective, x[0], chunk.tol)
    reached = end.clarke.residual <= asked(chunk.tol, end.clarke.ridge_norm)
    said = f"{reason}; no smoothing of the kinks led to a stationary point"
    why = CONVERGED if reached else Reason(reason.status, said)
    chunk.ended_on_kinks(0, end, int(nit[0]) + end.steps, int(nfev[0]) + end.nfev, why)


# ends of a census


@dataclass(frozen=True, eq=False)
class Finished:
    """Accepted rows (mask), and for them value, gradient norm, rank, class logits with the bias, b or None.

    moved (B,): how far the class logits went from where the descent stopped, relative to their norm there.
    """

    accepted: np.ndarray
    fun: np.ndarray
    grad_norm: np.ndarray
    rank: np.ndarray
    logits: np.ndarray
    b: np.ndarray | None
    moved: np.ndarray


def finish_all(batch: BatchResult, tol: float) -> Finished:
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
    problem.needs_ridge("finish_all")
    M, b = batch.class_logits(), batch.biases()
    Z = M if b is None else M - b[:, :, None]
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((np.max(np.abs(M), axis=(1, 2)) <= HUGE) & np.isfinite(batch.fun) & batch.done)
    count = len(M)
    accepted, logits = np.zeros(count, dtype=bool), np.full((count, K, K), np.nan)
    fun, grad_norm, rank = np.full(count, np.nan), np.full(count, np.inf), np.full(count, -1)
    biases = None if b is None else np.full((count, K), np.nan)
    for i, found in _ends(batch, rows, Z, b, tol):
        here, at, own = found.here, found.at, found.here.b
        accepted[i], fun[i], grad_norm[i], rank[i] = True, found.fun, found.grad_norm, here.rank
        logits[i] = here.matrix[at] * problem.classes.scale
        if biases is not None and own is not None:
            logits[i] += own[at][:, None]
            biases[i] = own[at]
    moved = np.full(count, np.inf)
    moved[rows] = np.linalg.norm(logits[rows] - M[rows], axis=(1, 2)) / np.maximum(
        np.linalg.norm(M[rows], axis=(1, 2)), 1e-300
    )
    return Finished(accepted, fun, grad_norm, rank, logits, biases, moved)


def _ends(batch: BatchResult, rows, Z, b, tol: float) -> Iterator[tuple[int, Found]]:
    """(row, Found) of accepted rows."""
    problem, K = batch.problem, batch.problem.K
    if _columns_size(problem) > curvature.FORMED:
        objective = FactorObjective(problem, True, tuple(min(d, K) for d in problem.widths))
        for i in rows:
            found = finish(objective, objective.lift(batch.logit_point(i)), float(batch.fun[i]), tol)
            if found is not None:
                yield i, found
        return
    given = Z[rows] * np.sqrt(problem.counts), None if b is None else b[rows], batch.fun[rows]
    for j, found in finish_columns(problem, *given, tol, np.zeros(len(rows), dtype=bool), BLOCK):
        yield rows[j], found
