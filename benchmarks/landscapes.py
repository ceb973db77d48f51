"""Whole landscapes: all critical points found, the complete list under MSE, and the lowest value at every rank."""

from __future__ import annotations

import numpy as np
from scipy import optimize

import ufm
from benchmarks import peers
from benchmarks.measure import End, Job, Tool
from benchmarks.solves import batch_factors
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import value
from ufm.solvers import starts

SIX = ufm.Problem(K=6, L=2, lam=0.002)
SIX_MSE = ufm.Problem(K=6, L=2, lam=0.01, loss="mse")
SMALL = ufm.Problem(K=3, L=2, lam=0.02)
DISTINCT = 1e-7
"""Values further apart, relative to 1 + F, are different critical points for somebody who has values only."""


def landscape(quick: bool) -> Job:
    """Cross-entropy: a search; the peers look for roots of the gradient, a few starts, in proportion."""
    problem, few = (SMALL, 2) if quick else (SIX, 20)
    return _job("critical points found", problem, 4 if quick else None, few)


def mse(quick: bool) -> Job:
    """MSE: the complete list, by singular modes."""
    return _job("all critical points", SIX_MSE, None, 2 if quick else 20)


def _job(what: str, problem: ufm.Problem, count: int | None, few: int) -> Job:
    tools = (
        Tool("ufm landscape", lambda seed: lambda: ufm.landscape(problem, starts=count, rng=seed), _listed),
        Tool(f"scipy least_squares on |grad F|^2, {few} starts", _roots(problem, few), _values),
    )
    said = f"K={problem.K}, L={problem.L}, lam={problem.lam:g}, {problem.loss.name}"
    return Job(f"{what}, {said}", tools, repeats=1 if few < 20 else 3, warm=False)


def _listed(found) -> End:
    minima = sum(row.status == "local minimum" for row in found)
    known = "complete" if found.complete else "not claimed complete"
    values = len(distinct([row.fun for row in found]))
    note = f"{len(found)} points, {values} values, {minima} local minima; {known}"
    return End(found.lowest.fun, max(row.grad_norm for row in found), note=note)


def _roots(problem: ufm.Problem, few: int):
    """Stationary points of F in factors from random starts of random size, Jacobian by Hessian-vector products."""

    def prepare(seed: int):
        objective, draw = FactorObjective(problem), generator(seed_sequence(seed))
        blocks = batch_factors(problem, seed, few, objective)
        X = np.concatenate([A.reshape(few, -1) for A in blocks], axis=1) * draw.uniform(0.3, 3.0, (few, 1))
        identity = np.eye(objective.size)

        def jacobian(x):
            return objective.hvp(np.broadcast_to(x, identity.shape), identity)

        def work():
            return [optimize.least_squares(objective.grad, x, jacobian, xtol=1e-15, ftol=None, gtol=None) for x in X]

        return lambda: (objective, work())

    return prepare


def _values(answer) -> End:
    objective, ends = answer
    good = [end.x for end in ends if np.linalg.norm(end.fun) <= 1e-9]
    if not good:
        return End(note=f"none of {len(ends)} converged")
    values = distinct([float(objective.value(x)) for x in good])
    worst = max(float(np.linalg.norm(objective.grad(x))) for x in good)
    return End(values[0], worst, note=f"{len(values)} values; {len(good)} of {len(ends)} converged")


def distinct(values) -> list[float]:
    """One of each, ascending."""
    kept: list[float] = []
    for fun in sorted(values):
        if not kept or fun - kept[-1] > DISTINCT * (1 + abs(fun)):
            kept.append(fun)
    return kept


def profile(quick: bool) -> Job:
    """The lowest critical value at every rank; pymanopt has a manifold for each."""
    problem, count = (SMALL, 1) if quick else (SIX, 10)
    tools = (
        Tool("ufm profile", lambda seed: lambda: ufm.profile(problem, starts=count, rng=seed), _profiled),
        Tool(
            f"pymanopt CG on fixed rank, {count} starts a rank",
            _fixed_ranks(problem, count),
            _best_by_rank,
            ("pymanopt", "autograd"),
        ),
    )
    return Job(
        f"lowest value at every rank, {count} starts each, K={problem.K}, L={problem.L}, lam={problem.lam:g}",
        tools,
        repeats=1 if quick else 3,
        warm=False,
    )


def _profiled(found) -> End:
    lowest = {row.point.rank: row.fun for row in found if row.point.rank}
    return End(found.best.fun, max(row.grad_norm for row in found), note=_by_rank(lowest))


def _fixed_ranks(problem: ufm.Problem, count: int):
    def prepare(seed: int):
        objective, root = FactorObjective(problem), seed_sequence(seed)
        each = [starts.gaussian()(objective, generator(child(root, i))) for i in range(count)]
        ranks = range(1, problem.K)
        return lambda: {
            rank: [peers.pymanopt_fixed_rank(problem, x0, rank=rank, tol=1e-9)[0] for x0 in each] for rank in ranks
        }

    return prepare


def _best_by_rank(answer) -> End:
    lowest = {rank: min(value(point) for point in points) for rank, points in answer.items()}
    return End(min(lowest.values()), note=_by_rank(lowest))


def _by_rank(lowest: dict[int, float]) -> str:
    return "by rank " + ", ".join(f"{rank}: {fun:.6f}" for rank, fun in sorted(lowest.items()))


JOBS = {"landscape": landscape, "landscape-mse": mse, "profile": profile}
