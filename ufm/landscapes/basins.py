"""Who wins the basins: many starts, their ends named and counted.

A share is a statement about a dynamics and a distribution of starts. `dynamics` says which were run: gradient descent on all factors
at width d is one thing, a descent of the exact reduction another with the same minima and other basins.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ufm.critical.identify import identify
from ufm.landscapes.blocks import Run, store_for
from ufm.landscapes.dynamics import dynamics
from ufm.landscapes.ends import End, distinct
from ufm.landscapes.merge import free_name
from ufm.landscapes.shares import Basin, Basins
from ufm.numerics import arguments
from ufm.numerics.seeds import seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.statistics import wilson
from ufm.numerics.words import named_arguments
from ufm.problem import Problem
from ufm.solvers import starts as start_kinds

PAIRS = 2
"""Stored pairs of L-BFGS in a census: in a batch, short histories are cheaper (0.9 s against 1.4 s for 1000 starts of Figure 1)."""


@named_arguments
@own_numpy_state
def basins(
    problem: Problem,
    starts: int = 1000,
    rng=None,
    method: str = "lbfgs",
    space: str | None = None,
    *,
    scale: float | None = None,
    tol: float = 1e-9,
    memory: float = 2**26,
    level: float = 0.95,
    progress: bool | None = None,
    out=None,
    fresh: bool = False,
    **settings,
) -> Basins:
    """Shares of the ends of `starts` runs from random starts, ends named and told apart modulo class permutation.

    method, space and settings (lr, momentum, batch, betas, steps, max_steps, device, threads, ...) as in `solvers.batch.engine.run_batch`: `lbfgs` runs by
    default on the exact reduction, which has the minima of the problem but not the basins of gradient descent; `gd` and `adam` run on all parameters.
    scale: standard deviation of the Gaussian start (None: 1/sqrt(width) of the factors that are run).

    A start counts as converged if its end, finished by Newton on the rank stratum, has gradient norm at most tol, no larger F and no direction
    of descent, and lies within a relative distance of 0.05 of where the descent stopped (class logits; linear models). Others are counted apart.
    Ends are one if loss, rank and, up to a permutation of the classes, all class logits agree; near losses alone make nothing one.

    L-BFGS keeps `PAIRS` pairs here and 10 in `minimize`: pass pairs=10 for the ends of `multistart` with the same seed.
    Work is done in blocks of about three seconds and bounded memory. out: a JSON-lines file of finished blocks, so that the same call goes on after
    Ctrl-C, a kill, or with more starts; it may hold several problems. fresh: put a file that is there aside, as `out.bak`, and begin anew.
    Ctrl-C returns the finished blocks (never part of one: fast starts would be over-counted), and is passed on if there are none.

    >>> census = basins(Problem(K=4, L=2, lam=0.02), starts=50, rng=0)
    >>> census.winner, census.starts, census.converged
    ('pairs', 50, 50)

    Raises ValueError, before any work, for unknown arguments, and for an `out` that is no such file or whose blocks were made with another seed.
    Source: gk25 (Figures 2 and 5), wilson27.
    """
    arguments.instance("problem", problem, Problem)
    count = arguments.count("starts", starts, 1)
    tol, level = arguments.positive("tol", tol), arguments.real("level", level)
    wilson(0, 1, level)
    if scale is not None:
        settings["start"] = start_kinds.gaussian(scale)
    if method == "lbfgs":
        settings.setdefault("pairs", PAIRS)
    began = time.perf_counter()
    seed_sequence(rng)
    run = Run.of(problem, method, space, scale, tol, memory, settings)
    with store_for(out, settings, scale, fresh) as store:
        run = run.seeded(rng, store)
        blocks = run.blocks(count, store, progress)
    if not blocks:
        raise KeyboardInterrupt(f"after 0 of {count} starts")
    others = sum("problem" in row for row in store.rows.values()) - 1
    notes = [f"also in {out}: blocks of {others} other problem{'s' * (others > 1)} or settings, not counted here"] if others else []
    notes += [f"{out} was deleted while it was being written; it has been written again"] if store.restored else []
    return replace(_count(run, blocks, count, level), seconds=time.perf_counter() - began, note="; ".join(notes))


def _count(run: Run, blocks: list[dict], count: int, level: float) -> Basins:
    """Ends of all blocks joined, named and counted; starts beyond `count` are left out."""
    everyone, which = [], []
    for row in blocks:
        inside = np.array(row["which"][: max(0, count - row["from"])], dtype=int)
        which.append(np.where(inside >= 0, inside + len(everyone), -1))
        hits = np.bincount(inside[inside >= 0], minlength=len(row["ends"]))
        everyone += [
            End(e["fun"], e["rank"], np.array(e["logits"]), None if e["b"] is None else np.array(e["b"]), int(hit), e["first"], e["continuum"])
            for e, hit in zip(row["ends"], hits, strict=True)
        ]
    which = np.concatenate(which) if which else np.zeros(0, dtype=int)
    seen = np.flatnonzero([end.count > 0 for end in everyone])
    found, place = distinct(run.problem, [everyone[i] for i in seen], **run.agreement)
    number = np.full(len(everyone) + 1, -1)
    number[seen] = place
    listed = _named_ends(run.problem, found, len(which), level)
    order = sorted(range(len(listed)), key=lambda i: (-listed[i].count, listed[i].fun))
    rank = np.full(len(listed) + 1, -1)
    rank[order] = np.arange(len(order))
    said = dynamics(run.problem, run.method, run.space, run.said), run.method, run.space, run.said, run.rng, level
    return Basins(run.problem, tuple(listed[i] for i in order), rank[number[which]], count, *said)


def _named_ends(problem: Problem, found: list[End], total: int, level: float) -> list[Basin]:
    """Basins of distinct ends in ascending F."""
    result, taken = [], set()
    for end in found:
        if end.continuum:
            name, distance, scales = f"continuum(rank={end.rank})", None, ()
        else:
            who = identify(end.point(problem) if problem.linear else end.logits)
            name, distance, scales = who.name, who.distance, who.scales
        name = free_name(name, taken)
        taken.add(name)
        rank = end.rank if problem.linear else None
        share = end.count / total, *wilson(end.count, total, level)
        result.append(Basin(name, end.count, *share, end.fun, rank, distance, scales, end.first, end.logits, end.b))
    return result
