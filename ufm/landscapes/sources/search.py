"""Search for critical points without assuming any symmetry.

Three ways, each from random starts: down to minima (L-BFGS, Newton), at full width and in models too narrow for high
rank, where low-rank codes are found more often; Newton from random points of each rank to whatever is critical nearby;
and eigenvector following to saddles of index 1 to 3, from random points and from between minima.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ufm.landscapes.sources.source import Settings, Source
from ufm.numerics.bars import progress_bar
from ufm.numerics.seeds import child, generator
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.solvers.newton import find_saddle, newton_on_stratum
from ufm.solvers.result import Result
from ufm.structures.modes import decouples, explain

RUNS = 6
"""Runs for each of the `starts` of a search."""


def tolerance(problem: Problem) -> float:
    """Gradient norm asked of every point: 1e-12, and 1e-7 Lam where that is less."""
    return min(1e-12, 1e-7 * problem.Lam)


def search(
    problem: Problem, starts: int, seed: np.random.SeedSequence, progress: bool | None = None
) -> Iterator[tuple[str, LogitPoint | None]]:
    """(how, point) for every run, `RUNS * starts` of them: the critical point reached, or None.

    starts: saddle searches; twice as many descents, half of them narrow, and three times as many Newton runs, which are
    cheap. how: `descent`, `narrow descent`, `newton` or `saddle search`.
    """
    tol = tolerance(problem)
    found: list[LogitPoint] = []
    for i in progress_bar(range(starts), desc="descents", progress=progress):
        run = _descent(problem, child(child(seed, 0), i))
        if run.success:
            found.append(run.logit_point())
        yield "descent", found[-1] if run.success else None
    for i in progress_bar(range(starts), desc="narrow descents", progress=progress):
        width = 1 + i % max(1, round(0.6 * problem.max_rank))
        run = _descent(replace(problem, d=width), child(child(seed, 3), i))
        if run.success:
            found.append(replace(run.logit_point(), problem=problem))
        yield "narrow descent", found[-1] if run.success else None
    size = _typical_size(found)
    for i in progress_bar(range(3 * starts), desc="newton", progress=progress):
        draw = generator(child(child(seed, 1), i))
        end, _, _ = newton_on_stratum(random_point(problem, draw, size), tol, 60, drop=False)
        yield "newton", end.point if end.grad_norm <= tol else None
    lowest = sorted(found, key=lambda p: Stratum(p).fun)
    ceiling = _ceiling(problem)
    for i in progress_bar(range(starts), desc="saddles", progress=progress):
        draw = generator(child(child(seed, 2), i))
        start = between(lowest, draw) if i % 2 and len(lowest) > 1 else random_point(problem, draw, size)
        end, _, _ = find_saddle(start, 1 + i // 2 % 3, tol, 80, ceiling=ceiling)
        yield "saddle search", end.point if end.grad_norm <= tol else None


def points(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """What `search` finds from `starts` (default 60 up to K = 6, 40 up to 12, 10 beyond). Ctrl-C says after how many
    runs it came."""
    usual = 60 if problem.K <= 6 else 40 if problem.K <= 12 else 10
    starts, done = usual if settings.starts is None else settings.starts, 0
    try:
        for how, point in search(problem, starts, settings.seed, settings.progress) if starts else ():
            yield how, point
            done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"after {done} of {RUNS * starts} runs") from None
    runs = f"{2 * starts} descents, {3 * starts} Newton runs and {starts} saddle searches"
    return f"a search from {runs}" if starts else "no random search"


def _descent(problem: Problem, seed: np.random.SeedSequence) -> Result:
    """One run of `minimize`, which turns Ctrl-C into a result; here it ends the search."""
    run = minimize(problem, rng=seed)
    if run.interrupted:
        raise KeyboardInterrupt
    return run


def random_point(problem: Problem, draw: np.random.Generator, size: float) -> LogitPoint:
    """A random LogitPoint of random rank: row-centred Gaussian class logits of norm about `size`."""
    K, r = problem.K, int(draw.integers(1, problem.max_rank + 1))
    A, B = draw.standard_normal((K, r)), draw.standard_normal((K, r))
    if problem.loss.shift_invariant:
        A -= A.mean(axis=0)
    mix = draw.random()  # between a generic product and a Gram matrix
    Z = A @ (mix * A + (1 - mix) * B).T
    Z = Z * np.sqrt(problem.counts)
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    keep = int(np.sum(s > 1e-6 * s[0]))
    s = s[:keep] * size * float(np.exp(draw.uniform(-1.5, 0.3))) / np.linalg.norm(s[:keep])
    return LogitPoint(problem, U[:, :keep], s, Vt[:keep].T)


def between(points: list[LogitPoint], draw: np.random.Generator) -> LogitPoint:
    """A point on the segment between two found ones, in the higher's rank, one permuted at random."""
    problem = points[0].problem
    i, j = sorted(draw.choice(min(len(points), 12), 2, replace=False))
    order = np.arange(problem.K)
    for count in set(problem.counts.tolist()):
        members = np.flatnonzero(problem.counts == count)
        order[members] = draw.permutation(members)
    b = points[j].matrix()[np.ix_(order, order)]
    t = draw.uniform(0.2, 0.8)
    U, s, Vt = np.linalg.svd((1 - t) * points[i].matrix() + t * b, full_matrices=False)
    keep = min(max(points[i].rank, points[j].rank), int(np.sum(s > 1e-6 * s[0])))
    return LogitPoint(problem, U[:, :keep], s[:keep], Vt[:keep].T)


def _ceiling(problem: Problem) -> float:
    """max(1, D/2) g(0), which no critical point of a convex loss exceeds: Lam sum s^(2/D) = -<G, Z> there."""
    if not problem.loss.convex or problem.bias is not None:
        return np.inf
    empty = np.zeros((problem.K, 0))
    return max(1.0, problem.D / 2) * Stratum(LogitPoint(problem, empty, np.zeros(0), empty)).fun * (1 + 1e-9)


def _typical_size(found: list[LogitPoint]) -> float:
    sizes = [float(np.linalg.norm(p.s)) for p in found if p.rank]
    return float(np.median(sizes)) if sizes else 1.0


SEARCH = Source(
    "search",
    "descents, Newton runs from random points of every rank, and saddle searches",
    points,
    verbs=("landscape",),
    applies=lambda problem: (
        "the search goes rank by rank, in linear models."
        if not problem.linear
        else explain(problem)[1]
        if decouples(problem)
        else ""
    ),
    counts=True,
)
